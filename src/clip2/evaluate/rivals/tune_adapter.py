"""PointCLIP and PointCLIP V2 "w/ TP.": an inter-view adapter on frozen views, trained on triplets.

How the CLIP² paper tuned them is not known. Ours: the towers stay frozen, so each triplet's views go through them once;
the adapter learns by the two losses of our point encoder (pretrain.loss), equally weighted.
"""

import torch
from torch import Tensor

from clip2.evaluate.rivals.adapter import ViewAdapter, mean_view
from clip2.evaluate.rivals.depth_views import ENCODE_BATCH, Projection, draw, encode_maps
from clip2.evaluate.rivals.tune_data import TuneData
from clip2.evaluate.rivals.tune_settings import TuneSettings
from clip2.evaluate.rivals.tune_steps import MAX_SCALE, Schedule, Trainer
from clip2.pretrain.loss import ContrastiveLoss
from clip2.runtime.console import progress
from clip2.teach.teacher import Teacher

LR = 1e-3


def frozen_views(projection: Projection, data: TuneData, teacher: Teacher) -> Tensor:
    """(n, V, D) float16 on the teacher's device: each crop's views through the frozen image tower."""
    views = torch.empty(len(data.crops), projection.n_views, teacher.dim, dtype=torch.float16, device=teacher.device)
    size = max(1, ENCODE_BATCH // projection.n_views)
    starts = range(0, len(data.crops), size)
    for start in progress(starts, "batches of views", len(starts)):
        maps = draw(projection, data.crops[start : start + size], teacher)
        views[start : start + size] = encode_maps(projection, maps, teacher)
    return views


def tune_adapter(
    projection: Projection, data: TuneData, texts: Tensor, teacher: Teacher, settings: TuneSettings
) -> tuple[ViewAdapter, float, list[dict[str, float]]]:
    """Train; returns the adapter, 1 / temperature of its text term, and the log of its epochs.

    Args:
        texts: (L, D) unit vectors of ``data.names``.
    """
    device = teacher.device
    views = frozen_views(projection, data, teacher)
    images, labels = data.images.to(device), data.labels.to(device)
    torch.manual_seed(settings.seed)
    adapter = ViewAdapter(projection.n_views, teacher.dim).to(device)
    criterion = ContrastiveLoss(0.5, 0.5, settings.temperature, MAX_SCALE).to(device)
    schedule = Schedule(len(views), settings)
    trainer = Trainer((adapter, criterion), schedule, settings.lr or LR)
    for step, chosen in progress(schedule.steps(), "steps", schedule.total):
        items = chosen.to(device)
        trainer.start(step)
        vectors = mean_view(adapter(views[items].float()))
        own = labels[items]
        trusted = torch.ones(len(items), device=device)
        losses = criterion(vectors, images[items], texts[own], own, trusted, items)
        losses.total.backward()
        trainer.finish(step, loss=losses.total, loss_text=losses.text, loss_image=losses.image)
    return adapter.eval(), criterion.scales()[0].item(), trainer.log
