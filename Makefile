# `make demo` and `make test` do everything, set-up included.
PYTHON ?= python3
VENV := .venv
TOOLS := .venv-tools
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: demo test check docs sbom setup resume lock clean

demo: setup            ## run both simulated cohorts, ending in reports; then predict new patients
	@echo "Two simulated cohorts, about ten minutes on two cores; a line per job says how far it is."
	snakemake --cores all
	snakemake --cores all --configfile configs/demo_clinic.yaml
	survfuse package --config configs/demo.yaml --out results/demo_package
	survfuse simulate --config configs/demo.yaml --new-patients --out results/demo_new/sheets
	survfuse predict --package results/demo_package --patients results/demo_new/sheets/patients.tsv \
	  --slides results/demo_new/sheets/slides.tsv --omics results/demo_new/sheets/omics.parquet \
	  --out results/demo_new
	@echo "Cohort reports: $(CURDIR)/results/demo/report/index.html"
	@echo "                $(CURDIR)/results/demo_clinic/report/index.html"
	@echo "Patient pages:  in patients/ beside them"
	@echo "New patients:   $(CURDIR)/results/demo_new/reports/index.html"
	@echo "Documents:      $(CURDIR)/results/demo_new/documents/*.pdf"
	@echo "For patients:   $(CURDIR)/results/demo_new/patient_sheets/*.pdf"

test: setup            ## run the tests
	pytest -n 2 --dist loadfile

check: setup           ## formatting, lint, types, workflow
	ruff format --check src tests benchmarks tools
	ruff check src tests benchmarks tools
	mypy
	snakefmt --check Snakefile workflow src/survfuse/init/starter/Snakefile
	snakemake --lint

resume: setup          ## continue after a hard kill: release the lock, redo what was half done
	snakemake --unlock
	$(MAKE) demo

docs: setup $(TOOLS)/installed  ## build the documentation; a warning, such as a dead link, is an error
	PYTHONPATH=src:$$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
	  $(TOOLS)/bin/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build
	@echo "Documentation: $(CURDIR)/docs/_build/index.html"

sbom: setup $(TOOLS)/installed  ## list what is installed with licences (CycloneDX); needs no network
	$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --gather-license-texts \
	  --output-reproducible --output-format JSON --output-file sbom.json $(VENV)/bin/python

setup: $(VENV)/installed

# Every file is checked against the hashes of the lock, which lists all that is to be installed, hence
# --no-deps; what builds the few packages without a wheel comes first, from the lock too. Of what is
# installed a third is ever imported; Python compiles that when it is.
#
# torch is a step of its own, because its CPU and its CUDA build have the same version: that for the
# CPU is taken where pip is set to an index that has it (PyPI has not), else that for CUDA with its
# libraries, some gigabytes.
INSTALL := pip install -qq --disable-pip-version-check --no-deps --no-build-isolation
LOCKED := $(INSTALL) --no-compile --require-hashes
$(VENV)/installed: requirements.lock requirements-cpu.lock requirements-cuda.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	sed -n '/^setuptools==/,/[^\\]$$/p' requirements.lock > $(VENV)/build.lock
	$(LOCKED) -r $(VENV)/build.lock
	$(LOCKED) -r requirements.lock
	$(LOCKED) -r requirements-cpu.lock 2> /dev/null || $(LOCKED) -r requirements-cuda.lock
	$(INSTALL) --editable .
	pip check
	touch $@

# Of the documentation and the list of parts; an environment of its own, so that neither is slower to
# set up nor larger for those who need neither.
$(TOOLS)/installed: requirements-tools.lock
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/$(LOCKED) -r requirements-tools.lock
	touch $@

lock: setup            ## resolve requirements.in again into the lock files
	$(INSTALL) uv==0.13.9
	python tools/lock.py

clean:                 ## remove results, not the environment
	rm -rf results .snakemake
