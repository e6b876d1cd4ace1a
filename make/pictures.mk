# Pictures of the documentation that show the program itself. Those with figures come from `make bench-report`.

.PHONY: top-picture
top-picture: .venv/.installed  ## docs/images/top.svg: `traincast top` beside real learners and workers; half a minute
	.venv/bin/python scripts/top-picture
