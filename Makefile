PYTHON ?= python3.11
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: setup demo test lint bench

# The stamp holds the requirements that are installed, so a second call has nothing to do.
setup:
	@cmp -s requirements.txt .venv/installed.txt || { \
	  { test -x .venv/bin/python || $(PYTHON) -m venv .venv; } && \
	  python -m pip install --disable-pip-version-check -r requirements.txt && \
	  cp requirements.txt .venv/installed.txt; }

demo: setup
	python -m snakemake --profile profiles/demo
	@echo "The report: $(CURDIR)/results/demo/report/index.html"

# The end-to-end tests share one run of the workflow, which uses both cores itself.
test: setup
	python -m pytest -n 2 --dist loadfile --ignore tests/demo
	python -m pytest tests/demo

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	python -m snakemake --lint --configfile profiles/demo/study.yaml

bench: setup
	python -m pytest tests/benchmarks -o python_files='bench_*.py' -o python_functions='bench_*' -s
