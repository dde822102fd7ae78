PYTHON ?= python3.11
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

SLURM_PACKAGES := slurmctld slurmd slurmdbd slurm-client munge mariadb-server

.PHONY: setup demo export segment cases freeze-split plan digest archive test test-slurm test-conda test-gpu drill lint bench bench-transfer slurm browser dciodvfy

# A path as one word of the shell, whatever is in it.
quoted = '$(subst ','\'',$(1))'

# The stamp holds the requirements that are installed, so a second call has nothing to do.
# TORCH=cpu|cu126|cu130 TORCH_INDEX=address: that build of torch, from an index of yours (docs/gpu.md).
BUILDS := cpu cu126 cu130
# torchvision refuses a torch for another CUDA, so its build changes too.
PINNED_TORCH = $(shell grep -E '^(torch|torchvision)==' requirements.txt)
setup:
	@test -z "$(TORCH)" || test -n "$(TORCH_INDEX)" -a -n "$(filter $(TORCH),$(BUILDS))" || { \
	  echo "Give TORCH (one of: $(BUILDS)) and TORCH_INDEX, the address that has this build (docs/gpu.md)."; exit 1; }
	@test -z "$(TORCH)" && cmp -s requirements.txt .venv/installed.txt || { \
	  { test -x .venv/bin/python || $(PYTHON) -m venv .venv; } && \
	  python -m pip install --disable-pip-version-check -r requirements.txt \
	    $(if $(TORCH),$(PINNED_TORCH:%="%+$(TORCH)") --extra-index-url "$(TORCH_INDEX)") && \
	  cp requirements.txt .venv/installed.txt; }

# Ends with what a stranger would do: a model is exported, and segments a head that the study has never seen.
DEMO_NEW := results/demo/new_patient
demo: setup
	python -m snakemake --profile profiles/demo all export_FS-STKi
	python -m workflow_scripts.phantom.head --cohort icoAIS --case I04 --seed 77 --voxel-mm 3 --slice-mm 5 \
	  --out $(DEMO_NEW)/scan --out-truth $(DEMO_NEW)/truth
	python -m workflow_scripts.segment.new_patient --dicom $(DEMO_NEW)/scan/ncct --model results/demo/models/FS-STKi.zip \
	  --out $(DEMO_NEW)/result
	@echo "The report: $(CURDIR)/results/demo/report/index.html"
	@echo "A new patient: $(CURDIR)/$(DEMO_NEW)/result/report.html"

# make export ARM=ALL-STKi-SA [CORES=8]: results/models/ARM and its zip (docs/new_patient.md)
CORES = all
export: setup
	@test -n "$(ARM)" || { echo "Give ARM (docs/new_patient.md)."; exit 1; }
	python -m snakemake --cores $(CORES) "export_$(ARM)"

# make segment DICOM=folder MODEL=model.zip OUT=folder, or NIFTI=file instead of DICOM (docs/new_patient.md)
segment: setup
	@test -n $(call quoted,$(DICOM)$(NIFTI)) -a -n $(call quoted,$(MODEL)) -a -n $(call quoted,$(OUT)) || { echo "Give DICOM or NIFTI, MODEL and OUT (docs/new_patient.md)."; exit 1; }
	python -m workflow_scripts.segment.new_patient $(if $(DICOM),--dicom $(call quoted,$(DICOM)),--nifti $(call quoted,$(NIFTI))) \
	  --model $(call quoted,$(MODEL)) --out $(call quoted,$(OUT)) --cores $(CORES) $(OPTIONS)

# make cases READER=aisd FOLDER=/data/AISD [OPTIONS="--labels 1 2 3 5"] [OUT=folder]: docs/public_data.md
cases: OUT = results/datasets/$(READER)
cases: setup
	@test -n "$(READER)" -a -n $(call quoted,$(FOLDER)) || { echo "Give READER and FOLDER (docs/public_data.md)."; exit 1; }
	python -m workflow_scripts.datasets.$(READER) $(call quoted,$(FOLDER)) --out $(call quoted,$(OUT)) $(OPTIONS)
	@echo The case sheet: $(call quoted,$(OUT))/cases.tsv, what was left out: $(call quoted,$(OUT))/left_out.tsv

# make freeze-split [SHEET=cases.tsv] [RESULTS=results]: the split of a run, into the case sheet (docs/usage.md)
SHEET = cases.tsv
RESULTS = results
freeze-split: setup
	python -m workflow_scripts.split.patients.freeze --sheet "$(SHEET)" --splits "$(RESULTS)/split/splits.tsv"

# Chromium for the tests of the report's pages, which are skipped without one.
browser: setup
	@command -v chromium > /dev/null || command -v chromium-browser > /dev/null || command -v google-chrome > /dev/null || \
	  python -m playwright install --with-deps chromium || \
	  echo "No Chromium here and none could be installed: the tests in a browser will be skipped."

# The validator of DICOM objects that tests/ingest/test_dicom_objects.py asks, which is skipped without it.
dciodvfy:
	@command -v dciodvfy > /dev/null || { apt-get update && apt-get install -y --no-install-recommends dicom3tools; } > /dev/null 2>&1 || \
	  echo "dicom3tools could not be installed (as root, on Debian or Ubuntu): one test will be skipped."

# One digest of all that a study computed: two runs agree. The table names each file (docs/usage.md).
digest: setup
	python -m workflow_scripts.report.digest --results "$(RESULTS)" --out "$(RESULTS)/digest.tsv"
	@head -2 "$(RESULTS)/digest.tsv"

# make plan [CALL="--profile slurm all"] [CLUSTER=profiles/slurm/cluster.yaml] [COSTS=folder] [OUT=results/plan]: docs/cluster.md
plan: OUT = results/plan
plan: setup
	python -m workflow_scripts.study.plan --out "$(OUT)" $(if $(CLUSTER),--cluster "$(CLUSTER)") \
	  $(if $(COSTS),--costs "$(COSTS)") -- $(CALL)
	@echo "The picture: $(OUT)/plan.svg"

# What a paper publishes, and nothing of a patient: $(RESULTS)/archive.tar.gz
archive: digest
	python -m workflow_scripts.report.archive --results "$(RESULTS)" --sheet "$(SHEET)" \
	  --digest "$(RESULTS)/digest.tsv" --out "$(RESULTS)/archive.tar.gz"

# The end-to-end tests share one run of the workflow, which uses both cores itself.
test: setup browser dciodvfy
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

# Things happen to a small study at random, and it ends as if nothing had (docs/usage.md, "After a kill"). As root: on a disk of its own.
FAULTS = 30
SEED = 1
JOBS = cases
drill: OUT = results/drill
drill: setup
	python -m tests.drill --faults $(FAULTS) --seed $(SEED) --jobs $(JOBS) --out "$(OUT)"

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	python -m snakemake --lint --configfile profiles/demo/study.yaml

# All benchmarks one after the other, or some: make bench ONLY=hd95. The table: results/bench.md.
bench: setup
	python -m pytest tests/benchmarks -o python_files='bench_*.py' -o python_functions='bench_*' --capture=tee-sys -k "$(ONLY)"

# What a pretraining is worth where labels are few (docs/pretraining_evidence.md); goes on from what results/transfer holds.
bench-transfer: setup
	python -m tests.benchmarks.transfer $(OPTIONS)
