"""The teacher through open_clip's own loaders, on a small random model saved to a folder."""

import io
import json
from pathlib import Path

import h5py
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from clip2.errors import InputError
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import write_table
from clip2.teach.settings import TeachSettings
from clip2.teach.stage import run
from clip2.teach.teacher import load_teacher

CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An open_clip model folder with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher")
    model = open_clip.CLIP(**CONFIG)
    save_file(dict(model.state_dict()), path / "open_clip_model.safetensors")
    (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    return path


def images(n: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (40 + i, 40 + i, 3), dtype=np.uint8)) for i in range(n)]


def test_features_equal_the_plain_models(folder: Path) -> None:
    teacher = load_teacher(str(folder), device="cpu")
    assert (teacher.dim, teacher.image_size) == (16, 32)
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    model.eval()
    with torch.no_grad():
        expected = torch.cat([model.encode_image(preprocess(image)[None], normalize=True) for image in images(5)])
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(["a photo of a car", "a photo of a bus"])
        expected_text = model.encode_text(tokens, normalize=True)
    torch.testing.assert_close(teacher.encode_images(iter(images(5)), threads=2, batch_size=2), expected)
    torch.testing.assert_close(teacher.encode_labels(["car", "bus"], ["a photo of a {}"]), expected_text)


def test_templates_are_averaged_and_normalised(folder: Path) -> None:
    teacher = load_teacher(str(folder), device="cpu")
    both = teacher.encode_text(["a car", "the car"])
    mean = both.mean(0) / both.mean(0).norm()
    torch.testing.assert_close(teacher.encode_labels(["car"], ["a {}", "the {}"])[0], mean)


def triplets(path: Path, labels: list[str]) -> Path:
    rows = []
    for i, (label, image) in enumerate(zip(labels, images(len(labels)), strict=True)):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG")
        row = dict.fromkeys(TRIPLETS.names)
        rows.append({**row, "triplet_id": str(i), "label": label, "box": [0.0] * 4, "image": buffer.getvalue()})
    write_table(path, rows, TRIPLETS, {"kind": "triplets", "source_kind": "built-in world"})
    return path


def test_stage_writes_one_row_a_triplet_and_one_a_label(folder: Path, tmp_path: Path) -> None:
    labels = ["tire", "car", "tire", "plastic bag"]
    settings = TeachSettings(model=str(folder), batch_size=3)
    run(triplets(tmp_path / "t.parquet", labels), tmp_path / "e.h5", settings, "cpu")
    with h5py.File(tmp_path / "e.h5") as file:
        header = json.loads(file.attrs["clip2"])
        assert header["labels"] == ["car", "plastic bag", "tire"]
        assert header["source_kind"] == "built-in world"
        assert [header["labels"][i] for i in file["label_index"][:]] == labels
        assert file["image"].shape == (4, 16)
        assert file["text"].dtype == file["image"].dtype == np.float16
        np.testing.assert_allclose(np.linalg.norm(file["image"][:].astype(float), axis=1), 1, atol=2e-3)


def test_a_shard_without_triplets_is_fine(folder: Path, tmp_path: Path) -> None:
    run(triplets(tmp_path / "t.parquet", []), tmp_path / "e.h5", TeachSettings(model=str(folder)), "cpu")
    with h5py.File(tmp_path / "e.h5") as file:
        assert file["image"].shape == (0, 16)


@pytest.mark.parametrize(
    ("model", "pretrained", "message"),
    [
        ("ViT-L-15", None, "neither a folder, nor a hub id"),
        ("ViT-B-32", None, "needs `pretrained`"),
        ("ViT-B-32", "no-such-weights", "cannot be loaded"),
    ],
)
def test_unknown_models_say_what_to_do(model: str, pretrained: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_teacher(model, pretrained, "cpu")


def test_a_folder_that_is_no_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        load_teacher(str(tmp_path), device="cpu")


def test_an_unreachable_hub_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="without a network"):
        load_teacher("hf-hub:nobody/no-such-model", device="cpu")
