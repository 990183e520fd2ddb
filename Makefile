# `make demo` and `make test` do everything, set-up included.
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: demo test check setup resume lock clean

demo: setup            ## run both simulated cohorts, ending in reports
	snakemake --cores all --rerun-incomplete --quiet rules
	snakemake --cores all --rerun-incomplete --quiet rules --configfile configs/demo_clinic.yaml
	@echo "Cohort reports: $(CURDIR)/results/demo/report/index.html"
	@echo "                $(CURDIR)/results/demo_clinic/report/index.html"
	@echo "Patient pages:  in patients/ beside them"

test: setup            ## run the tests
	pytest -n 2 --dist loadfile

check: setup           ## formatting, lint, types, workflow
	ruff format --check src tests benchmarks
	ruff check src tests benchmarks
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint

resume: setup          ## continue after a hard kill: release the lock, redo what was half done
	snakemake --unlock
	$(MAKE) demo

setup: $(VENV)/installed

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	pip install -qq --disable-pip-version-check -r requirements.lock
	pip install -qq --disable-pip-version-check --no-deps --editable .
	touch $@

lock: setup            ## resolve requirements.in again into requirements.lock
	pip install -qq --upgrade -r requirements.in
	pip freeze --all --exclude-editable | grep -v '^pip==' | sed 's/+cpu//' > requirements.lock

clean:                 ## remove results, not the environment
	rm -rf results .snakemake
