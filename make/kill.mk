# Processes are killed at every step by failpoints, which releases do not contain: a cargo feature, and so a target directory of its own.

.PHONY: test-kill
test-kill:  ## SIGKILL at every step of writers, readers and `clean`, and 1,000 times at random; prints the matrix
	cargo clippy --package traincast-core --all-targets --features failpoints --locked --quiet --target-dir target/kill -- -D warnings
	cargo test --package traincast-core --features failpoints --test kill_matrix --test kill_scores --locked --quiet --target-dir target/kill
	cargo test --package traincast-header --features failpoints --test kill --locked --quiet --target-dir target/kill
