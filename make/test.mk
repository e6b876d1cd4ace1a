# `make test` and its stages, each of which can also be run alone.

# Two rows of stages that run in parallel and take about the same time.
STAGES := lint test-python test-cpythons test-frameworks
MORE_STAGES := test-sf test-layouts test-checked test-rust test-header-sanitized test-loom test-mutants test-kill test-relay

# Preparation is the longest part of a first run, so the downloads and the two compilations overlap.
.PHONY: test
test:  ## all linters and all tests, in all environments
	@$(MAKE) --no-print-directory -j2 prepare
	@scripts/stages $(STAGES) -- $(MORE_STAGES)

.PHONY: prepare
prepare: .venv/.installed .venv-sf/.installed .venv-frameworks/.installed target/cpythons/.ready

.PHONY: lint
lint: lint-rust lint-python lint-house  ## all linters; pre-commit runs the same, part by part

.PHONY: lint-rust
lint-rust:  ## rustfmt, clippy, rustdoc
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --package traincast-core --no-deps --document-private-items --locked --quiet

.PHONY: lint-python
lint-python: .venv/.installed  ## ruff, mypy, the stub against the built module, import directions
	.venv/bin/ruff check --quiet
	.venv/bin/ruff format --check --quiet
	.venv/bin/mypy
	.venv/bin/python -m mypy.stubtest --mypy-config-file pyproject.toml traincast._core
	.venv/bin/lint-imports --no-logo

SCHEMA := .venv-tools/bin/check-jsonschema --builtin-schema

