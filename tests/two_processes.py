"""What test_pretrain_distributed.py starts with torchrun: `two_processes.py WHAT FOLDER [ARGUMENTS]`."""

import json
import os
import sys
from pathlib import Path

import torch
from torch import nn

from clip2.pretrain import train as train_module
from clip2.pretrain.data import TrainingSet
from clip2.pretrain.distributed import Processes, join
from clip2.pretrain.settings import PretrainSettings
from clip2.runtime.errors import InputError


def batch_norm(processes: Processes) -> dict[str, torch.Tensor]:
    """Two steps of batch norm and what follows it, on uneven rows: outputs, statistics and gradients."""
    x, norm, target = batch_norm_case()
    own = slice(0, 9) if processes.main else slice(9, 40)
    processes.share_batch_norm(norm)
    for _ in range(2):
        x.grad = None
        norm.zero_grad()
        y = norm(x[own])
        (y * target[own]).square().sum().backward()  # its sum over the processes is the loss
    whole = torch.zeros(40, 5)
    whole[own] = y.detach()
    parts = {"y": whole, "x": x.grad, **{f"grad.{name}": p.grad for name, p in norm.named_parameters()}}
    for value in parts.values():
        torch.distributed.all_reduce(value)
    return {**parts, **norm.state_dict()}


def batch_norm_case() -> tuple[torch.Tensor, nn.Module, torch.Tensor]:
    """(40, 5) rows whose means are not zero, a norm with weights, and a target."""
    torch.manual_seed(5)
    x = (torch.randn(40, 5) * torch.tensor([1, 2, 0.5, 1, 5]) + torch.tensor([0, 10.0, -5, 1, 2])).requires_grad_()
    norm = nn.Sequential(nn.BatchNorm1d(5))
    nn.init.normal_(norm[0].weight)
    nn.init.normal_(norm[0].bias)
    return x, norm, torch.randn(40, 5)


def first_gradients(data: TrainingSet, settings: PretrainSettings, processes: Processes) -> dict[str, torch.Tensor]:
    """Gradients of the first step, of a batch that two processes cannot share evenly."""
    parts = train_module.make_parts(settings, data.text.shape[1], data.device)
    processes.share_batch_norm(parts.encoder)
    train_module.train_step(parts, data, torch.arange(31), 0, 0.0, settings, processes)
    modules = {"encoder": parts.encoder, "criterion": parts.criterion}
    return {f"{m}.{name}": p.grad for m, module in modules.items() for name, p in module.named_parameters()}


def compute(folder: Path, settings: PretrainSettings) -> None:
    """Everything that is compared with one process, into files of this process."""
    torch.set_num_threads(1)
    with join("cpu") as (processes, device):
        data = TrainingSet(folder / "pack", device)
        found = {"norm": batch_norm(processes), "gradients": first_gradients(data, settings, processes)}
        encoder, scale = train_module.train(data, settings, folder, "digest", processes)
        found |= {"weights": encoder.state_dict(), "scale": torch.tensor(scale)}
        torch.save(found, folder / f"found.{processes.rank}.pt")


def break_one() -> None:
    """Let process 1 fail in its third step, and run the command line."""
    from clip2 import cli

    update, calls = train_module.update_average, []

    def fails(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise InputError("this process was broken on purpose")
        update(*arguments)  # type: ignore[arg-type]

    if os.environ["RANK"] == "1":
        train_module.update_average = fails
    cli.main(sys.argv[2:])


if __name__ == "__main__":
    if sys.argv[1] == "compute":
        compute(Path(sys.argv[2]), PretrainSettings(**json.loads(sys.argv[3])))
    else:
        break_one()
