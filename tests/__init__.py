"""A package, so that spawned processes find these tests and not a `tests` that some distribution installs."""
