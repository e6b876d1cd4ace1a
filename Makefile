# `make demo` and `make test` need Python >= 3.11, a Rust toolchain, a C compiler and make; everything else goes into .venv*.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

# Tests run on the wheel: nothing in the shell's environment may hide it.
unexport PYTHONPATH PYTHONHOME PYTHONWARNINGS VIRTUAL_ENV TRAINCAST_DIR TRAINCAST_NAME
export PYTHONNOUSERSITE := 1
export UV_PYTHON_DOWNLOADS := never

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 20

# `make help` shows targets in this order. test.mk comes first, because the others add their stages to its list.
include make/test.mk make/kill.mk make/bench.mk make/study.mk make/stress.mk make/soak.mk make/fuzz.mk make/wheel.mk make/platforms.mk make/pictures.mk make/docs.mk make/environments.mk

.PHONY: demo
demo: .venv-demo/.installed  ## real training with and without a curriculum; ends with a table and a picture
	@.venv-demo/bin/traincast demo $(ARGS)

.PHONY: fmt
fmt: .venv/.ready  ## format Rust and Python, and fix what ruff can fix
	cargo fmt --all
	.venv/bin/ruff check --fix --quiet
	.venv/bin/ruff format --quiet

.PHONY: lock
lock: .venv-tools/.ready  ## renew the pinned versions in requirements/*.txt
	scripts/lock --upgrade

.PHONY: clean
clean:  ## remove the environments and everything that was built
	rm -rf .venv .venv-* target .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
