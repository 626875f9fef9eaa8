"""Train the tiny OWLv2 on rendered images: centre-heat targets over text queries, L1 and generalised-IoU boxes.

    python -m tools.tiny_models.owl_train --train data/streets data/rooms --val data/streets_val data/rooms_val \\
        --base data/owl --out resources/models/tiny_owl --seconds 1100
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.ops import batched_nms, generalized_box_iou_loss
from transformers import AutoTokenizer, Owlv2ForObjectDetection

from tools.tiny_models.average_precision import average_precision
from tools.tiny_models.corpus import SOURCE_WIDTH
from tools.tiny_models.owl_build import OWL_TEMPLATES, TEXT_LENGTH, prompts
from tools.tiny_models.vocabulary import BACKGROUND, CLASSES, detection_of, true_names

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
PHOTO = OWL_TEMPLATES.index("a photo of a {}")


def prepare(images: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 RGB (B, H, W, 3) -> square canvas, black below, as the OWLv2 processor of transformers 5 pads."""
    x = images.float().div(255).permute(0, 3, 1, 2)
    return F.pad(x, (0, 0, 0, size - x.shape[2]))


def augment(x: torch.Tensor, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Flip, zoom with shift, brightness/contrast; boxes are xyxy in [0, 1] of the canvas."""
    b, device = len(x), x.device
    flip = torch.where(torch.rand(b, device=device) < 0.5, -1.0, 1.0)
    zoom = torch.exp(torch.empty(b, device=device).uniform_(-0.35, 0.25))  # < 1 magnifies
    shift = torch.empty(b, 2, device=device).uniform_(-1, 1) * (0.12 + (1 - zoom).clamp(min=0))[:, None]
    theta = torch.zeros(b, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = flip * zoom, zoom, shift
    x = F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)
    centre, half = (boxes[..., :2] + boxes[..., 2:4]) - 1, boxes[..., 2:4] - boxes[..., :2]
    scale = torch.stack([flip * zoom, zoom], -1)[:, None]
    centre = (centre - shift[:, None]) / scale
    half = half / zoom[:, None, None]
    moved = torch.cat([(centre - half + 1) / 2, (centre + half + 1) / 2], -1)
    area = (moved[..., 2:] - moved[..., :2]).prod(-1)
    moved = moved.clamp(0, 1)
    kept = (moved[..., 2:] - moved[..., :2]).prod(-1) / area.clamp(min=1e-9)
    gain = torch.empty(b, 1, 1, 1, device=device).uniform_(0.75, 1.25)
    return (x * gain + torch.empty(b, 1, 1, 1, device=device).uniform_(-0.06, 0.06)).clamp(0, 1), torch.cat(
        [moved, kept[..., None]], -1
    )


def targets(boxes: torch.Tensor, valid: torch.Tensor, grid: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Per token: heat in [0, 1] and the index of the box that owns it."""
    centre = (boxes[..., :2] + boxes[..., 2:4]) / 2 * grid
    size = (boxes[..., 2:4] - boxes[..., :2]) * grid
    sigma = (0.14 * size).clamp(min=0.35)
    axis = torch.arange(grid, device=boxes.device) + 0.5
    dx = (axis[None, None] - centre[..., :1]) / sigma[..., :1]
    dy = (axis[None, None] - centre[..., 1:]) / sigma[..., 1:]
    heat = torch.exp(-0.5 * (dx[:, :, None, :] ** 2 + dy[:, :, :, None] ** 2)).flatten(2)  # (B, N, T)
    cell = centre.floor().clamp(0, grid - 1).long()
    heat.scatter_(2, (cell[..., 1] * grid + cell[..., 0])[..., None], 1.0)
    preference = heat * valid[..., None] + (heat > 0.99) * 0.01 / (1 + size.prod(-1))[..., None] * valid[..., None]
    owner = preference.argmax(1)
    return (heat * valid[..., None]).gather(1, owner[:, None])[:, 0], owner


def text_queries(model: Owlv2ForObjectDetection, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Unit embeddings (Q, D) of token rows (Q, L)."""
    pooled = model.owlv2.text_model(input_ids=ids, attention_mask=mask).pooler_output
    return F.normalize(model.owlv2.text_projection(pooled), dim=-1)


def heads(model: Owlv2ForObjectDetection, pixels: torch.Tensor, queries: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Logits (B, T, Q), boxes cxcywh (B, T, 4) and objectness (B, T) of the tokens of pixels (B, 3, H, W)."""
    feature_map, _ = model.image_embedder(pixels)
    b, h, w, c = feature_map.shape
    tokens = feature_map.reshape(b, h * w, c)
    logits, _ = model.class_predictor(tokens, queries[None].expand(b, -1, -1))
    return logits.float(), model.box_predictor(tokens, feature_map).float(), model.objectness_predictor(tokens).float()


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """cxcywh to xyxy."""
    return torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], -1)


