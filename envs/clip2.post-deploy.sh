#!/usr/bin/env bash
# Compiled after torch and against it; from no cache, since pip does not know which torch a cached build belongs to.
set -euo pipefail
python -m pip install --no-build-isolation --no-cache-dir --no-binary torch-scatter torch-scatter==2.1.2
python -c "import torch_scatter"
