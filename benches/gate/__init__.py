"""What `make test` checks each change against: instruction counts, which a busy machine does not change."""
