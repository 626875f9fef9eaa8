"""Vocabularies, the choice of boxes, boxes on disk, and the detect stage from files to file."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torchvision.ops import nms

from clip2.detect.found import Found
from clip2.detect.models import load_detector
from clip2.detect.runner import detect_on_cpu, detect_on_gpu
from clip2.detect.select import LOSSES, select, suppress
from clip2.detect.settings import DetectSettings
from clip2.detect.stage import run
from clip2.detect.stored import read_boxes
from clip2.detect.vocabulary import Vocabulary, read_vocabulary
from clip2.runtime.errors import InputError
from clip2.store.bad_frames import BadFrames
from clip2.store.schemas import DETECTIONS, FRAMES
from clip2.store.tables import read_header, read_table, write_table

ROOT = Path(__file__).parents[1]
VOCABULARIES = ROOT / "resources" / "vocabularies"
TINY_OWL = ROOT / "resources" / "models" / "tiny_owl"
TEN = "car truck bus trailer construction_vehicle pedestrian motorcycle bicycle traffic_cone barrier"

needs_tiny_owl = pytest.mark.skipif(not TINY_OWL.is_dir(), reason=f"the built-in detector {TINY_OWL} is not there")


# --- vocabulary


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_vocabulary_syntax(tmp_path: Path) -> None:
    path = write(
        tmp_path / "v.txt",
        "\ufeff# things\n\ncar | sedan ,  hatch  back,\nchest_of_drawers_(furniture) # big\n  deer\n",
    )
    assert read_vocabulary(path) == Vocabulary(
        ("car", "chest of drawers (furniture)", "deer"),
        ("car", "sedan", "hatch back", "chest of drawers (furniture)", "deer"),
        (0, 0, 0, 1, 2),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n\n", "holds no name"),
        ("car\n| sedan\n", "line 2: synonyms without a name"),
        ("car\ndeer | Car\n", "line 2: “Car” already stands in line 1"),
        ("traffic_cone\ntraffic cone\n", "line 2"),
    ],
)
def test_bad_vocabularies_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_vocabulary(write(tmp_path / "v.txt", text))
    assert str(tmp_path) in str(caught.value)


def test_a_vocabulary_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such vocabulary"):
        read_vocabulary(tmp_path / "v.txt")
    (tmp_path / "v.txt").write_bytes(b"\xff\xfe\x00car")
    with pytest.raises(InputError, match="not a readable UTF-8"):
        read_vocabulary(tmp_path / "v.txt")


def test_shipped_vocabularies() -> None:
    ten = read_vocabulary(VOCABULARIES / "nuscenes10.txt").names
    assert ten == tuple(name.replace("_", " ") for name in TEN.split())
    assert len(read_vocabulary(VOCABULARIES / "world.txt").names) == 65
    driving = read_vocabulary(ROOT / DetectSettings().vocabulary)
    assert len(driving.names) >= 100
    assert {*ten, "debris", "plastic bag", "tire", "stroller", "animal"} <= set(driving.names)


# --- choice of boxes

EVERYTHING = DetectSettings(
    score_threshold=0, nms_iou=1, cross_class_nms_iou=1, min_box_px=0, max_box_share=1, max_boxes=10_000
)


def found(*rows: tuple[float, float, float, float, float, int]) -> Found:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Found(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def chosen(proposed: Found, **changes: Any) -> tuple[list[tuple[list[float], int, float]], Counter[str]]:
    counts: Counter[str] = Counter()
    kept = select(proposed, 100, 80, EVERYTHING.model_copy(update=changes), counts)
    return [tuple(row) for row in kept], +counts


def test_each_loss_is_counted_under_its_name() -> None:
    a, shifted, far = (10, 10, 30, 30), (11, 10, 31, 30), (60, 40, 90, 70)
    assert chosen(found((*a, 0.5, 0), (*far, 0.3, 0)), score_threshold=0.3)[1] == {
        "boxes_raw": 2, "below_threshold": 1, "kept": 1,
    }  # fmt: skip
    assert chosen(found((*a, 0.5, 0), (*shifted, 0.6, 0)), nms_iou=0.5)[1] == {"boxes_raw": 2, "nms": 1, "kept": 1}
    assert chosen(found((*a, 0.5, 0), (*shifted, 0.6, 1)), nms_iou=0.5)[1] == {"boxes_raw": 2, "kept": 2}
    rows, counts = chosen(found((*a, 0.5, 0), (*shifted, 0.6, 1)), cross_class_nms_iou=0.8)
    assert counts == {"boxes_raw": 2, "cross_class_nms": 1, "kept": 1}
    assert rows[0][1] == 1
    assert chosen(found((*a, 0.5, 0)), min_box_px=21)[1] == {"boxes_raw": 1, "too_small": 1}
    assert chosen(found((0, 0, 100, 80, 0.5, 0)), max_box_share=0.9)[1] == {"boxes_raw": 1, "too_large": 1}
    assert chosen(found((*a, 0.5, 0), (*far, 0.7, 0)), max_boxes=1)[1] == {"boxes_raw": 2, "over_limit": 1, "kept": 1}


def test_boxes_are_clipped_before_they_are_measured() -> None:
    rows, _ = chosen(found((-20, 10, 30, 90, 0.5, 0)))
    assert rows == [([0, 10, 30, 80], 0, 0.5)]
    assert chosen(found((-20, 10, 3, 50, 0.5, 0)), min_box_px=5)[1]["too_small"] == 1
    assert chosen(found((120, 10, 150, 50, 0.5, 0), (30, 9, 30, 20, 0.5, 0)))[1]["too_small"] == 2


def iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


box_rows = st.tuples(
    st.integers(-20, 110),
    st.integers(-20, 90),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(0, 20),
    st.integers(0, 3),
).map(lambda r: (r[0], r[1], r[0] + r[2], r[1] + r[3], r[4] / 20, r[5]))


@given(st.lists(box_rows, max_size=30), st.sampled_from([0.3, 0.5, 1.0]), st.sampled_from([0.6, 1.0]))
@hypothesis_settings(max_examples=60, deadline=None)
def test_boxes_in_are_boxes_kept_and_named_losses(rows: list[Any], nms_iou: float, cross: float) -> None:
    kept, counts = chosen(
        found(*rows),
        score_threshold=0.25,
        nms_iou=nms_iou,
        cross_class_nms_iou=cross,
        min_box_px=4,
        max_box_share=0.3,
        max_boxes=5,
    )
    assert counts["boxes_raw"] == len(rows) == counts["kept"] + sum(counts[loss] for loss in LOSSES)
    assert len(kept) == counts["kept"] <= 5
    assert [row[2] for row in kept] == sorted((row[2] for row in kept), reverse=True)
    for i, (box, label, score) in enumerate(kept):
        assert 0 <= box[0] <= box[2] - 4 <= 96
        assert 0 <= box[1] <= box[3] - 4 <= 76
        assert score > 0.25
        assert all(iou(box, b) <= (nms_iou if label == n else cross) + 1e-6 for b, n, _ in kept[:i])


# --- boxes on disk

FRAMES_OF_SHARD = {"f0": "images/0.jpg", "f1": "images/1.jpg"}
TWO_NAMES = Vocabulary(("car", "traffic cone"), ("car", "traffic cone", "pylon"), (0, 1, 1))


def stored(path: Path) -> dict[str, list[tuple[list[float], float, int]]]:
    return {
        frame: [(b, round(s, 4), n) for b, s, n in zip(f.boxes.tolist(), f.scores.tolist(), f.labels.tolist())]
        for frame, f in read_boxes(path, FRAMES_OF_SHARD, TWO_NAMES).items()
    }


EXPECTED = {"f1": [([10, 20, 30, 50], 0.9, 0), ([1, 2, 3, 4], 0.4, 1)]}


@pytest.mark.parametrize("key", ["frame_id", "image_path"])
@pytest.mark.parametrize("nested", [True, False])
def test_boxes_in_a_table(tmp_path: Path, key: str, nested: bool) -> None:
    names = ["f1", "f1", "other"] if key == "frame_id" else ["images/1.jpg", "images/1.jpg", "images/9.jpg"]
    boxes = [[10.0, 20.0, 30.0, 50.0], [1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 1.0, 1.0]]
    columns = {"box": boxes} if nested else dict(zip(("x0", "y0", "x1", "y1"), zip(*boxes)))
    table = {key: names, "label": ["Car", "pylon", "unheard of"], "score": [0.9, 0.4, 0.1], **columns}
    pq.write_table(pa.table(table), tmp_path / "b.parquet")
    assert stored(tmp_path / "b.parquet") == EXPECTED


def test_boxes_in_coco_json(tmp_path: Path) -> None:
    data_set = {
        "images": [{"id": 7, "file_name": "images/1.jpg"}, {"id": 8, "file_name": "images/9.jpg"}],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "traffic_cone"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [10, 20, 20, 30], "score": 0.9},
            {"image_id": 8, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.9},
            {"image_id": 7, "category_id": 2, "bbox": [1, 2, 2, 2], "score": 0.4},
        ],
    }
    results = [
        {"image_id": "f1", "category": "car", "bbox": [10, 20, 20, 30], "score": 0.9},
        {"image_id": "images/1.jpg", "category_id": "pylon", "bbox": [1, 2, 2, 2], "score": 0.4},
    ]
    for content in (data_set, results):
        path = write(tmp_path / "b.json", json.dumps(content))
        assert stored(path) == EXPECTED


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [{"image_id": "f1", "category": "deer", "bbox": [0, 0, 1, 1], "score": 1}],
            "label “deer” is not in the vocabulary",
        ),
        ([{"image_id": "zz", "category": "car", "bbox": [0, 0, 1, 1], "score": 1}], "no box in it belongs to a frame"),
        ([{"image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}], "number that no table explains"),
        ([{"image_id": "f1", "category": "car", "bbox": [0, 0, 1], "score": 1}], "not COCO-style JSON"),
        ([{"image_id": "f1", "category": "car", "bbox": [0, 0, 1, float("nan")], "score": 1}], "not finite"),
        ({"images": []}, "not COCO-style JSON .*categories"),
    ],
)
def test_bad_json_boxes_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        stored(write(tmp_path / "b.json", json.dumps(content)))


def test_bad_tables_of_boxes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file of boxes"):
        stored(tmp_path / "b.parquet")
    with pytest.raises(InputError, match="not a readable Parquet"):
        stored(write(tmp_path / "b.parquet", "no"))
    pq.write_table(pa.table({"frame_id": ["f1"], "box": [[0.0, 0, 1, 1]], "score": [0.5]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="needs frame_id or image_path"):
        stored(tmp_path / "b.parquet")


# --- settings


def test_settings_are_checked() -> None:
    with pytest.raises(ValidationError, match="exactly one"):
        DetectSettings(prompt="a photo")
    with pytest.raises(ValidationError, match="needs `boxes`"):
        DetectSettings(kind="stored")
    with pytest.raises(ValidationError):
        DetectSettings(score_treshold=0.1)  # type: ignore[call-arg]


# --- the stage


def make_frames(folder: Path, sizes: list[tuple[int, int]]) -> Path:
    """Images of noise and blocks, and the frames' table."""
    rng = np.random.default_rng(0)
    rows = []
    (folder / "images").mkdir(parents=True)
    for i, (width, height) in enumerate(sizes):
        image = cv2.resize(
            rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
        )
        cv2.imwrite(str(folder / "images" / f"{i}.jpg"), image)
        rows.append(
            {
                "frame_id": f"f{i}", "scene": "s", "sample": f"s{i}", "camera": "CAM", "timestamp_us": i,
                "image_path": f"images/{i}.jpg", "width": width, "height": height,
                "K": [1.0] * 9, "T_cam_from_points": [0.0] * 16, "clouds": [],
            }
        )  # fmt: skip
    write_table(folder / "frames.parquet", rows, FRAMES, {"kind": "frames"})
    return folder / "frames.parquet"


