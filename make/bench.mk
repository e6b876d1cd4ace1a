# Benchmarks, and the gate of `make test` on instruction counts. benches/__init__.py describes the folders.

BENCH_PYTHON := .venv-bench/bin/python

target/bench/ping: benches/harness/floor/ping.c
	mkdir -p $(@D)
	$(CC) -O2 -Wall -Wextra -Werror -o $@ $<

FLOORS := target/bench/traincast_floor.abi3.so target/bench/traincast_floor_single.abi3.so

$(FLOORS): target/bench/%.abi3.so: $(wildcard benches/harness/floor/*/Cargo.toml benches/harness/floor/*/src/*.rs) Cargo.lock
	cargo build --release --locked --quiet --package $(subst _,-,$*)
	mkdir -p $(@D)
	cp target/release/lib$*.so $@

# Peers are installed one by one: the results name those that fail to install, and the others run.
.venv-bench/.ready: requirements/bench.txt scripts/install-bench | .venv-tools/.ready
	@echo "Installing $< into .venv-bench (a first time takes minutes)"
	python=$$(scripts/pythons | awk 'NR == 1 { print $$2 }'); $(UV) venv --quiet --clear --python "$$python" .venv-bench
	scripts/install-bench $(UV) $(BENCH_PYTHON) requirements/bench.txt
	touch $@

.venv-bench/.installed: .venv-bench/.ready target/wheels/.built
	$(UV) pip install --quiet --no-deps --reinstall --python $(BENCH_PYTHON) target/wheels/*.whl
	touch $@

.PHONY: bench-build
bench-build: .venv-bench/.installed $(FLOORS) target/bench/ping

.PHONY: bench-figures
bench-figures: bench-build  ## print the promised figures, in a few seconds
	@$(BENCH_PYTHON) -m benches.report.promises $(ARGS)

# Sample Factory runs in its own environment, and takes most of the time: minutes.
.PHONY: bench
bench: bench-build .venv-sf/.installed  ## measure everything beside its peers; writes docs/performance.json
	$(BENCH_PYTHON) -m benches --sample-factory .venv-sf/bin/python --json docs/performance.json $(ARGS)

.PHONY: bench-report
bench-report: .venv-bench/.ready  ## make docs/performance.md and its pictures from docs/performance.json
	$(BENCH_PYTHON) -m benches.report docs/performance.json

.PHONY: bench-scores
bench-scores: .venv-bench/.installed  ## measure the scoreboard beside queues, a manager's dictionary, SB3 and Syllabus, for docs/scores.md
	$(BENCH_PYTHON) -m benches.scores

.PHONY: bench-native
bench-native: .venv/.installed  ## measure traincast.h, and the example env in C with and without it, for docs/native.md
	.venv/bin/python -m benches.native

.PHONY: bench-core
bench-core:  ## measure the core without Python
	cargo bench --locked --package traincast-bench-core --bench core

# --- the gate ---------------------------------------------------------------------------------------------------------

.PHONY: valgrind
valgrind:
	@command -v valgrind > /dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    echo "Installing valgrind"; apt-get update -qq && apt-get install -y -qq valgrind > /dev/null; \
	else \
	    echo "valgrind is missing: install it (apt-get install valgrind); the instruction counts need it" >&2; exit 1; \
	fi

target/bench/callgrind_client.so: benches/gate/callgrind_client.c | valgrind
	mkdir -p $(@D)
	$(CC) -shared -fPIC -O2 -Wall -Wextra -Werror -o $@ $<

# The library and its runner must be of one version.
GUNGRAUN := $(shell sed -n 's/^gungraun = "=\(.*\)"/\1/p' benches/core/Cargo.toml)

target/tools/bin/gungraun-runner: benches/core/Cargo.toml
	cargo install --quiet --locked --version $(GUNGRAUN) --root target/tools gungraun-runner
	touch $@

MORE_STAGES += test-instructions
prepare: target/tools/bin/gungraun-runner

.PHONY: test-instructions
test-instructions: .venv/.installed target/bench/callgrind_client.so target/tools/bin/gungraun-runner  ## check instruction counts against the committed baseline, and how they grow with the leaves
	.venv/bin/python -m benches.gate.growth
	.venv/bin/python -m benches.gate.instructions
	.venv/bin/python -m benches.native --gate

.PHONY: accept-instructions
accept-instructions: .venv/.installed target/bench/callgrind_client.so target/tools/bin/gungraun-runner  ## take the instruction counts as the new baseline
	.venv/bin/python -m benches.gate.instructions --accept
