"""Model id or folder → the detector of its family."""

from pathlib import Path
from typing import Any

import torch
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
    _check_name(model)
    transformers_logging.disable_progress_bar()
    try:
        config = AutoConfig.from_pretrained(model, revision=revision)
        if config.model_type not in MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES:
            known = ", ".join(sorted(MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES))
            raise InputError(f"{model}: a {config.model_type} model, not a zero-shot detector; give one of: {known}")
        processor = AutoProcessor.from_pretrained(model, revision=revision)
        network = AutoModelForZeroShotObjectDetection.from_pretrained(
            model,
            revision=revision,
            dtype=torch.float32,
            use_safetensors=True,  # never a pickle
        )
    except (OSError, ValueError, KeyError) as error:
        raise InputError(_explain(model, error)) from None
    dtype = resolve_precision(precision, device)
    family = FAMILIES.get(config.model_type, GenericDetector)
    detector: Detector = family(network.eval().requires_grad_(False), processor, device, dtype)
    spec = {
        "model": model,
        "architecture": config.model_type,
        "commit": getattr(config, "_commit_hash", None),
        "precision": str(dtype).removeprefix("torch."),
    }
    return detector, spec


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


def _explain(model: str, error: Exception) -> str:
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(model).is_dir():
        return (
            f"{model}: cannot be loaded as a detector ({first_line}); it needs config, processor and safetensors files"
        )
    return (
        f"cannot load detector {model}: not a local folder, and the model hub cannot be reached or has no such model "
        f"({first_line}); give a folder, or download it first where there is a network"
    )
