"""Several processes that train as one: how they find each other, and what they exchange.

Each process holds the whole data set and the whole model, and encodes its own rows of every batch; the loss of the
whole batch is then computed in each of them. One kind of exchange does it all, a sum over the processes:

* the features of the batch: each process puts its rows into zeros, and the sum is the whole batch. That moves twice the
  bytes of an all-gather and takes rows of any number, so that a batch need not be divisible;
* the statistics of batch norm, in the same way;
* the gradients, all end to end in one tensor. The model has a few million parameters, so there is nothing to gain from
  sending some while others are still computed, which is what DistributedDataParallel is for.

What is differentiated is the sum of the processes' losses, which are N times the same number. So the derivative of an
exchange is an exchange too, and the gradients are averaged.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from clip2.runtime.device import resolve_device
from clip2.runtime.errors import InputError

EXCHANGE_TIMEOUT = timedelta(minutes=10)
"""Of one sum over the processes: longer than the main one takes to write a checkpoint."""
PREPARATION_TIMEOUT = timedelta(hours=6)
"""How long the others wait for the main process to pack the data."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run, and which of them this is. Process 0 is the main one, which alone writes files."""

    rank: int = 0
    size: int = 1
    store: dist.Store | None = None

    @property
    def main(self) -> bool:
        return self.rank == 0

    def rows(self, n: int) -> slice:
        """Which of the n rows of a batch are this process's."""
        return slice(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def tell(self, name: str, value: str) -> str:
        """The main process's ``value``, in all processes; the others wait for it."""
        if self.store is None:
            return value
        if self.main:
            self.store.set(name, value)
        self.store.wait([name], PREPARATION_TIMEOUT)
        return str(self.store.get(name).decode())

    def gather(self, rows: Tensor, n: int) -> Tensor:
        """This process's rows of a batch -> all n of them (n, D), with gradients."""
        return rows if self.size == 1 else _gather(rows, self.rows(n), n)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make each gradient the mean over the processes."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = _sum(torch.cat([gradient.flatten() for gradient in gradients])) / self.size
        parts = flat.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])

    def share_batch_norm(self, model: nn.Module) -> None:
        """Let batch norm see the whole batch. Parameters, buffers and their names stay as they are."""
        if self.size > 1:
            for module in model.modules():
                if type(module) is nn.BatchNorm1d:
                    module.__class__ = GlobalBatchNorm


ALONE = Processes()


@contextmanager
def join(device: str) -> Iterator[tuple[Processes, torch.device]]:
    """The run that ``torchrun`` started this process for, or a run of one process; and this process's device.

    ``device`` is as for :func:`clip2.runtime.device.resolve_device`, without a number where there are several
    processes: each takes the GPU with its own number on its machine.
    """
    if not dist.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield ALONE, resolve_device(device)
        return
    where = _own_device(device)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    store, rank, size = next(rendezvous("env://", timeout=EXCHANGE_TIMEOUT))
    if rank:
        logging.getLogger("clip2").setLevel(logging.WARNING)  # what the main process tells is enough
    backend = "nccl" if where.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=EXCHANGE_TIMEOUT)
    yield Processes(rank, size, dist.PrefixStore("clip2", store)), where
    dist.destroy_process_group()  # not after an error: it could wait for a process that is no more


def local_processes() -> int:
    """How many processes of this run share this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1


def _own_device(device: str) -> torch.device:
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {device!r}, but each of several processes takes its own; use auto, cpu or cuda")
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    return resolve_device(f"cuda:{os.environ['LOCAL_RANK']}")


class GlobalBatchNorm(nn.BatchNorm1d):
    """Batch norm of (R, C) rows over those of all processes, on any device (SyncBatchNorm is for GPUs only).

    Each process gives its mean, variance and number of rows. With those, var = Σ n_p (var_p + (mean_p - mean)²) / Σ n_p
    (Chan, Golub and LeVeque 1983), which loses no digits to a large mean.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        rank, size = dist.get_rank(), dist.get_world_size()
        rows = x.float()
        var, mean = torch.var_mean(rows, 0, correction=0)
        own = torch.cat([mean, var, mean.new_full((1,), len(rows))])
        means, variances, n = _gather(own[None], slice(rank, rank + 1), size).split([len(mean), len(mean), 1], 1)
        total = n.sum()
        mean = (n * means).sum(0) / total
        var = (n * (variances + (means - mean).square())).sum(0) / total
        self._remember(mean.detach(), var.detach() * total / (total - 1))
        scale = self.weight * torch.rsqrt(var + self.eps)
        return torch.addcmul(self.bias - mean * scale, rows, scale).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor) -> None:
        assert self.momentum is not None
        running_mean, running_var, batches = self.buffers()
        running_mean.lerp_(mean, self.momentum)
        running_var.lerp_(var, self.momentum)
        batches += 1


def _gather(rows: Tensor, where: slice, n: int) -> Tensor:
    """Rows (R, D) that belong at ``where`` of n -> (n, D), the rows of all processes."""
    whole: Tensor = _Sum.apply(F.pad(rows, (0, 0, where.start, n - where.stop)))
    return whole


class _Sum(torch.autograd.Function):
    """Sum over the processes, forwards and backwards."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return _sum(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        return _sum(gradients[0])


def _sum(x: Tensor) -> Tensor:
    x = x.clone(memory_format=torch.contiguous_format)
    try:
        dist.all_reduce(x)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"process {dist.get_rank()} lost the others; where one of them failed, it says why itself ({reason})"
        ) from error
    return x
