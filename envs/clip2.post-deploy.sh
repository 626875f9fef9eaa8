#!/usr/bin/env bash
# Compiled after torch and against it, without CUDA (Makefile says why); from no cache, since pip does not know which torch a cached build belongs to.
set -euo pipefail
FORCE_ONLY_CPU=1 python -m pip install --no-build-isolation --no-cache-dir --no-binary torch-scatter torch-scatter==2.1.2
python -c "import torch_scatter"
