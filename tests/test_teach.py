"""The teacher through open_clip's own loaders, on a small random model saved to a folder and on the built-in one.

Preprocessing for GPUs is compared with open_clip's own on the CPU: the same code, without pinned memory.
"""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import image_transform
from operators import WAITING, Operators
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import Compose, Resize

from clip2.runtime.errors import InputError
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import write_table
from clip2.teach.pixels import LARGEST, DevicePixels, OwnPixels, pixels_for
from clip2.teach.settings import TeachSettings
from clip2.teach.stage import run
from clip2.teach.teacher import load_teacher

CPU = torch.device("cpu")
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


@pytest.mark.parametrize(("trained_so", "built_so"), [(True, False), (True, True), (False, False), (False, True)])
def test_weights_run_with_the_activation_that_they_were_trained_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, trained_so: bool, built_so: bool
) -> None:
    """OpenAI's need QuickGELU, which open_clip's plain architectures ("ViT-L-14") have not: it only warns."""
    weights = {"file": str(folder / "open_clip_model.safetensors"), "quick_gelu": trained_so}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "Made", CONFIG | {"quick_gelu": built_so})
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "Made", {"a_tag": weights})
    if built_so and not trained_so:
        with pytest.raises(InputError, match="trained without QuickGELU; name 'Made'"):
            load_teacher("Made", "a_tag", device="cpu")
        return
    network = load_teacher("Made", "a_tag", device="cpu").network
    activations = {type(m.mlp.gelu) for tower in (network.visual, network) for m in tower.transformer.resblocks}
    assert activations == {open_clip.transformer.QuickGELU if trained_so else torch.nn.GELU}


def test_openais_weights_are_known_to_need_it() -> None:
    for name in ("ViT-L-14", "ViT-B-32", "RN50"):
        assert open_clip.get_pretrained_cfg(name, "openai")["quick_gelu"]
        assert not open_clip.get_model_config(name).get("quick_gelu")


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


def as_jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def test_the_content_of_files_gives_what_their_pictures_give(folder: Path) -> None:
    teacher = load_teacher(str(folder), device="cpu")
    files = [as_jpeg(image) for image in images(5)]
    opened = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
    expected = torch.cat([teacher.encode_pixels(torch.stack([teacher.preprocess(i) for i in opened[n : n + 2]]))
                          for n in (0, 2, 4)])  # fmt: skip
    for pictures in (files, opened):
        assert torch.equal(teacher.encode_images(iter(pictures), threads=2, batch_size=2), expected)


def test_pictures_are_read_as_they_are_needed(folder: Path) -> None:
    teacher = load_teacher(str(folder), device="cpu")
    read, unused = 0, []

    class Counting(OwnPixels):
        def batch(self, prepared: Any) -> Tensor:
            unused.append(read - 4 * len(unused))
            return super().batch(prepared)

    def pictures() -> Any:
        nonlocal read
        for image in images(40):
            read += 1
            yield image

    counting = replace(teacher, pixels=Counting(teacher.preprocess, CPU))
    assert len(counting.encode_images(pictures(), threads=2, batch_size=4)) == 40
    assert max(unused) <= 3 * 4


def test_a_picture_that_cannot_be_read_stops_the_work(folder: Path) -> None:
    teacher = load_teacher(str(folder), device="cpu")
    files = [*(as_jpeg(image) for image in images(3)), b"no picture"]
    with pytest.raises(OSError, match="cannot identify"):
        teacher.encode_images(files, threads=2, batch_size=2)
    with pytest.raises(InputError, match="not a readable image"):
        replace(teacher, pixels=DevicePixels(teacher.preprocess, CPU)).encode_images(files, threads=2, batch_size=2)


# --- preprocessing on the device


def crop(height: int, width: int, seed: int = 0) -> Image.Image:
    """Photo-like: smooth light and a little noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (max(2, height // 9), max(2, width // 9), 3), dtype=np.uint8))
    fine = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) + rng.normal(0, 8, (height, width, 3))
    return Image.fromarray(np.clip(fine, 0, 255).astype(np.uint8))


SQUARES = [(336, 336), (224, 224), (2, 2), (17, 17), (300, 300), (64, 64), (65, 65)]
OBLONGS = [(90, 160), (160, 90), (301, 400), (1, 40), (223, 225), (3, 100)]


def levels(preprocess: Any, pictures: list[Image.Image]) -> Tensor:
    """By how many 8-bit levels each value of the batch differs from the model's own preprocessing."""
    ours, theirs = DevicePixels(preprocess, CPU), torch.stack([preprocess(picture) for picture in pictures])
    difference = ours.batch([ours.prepare(picture) for picture in pictures]) - theirs
    return (difference * torch.tensor(preprocess.transforms[-1].std).view(3, 1, 1) * 255).abs()


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [224, 48, (40, 72)])
def test_pixels_on_the_device_are_those_of_open_clip(mode: str, interpolation: str, size: Any) -> None:
    preprocess = image_transform(size, False, resize_mode=mode, interpolation=interpolation)
    assert DevicePixels.serves(preprocess)
    squares, oblongs = (
        levels(preprocess, [crop(*sides, seed) for seed, sides in enumerate(group)]) for group in (SQUARES, OBLONGS)
    )
    assert max(squares.max(), oblongs.max()) < 2.001
    if mode != "squash" or size != (40, 72):  # Pillow 13 may take the columns first where the proportions change
        # Sums that end in a half go either way; the bilinear filter has many.
        assert (squares > 0.01).float().mean() < (1e-3 if interpolation == "bicubic" else 2e-2)


