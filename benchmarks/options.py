"""Options of all parts."""

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Options:
    """Where and how much to measure.

    Attributes:
        device: of the networks.
        quick: small sizes and few turns: to see that everything runs, not to report.
        scratch: an empty folder for inputs.
        threads: for decoding beside a GPU; a CPU's comparisons run on one core.
        realdata: folder of real sample frames (frames.json), or None.
        results: an existing ``results`` folder of the built-in world, or None.
    """

    device: torch.device
    quick: bool
    scratch: Path
    threads: int
    realdata: Path | None = None
    results: Path | None = None

    @property
    def turns(self) -> int:
        return 2 if self.quick else 7 if self.gpu else 5

    @property
    def gpu(self) -> bool:
        return self.device.type == "cuda"
