# Half an hour under a changing load. `make test` runs half a minute of it as part of `test-python`.

.PHONY: soak
soak: .venv/.installed  ## half an hour of publishing, killing, coming and going: nothing may grow; makes a picture
	status=0; .venv/bin/python -m tests.soak --out docs/soak.json $(ARGS) || status=$$?; \
	.venv/bin/python -m tests.soak.picture docs/soak.json docs/images; exit $$status

.PHONY: soak-relay
soak-relay: .venv-frameworks/.installed  ## two half hours of nodes that come and go: relays that stay may not grow
	.venv-frameworks/bin/python tests/relay/relay_soak.py --via tcpstore $(ARGS)
	.venv-frameworks/bin/python tests/relay/relay_soak.py --via zenoh $(ARGS)
