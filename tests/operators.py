"""What PyTorch does below the surface: for tests of code that must keep a GPU busy, run on the CPU."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "unique_dim", "_unique2"}
"""Operators whose result the CPU must see before it goes on; on a GPU they stop the work ahead."""


class Operators(TorchDispatchMode):
    """Names of the operators that run, views left out: on a GPU, about a kernel each."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not func.is_view:
            self.names.append(func.name().removeprefix("aten::").split(".")[0])
        return func(*args, **kwargs or {})
