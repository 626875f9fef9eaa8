"""A pretrained model with its teacher, and its files as inputs of a result."""

from pathlib import Path

from clip2.pretrain.model import Clip2Model, load
from clip2.teach.teacher import Teacher, load_teacher


def load_networks(model_dir: Path, device: str) -> tuple[Clip2Model, Teacher]:
    """A pretrained model and the teacher that its config.json names."""
    model = load(model_dir, device)
    spec = model.config["teacher"]
    return model, load_teacher(spec["model"], spec.get("pretrained"), device)


def model_inputs(model_dir: Path) -> dict[str, Path]:
    """A model folder's files, as inputs for a provenance."""
    return {f"model/{name}": model_dir / name for name in ("config.json", "model.safetensors")}
