"""The packed training set, where the training runs: in the GPU's memory, or mapped from disk for a CPU.

Batches are drawn, cut to size and put together there; nothing waits for a loader.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clip2.pretrain.sampling import sample_rows
from clip2.store.atomic import read_json

log = logging.getLogger(__name__)

BLOCK_ROWS = 1 << 20
LARGEST_SHARE = 0.6
"""Of a GPU's free memory that the data may take."""


@dataclass(frozen=True)
class Batch:
    """B triplets: points (B, N, 3) metres and (B,) numbers of distinct ones; images, texts (B, D) unit vectors;
    labels (B,) which text, text_weights (B,) 0 where it is not to be trusted, things (B,) of which thing."""

    points: Tensor
    count: Tensor
    images: Tensor
    texts: Tensor
    labels: Tensor
    text_weights: Tensor
    things: Tensor


class TrainingSet:
    """A folder that :func:`clip2.pretrain.pack.build_pack` wrote, on ``device``."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.header: dict[str, Any] = read_json(folder / "pack.json")
        with np.load(folder / "table.npz", allow_pickle=False) as table:
            parts = {name: torch.from_numpy(table[name]).to(device) for name in table.files}
        self.offsets, self.label = parts["offsets"], parts["label"]
        self.trusted, self.thing = parts["trusted"], parts["thing"]
        self.text = parts["text"].float()
        files = (folder / "points.f16", 3), (folder / "image.f16", self.text.shape[1])
        where = device if _fits(sum(path.stat().st_size for path, _ in files), device) else torch.device("cpu")
        self.points, self.image = (_open_half(path, width, where) for path, width in files)
        self.device = device

    def __len__(self) -> int:
        return len(self.label)

    def order(self, epoch: int, balance: float, seed: int) -> Tensor:
        """(n,) which triplets an epoch draws, in order: a function of its arguments alone.

        ``balance`` 0 gives each triplet once. Above, they are drawn with replacement with probability proportional to
        (frequency of the label)^-balance. On the CPU, once an epoch: on a GPU, sums of the same numbers may differ.
        """
        generator = torch.Generator().manual_seed(step_seed(seed, epoch, 0))
        if balance == 0:
            return torch.randperm(len(self), generator=generator).to(self.device)
        label = self.label.cpu()
        # By inverse transform and not torch.multinomial, which takes no more than 2^24 categories.
        cumulative = torch.bincount(label).double()[label].pow(-balance).cumsum(0)
        drawn = torch.rand(len(self), generator=generator, dtype=torch.float64) * cumulative[-1]
        return torch.searchsorted(cumulative, drawn).clamp(max=len(self) - 1).to(self.device)

    def batch(self, items: Tensor, n_points: int, generator: torch.Generator | None) -> Batch:
        """The triplets ``items`` (B,), with ``n_points`` points each."""
        starts = self.offsets[items]
        index, count = sample_rows(starts, self.offsets[items + 1] - starts, n_points, generator)
        labels = self.label[items]
        return Batch(
            points=self._rows(self.points, index),
            count=count,
            images=self._rows(self.image, items),
            texts=self.text[labels],
            labels=labels,
            text_weights=self.trusted[items].float(),
            things=self.thing[items],
        )

    def _rows(self, table: Tensor, index: Tensor) -> Tensor:
        """Rows as float32 on the device; of a mapped file, the host picks them."""
        return table[index.to(table.device)].to(self.device).float()


def step_seed(seed: int, step: int, stream: int) -> int:
    """Seed of one step's (or epoch's) random numbers: no state to keep, so a resumed run draws the same."""
    return int(np.random.SeedSequence([seed, stream, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes leave a GPU room for training; on a CPU they are mapped anyway."""
    if device.type != "cuda":
        return True
    free = torch.cuda.mem_get_info(device)[0]
    if size <= LARGEST_SHARE * free:
        return True
    log.warning("the packed triplets (%.1f GB) stay on the host, as the GPU has %.1f GB free: slower; a smaller "
                "`max_points` would fit", size / 1e9, free / 1e9)  # fmt: skip
    return False


def _open_half(path: Path, width: int, device: torch.device) -> Tensor:
    """A file of float16 rows: mapped for a CPU, else read to the device a block at a time, never whole on the host."""
    n = path.stat().st_size // (2 * width)
    if device.type == "cpu":
        return torch.from_file(str(path), shared=False, size=n * width, dtype=torch.float16).view(n, width)
    rows = torch.empty(n, width, dtype=torch.float16, device=device)
    for start in range(0, n, BLOCK_ROWS):
        block = np.fromfile(path, np.float16, BLOCK_ROWS * width, offset=2 * start * width).reshape(-1, width)
        rows[start : start + len(block)] = torch.from_numpy(block)
    return rows
