"""What the measurements were made on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "transformers", "open_clip_torch", "numpy", "scikit-learn", "opencv-python-headless", "pyarrow")


def describe_machine() -> dict[str, Any]:
    """Model of the CPU, cores that this process may use, memory, GPU (None without), versions."""
    gpu = torch.cuda.get_device_properties(0) if torch.cuda.is_available() else None
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpu": None if gpu is None else {"name": gpu.name, "memory_gb": round(gpu.total_memory / 1e9, 1)},
        "cuda": torch.version.cuda,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def cpu_model() -> str:
    """As the system names it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def in_words(machine: dict[str, Any]) -> str:
    """One line."""
    gpu = machine["gpu"]["name"] if machine["gpu"] else "no GPU"
    return f"{gpu}; {machine['cores']} cores of {machine['cpu']}; torch {machine['packages']['torch']}"
