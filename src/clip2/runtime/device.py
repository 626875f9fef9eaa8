"""Where to compute."""

import torch

from clip2.runtime.errors import InputError


def resolve_device(device: str) -> torch.device:
    """ "auto" is the GPU where there is one; anything else is taken at its word.

    Raises:
        InputError: no such device here.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r} cannot be used: {str(error).splitlines()[0]}; try --device auto") from None
    return torch.device(device)
