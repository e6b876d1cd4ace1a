# Fuzzing. `make test` runs the bounded part as part of `test-rust` and `test-python`.

.PHONY: fuzz
fuzz: .venv/.installed  ## 10^7 executions of each fuzz target, and minutes of flipped words (needs a C++ compiler)
	scripts/fuzz $(ARGS)

.PHONY: fuzz-short
fuzz-short: .venv/.installed  ## the bounded part: the corpus, edits of it, hostile snapshots, flipped words
	cargo test --package traincast-core --test fuzz --locked --quiet
	.venv/bin/pytest tests/fuzz

.PHONY: sanitizers
sanitizers: .venv/.installed  ## AddressSanitizer, ThreadSanitizer and valgrind, as far as this machine has them
	scripts/sanitizers