class Prompts:
    """All strings as token rows, and draws of those that one step asks for."""

    def __init__(self, base: Path, device: torch.device) -> None:
        self.names, truth, self.chance = true_names()
        encoded = AutoTokenizer.from_pretrained(base)(
            prompts(self.names), padding="max_length", max_length=TEXT_LENGTH, truncation=True, return_tensors="pt"
        )
        self.ids, self.mask = encoded["input_ids"].to(device), encoded["attention_mask"].to(device)
        self.truth, self.rng, self.device = torch.from_numpy(truth).to(device), np.random.default_rng(0), device

    def class_rows(self) -> torch.Tensor:
        """Rows of "a photo of a NAME" for every class."""
        rows = [PHOTO * len(self.names) + self.names.index(c) for c in CLASSES]
        return torch.tensor(rows, device=self.device)

    def draw(self) -> tuple[torch.Tensor, list[int]]:
        """One string of every class and a few more names: their rows and their name numbers."""
        own = {int(self.rng.choice(len(self.names), p=self.chance[c])) for c in range(BACKGROUND)}
        chosen = sorted(own | set(self.rng.choice(len(self.names), 4).tolist()))
        rows = [int(self.rng.integers(len(OWL_TEMPLATES))) * len(self.names) + c for c in chosen]
        return torch.tensor(rows, device=self.device), chosen


@torch.no_grad()
def evaluate(
    model: Owlv2ForObjectDetection, images: torch.Tensor, boxes: np.ndarray, words: Prompts, size: int
) -> dict[str, float]:
    """AP50 of objects with >= 12 px and >= 5 LiDAR points; every other object is neither right nor wrong."""
    rows, device = words.class_rows(), words.device
    queries = text_queries(model, words.ids[rows], words.mask[rows])
    found = []
    for start in range(0, len(images), 64):
        x = (prepare(images[start : start + 64].to(device), size) - MEAN.to(device)) / STD.to(device)
        with torch.autocast(device.type, torch.bfloat16):
            logits, predicted, _ = heads(model, x, queries)
        for i in range(len(x)):
            score, label = logits[i].sigmoid().max(-1)
            keep = score > 0.05
            box, score, label = corners(predicted[i][keep]) * SOURCE_WIDTH, score[keep], label[keep]
            best = batched_nms(box, score, label, 0.5)[:100]
            found.append((box[best].cpu().numpy(), score[best].cpu().numpy(), label[best].cpu().numpy()))
    precision = average_precision(found, boxes, len(CLASSES))
    ten = [v for c, v in precision.items() if detection_of(c) >= 0]
    tail = [v for c, v in precision.items() if detection_of(c) < 0]
    return {"ap50_known": float(np.mean(ten or [0])), "ap50_tail": float(np.mean(tail or [0]))}


@dataclass(frozen=True)
class Losses:
    """The three terms of one step."""

    words: torch.Tensor
    boxes: torch.Tensor
    objectness: torch.Tensor

    def total(self) -> torch.Tensor:
        return self.words + 1.5 * self.boxes + self.objectness


