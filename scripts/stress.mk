# Reads that race with a writer. `make test` runs a bounded part as part of `test-rust`.

READS ?= 1000000000

.PHONY: stress
stress:  ## 10^9 reads that race with a writer, every word of each checked (READS=...); the table also in target/stress.txt
	@mkdir -p target
	TRAINCAST_STRESS_READS=$(READS) cargo test --package traincast-core --test stress --release --locked --quiet \
	    | tee target/stress.txt
