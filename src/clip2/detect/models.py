"""Model id or folder → the detector of its family."""

import logging
import textwrap
from collections.abc import Collection
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

log = logging.getLogger(__name__)
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
        InputError: no such folder, the hub cannot be reached, it is of another type, or it lacks weights or words.
    """
    _check_name(model)
    transformers_logging.disable_progress_bar()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # of weights it prints a table; what matters of it is said below
    try:
        config = AutoConfig.from_pretrained(model, revision=revision)
        if config.model_type not in known:
            types = ", ".join(sorted(known))
            raise InputError(f"{model}: a {config.model_type} model, not a {kind}; give one of: {types}")
        processor = AutoProcessor.from_pretrained(model, revision=revision)
        network, loaded = auto.from_pretrained(
            model,
            revision=revision,
            dtype=torch.float32,
            use_safetensors=True,  # never a pickle
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
        )
    except InputError:
        raise
    except Exception as error:  # of a configuration that makes no sense, libraries raise all there is
        raise InputError(_explain(model, error, role)) from None
    finally:
        transformers_logging.set_verbosity(verbosity)
    _check_words(model, processor)
    _check_weights(model, config.model_type, network, loaded)
    return network.eval().requires_grad_(False), processor, config


def _check_words(model: str, processor: Any) -> None:
    """Without its files a tokenizer is built that knows no word, and to which all names are the same."""
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is not None and not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
        raise InputError(f"{model}: has no tokenizer files (tokenizer.json …); save it again with its processor")


def _check_weights(model: str, kind: str, network: torch.nn.Module, loaded: dict[str, Any]) -> None:
    """Weights that the files lack would be random, without a word.

    Raises:
        InputError: weights are missing, of another size or not finite.
    """
    missing, unused = sorted(loaded["missing_keys"]), sorted(loaded["unexpected_keys"])
    if missing:
        others = f"; there are others ({_some(unused)})" if unused else ""
        raise InputError(
            f"{model}: lacks {len(missing)} weights of the model type {kind} ({_some(missing)}){others}; "
            "save it again with save_pretrained, or get another copy"
        )
    if sizes := sorted(loaded["mismatched_keys"]):
        name, there, expected = sizes[0]
        raise InputError(
            f"{model}: {name} is of size {[*there]}, but by config.json of {[*expected]} ({len(sizes)} such weights); "
            "get config.json and weights of one model"
        )
    if bad := [name for name, weight in network.named_parameters() if not _is_finite(weight)]:
        raise InputError(
            f"{model}: {len(bad)} weights hold numbers that are not finite ({_some(bad)}); get another copy"
        )
    if unused:
        log.warning(
            "%s: %d weights that the model type %s has no use for (%s)", model, len(unused), kind, _some(unused)
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _is_finite(weight: torch.Tensor) -> bool:
    """Its extremes are NaN where one number is: one pass, no copy."""
    return not weight.numel() or all(bool(extreme.isfinite()) for extreme in torch.aminmax(weight.detach()))


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
    said = textwrap.shorten(str(error), 200, placeholder=" …") or type(error).__name__
    if Path(model).is_dir():
        return f"{model}: cannot be loaded as a {role} ({said}); it needs config, processor and safetensors files"
    return (
        f"cannot load {role} {model}: not a local folder, and the model hub cannot be reached or has no such model "
        f"({said}); give a folder, or download it first where there is a network"
    )