.PHONY: lint-house
lint-house: .venv-tools/.ready  ## what must stay in a few files; workflows, issue forms, the citation
	scripts/house-rules
	$(SCHEMA) vendor.github-workflows .github/workflows/*.yml > /dev/null
	$(SCHEMA) vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml > /dev/null
	$(SCHEMA) vendor.citation-file-format CITATION.cff > /dev/null
	.venv-tools/bin/zizmor --offline --quiet .github/workflows
	.venv-tools/bin/kubernetes-validate --strict --quiet examples/cluster/*.yaml

.PHONY: test-rust
test-rust: clang  ## the core's tests and those of traincast.h, without Python
	cargo test --workspace --locked --quiet

# These are the C compiler's sanitizers: only the C code has them, and the programs that it is linked into.
.PHONY: test-header-sanitized
test-header-sanitized:  ## traincast.h under AddressSanitizer and UndefinedBehaviorSanitizer
	TRAINCAST_HEADER_SANITIZE=1 cargo test --package traincast-header --test agreement --test places --test scores --test fuzz --test stress \
	    --locked --quiet --target-dir target/header-sanitized

.PHONY: clang
clang:
	@command -v clang++ > /dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    echo "Installing clang"; apt-get update -qq && apt-get install -y -qq clang > /dev/null; \
	else \
	    echo "clang is missing: install it (apt-get install clang); traincast.h is compiled by it and by gcc" >&2; exit 1; \
	fi

# Other flags need another target directory: with a shared one, each switch would rebuild everything.
.PHONY: test-loom
test-loom:  ## the seqlock under loom: every interleaving that the memory model allows
	RUSTFLAGS="--cfg loom" cargo test --package traincast-core --test 'loom*' --target-dir target/loom --release --locked --quiet

.PHONY: test-mutants
test-mutants:  ## each ordering weakened, each fence removed: loom must object to every one
	scripts/ordering-mutants --target-dir target/mutants

# Many tests wait, for a warning after five seconds or for a process to start, so two processes share them.
PYTEST := .venv/bin/pytest --numprocesses 2

.PHONY: test-python
test-python: .venv/.installed valgrind  ## Python tests with the newest version of everything
	$(PYTEST) --ignore tests/integrations --ignore tests/relay --ignore tests/cuda $(ARGS)

.PHONY: test-sf
test-sf: .venv-sf/.installed  ## Sample Factory, and the wrappers on its gymnasium 0.29 and numpy 1
	.venv-sf/bin/pytest $(SF_TESTS) $(ARGS)

SF_TESTS := tests/integrations/sample_factory tests/test_interfaces.py tests/test_unwrapping.py tests/test_unwrapping_traps.py tests/wrappers tests/curriculum tests/scores

# The frameworks themselves warn about many things; our own warnings are errors here, too.
.PHONY: test-frameworks
test-frameworks: .venv-frameworks/.installed  ## real trainings with every other framework: the examples, and what they promise
	scripts/test-frameworks .venv-frameworks/bin/pytest -W default -W error::traincast.TraincastWarning $(ARGS)

# Nodes are network namespaces, which need root: without it those tests are left out, and the others run.
.PHONY: test-relay
test-relay: .venv-frameworks/.installed  ## relays between nodes: real TCPStores, real Ray, real Zenoh routers, cut links and killed processes
	.venv-frameworks/bin/pytest tests/relay -m "not cluster" $(ARGS)

.PHONY: cluster
cluster: .venv/.installed .venv-frameworks/.installed  ## all relay tests: long cuts, real torchruns, a Ray cluster of two nodes; tables of what a relay costs; docs/images/latency-*.svg
	.venv-frameworks/bin/pytest tests/relay $(ARGS)
	.venv-frameworks/bin/python tests/relay/measure.py --json docs/latencies.json
	.venv-frameworks/bin/python tests/relay/measure_zenoh.py --json docs/latencies.json
	.venv-frameworks/bin/python tests/relay/measure_ray.py --json docs/latencies.json
	.venv/bin/python tests/relay/latencies.py docs/latencies.json docs/images

.PHONY: test-cpythons
test-cpythons: target/wheels/.built target/cpythons/.ready | .venv/.ready  ## layouts against headers, and the codec's tests, on the other CPythons
	scripts/test-cpythons target/wheels/*.whl $(CODEC_TESTS) $(ARGS)

# The newest CPythons, if this machine lacks them: a few megabytes from Debian's unstable.
target/cpythons/.ready: scripts/debian scripts/debian-cpythons | .venv-tools/.ready
	scripts/debian-cpythons $(@D) 3.14 3.15

# What depends on how an interpreter makes and keeps objects.
CODEC_TESTS := $(addprefix tests/core/test_,$(addsuffix .py,bad_snapshots codec codec_numpy codec_properties codec_refused \
    code_in_between code_at_any_moment dictionaries handed_out layouts memory_errors near_structures repeated_keys update))

# All of these have run once, in test-python: here with fewer of hypothesis's examples.
test-cpythons test-layouts test-checked: export TRAINCAST_TEST_EXAMPLES := 25

# As on a future CPython.
.PHONY: test-layouts
test-layouts: .venv/.installed  ## the codec's tests without its direct look into the interpreter's objects
	TRAINCAST_OFFICIAL_API=1 $(PYTEST) $(CODEC_TESTS) $(LAYOUT_TESTS) $(ARGS)

# The other tests that pass objects to the native module or get them from it.
LAYOUT_TESTS := $(addprefix tests/core/test_,$(addsuffix .py,key reader state_machine threads wire writer))

# The code of a release, with all of its assumptions checked.
.PHONY: test-checked
test-checked: | .venv/.ready  ## the codec's tests with debug assertions
	rm -rf target/checked-wheels
	.venv-tools/bin/maturin build --profile checked --locked --quiet \
	    --interpreter .venv-tools/bin/python --out target/checked-wheels
	$(UV) venv --quiet --allow-existing --python .venv/bin/python .venv-checked
	$(UV) pip sync --quiet --python .venv-checked/bin/python requirements/cpython.txt
	$(UV) pip install --quiet --no-deps --python .venv-checked/bin/python target/checked-wheels/*.whl
	.venv-checked/bin/pytest $(CODEC_TESTS) $(ARGS)
