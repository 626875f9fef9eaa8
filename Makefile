# `make help` says what there is. Everything stands in .venv, which the first target that needs it installs.
PYTHON ?= python3.11
SECONDS ?= 300
CORES ?= $(shell nproc 2>/dev/null || echo 2)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit bench faults fuzz environment docs clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo "  CORES=N           processors for demo and unit (default: all, here $(CORES))"

demo: environment  ## the main job on the built-in world, from raw scans to a table and pictures
	snakemake --cores $(CORES)
	@clip2 show results/nuscenes_zeroshot.json
	@echo "Pictures        results/nuscenes_zeroshot.png  results/triplets.png"
	@echo "Mined triplets  clip2 show results/audit.json"
	@echo "Cost            clip2 usage"

test: lint unit  ## all checks

lint: environment  ## style, types and the workflow's form
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	snakemake --lint

unit: environment  ## the tests
	pytest -n $(CORES) --dist loadfile --no-loadscope-reorder

bench: environment  ## ours and the usual way, measured side by side (docs/performance.md)
	python -m benchmarks

faults: environment  ## kills, damage, full disks and edits on a tiny chain (docs/reliability.md)
	python -m tools.faults $(FAULTS)

fuzz: environment  ## every reader given damaged files, SECONDS=300 each (docs/reliability.md)
	PYTHONPATH=tests python -m tools.fuzz $(SECONDS)

environment: .venv/ready  ## install what is pinned in requirements.txt into .venv

# torch-scatter is compiled against the torch just installed, so it comes after it, and from no cache: pip does not know
# which torch a cached build belongs to. Without its CUDA part, which would need a toolkit of torch's own version: what is
# used of it runs on any device without. The last line proves that it fits.
.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	DIST_EXTRA_CONFIG=$(CURDIR)/envs/torch_scatter.cfg FORCE_ONLY_CPU=1 \
		.venv/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --no-cache-dir --no-binary torch-scatter torch-scatter==2.1.2
	.venv/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	.venv/bin/python -c "import torch_scatter, clip2"
	touch .venv/ready

docs: environment  ## docs/ as a site that needs no network: site/index.html
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet
	@echo "site/index.html"

clean:  ## remove all results and logs
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
	rm -rf logs site .snakemake