def test_large_pictures_are_resized_where_they_are_read() -> None:
    preprocess = image_transform(32, False)
    device = DevicePixels(preprocess, CPU)
    assert device.prepare(crop(LARGEST + 1, 40)).shape == (32, 32, 3)
    assert device.prepare(crop(LARGEST, 40)).shape == (LARGEST, 40, 3)
    assert levels(preprocess, [crop(900, 1600), crop(40, 40)]).max() < 1.001


@pytest.mark.parametrize(
    "change",
    [
        lambda steps: [*steps[:-1], lambda x: x],
        lambda steps: [steps[0], steps[0], *steps[1:]],
        lambda steps: steps[:1] + steps[2:],  # not cropped: its pictures differ in size
        lambda steps: [Resize(32, steps[0].interpolation.NEAREST), *steps[1:]],
        lambda steps: [Resize(32, steps[0].interpolation, max_size=64), *steps[1:]],
    ],
)
def test_other_steps_are_left_to_the_models_own_preprocessing(change: Callable[[list[Any]], list[Any]]) -> None:
    known = image_transform(32, False)
    assert DevicePixels.serves(known)
    assert not DevicePixels.serves(Compose(change(known.transforms)))
    assert not DevicePixels.serves(image_transform(32, False, resize_mode="longest", fill_color=128))
    assert not DevicePixels.serves(lambda picture: picture)
    assert isinstance(pixels_for(known, CPU), OwnPixels)


def test_embeddings_by_way_of_the_device_are_the_same(repository: Path) -> None:
    teacher = load_teacher(str(repository / "resources" / "models" / "tiny_clip"), device="cpu")
    pictures = [as_jpeg(crop(*sides, seed)) for seed, sides in enumerate([*SQUARES, *OBLONGS, (600, 700)])]
    by_device = replace(teacher, pixels=DevicePixels(teacher.preprocess, CPU)).encode_images(pictures, 2, 5)
    own = teacher.encode_images(pictures, 2, 5)
    assert (own[:, None] * own).sum(-1).min() < 0.9  # else anything would do
    assert (by_device * own).sum(1).min() > 0.9999


def test_a_batch_takes_few_kernels_and_none_that_the_cpu_waits_for() -> None:
    device = DevicePixels(image_transform(32, False), CPU)
    counts = []
    for n in (2, 50):
        with Operators() as operators:
            device.batch([np.zeros((8 + i, 9 + i, 3), np.uint8) for i in range(n)])
        counts.append(len(operators.names))
        assert not WAITING & set(operators.names)
    assert counts[0] == counts[1] < 100


def test_all_of_it_happens_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On stand-ins for CUDA tensors, which know shape and device only and refuse to mix devices."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(DevicePixels, "_padded", lambda self, pictures: torch.empty(len(pictures), 40, 50, 3).byte())
    with FakeTensorMode():
        device = DevicePixels(image_transform(32, False), torch.device("cuda"))
        pixels = device.batch([np.zeros((40, 30 + i, 3), np.uint8) for i in range(20)])
    assert (pixels.shape, pixels.device.type) == ((20, 3, 32, 32), "cuda")


def triplets(path: Path, labels: list[str]) -> Path:
    rows = []
    for i, (label, image) in enumerate(zip(labels, images(len(labels)), strict=True)):
        row = dict.fromkeys(TRIPLETS.names)
        rows.append({**row, "triplet_id": str(i), "label": label, "box": [0.0] * 4, "image": as_jpeg(image)})
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
    with pytest.raises(
        InputError, match=r"open_clip_config.json: no such file, so that the folder is no open_clip model"
    ):
        load_teacher(str(tmp_path), device="cpu")


def other_weights(**changes: Any) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return dict(open_clip.CLIP(**{**CONFIG, **changes}).state_dict())


def pickled() -> bytes:
    out = io.BytesIO()
    torch.save({"state_dict": other_weights(), "optimiser": Path("a")}, out)
    return out.getvalue()


def plain(weights: Any) -> bytes:
    out = io.BytesIO()
    torch.save(weights, out)
    return out.getvalue()


