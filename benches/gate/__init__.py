"""What `make test` holds a change against: counted, so that a busy machine does not matter."""
