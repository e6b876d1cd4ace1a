# Reads that race with a writer. `make test` runs a bounded part as part of `test-rust`.

READS ?= 1000000000
# How many of them must read a version that is new to the reader: all. On one core that would take forever.
NEW ?= $(READS)

.PHONY: stress
stress:  ## 10^9 reads that race with a writer, every word of each checked (READS=... NEW=...); also in target/stress.txt
	@mkdir -p target
	TRAINCAST_STRESS_READS=$(READS) TRAINCAST_STRESS_NEW=$(NEW) cargo test --package traincast-core --test stress \
	    --release --locked --quiet | tee target/stress.txt