VISION, TEXT = CONFIG["vision_cfg"], CONFIG["text_cfg"]
WRONG_WEIGHTS: dict[str, tuple[bytes, str]] = {
    "an HTML page": (b"<!DOCTYPE html><html>Sign in</html>", "w.pt is a web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "w.pt is a Git LFS pointer"),
    "nothing": (b"", "w.pt is empty"),
    "cut short": (plain(other_weights())[:3000], "not of this architecture|cannot be loaded"),
    "noise": (bytes(range(256)) * 9, "more than tensors|cannot be loaded"),
    "pickled objects": (pickled(), "holds more than tensors .pickled objects., which is not run"),
    "wider": (plain(other_weights(embed_dim=32)), "w.pt is not of this architecture"),
    "deeper": (plain(other_weights(text_cfg={**TEXT, "layers": 3})), "w.pt is not of this architecture"),
    "shallower": (plain({k: v for k, v in other_weights().items() if "resblocks" not in k}), "it lacks .*resblocks"),
    "another network": (plain({"conv.weight": torch.zeros(3)}), "w.pt is not of this architecture"),
    "a list": (plain([torch.zeros(3)]), "w.pt is not of this architecture"),
    "no tensors": (plain({}), "w.pt is not of this architecture"),
    "not numbers": (plain({k: v * float("nan") for k, v in other_weights().items()}), "its logit scale is nan"),
    "zeros": (plain({k: v * 0 for k, v in other_weights().items()}), "vectors of texts that are no unit vectors"),
    "whole numbers": (plain({k: v.int() for k, v in other_weights().items()}), "that are no unit vectors"),
    "a picture tower of NaN": (
        plain({k: v * float("nan") if k.startswith("visual") else v for k, v in other_weights().items()}),
        "vectors of a picture that are no unit vectors",
    ),
}


@pytest.mark.parametrize(("data", "said"), WRONG_WEIGHTS.values(), ids=WRONG_WEIGHTS)
def test_weights_that_are_none_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, said: str
) -> None:
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "Made", CONFIG)
    (tmp_path / "w.pt").write_bytes(data)
    with pytest.raises(InputError, match=said) as error:
        load_teacher("Made", str(tmp_path / "w.pt"), device="cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("open_clip_model.safetensors", b"<html></html>", "open_clip_model.safetensors is a web page"),
        ("open_clip_model.safetensors", bytes(9), "cannot be loaded"),
        ("open_clip_pytorch_model.bin", pickled(), "holds more than tensors"),
        ("notes.md", b"", "the folder holds no weights"),
    ],
)
def test_a_folder_with_weights_that_are_none_says_so(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=said) as error:
        load_teacher(str(tmp_path), device="cpu")
    assert "\n" not in str(error.value)


def model_folder(folder: Path, model: object, preprocess: object) -> Path:
    content = json.dumps({"model_cfg": model, "preprocess_cfg": preprocess})
    (folder / "open_clip_config.json").write_text(content)
    save_file(
        {name: value.contiguous() for name, value in other_weights().items()}, folder / "open_clip_model.safetensors"
    )
    return folder


@pytest.mark.parametrize(
    ("model", "preprocess", "said"),
    [
        ({**CONFIG, "embed_dim": 10**9}, {}, "embed_dim is 1000000000, and has to be a whole number from 1 to 20,000"),
        ({**CONFIG, "text_cfg": {**TEXT, "layers": 10**6}}, {}, "text_cfg.layers is 1000000"),
        ({**CONFIG, "text_cfg": {**TEXT, "vocab_size": 0}}, {}, "text_cfg.vocab_size is 0"),
        ({**CONFIG, "vision_cfg": {**VISION, "image_size": "64"}}, {}, "vision_cfg.image_size is '64'"),
        ([], {}, "has no `model_cfg`"),
        (CONFIG, {"mean": [123, 116, 104], "std": [58, 57, 57]}, "not three numbers from 0 to 1 each"),
        (CONFIG, {"mean": [0.5] * 3, "std": [0.0] * 3}, "not three numbers from 0 to 1 each"),
        (CONFIG, {"mean": [0.5] * 2, "std": [0.5] * 2}, "not three numbers from 0 to 1 each"),
    ],
)
def test_a_configuration_that_cannot_be_right_is_one_line(
    tmp_path: Path, model: object, preprocess: object, said: str
) -> None:
    with pytest.raises(InputError, match=said) as error:
        load_teacher(str(model_folder(tmp_path, model, preprocess)), device="cpu")
    assert "\n" not in str(error.value)


def test_a_sound_folder_is_loaded_and_one_of_links_that_lead_nowhere_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, CONFIG, {})
    assert load_teacher(str(folder), device="cpu").dim == CONFIG["embed_dim"]
    config, weights = folder / "open_clip_config.json", folder / "open_clip_model.safetensors"
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes())
    with pytest.raises(InputError, match="byte order mark"):
        load_teacher(str(folder), device="cpu")
    config.write_bytes(config.read_bytes()[3:])
    weights.unlink()
    weights.symlink_to("../blobs/abc")
    with pytest.raises(InputError, match=r"safetensors: is a link to ../blobs/abc, where nothing is"):
        load_teacher(str(folder), device="cpu")


def test_an_unreachable_hub_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="without a network"):
        load_teacher("hf-hub:nobody/no-such-model", device="cpu")
