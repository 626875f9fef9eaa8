"""Where to compute. Apart from ``clip2.teach.teacher``, so that training does not import open_clip."""

import torch

from clip2.errors import InputError


def resolve_device(device: str) -> torch.device:
    """ "auto" is the GPU where there is one; anything else is taken at its word."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}; try --device auto") from None
    return torch.device(device)


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 on a GPU, float32 elsewhere."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")
