# What late curriculum information costs: docs/study.md. Sample Factory's arm runs in its own environment.

STUDY := $(BENCH_PYTHON) -m benches.study --sample-factory .venv-sf/bin/python

.PHONY: study
study: .venv-bench/.installed .venv-sf/.installed  ## three arms and three seeds of the study, in less than ten minutes; a table and a picture
	@$(STUDY) --plan short --results target/study/results.jsonl --picture target/study $(ARGS)

# If it is stopped and started again, it goes on; several sessions may append to the file.
.PHONY: study-full
study-full: .venv-bench/.installed .venv-sf/.installed  ## all of the study, in two hours; appends to docs/study.jsonl
	@$(STUDY) --plan full --results docs/study.jsonl $(ARGS)
	@$(BENCH_PYTHON) -m benches.study.page docs/study.jsonl

.PHONY: study-page
study-page: .venv-bench/.ready  ## make docs/study.md and its pictures from docs/study.jsonl
	$(BENCH_PYTHON) -m benches.study.page docs/study.jsonl
