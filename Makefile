# make demo: environment, then the main job on the built-in world.   make test: environment, then all checks.
# make bench: ours and the usual way, measured side by side (docs/performance.md).
PYTHON ?= python3.11
CORES ?= $(shell nproc 2>/dev/null || echo 2)
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo test lint unit bench environment clean

demo: environment
	snakemake --cores $(CORES)
	@clip2 show results/nuscenes_zeroshot.json
	@clip2 usage
	@echo "Pictures: results/nuscenes_zeroshot.png results/triplets.png    Quality of the mined triplets: results/audit.json"

test: lint unit

lint: environment
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	snakemake --lint

unit: environment
	pytest -n $(CORES) --dist loadfile

bench: environment
	python -m benchmarks

environment: .venv/ready

# torch-scatter is compiled against the torch just installed, so it comes after it, and from no cache: pip does not know
# which torch a cached build belongs to. Without its CUDA part, which would need a toolkit of torch's own version: what is
# used of it runs on any device without. The last line proves that it fits.
.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
	FORCE_ONLY_CPU=1 .venv/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --no-cache-dir --no-binary torch-scatter torch-scatter==2.1.2
	.venv/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	.venv/bin/python -c "import torch_scatter, clip2"
	touch .venv/ready

clean:
	rm -rf results/* logs .snakemake
