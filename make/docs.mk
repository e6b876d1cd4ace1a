# The site of the documentation: mkdocs.yml lists its pages, and scripts/site.py converts them.

MKDOCS := NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs

.PHONY: docs
docs: .venv-docs/.ready  ## build the site in target/site; a broken link or an undocumented public name fails
	$(MKDOCS) build --strict --site-dir target/site
	.venv-docs/bin/python scripts/check-site target/site

.PHONY: docs-serve
docs-serve: .venv-docs/.ready  ## show the site at http://127.0.0.1:8000, and follow changes
	$(MKDOCS) serve --livereload

.PHONY: drawings
drawings:  ## draw the pictures of docs/README.md and docs/how-it-works.md, for light and dark pages
	python3 scripts/drawings docs/images