def balanced(header: dict[str, Any]) -> bool:
    counts = header["counts"]
    return bool(counts["boxes_raw"] == counts["kept"] + sum(counts[loss] for loss in LOSSES))


def stored_settings(folder: Path, **changes: Any) -> DetectSettings:
    table = {"frame_id": ["f1", "f1", "f2"], "box": [[0.0, 0, 40, 40], [1.0, 0, 40, 40], [5.0, 5, 90, 60]]}
    pq.write_table(pa.table({**table, "label": ["car", "car", "deer"], "score": [0.8, 0.9, 0.5]}), folder / "b.parquet")
    vocabulary = write(folder / "v.txt", "car\ndeer\n")
    return DetectSettings(kind="stored", boxes=folder / "b.parquet", vocabulary=vocabulary, **changes)


def test_stored_boxes_pass_the_same_filters(tmp_path: Path) -> None:
    frames = make_frames(tmp_path, [(160, 90)] * 3)
    out = tmp_path / "out.parquet"
    run(frames, tmp_path, out, stored_settings(tmp_path))
    table = read_table(out)
    assert table.schema.equals(DETECTIONS)
    assert table.drop(["score"]).to_pylist() == [
        {"frame_id": "f1", "box": [1, 0, 40, 40], "label": "car"},
        {"frame_id": "f2", "box": [5, 5, 90, 60], "label": "deer"},
    ]
    header = read_header(out)
    assert header["counts"] == {"images": 3, "boxes_raw": 3, **dict.fromkeys(LOSSES, 0), "nms": 1, "kept": 2}
    assert header["vocabulary"] == ["car", "deer"]
    assert set(header["provenance"]["inputs"]) == {"frames", "vocabulary", "boxes"}


