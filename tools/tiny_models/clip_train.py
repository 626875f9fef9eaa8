"""Train the tiny CLIP, open_clip's own architecture, on rendered crops and templated captions.

    python -m tools.tiny_models.clip_train --train data/streets data/rooms --val data/streets_val data/rooms_val \\
        --out resources/models/tiny_clip

``--out`` must hold ``open_clip_config.json``; the weights are written beside it. ``--knowing`` starts from weights that
know fewer words.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from clip2_world.streets.inventory import COLOURS
from tools.tiny_models.vocabulary import BACKGROUND, CLASSES, DETECTION_NAMES, TEMPLATES, detection_of, true_names

TINTED = 0.45
"""Share of captions that name the colour."""
Tokenizer = Callable[[list[str]], torch.Tensor]


def normalised(images: torch.Tensor) -> torch.Tensor:
    """uint8 RGB (B, H, W, 3) or float (B, 3, H, W) in [0, 1] to CLIP's normalised pixels."""
    if images.dtype == torch.uint8:
        images = images.float().div(255).permute(0, 3, 1, 2)
    mean, std = (
        torch.tensor(v, device=images.device).view(1, 3, 1, 1)
        for v in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    return (images - mean) / std


def augment(images: torch.Tensor) -> torch.Tensor:
    """Flip, small zoom and shift, brightness and contrast of images (B, 3, H, W) in [0, 1], on their device."""
    n, device = len(images), images.device
    flip = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    zoom = torch.empty(n, device=device).uniform_(0.8, 1.1)
    theta = torch.zeros(n, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1] = flip * zoom, zoom
    theta[:, :, 2] = torch.empty(n, 2, device=device).uniform_(-0.1, 0.1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gain = torch.empty(n, 1, 1, 1, device=device).uniform_(0.75, 1.25)
    return (images * gain + torch.empty(n, 1, 1, 1, device=device).uniform_(-0.08, 0.08)).clamp(0, 1)


@dataclass
class Captions:
    """Every caption, tokenised once: template x name, and template x colour x name."""

    plain: torch.Tensor
    tinted: torch.Tensor

    @classmethod
    def make(cls, tokenizer: Tokenizer, names: list[str], device: str) -> "Captions":
        plain = tokenizer([t.format(n) for t in TEMPLATES for n in names])
        tinted = tokenizer([t.format(f"{c} {n}") for t in TEMPLATES for c in COLOURS for n in names])
        shape = (len(TEMPLATES), len(COLOURS), len(names), -1)
        return cls(plain.view(shape[0], shape[2], -1).to(device), tinted.view(shape).to(device))

    def used_tokens(self) -> torch.Tensor:
        return torch.cat([self.plain.flatten(), self.tinted.flatten()]).unique()


class CaptionedCrops:
    """Draws batches of crops, rarer classes more often, each with a random true caption."""

    def __init__(self, folders: list[Path], tokenizer: Tokenizer, device: str) -> None:
        self.device, self.rng = device, np.random.default_rng(0)
        self.crops = torch.from_numpy(np.concatenate([np.load(f / "crops.npy") for f in folders])).to(device)
        labels = np.concatenate([np.load(f / "labels.npy") for f in folders])
        self.fine, self.colour = labels[:, 0].astype(int), labels[:, 1].astype(int)
        names, truth, chance = true_names()
        self.truth, self.cumulative, self.names = torch.from_numpy(truth).to(device), np.cumsum(chance, 1), names
        self.captions = Captions.make(tokenizer, names, device)
        weight = np.bincount(self.fine, minlength=BACKGROUND + 1)[self.fine] ** -0.6
        self.draw = torch.from_numpy(weight / weight.sum()).to(device)

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images (B, 3, H, W) in [0, 1], token rows (B, L), and truth[i, j]: caption j is true of image i."""
        index = torch.multinomial(self.draw, size, replacement=True)
        fine, colour = self.fine[index.cpu().numpy()], self.colour[index.cpu().numpy()]
        name = (self.rng.random((size, 1)) > self.cumulative[fine]).sum(1).clip(max=len(self.names) - 1)
        tinted = (self.rng.random(size) < TINTED) & (colour >= 0)
        template = self.rng.integers(len(TEMPLATES), size=size)
        name_t, template_t, tinted_t, fine_t, colour_t = (
            torch.from_numpy(a).to(self.device) for a in (name, template, tinted, fine, colour)
        )
        shade = colour_t.clamp(min=0)
        plain, coloured = self.captions.plain[template_t, name_t], self.captions.tinted[template_t, shade, name_t]
        text = torch.where(tinted_t[:, None], coloured, plain)
        true = self.truth[fine_t][:, name_t] & ((colour_t[:, None] == shade[None]) | ~tinted_t[None])
        return augment(self.crops[index].float().div(255).permute(0, 3, 1, 2)), text, true.float()


def loss_of(model: torch.nn.Module, images: torch.Tensor, text: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Symmetric cross-entropy in which every true caption of an image counts as its own."""
    with torch.autocast(images.device.type, torch.bfloat16):
        image_features = model.encode_image(normalised(images), normalize=True)
        text_features = model.encode_text(text, normalize=True)
    logits = model.logit_scale.exp().clamp(max=60) * image_features.float() @ text_features.float().T
    by_image = F.cross_entropy(logits, true / true.sum(1, keepdim=True))
    by_text = F.cross_entropy(logits.T, (true / true.sum(0, keepdim=True)).T)
    return (by_image + by_text) / 2


@torch.no_grad()
def zero_shot(model: torch.nn.Module, tokenizer: Tokenizer, crops: torch.Tensor, words: list[str]) -> NDArray[np.int64]:
    """Index of the best word of each crop (N, H, W, 3)."""
    device = next(model.parameters()).device
    text = model.encode_text(tokenizer([f"a photo of a {w}" for w in words]).to(device), normalize=True)
    parts = [model.encode_image(normalised(p.to(device)), normalize=True) @ text.T for p in crops.split(2048)]
    return torch.cat([p.argmax(1) for p in parts]).cpu().numpy()


def evaluate(model: torch.nn.Module, tokenizer: Tokenizer, folder: Path) -> dict[str, float]:
    """Top-1 on crops of >= 12 pixels and >= 5 LiDAR points: of the ten classes' names, and of all names."""
    crops, labels = torch.from_numpy(np.load(folder / "crops.npy")), np.load(folder / "labels.npy")
    fine, usable = labels[:, 0].astype(int), (labels[:, 2] >= 5) & (labels[:, 4] >= 12)
    ten = np.array([detection_of(i) for i in fine])
    known, every = usable & (ten >= 0), usable & (fine < BACKGROUND)
    words = [name.replace("_", " ") for name in DETECTION_NAMES]
    among_ten = (
        (zero_shot(model, tokenizer, crops[torch.from_numpy(known)], words) == ten[known]) if known.any() else 0.0
    )
    among_all = zero_shot(model, tokenizer, crops[torch.from_numpy(every)], list(CLASSES)) == fine[every]
    return {"ten_top1": float(np.mean(among_ten)), "all_top1": float(among_all.mean())}


def train(model: torch.nn.Module, data: CaptionedCrops, steps: int, batch: int, lr: float) -> None:
    """AdamW with warm-up and cosine decay."""
    decay, rest = ([p for p in model.parameters() if (p.ndim >= 2) == big] for big in (True, False))
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimiser, start = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98)), time.time()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / steps))
        loss = loss_of(model, *data.batch(batch))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0:
            print(f"step {step} loss {loss.item():.3f} {time.time() - start:.0f} s", flush=True)


