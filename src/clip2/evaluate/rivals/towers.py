"""Files of tuned baselines ("towers"): the weights that `clip2 tune` learned, and a header that says what they are.

One safetensors file: an inter-view adapter (PointCLIP, PointCLIP V2) or a whole image tower (CLIP2Point); the entry
``clip2`` of its metadata is the JSON header. CLIP2Point's own checkpoints (``.pth``) are read, too.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from clip2.evaluate.rivals.adapter import ViewAdapter
from clip2.evaluate.rivals.clip2point import TEMPLATE as CLIP2POINT_TEMPLATE
from clip2.runtime.errors import InputError
from clip2.store.atomic import atomic_path, sealed, unsealed
from clip2.teach.teacher import Teacher, same_teacher

FORMAT = 1
CHECKPOINT_SUFFIXES = (".pth", ".pt")
LANDMARK = "conv1.weight"
"""First weight of every image tower of OpenAI's CLIP, of both kinds."""
DEPTH_WORDS = ("depth", "point", "pc")
"""A prefix with one of these is the depth tower's where a checkpoint holds the image tower as well."""


@dataclass(frozen=True)
class Tower:
    """A tuned baseline.

    Attributes:
        name: as in results ("pointclip_tp", "clip2point" …).
        base: the method that was tuned.
        teacher: what identifies the teacher that it was tuned under; None where the file does not say.
        templates: prompt templates that it was tuned with.
        header: all that the file says about itself.
    """

    path: Path
    name: str
    base: str
    teacher: dict[str, Any] | None
    templates: tuple[str, ...]
    header: dict[str, Any]
    weights: dict[str, Tensor]


def write_tower(path: Path, weights: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a tower; ``header`` holds at least name, base, teacher and templates."""
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in weights.items()}
    header = {"format": FORMAT, "kind": "tower", **header, "tensors_sha256": _digest_of(tensors)}
    text = json.dumps(sealed(header), allow_nan=False)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"clip2": text})


def _digest_of(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_tower(path: Path) -> Tower:
    """Read a tower, or a checkpoint of CLIP2Point.

    Raises:
        InputError: missing, unreadable, or something else.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; make it with `clip2 tune`")
    if path.suffix in CHECKPOINT_SUFFIXES:
        header = {"weights_from": f"checkpoint {path.name}"}
        return Tower(path, "clip2point", "clip2point", None, (CLIP2POINT_TEMPLATE,), header, read_checkpoint(path))
    try:
        with safe_open(path, "pt") as file:
            header = unsealed(json.loads((file.metadata() or {})["clip2"]))
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (a file, not a dictionary)
        if header["kind"] != "tower" or header["format"] != FORMAT:
            raise ValueError(f"kind {header['kind']!r}, format {header['format']!r}")
        if header.get("tensors_sha256", digest := _digest_of(weights)) != digest:
            raise ValueError("its weights are not those that were written")
        return Tower(
            path, header["name"], header["base"], header["teacher"], tuple(header["templates"]), header, weights
        )
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: not a tower of this version ({reason}); make it with `clip2 tune`") from error


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The depth tower in a checkpoint of CLIP2Point, by the names that OpenAI's CLIP and open_clip both use.

    The real file was not at hand. Assumed of it: a state dict, alone or under one key of a dictionary; its tower has
    the names of CLIP's ``visual`` behind some prefix ("module." of parallel training included); where there are
    several such towers, exactly one prefix holds a word of DEPTH_WORDS.

    Raises:
        InputError: not such a file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of a damaged file, torch's own unpickler raises what it likes
        words = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{path}: not a checkpoint that can be read safely ({words[0]}); give a state dict") from error
    for state in (content, *(content.values() if isinstance(content, dict) else ())):
        if isinstance(state, dict) and any(str(key).endswith(LANDMARK) for key in state):
            break
    else:
        raise InputError(f"{path}: holds no image tower (no weight {LANDMARK!r}); give CLIP2Point's checkpoint")
    names = [key for key in state if isinstance(key, str)]
    prefixes = sorted({k.removesuffix(LANDMARK) for k in names if k == LANDMARK or k.endswith(f".{LANDMARK}")})
    # A ResNet has a conv1 in each block, too: those begin with the prefix of the tower itself.
    towers = [p for p in prefixes if not any(p != q and p.startswith(f"{q}layer") for q in prefixes)]
    if len(towers) > 1:
        depth = [p for p in towers if any(word in p.lower() for word in DEPTH_WORDS)]
        if len(depth) != 1:
            raise InputError(f"{path}: which of the towers {towers} sees depth is not clear; save that one alone")
        towers = depth
    if not towers:
        raise InputError(f"{path}: holds no image tower (no weight {LANDMARK!r}); give CLIP2Point's checkpoint")
    weights = {k.removeprefix(towers[0]): v for k, v in state.items() if str(k).startswith(towers[0])}
    if not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{path}: its image tower has weights that are none; give a state dict")
    return {key: value.float() for key, value in weights.items()}


def check_teacher(tower: Tower, teacher: Teacher) -> None:
    """Raise :class:`InputError` when a tower was tuned under another teacher."""
    said = tower.teacher
    if said is None:
        return
    if not same_teacher(said, teacher.spec):
        raise InputError(
            f"{tower.path}: was tuned under the teacher {said['model']!r} ({said['pretrained']!r}), but the model's "
            f"is {teacher.model!r} ({teacher.pretrained!r}); tune it with the same one"
        )


def build_adapter(tower: Tower, n_views: int, teacher: Teacher) -> ViewAdapter:
    """The adapter in a tower, ready on the teacher's device."""
    adapter = ViewAdapter(n_views, teacher.dim)
    _load(adapter, tower)
    return adapter.to(teacher.device).eval().requires_grad_(False)


def copy_visual(teacher: Teacher) -> nn.Module:
    """A float32 copy of the teacher's image tower, in evaluation mode: batch statistics stay the teacher's."""
    visual: nn.Module = copy.deepcopy(teacher.network.visual)
    return visual.float().eval()


def build_visual(tower: Tower, teacher: Teacher) -> nn.Module:
    """The depth tower in a file, ready on the teacher's device."""
    visual = copy_visual(teacher)
    _load(visual, tower)
    return visual.to(teacher.device).requires_grad_(False)


def _load(module: nn.Module, tower: Tower) -> None:
    try:
        module.load_state_dict(tower.weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{tower.path}: its weights do not fit the teacher's shape ({reason}); use the teacher that "
                         "it was made with") from error  # fmt: skip
