# Other machines and interpreters than the one that `make test` runs on. docs/platforms.md has the results.

.PHONY: wheels
wheels: .venv-wheels/.ready  ## sdist and wheels of a release, in target/dist: x86-64 and AArch64, glibc and musl; checked
	scripts/wheels target/dist $(TARGETS)

.PHONY: test-wheels
test-wheels: target/cpythons/.ready | .venv-tools/.ready  ## test the wheel for this machine on each CPython, with the codec's tests
	wheel=$$(compgen -G "target/dist/*manylinux*$$(uname -m).whl") || { echo "no wheel in target/dist: run make wheels" >&2; exit 1; }; \
	    scripts/test-cpythons --all "$$wheel" $(CODEC_TESTS) $(ARGS)

# --- AArch64, by qemu -------------------------------------------------------------------------------------------------

.PHONY: qemu
qemu:
	@command -v qemu-aarch64-static aarch64-linux-gnu-gcc > /dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	    echo "Installing qemu-user-static and gcc-aarch64-linux-gnu"; apt-get update -qq; \
	    apt-get install -y -qq qemu-user-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross > /dev/null; \
	else \
	    echo "qemu-user-static and gcc-aarch64-linux-gnu are missing: install them with apt-get" >&2; exit 1; \
	fi

target/debian-rust/.ready: scripts/debian scripts/debian-rust
	scripts/debian-rust $(@D)

target/aarch64/.ready: scripts/debian
	rm -rf $(@D)
	scripts/debian --with-dependencies release arm64 $(@D) python$(AARCH64_PYTHON) libstdc++6
	touch $@

# That of Debian 12, and one for which the module knows the layouts of objects.
AARCH64_PYTHON := 3.11

.PHONY: test-aarch64
test-aarch64: test-aarch64-rust test-aarch64-python  ## the tests on AArch64, by qemu: the core, traincast.h, the wheel; an hour

.PHONY: test-aarch64-rust
test-aarch64-rust: qemu target/debian-rust/.ready target/aarch64/.ready
	scripts/test-aarch64 rust $(ARGS)

.PHONY: test-aarch64-python
test-aarch64-python: qemu target/aarch64/.ready .venv-tools/.ready
	scripts/test-aarch64 python $(ARGS)

# --- macOS ------------------------------------------------------------------------------------------------------------

.PHONY: check-macos
check-macos: target/debian-rust/.ready  ## check that the core type-checks for macOS, which is all that exists of a port
	RUSTC=$$PWD/target/debian-rust/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_AARCH64_APPLE_DARWIN_RUSTFLAGS="--cfg traincast_port" \
	    cargo check -Zbuild-std=std,panic_unwind --locked --quiet \
	    --target aarch64-apple-darwin --package traincast-core --target-dir target/macos

# --- GPUs -------------------------------------------------------------------------------------------------------------

.PHONY: test-cuda
test-cuda: .venv-frameworks/.installed  ## test tensors on a GPU, and a training there; needs a GPU
	.venv-frameworks/bin/pytest -W default -W error::traincast.TraincastWarning tests/cuda $(ARGS)
