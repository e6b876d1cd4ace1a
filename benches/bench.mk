# Benchmarks. Included by the Makefile.

BENCH_PYTHON := .venv-bench/bin/python

target/bench/traincast_floor.abi3.so: benches/floor/Cargo.toml benches/floor/src/lib.rs Cargo.lock
	cargo build --release --locked --quiet --package traincast-floor
	mkdir -p $(@D)
	cp target/release/libtraincast_floor.so $@

# Peers are installed one by one: what does not install is named in the results, and the rest runs.
.venv-bench/.ready: requirements/bench.txt benches/install | .venv-tools/.ready
	@echo "Installing $< into .venv-bench (a first time takes minutes)"
	python=$$(scripts/pythons | awk 'NR == 1 { print $$2 }'); $(UV) venv --quiet --clear --python "$$python" .venv-bench
	benches/install $(UV) $(BENCH_PYTHON) requirements/bench.txt
	touch $@

.venv-bench/.installed: .venv-bench/.ready target/wheels/.built
	$(UV) pip install --quiet --no-deps --reinstall --python $(BENCH_PYTHON) target/wheels/*.whl
	touch $@

.PHONY: bench-figures
bench-figures: .venv-bench/.installed target/bench/traincast_floor.abi3.so  ## the promised figures, in a few seconds
	@$(BENCH_PYTHON) benches/figures.py $(ARGS)
