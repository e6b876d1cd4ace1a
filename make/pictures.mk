# Pictures in the documentation that show the program itself. Those with figures come from `make bench-report`.

# Needs root, for network namespaces, and a machine with nothing else to do.
.PHONY: relays
relays: .venv/.installed .venv-frameworks/.installed  ## two hundred relays, flat and as trees, against a model; docs/images/relays-*.svg; ten minutes
	.venv-frameworks/bin/python tests/relay/scale.py docs/relays.json $(ARGS)
	.venv/bin/python tests/relay/model.py docs/relays.json docs/images

.PHONY: top-picture
top-picture: .venv/.installed  ## docs/images/top.svg: `traincast top` beside real learners and workers; half a minute
	.venv/bin/python scripts/top-picture