@torch.no_grad()
def save(model: torch.nn.Module, used_tokens: torch.Tensor, path: Path) -> None:
    """Write half-precision weights; embeddings of tokens never seen become zeros, which compress away."""
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    keep = torch.zeros_like(model.token_embedding.weight[:, :1])
    keep[used_tokens] = 1
    weights["token_embedding.weight"] *= keep
    save_file({k: v.half().contiguous().cpu() for k, v in weights.items()}, path, metadata={"format": "pt"})


@torch.no_grad()
def start_from(model: torch.nn.Module, path: Path) -> None:
    """Take over weights; tokens that they do not know (rows of zeros) keep their random start."""
    weights = {name: value.float() for name, value in load_file(path).items()}
    table = weights["token_embedding.weight"]
    unknown = ~table.any(1)
    table[unknown] = model.token_embedding.weight[unknown].cpu()
    model.load_state_dict(weights)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, nargs="+", required=True)
    parser.add_argument("--val", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--knowing", type=Path, help="weights to start from (.safetensors)")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    model = open_clip.CLIP(**json.loads((args.out / "open_clip_config.json").read_text())["model_cfg"]).to(device)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{args.out}")
    data = CaptionedCrops(args.train, tokenizer, device)
    if args.knowing:
        start_from(model, args.knowing)
    train(model, data, args.steps, args.batch, args.lr)
    model.eval()
    save(model, data.captions.used_tokens(), args.out / "open_clip_model.safetensors")
    for folder in args.val:
        print(folder.name, evaluate(model, tokenizer, folder), flush=True)


if __name__ == "__main__":
    main()
