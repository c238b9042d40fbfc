# Each target is a line or two that you could type yourself. `make` alone prints them.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash

# The rules call `dbot` and `torchrun` by name.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PYTHON = $(shell for p in python3.11 python3; do $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2> /dev/null && echo $$p && break; done)
ENVIRONMENT := .venv/.installed
SCALE := demo

.PHONY: help environment demo demo-cls demo-seeds demo-released test test-slow test-faults test-slurm test-gpu-rehearsal test-services bench bench-gpu gpu-wheels lint audit plan report docs docs-results lock lock-docs lock-services lock-clients clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

environment: $(ENVIRONMENT) ## install everything into .venv, with the versions of requirements.lock

# An installation that was cut off starts afresh: what it left can look complete to pip.
$(ENVIRONMENT): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: there is no Python 3.11 here; install it so that python3.11 is on the PATH (pyenv, conda and most distributions have it)" >&2; exit 1; }
	@if [ -e .venv/.unfinished ]; then rm -rf .venv; fi
	@mkdir -p .venv && touch .venv/.unfinished
	test -x .venv/bin/pip || $(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --no-deps --requirement requirements.lock
	.venv/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@rm .venv/.unfinished
	@touch $@

# The machine with the GPU has a Python of its own, and perhaps no more than torch in it.
GPU_PYTHON ?= python3
GPU_PYTHON_VERSION ?= 3.11
GPU_PLATFORMS := $(addprefix --platform ,manylinux_2_28_x86_64 manylinux_2_27_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64)
GPU_WHEELS := annotated-types iniconfig packaging pillow pluggy pydantic pydantic-core pygments pytest pyyaml simplejpeg typing-inspection typing-extensions

demo: $(ENVIRONMENT) ## the whole table at demo scale and the evidence beside it, end to end, on this machine
	workflow/run --cores all --config scale=demo --quiet reason host
	@echo "table:  results/demo/table.csv, results/demo/table.md" && echo "report: results/demo/report.html"

demo-cls: $(ENVIRONMENT) ## a shorter one: column cls alone
	workflow/run --cores all --config scale=demo --quiet reason host -- column_cls
	dbot table --scale demo && dbot report --scale demo

demo-seeds: $(ENVIRONMENT) ## the demo with three seeds of every cell, in results/demo-seeds: means and standard deviations, in an hour or two
	workflow/run --cores all --config scale=demo-seeds --quiet reason host

# A file that is missing, cut off or another row's stops its row alone, and the table and the page say so.
demo-released: $(ENVIRONMENT) ## the way of published checkpoints to the table, on small files in their layouts
	dbot imitate --scale released-demo --output data/imitated
	workflow/run --cores all --config scale=released-demo --quiet reason host -- column_cls || failed=1; \
	dbot table --scale released-demo && dbot report --scale released-demo && exit $${failed:-0}

test: $(ENVIRONMENT) ## the quick tests
	.venv/bin/pytest --numprocesses auto --maxprocesses 4 --dist loadfile -m "not slow and not gpu and not slurm and not rehearsal and not services"

test-slow: $(ENVIRONMENT) ## the tests that take minutes
	.venv/bin/pytest -m "slow and not faults and not gpu and not slurm and not services"

test-faults: $(ENVIRONMENT) ## the tests that kill every kind of job, fill disks and the like (136 kills; half an hour of CPU)
	.venv/bin/pytest -s -m "faults and not gpu and not slurm and not services"

test-slurm: $(ENVIRONMENT) ## the tests on a real Slurm: the one here, or (as root, on Debian 12) one that is installed, started and stopped; SLURM=current: a newer one
	.venv/bin/pytest -m slurm tests/slurm

test-gpu-rehearsal: $(ENVIRONMENT) ## the paper's scale on a GPU that is not there: devices, waits, memory; and small jobs' values
	.venv/bin/pytest --numprocesses 2 --dist loadfile tests/gpu_rehearsal

# Servers and validators have an environment of their own, and the tests start them as programs. (Their versions and DVC's don't go together.)
SERVICES := build/services-environment

$(SERVICES)/.installed: requirements-services.lock
	@test -n "$(PYTHON)" || { echo "make: there is no Python 3.11 here" >&2; exit 1; }
	rm -rf $(SERVICES) && $(PYTHON) -m venv $(SERVICES)
	$(SERVICES)/bin/pip install --quiet --no-deps --requirement requirements-services.lock
	@touch $@

# The tests themselves need DVC's remotes, and what MLflow's server asks for: these lie over .venv, which stays as it is.
CLIENTS := build/clients-environment

define over-venv
rm -rf $(CLIENTS) && .venv/bin/python -m venv $(CLIENTS)
.venv/bin/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" > $$(echo $(CLIENTS)/lib/*/site-packages)/environment.pth
endef

$(CLIENTS)/.installed: requirements-clients.lock $(ENVIRONMENT)
	$(over-venv)
	$(CLIENTS)/bin/pip install --quiet --no-deps --requirement requirements-clients.lock
	@touch $@

test-services: $(SERVICES)/.installed $(CLIENTS)/.installed ## the tests with real servers and validators, started here; what is skipped is said (PostgreSQL and sshd: apt install postgresql openssh-server)
	DBOT_SERVICES=$${DBOT_SERVICES:-$(SERVICES)} $(CLIENTS)/bin/python -m pytest -rs -m services tests/services

bench: $(ENVIRONMENT) ## measure speed: make bench IMAGES=<folder of photographs> REFERENCE=<checkout of the published code>
	.venv/bin/python -m benchmarks.step $(if $(REFERENCE),--reference $(REFERENCE))
	.venv/bin/python -m benchmarks.profile
	.venv/bin/python -m benchmarks.dense
	.venv/bin/python -m benchmarks.state
	$(if $(IMAGES),.venv/bin/python -m benchmarks.loader --images $(IMAGES),@echo "loading is not measured: name photographs with IMAGES=<folder>")
	$(if $(IMAGES),.venv/bin/python -m benchmarks.wait --images $(IMAGES))
	.venv/bin/python -m benchmarks.workflow
	.venv/bin/python -m benchmarks.scaling

bench-gpu: ## what only a GPU can tell, in 8 minutes: make bench-gpu REFERENCE=<checkout of the published code> IMAGES=<folder> WHEELS=<folder>
	$(GPU_PYTHON) -m benchmarks.gpu $(if $(WHEELS),--wheels $(WHEELS)) $(if $(REFERENCE),--reference $(REFERENCE)) $(if $(IMAGES),--images $(IMAGES))

gpu-wheels: $(ENVIRONMENT) ## fill build/wheels with what bench-gpu needs beside torch, torchvision, timm, safetensors and numpy, for a GPU_PYTHON_VERSION (3.11)
	.venv/bin/pip download --quiet --no-deps --only-binary=:all: --constraint requirements.lock --dest build/wheels \
	--python-version $(GPU_PYTHON_VERSION) --implementation cp $(GPU_PLATFORMS) $(GPU_WHEELS)

lint: $(ENVIRONMENT) ## style, types and the workflow's declarations
	ruff check . && ruff format --check . && mypy && snakefmt --check workflow && snakemake --lint

audit: ## known vulnerabilities of the packages of requirements.lock (pip-audit, in an environment that is thrown away)
	@test -n "$(PYTHON)" || { echo "make: there is no Python 3.11 here" >&2; exit 1; }
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && $(PYTHON) -m venv "$$folder" \
	&& "$$folder/bin/pip" install --quiet pip-audit==2.10.1 \
	&& "$$folder/bin/pip-audit" --strict --no-deps --disable-pip --progress-spinner off --requirement requirements.lock

plan: $(ENVIRONMENT) ## what would run now, why, and what it takes (make plan SCALE=paper; default: the demo)
	snakemake --dry-run --config scale=$(SCALE)
	@dbot forecast --scale $(SCALE) --format summary

report: $(ENVIRONMENT) ## Snakemake's own page about the demo: results, jobs, run times
	snakemake --config scale=demo --report logs/demo/snakemake.html

# The pages have an environment of their own: what builds them stands in no one's way, and they need no torch.
DOCS := build/docs-environment

$(DOCS)/.installed: requirements-docs.lock
	@test -n "$(PYTHON)" || { echo "make: there is no Python 3.11 here" >&2; exit 1; }
	rm -rf $(DOCS) && $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip install --quiet --no-deps --requirement requirements-docs.lock
	@touch $@

docs: $(DOCS)/.installed ## the pages of docs/ as a site, into build/site; a broken link or a page that is missing is an error
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet && echo "wrote build/site/index.html"

docs-results: ## what the demo measured, in README.md and docs/demo.md (FROM=results/demo: after a new demo)
	$(PYTHON) docs/programs/results.py $(FROM)

lock-docs: ## after a change of the extra docs in pyproject.toml: write requirements-docs.lock anew
	rm -rf $(DOCS) && $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip install --quiet packaging && $(DOCS)/bin/pip install --quiet $$($(DOCS)/bin/python .ci/lock docs roots)
	$(DOCS)/bin/python .ci/lock docs > requirements-docs.lock.new && mv requirements-docs.lock.new requirements-docs.lock

lock-services: ## after a change of the extra services in pyproject.toml: write requirements-services.lock anew
	rm -rf $(SERVICES) && $(PYTHON) -m venv $(SERVICES)
	$(SERVICES)/bin/pip install --quiet packaging && $(SERVICES)/bin/pip install --quiet $$($(SERVICES)/bin/python .ci/lock services roots)
	$(SERVICES)/bin/python .ci/lock services > requirements-services.lock.new && mv requirements-services.lock.new requirements-services.lock

lock-clients: $(ENVIRONMENT) ## after a change of the extras s3, ssh or server: write requirements-clients.lock anew
	$(over-venv)
	$(CLIENTS)/bin/pip install --quiet $$($(CLIENTS)/bin/python .ci/lock clients roots)
	$(CLIENTS)/bin/python .ci/lock clients > requirements-clients.lock.new && mv requirements-clients.lock.new requirements-clients.lock

lock: ## after a change of pins in pyproject.toml: install them and write requirements.lock anew
	.venv/bin/pip install --editable '.[dev]' && .venv/bin/python .ci/lock > requirements.lock.new && mv requirements.lock.new requirements.lock

clean: ## remove what the demo made (DVC's cache keeps the checkpoints)
	rm -rf results/demo results/released-demo data/imitated data/digits data/scenes-boxes-small data/scenes-maps-small state/demo state/released-demo logs/demo logs/released-demo
