# The virtual environments: one for each dependency group of pyproject.toml, pinned in requirements/.

UV := .venv-tools/bin/uv

.venv-tools/.ready: requirements/tools.txt
	python=$$(scripts/pythons | awk 'NR == 1 { print $$2 }'); "$$python" -m venv --clear .venv-tools
	.venv-tools/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements/tools.txt
	touch $@

ENVIRONMENTS := .venv .venv-demo .venv-sf .venv-frameworks .venv-wheels .venv-docs

.venv/.ready: requirements/test.txt
.venv-demo/.ready: requirements/demo.txt
.venv-wheels/.ready: requirements/wheels.txt
.venv-docs/.ready: requirements/docs.txt
.venv-sf/.ready: requirements/test-sf.txt | .venv/.ready  # one after the other: torch is downloaded once

.venv-frameworks/.ready: requirements/frameworks.txt | .venv/.ready

# numpy 1 has wheels for these two only.
.venv-sf/.ready: MINORS := 3.11|3.12

# Bytecode is compiled here: if it is not written at the first import (PYTHONDONTWRITEBYTECODE, as in many containers), each process
# of a test would compile torch and Ray again, which takes longer than importing them.
$(ENVIRONMENTS:%=%/.ready): %/.ready: | .venv-tools/.ready
	@echo "Installing $< into $* (the first time takes minutes if it contains torch)"
	python=$$(scripts/pythons '$(MINORS)' | awk 'NR == 1 { print $$2 }'); $(UV) venv --quiet --clear --python "$$python" $*
	$(UV) pip sync --quiet --compile-bytecode --python $*/bin/python $<
	touch $@

$(ENVIRONMENTS:%=%/.installed): %/.installed: %/.ready target/wheels/.built
	$(UV) pip install --quiet --no-deps --reinstall --compile-bytecode --python $*/bin/python target/wheels/*.whl
	touch $@
