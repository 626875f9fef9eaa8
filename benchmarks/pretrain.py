"""Pretraining of PointNet++ SSG to 768 dimensions: our training loop; the usual network's own; our network alone."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from benchmarks.made import write_triplets
from benchmarks.options import Options
from benchmarks.timing import Comparison, cores_of, in_turns, wait_for
from benchmarks.usual_pointnet import UsualPointNet2
from clip2.pretrain.data import TrainingSet
from clip2.pretrain.loss import ContrastiveLoss
from clip2.pretrain.pack import build_pack
from clip2.pretrain.precision import mixed_precision
from clip2.pretrain.settings import PretrainSettings
from clip2.pretrain.train import make_parts, train_step, update_average

DIM = 768
GOAL = 17_000.0
"""Triplets a second at 1,024 points, on one H100."""
USUAL_BATCH = 256
"""The usual network keeps every grouped point's activations: much more than this does not fit into 80 GB."""


def run(options: Options) -> Iterator[Comparison]:
    """The `pointnet2-base` preset at 1,024 points: batches of 256 to 4,096 on a GPU, small ones on a CPU."""
    if options.gpu:
        cases = [(batch, 10 if options.quick else 40, {"per_second": GOAL}) for batch in (256, 1024, 4096)]
    else:
        cases = [(4 if options.quick else 16, 1, {})]
    for batch, steps, goal in cases:
        yield compare(1024, batch, steps, "pointnet2-base", options, goal)


def compare(
    n_points: int, batch: int, steps: int, encoder: str, options: Options, goal: dict[str, float]
) -> Comparison:
    """Time ``steps`` steps of each: ours draws, cuts, augments, learns and averages; the usual way gets one batch that
    lies there already, and learns."""
    device = options.device
    settings = PretrainSettings(
        encoder=encoder,
        n_points=n_points,
        max_points=n_points,
        batch_size=batch,
    )
    folder = options.scratch / f"pretrain-{encoder}-{batch}"
    build_pack([write_triplets(folder, 2 * batch, DIM)], folder / "pack", settings)
    data = TrainingSet(folder / "pack", device)
    usual_batch = min(batch, USUAL_BATCH)
    usual = _UsualTraining(data, settings, usual_batch)
    parts = make_parts(settings, DIM, device)
    fixed = data.batch(torch.arange(batch, device=device), n_points, None)

    def ours() -> None:
        order = data.order(0, settings.balance, settings.seed)
        for step in range(steps):
            train_step(parts, data, order[step % 2 * batch :][:batch], step, settings.lr, settings)
            update_average(parts.average, parts.encoder, settings.ema_decay)
        wait_for(device)

    def others() -> None:
        for _ in range(steps):
            usual.step()
        wait_for(device)

    def limit() -> None:
        for _ in range(steps):
            with mixed_precision(device):
                features = parts.encoder(fixed.points, fixed.count)
            (features * fixed.images).sum().backward()
        wait_for(device)

    with cores_of(device):
        seconds = in_turns({"ours": ours, "usual": others, "limit": limit}, options.turns, device)
    counts = {"ours": batch * steps, "usual": usual_batch * steps, "limit": batch * steps}
    sizes = {"points": n_points, "dim": DIM, "batch": batch, "usual_batch": usual_batch, "encoder": encoder}
    name = f"{encoder}, {n_points} points, batch {batch:,}"
    return Comparison("pretrain", name, sizes, counts, "triplets", str(device), seconds, goal)


class _UsualTraining:
    """The usual network, its optimiser, our loss, and one batch on the device."""

    def __init__(self, data: TrainingSet, settings: PretrainSettings, batch: int) -> None:
        self.network = UsualPointNet2(DIM).to(data.device)
        self.criterion = ContrastiveLoss(0.5, 0.5, 0.07, 100.0).to(data.device)
        self.optimiser = torch.optim.AdamW([*self.network.parameters(), *self.criterion.parameters()], 1e-3)
        self.batch = data.batch(torch.arange(batch, device=data.device), settings.n_points, None)

    def step(self) -> None:
        b = self.batch
        features = F.normalize(self.network(b.points), dim=1)
        losses = self.criterion(features, b.images, b.texts, b.labels, b.text_weights, b.things)
        self.optimiser.zero_grad()
        losses.total.backward()
        self.optimiser.step()
        losses.total.item()
