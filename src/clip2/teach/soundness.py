"""Is a teacher sound? What its folder holds before it is built, its vectors after, and why it cannot be loaded."""

import codecs
import math
import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from clip2.runtime.errors import InputError
from clip2.scans.files import HEAD, absent, what_is
from clip2.scans.texts import read_json

if TYPE_CHECKING:
    from clip2.teach.teacher import Teacher

CONFIG = "open_clip_config.json"
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_LARGEST = {"layers": 200, "width": 20_000, "embed_dim": 20_000, "image_size": 4096, "patch_size": 4096,
            "context_length": 100_000, "vocab_size": 2_000_000}  # fmt: skip
"""Of the numbers in a model's configuration: more of them would fill any memory before a weight is compared."""


def check_config(folder: Path) -> None:
    """Refuse the configuration of a model folder that open_clip would stumble over, or build something enormous from.

    Raises:
        InputError: it is not there, no JSON, or holds a number that cannot be right.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(
            f"{path}: no such file, so that the folder is no open_clip model; get it again, with all files"
        )
    content = read_json(path)
    if path.read_bytes().startswith(codecs.BOM_UTF8):
        raise InputError(f"{path}: begins with a byte order mark, which open_clip does not read; save it without")
    shape = content.get("model_cfg", content) if isinstance(content, dict) else None
    if not isinstance(shape, dict):
        raise InputError(f"{path}: is no configuration of open_clip: it has no `model_cfg`; get it again")
    parts = {"": shape} | {f"{key}.": value for key, value in shape.items() if isinstance(value, dict)}
    for part, numbers in parts.items():
        for key in _LARGEST.keys() & numbers.keys():
            value = numbers[key]
            for one in value if isinstance(value, list) else [value]:
                if one is not None and not (isinstance(one, int) and 0 < one <= _LARGEST[key]):
                    raise InputError(f"{path}: {part}{key} is {one!r}, and has to be a whole number from 1 to "
                                     f"{_LARGEST[key]:,}; get it again")  # fmt: skip


def complaint(teacher: "Teacher") -> str | None:
    """What a sound model does not do, in words; weights of zeros, of integers or of NaN load without any."""
    for step in teacher.preprocess.transforms:
        if hasattr(step, "mean") and hasattr(step, "std"):
            mean, std = (list(map(float, values)) for values in (step.mean, step.std))
            in_range = all(0 <= m <= 1 for m in mean) and all(0 < s <= 1 for s in std)
            if not len(mean) == len(std) == 3 or not in_range:
                return f"its preprocessing has mean {mean} and std {std}, and not three numbers from 0 to 1 each"
    if not 0 < teacher.logit_scale < math.inf:
        return f"its logit scale is {teacher.logit_scale}"
    size = teacher.image_size
    texts = teacher.encode_text(["a car", "a tree"]).cpu()
    picture = teacher.encode_pixels(torch.linspace(-1, 1, 3 * size * size).view(1, 3, size, size)).cpu()
    for what, vectors in (("texts", texts), ("a picture", picture)):
        norms = vectors.norm(dim=1)
        if not vectors.isfinite().all() or (norms - 1).abs().max() > 0.01:
            return f"gives vectors of {what} that are no unit vectors (norm {norms[0]:.3g})"
    if torch.equal(*texts):
        return "gives all texts the same vector"
    return None


def why_not(model: str, pretrained: str | None, error: Exception) -> str:
    """What is wrong with a model or its weights, in one line."""
    files = [Path(pretrained)] if pretrained and Path(pretrained).is_file() else []
    folder = Path(model)
    if folder.is_dir():
        files = [path for path in sorted(folder.iterdir()) if path.suffix in _WEIGHTS]
        if not files:
            return f"the folder holds no weights ({', '.join(_WEIGHTS)}); save them beside its open_clip_config.json"
    for path in files:
        if not path.is_file():
            return absent(path)
        with path.open("rb") as file:
            kind = what_is(file.read(HEAD))
        if kind and "PyTorch" not in kind and "pickle" not in kind:
            return f"{path.name} is {kind}"
    words = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in words.lower():
        return "the file holds more than tensors (pickled objects), which is not run; save `model.state_dict()` alone"
    if files and isinstance(error, KeyError | RuntimeError | AttributeError | TypeError | StopIteration | IndexError):
        missing = re.findall(r'"([\w.]+)"', words.partition("Unexpected key")[0]) or re.findall(r"'([\w.]+)'", words)
        lacks = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        return f"{files[0].name} is not of this architecture" + (
            f"; it lacks {lacks}" if lacks else f" ({words[:200]})"
        )
    advice = "get it again" if folder.is_dir() else "without a network, download it first and give its folder"
    return f"{words[:300]}; {advice}"
