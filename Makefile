PYTHON ?= python3.11
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

SLURM_PACKAGES := slurmctld slurmd slurmdbd slurm-client munge mariadb-server

.PHONY: setup demo cases test test-slurm test-conda test-gpu lint bench slurm

# The stamp holds the requirements that are installed, so a second call has nothing to do.
setup:
	@cmp -s requirements.txt .venv/installed.txt || { \
	  { test -x .venv/bin/python || $(PYTHON) -m venv .venv; } && \
	  python -m pip install --disable-pip-version-check -r requirements.txt && \
	  cp requirements.txt .venv/installed.txt; }

demo: setup
	python -m snakemake --profile profiles/demo
	@echo "The report: $(CURDIR)/results/demo/report/index.html"

# make cases READER=aisd FOLDER=/data/AISD [OPTIONS="--labels 1 2 3 5"] [OUT=folder]: docs/public_data.md
OUT = results/datasets/$(READER)
cases: setup
	@test -n "$(READER)" -a -n "$(FOLDER)" || { echo "Give READER and FOLDER (docs/public_data.md)."; exit 1; }
	python -m workflow_scripts.datasets.$(READER) "$(FOLDER)" --out "$(OUT)" $(OPTIONS)
	@echo "The case sheet: $(OUT)/cases.tsv; what was left out: $(OUT)/left_out.tsv"

# The end-to-end tests share one run of the workflow, which uses both cores itself.
test: setup
	python -m pytest -n 2 --dist loadfile --ignore tests/demo --ignore tests/slurm --ignore tests/conda
	python -m pytest tests/demo

# A real Slurm on this machine, for the time of the tests: as root, on Debian or Ubuntu.
slurm:
	@dpkg -s $(SLURM_PACKAGES) > /dev/null 2>&1 || { \
	  apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(SLURM_PACKAGES); }

test-slurm: setup slurm
	python -m pytest tests/slurm

# Wherever torch, numpy, scipy and yaml are; a rehearsal where there is no GPU. The table: results/gpu/gpu.md.
test-gpu:
	python -m tests.gpu.check

test-conda: setup slurm
	python -m pytest tests/conda

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	python -m snakemake --lint --configfile profiles/demo/study.yaml

bench: setup
	python -m pytest tests/benchmarks -o python_files='bench_*.py' -o python_functions='bench_*' -s