def test_a_shard_without_frames_gives_an_empty_file(tmp_path: Path) -> None:
    frames = make_frames(tmp_path, [])
    run(frames, tmp_path, tmp_path / "out.parquet", stored_settings(tmp_path))
    assert read_table(tmp_path / "out.parquet").num_rows == 0
    assert read_header(tmp_path / "out.parquet")["counts"]["images"] == 0


def tiny(**changes: Any) -> DetectSettings:
    options: dict[str, Any] = {
        "vocabulary": VOCABULARIES / "world.txt",
        "score_threshold": 0.02,
        "nms_iou": 0.7,
        **changes,
    }
    return DetectSettings(model=str(TINY_OWL), **options)


@needs_tiny_owl
def test_same_bytes_whatever_the_batch_size_and_the_threads(tmp_path: Path) -> None:
    frames = make_frames(tmp_path, [(160, 90), (90, 160), (160, 90)])
    written = []
    for number, (batch_size, threads) in enumerate([(1, 1), (1, 1), (16, 3)]):
        out = tmp_path / f"{number}.parquet"
        run(frames, tmp_path, out, tiny(batch_size=batch_size), "cpu", threads)
        written.append(out)
    assert written[0].read_bytes() == written[1].read_bytes()
    first, last = (read_table(out) for out in (written[0], written[2]))
    assert first.num_rows > 0
    assert first.equals(last)  # only the header differs: it holds the settings
    header = read_header(written[0])
    assert balanced(header)
    assert header["counts"]["images"] == 3
    assert header["counts"]["boxes_raw"] == 3 * 32 * 32
    assert header["detector"] == {
        "model": str(TINY_OWL),
        "architecture": "owlv2",
        "commit": None,
        "precision": "float32",
    }
    assert "model/model.safetensors" in header["provenance"]["inputs"]


