"""A package, so that spawned processes find these tests and not the `tests` that some distribution installs."""
