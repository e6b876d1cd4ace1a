# `make test`, and its stages, each of which runs alone too.

STAGES := lint test-rust test-loom test-mutants test-kill test-python test-cpythons test-layouts test-sf

# Preparing is the long part of a first run: the downloads and the two compilations overlap.
.PHONY: test
test:  ## lints and all tests, in both environments
	@$(MAKE) --no-print-directory -j2 prepare
	@scripts/stages $(STAGES)

.PHONY: prepare
prepare: .venv/.installed .venv-sf/.installed

.PHONY: lint
lint: .venv/.installed  ## rustfmt, clippy, rustdoc, ruff, mypy, the stub against the built module, import directions
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --package traincast-core --no-deps --document-private-items --locked --quiet
	.venv/bin/ruff check --quiet
	.venv/bin/ruff format --check --quiet
	.venv/bin/mypy
	.venv/bin/python -m mypy.stubtest --mypy-config-file pyproject.toml traincast._core
	.venv/bin/lint-imports --no-logo
	scripts/house-rules

.PHONY: test-rust
test-rust:  ## the core's tests, without Python
	cargo test --workspace --locked --quiet

# Other flags, hence another target directory: sharing one would rebuild everything at each change between the two.
.PHONY: test-loom
test-loom:  ## the seqlock under loom: every interleaving that the memory model allows
	RUSTFLAGS="--cfg loom" cargo test --package traincast-core --test 'loom*' --target-dir target/loom --release --locked --quiet

.PHONY: test-mutants
test-mutants:  ## each ordering weakened, each fence removed: loom must object to every one
	scripts/ordering-mutants --target-dir target/mutants

.PHONY: test-python
test-python: .venv/.installed  ## Python tests with the newest of everything
	.venv/bin/pytest --ignore tests/integrations/sample_factory $(ARGS)

.PHONY: test-sf
test-sf: .venv-sf/.installed  ## Sample Factory, and the wrappers on its gymnasium 0.29 and numpy 1
	.venv-sf/bin/pytest $(SF_TESTS) $(ARGS)

SF_TESTS := tests/integrations/sample_factory tests/test_interfaces.py tests/test_unwrapping.py tests/wrapper tests/curriculum

.PHONY: test-cpythons
test-cpythons: target/wheels/.built | .venv/.ready  ## the native module's tests on the other CPythons of this machine
	scripts/test-cpythons target/wheels/*.whl $(ARGS)

# As on a CPython that is yet to come; with debug assertions. Another feature, hence another target directory.
.PHONY: test-layouts
test-layouts: target/bench/callgrind_client.so | .venv/.ready  ## the native module's tests where it knows nothing of the interpreter's insides
	rm -rf target/layouts/wheels
	.venv-tools/bin/maturin build --profile checked --locked --quiet --features unknown-layouts \
	    --interpreter .venv-tools/bin/python --target-dir target/layouts --out target/layouts/wheels
	$(UV) venv --quiet --allow-existing --python .venv/bin/python .venv-layouts
	$(UV) pip sync --quiet --python .venv-layouts/bin/python requirements/cpython.txt
	$(UV) pip install --quiet --no-deps --python .venv-layouts/bin/python target/layouts/wheels/*.whl
	KNOWN_LAYOUTS= .venv-layouts/bin/pytest tests/core --ignore tests/core/test_codec_torch.py $(ARGS)
	.venv-layouts/bin/python -m benches.gate.growth