@needs_tiny_owl
def test_bad_images_are_passed_over_and_reported(tmp_path: Path) -> None:
    frames = make_frames(tmp_path, [(160, 90)] * 4)
    (tmp_path / "images" / "0.jpg").unlink()
    write(tmp_path / "images" / "1.jpg", "not an image")
    cv2.imwrite(str(tmp_path / "images" / "3.jpg"), np.zeros((45, 80, 3), np.uint8))
    out = tmp_path / "out.parquet"
    with pytest.raises(InputError, match=r"3 of 4 frames could not be read.*images/0\.jpg"):
        run(frames, tmp_path, out, tiny(max_bad_share=0.5), "cpu")
    assert not out.exists()
    run(frames, tmp_path, out, tiny(max_bad_share=0.8), "cpu")
    header = read_header(out)
    assert header["bad_frames"]["counts"] == {"image_missing": 1, "image_size": 1, "image_unreadable": 1}
    assert header["counts"]["images"] == 1
    assert balanced(header)
    assert set(read_table(out, ["frame_id"]).column(0).to_pylist()) <= {"f2"}


@needs_tiny_owl
def test_scores_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    broken.mkdir()
    for file in TINY_OWL.iterdir():
        os.symlink(file, broken / file.name)
    weights = load_file(TINY_OWL / "model.safetensors")
    scale = torch.full_like(weights["layer_norm.weight"], 3e38, dtype=torch.float32)
    weights["layer_norm.weight"] = scale  # finite, unlike what comes of it
    (broken / "model.safetensors").unlink()
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    frames = make_frames(tmp_path, [(160, 90)])
    with pytest.raises(InputError, match="gives scores or boxes that are not finite"):
        run(frames, tmp_path, tmp_path / "out.parquet", tiny().model_copy(update={"model": str(broken)}), "cpu")


