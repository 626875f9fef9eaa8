"""Model id or folder → the detector of its family."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForZeroShotObjectDetection, AutoProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from clip2.detect.detector import Detector, Precision, resolve_precision
from clip2.detect.generic import GenericDetector
from clip2.detect.grounding import GroundingDetector
from clip2.detect.owl import OwlDetector
from clip2.runtime.errors import InputError

FAMILIES: dict[str, type[Any]] = {
    "owlvit": OwlDetector,
    "owlv2": OwlDetector,
    "grounding-dino": GroundingDetector,
    "mm-grounding-dino": GroundingDetector,
}


def load_detector(
    model: str, revision: str | None, device: torch.device, precision: Precision = "auto"
) -> tuple[Detector, dict[str, Any]]:
    """Load a zero-shot detector.

    Args:
        model: hub id (``org/name``) or folder.
        revision: branch, tag or commit of the hub repository.

    Returns:
        the detector and what identifies it: model, architecture, hub commit (None for a folder), precision.

    Raises:
        InputError: no such folder, the hub cannot be reached, or it is no zero-shot detector.
    """
    known = MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES
    network, processor, config = load_pretrained(
        model, revision, AutoModelForZeroShotObjectDetection, known, "detector", "zero-shot detector"
    )
    dtype = resolve_precision(precision, device)
    family = FAMILIES.get(config.model_type, GenericDetector)
    detector: Detector = family(network, processor, device, dtype)
    return detector, model_spec(model, config, dtype)


def load_pretrained(
    model: str, revision: str | None, auto: Any, known: Collection[str], role: str, kind: str
) -> tuple[Any, Any, Any]:
    """A network in float32 for inference, its processor and its configuration.

    Args:
        auto: class of transformers that builds the network.
        known: model types that it builds.
        role, kind: what the model is for, and what it has to be, for messages.

    Raises:
        InputError: no such folder, the hub cannot be reached, or it is of another type.
    """
    _check_name(model)
    transformers_logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(model, revision=revision)
        if config.model_type not in known:
            types = ", ".join(sorted(known))
            raise InputError(f"{model}: a {config.model_type} model, not a {kind}; give one of: {types}")
        processor = AutoProcessor.from_pretrained(model, revision=revision)
        network = auto.from_pretrained(
            model,
            revision=revision,
            dtype=torch.float32,
            use_safetensors=True,  # never a pickle
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise InputError(_explain(model, error, role)) from None
    return network.eval().requires_grad_(False), processor, config


def model_spec(model: str, config: Any, dtype: torch.dtype) -> dict[str, Any]:
    """What identifies a loaded model: name, architecture, hub commit (None for a folder), precision."""
    return {
        "model": model,
        "architecture": config.model_type,
        "commit": getattr(config, "_commit_hash", None),
        "precision": str(dtype).removeprefix("torch."),
    }


def model_files(model: str) -> dict[str, Path]:
    """The files of a model folder that decide what it finds, for the provenance; empty for a hub id."""
    if not Path(model).is_dir():
        return {}
    found = (path for path in sorted(Path(model).iterdir()) if path.suffix in {".json", ".safetensors", ".txt"})
    return {f"model/{path.name}": path for path in found}


def _check_name(model: str) -> None:
    """A path that is not there would otherwise be asked of the hub."""
    looks_like_path = model.startswith((".", "/", "~")) or model.count("/") > 1 or model.endswith("/")
    if Path(model).is_dir():
        if not (Path(model) / "config.json").is_file():
            raise InputError(f"{model}: holds no config.json, so it is no model folder; save one with save_pretrained")
    elif looks_like_path or Path(model).exists():
        raise InputError(f"{model}: no such model folder; give a folder or a hub id (org/name)")


def _explain(model: str, error: Exception, role: str) -> str:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(model).is_dir():
        return f"{model}: cannot be loaded as a {role} ({first_line}); it needs config, processor and safetensors files"
    return (
        f"cannot load {role} {model}: not a local folder, and the model hub cannot be reached or has no such model "
        f"({first_line}); give a folder, or download it first where there is a network"
    )