def focal_loss(logits: torch.Tensor, soft: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Penalty-reduced focal loss (CornerNet, Law and Deng 2018, equation 1) for targets ``soft`` in [0, 1]."""
    positive = (soft > 0.98).float()
    p = logits.sigmoid().clamp(1e-5, 1 - 1e-5)
    hit = -positive * (1 - p) ** 2 * p.log()
    miss = -(1 - positive) * (1 - soft) ** 4 * p**2 * (1 - p).log()
    number = (positive.amax(-1) * weight[..., 0]).sum().clamp(min=1)
    return ((hit + miss) * weight).sum() / number


def losses(model: Owlv2ForObjectDetection, words: Prompts, images: torch.Tensor, raw: torch.Tensor) -> Losses:
    """One step on images (B, H, W, 3) uint8 and their boxes (B, N, 8), rows of ``corpus.BOX_FIELDS``."""
    size, grid, device = model.config.vision_config.image_size, model.num_patches_width, images.device
    x, moved = augment(prepare(images, size), raw[..., :4] / SOURCE_WIDTH)
    box, kept = moved[..., :4], moved[..., 4]
    present = (raw[..., 4] >= 0) & (kept > 0.25)
    side = (box[..., 2:] - box[..., :2]).amin(-1) * size
    ignore = (raw[..., 7] * kept < 0.25) | (side < 5)
    heat, owner = targets(box, present, grid)
    rows, chosen = words.draw()
    kind = raw[..., 4].long().clamp(min=0).gather(1, owner)
    match, ignored = words.truth[kind][..., chosen].float(), ignore.gather(1, owner)
    with torch.autocast(device.type, torch.bfloat16):
        queries = text_queries(model, words.ids[rows], words.mask[rows])
        logits, predicted, objectness = heads(model, (x - MEAN.to(device)) / STD.to(device), queries)
    weight = (~(ignored & (heat > 0.2))).float()[..., None]
    near = (heat > 0.6) & ~ignored
    share, goal = heat[near], box.gather(1, owner[..., None].expand(-1, -1, 4))[near]
    guess = corners(predicted[near])
    per_box = 5 * (guess - goal).abs().sum(-1) + 2 * generalized_box_iou_loss(guess, goal)
    return Losses(
        focal_loss(logits, heat[..., None] * match, weight),
        (per_box * share).sum() / share.sum(),
        F.binary_cross_entropy_with_logits(objectness, heat, weight=weight[..., 0]),
    )


class LabelledImages:
    """Rendered images of one folder (all of one size) and their boxes; drawn at random."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.images = torch.from_numpy(np.load(folder / "images.npy")).to(device)
        self.boxes = torch.from_numpy(np.load(folder / "boxes.npy")).to(device)

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        pick = torch.randint(len(self.images), (size,), device=self.images.device)
        return self.images[pick], self.boxes[pick]


def freeze(model: Owlv2ForObjectDetection, layers: int) -> None:
    """Leave the patch embedding and the first layers of the image tower as they are; none for 0 layers."""
    if layers:
        tower = model.owlv2.vision_model
        for module in (tower.embeddings, tower.pre_layernorm, *tower.encoder.layers[:layers]):
            module.requires_grad_(False)


def train(
    model: Owlv2ForObjectDetection,
    words: Prompts,
    data: list[LabelledImages],
    batch: int,
    lr: float,
    seconds: float,
    keep: Callable[[], None],
) -> int:
    """AdamW with a cosine over ``seconds``; folders take turns, ``keep`` is called now and then. Gives the steps."""
    trained = [p for p in model.parameters() if p.requires_grad]
    decay, rest = ([p for p in trained if (p.ndim >= 2) == big] for big in (True, False))
    groups = [{"params": decay, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))
    start = kept = time.time()
    step = 0
    while (elapsed := time.time() - start) < seconds:
        fade = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * elapsed / seconds))
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 300) * fade
        loss = losses(model, words, *data[step % len(data)].batch(batch))
        optimiser.zero_grad(set_to_none=True)
        loss.total().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0:
            print(f"step {step} words {loss.words:.3f} boxes {loss.boxes:.3f} {elapsed:.0f} s", flush=True)
        if time.time() - kept > 600:
            keep()
            kept = time.time()
        step += 1
    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="folders that corpus and rooms made")
    parser.add_argument("--val", type=Path, nargs="+", required=True)
    parser.add_argument("--base", type=Path, required=True, help="folder that owl_build made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frozen", type=int, default=0, help="first layers of the image tower that stay as they are")
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seconds", type=float, default=1100)
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = Owlv2ForObjectDetection.from_pretrained(args.base, dtype=torch.float32).to(device).train()
    freeze(model, args.frozen)
    words = Prompts(args.base, device)

    def keep() -> None:
        half = {name: value.half().contiguous().cpu() for name, value in model.state_dict().items()}
        model.save_pretrained(args.out, state_dict=half)

    data = [LabelledImages(folder, device) for folder in args.train]
    steps = train(model, words, data, args.batch, args.lr, args.seconds, keep)
    keep()
    model.eval()
    size = model.config.vision_config.image_size
    for folder in args.val:
        images, boxes = torch.from_numpy(np.load(folder / "images.npy")), np.load(folder / "boxes.npy")
        print(f"{steps} steps, {folder.name}", evaluate(model, images, boxes, words, size), flush=True)


if __name__ == "__main__":
    main()