@needs_tiny_owl
def test_the_pipeline_for_gpus_gives_each_frame_its_own_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches, a rest at the end and bad frames in between; run on the CPU, where there is nothing to pin."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    frames = make_frames(tmp_path, [(160, 90), (90, 160), (80, 80), (160, 90), (64, 48)])
    (tmp_path / "images" / "1.jpg").unlink()
    detector, _ = load_detector(str(TINY_OWL), None, torch.device("cpu"))
    detector.encode_vocabulary(read_vocabulary(VOCABULARIES / "world.txt"), None)
    rows, bad = read_table(frames).to_pylist(), BadFrames(1)
    batched = list(detect_on_gpu(rows, tmp_path, detector, 2, 2, bad))
    assert bad.counts == {"image_missing": 1}
    single = list(detect_on_cpu(rows, tmp_path, detector, 1, BadFrames(1)))
    assert [frame["frame_id"] for frame, _ in batched] == ["f0", "f2", "f3", "f4"]
    for (frame, a), (same_frame, b) in zip(batched, single, strict=True):
        assert frame == same_frame
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-4)
        np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-2)


def test_a_hub_model_without_a_network_is_explained_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError) as caught:
        load_detector("some-org/no-such-detector", None, torch.device("cpu"))
    message = str(caught.value)
    assert message.startswith("cannot load detector some-org/no-such-detector: not a local folder, and the model hub")
    assert message.endswith("give a folder, or download it first where there is a network")
    assert "\n" not in message


@needs_tiny_owl
def test_the_built_in_detector_loads_through_the_real_path() -> None:
    detector, _ = load_detector(str(TINY_OWL), None, torch.device("cpu"))
    detector.encode_vocabulary(read_vocabulary(VOCABULARIES / "world.txt"), None)
    boxes = detector([torch.zeros(3, 90, 160, dtype=torch.uint8)])()[0]
    assert boxes.boxes.shape == (1024, 4)


@hypothesis_settings(max_examples=200, deadline=None)
@given(
    corners=st.lists(st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 40)] * 2), max_size=300),
    step=st.sampled_from([0.1, 1.0, 7.3]),
    iou=st.sampled_from([0.0, 0.25, 1 / 3, 0.4, 0.5, 1.0]),
)
def test_non_maximum_suppression_is_torchvision_s(
    corners: list[tuple[int, int, int, int]], step: float, iou: float
) -> None:
    x, y, width, height = np.array(corners, np.float32).reshape(-1, 4).T * np.float32(step)
    boxes = np.stack([x, y, x + width, y + height], 1)
    scores = torch.linspace(1, 0, len(boxes))
    expected = nms(torch.from_numpy(boxes), scores, iou).sort().values
    np.testing.assert_array_equal(suppress(boxes, iou), expected)


def test_boxes_on_disk_need_no_torch() -> None:
    """It takes seconds to import, in each job."""
    code = "import sys, clip2.detect.stage; assert not {'torch', 'transformers', 'pandas'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
