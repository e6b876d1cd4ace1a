# The wheel: all tests and benchmarks run on it, not on the sources.

CARGO_SOURCES := Cargo.toml Cargo.lock .cargo/config.toml $(shell find rust -name '*.rs' -o -name Cargo.toml)
PACKAGE_SOURCES := pyproject.toml README.md LICENSE \
    $(shell find python include -type f -not -name '*.so' -not -path '*/__pycache__/*')

.PHONY: wheel
wheel: target/wheels/.built  ## build the release wheel in target/wheels

target/wheels/.built: $(CARGO_SOURCES) $(PACKAGE_SOURCES) | .venv-tools/.ready
	rm -rf target/wheels
	.venv-tools/bin/maturin build --release --locked --quiet --interpreter .venv-tools/bin/python --out target/wheels
	touch $@
