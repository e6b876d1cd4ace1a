"""What is made of the measurements."""
