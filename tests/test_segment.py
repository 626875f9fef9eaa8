"""Masks: small random segmenters against transformers' own use of them, masks on disk, and lifting within masks."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from test_detect_models import photo
from test_lift_stage import SIZE, lift, shard
from transformers import (
    AutoProcessor,
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    SamConfig,
    SamHQConfig,
    SamHQModel,
    SamHQProcessor,
    SamImageProcessor,
    SamModel,
    SamProcessor,
)

from clip2.lift import lift_boxes
from clip2.lift.masks import LEAST
from clip2.lift.settings import LiftSettings
from clip2.lift.stage import run as run_lift
from clip2.runtime.errors import InputError
from clip2.segment.models import load_segmenter
from clip2.segment.runner import segment_on_cpu, segment_on_gpu
from clip2.segment.settings import SegmentSettings
from clip2.segment.stage import run
from clip2.store.bad_frames import BadFrames
from clip2.store.provenance import file_digest
from clip2.store.ragged import RaggedReader
from clip2.store.rle import decode, encode
from clip2.store.schemas import MASKS
from clip2.store.tables import iterate_rows, read_header, write_table

__all__ = ["shard"]
CPU = torch.device("cpu")
BOXES = [np.array([[10, 10, 80, 60], [50.5, 20, 150, 85]], np.float32), np.array([[5, 5, 60, 140.0]], np.float32)]
PICTURES = [(90, 160), (160, 90)]  # height, width


# --- small models ----------------------------------------------------------------------------------------------------

DECODER = {
    "hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
}  # fmt: skip


def make_sam(config: Any, model: Any) -> Any:
    vision = {
        "hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64,
        "patch_size": 8, "mlp_dim": 32, "window_size": 4, "global_attn_indexes": [1], "num_pos_feats": 8,
    }  # fmt: skip
    prompts = {"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 4}
    own = {"vit_dim": 32} if model is SamHQModel else {}
    return model(config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config={**DECODER, **own}))


def make_sam2() -> Any:
    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 16, "num_attention_heads": 1, "image_size": [64, 64],
        "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [16, 32, 64, 128],
        "num_attention_heads_per_stage": [1, 1, 1, 1], "window_size_per_stage": [4, 4, 4, 4],
        "window_positional_embedding_background_size": [4, 4], "global_attention_blocks": [3],
    }  # fmt: skip
    vision = {
        "backbone_config": backbone, "backbone_channel_list": [128, 64, 32, 16], "fpn_hidden_size": 16,
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "num_feature_levels": 3,
    }  # fmt: skip
    prompts = {"hidden_size": 16, "image_size": 64, "patch_size": 16, "mask_input_channels": 4}
    return Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=DECODER))


def sam_pixels() -> SamImageProcessor:
    return SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})


SQUARE = {"height": 64, "width": 64}
FAMILIES: dict[str, tuple[Callable[[], Any], Callable[[], Any], Any]] = {
    "sam": (lambda: make_sam(SamConfig, SamModel), lambda: SamProcessor(sam_pixels()), SamModel),
    "sam_hq": (lambda: make_sam(SamHQConfig, SamHQModel), lambda: SamHQProcessor(sam_pixels()), SamHQModel),
    "sam2": (make_sam2, lambda: Sam2Processor(Sam2ImageProcessor(size=SQUARE, mask_size=SQUARE)), Sam2Model),
}


def by_hand(folder: Path, model_class: Any, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As transformers' documentation prompts with boxes."""
    model, processor = model_class.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    inputs = processor(images=image, input_boxes=[boxes.tolist()], return_tensors="pt")
    with torch.no_grad():
        output = model(
            pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"].float(), multimask_output=False
        )
    sizes = [inputs[key] for key in ("original_sizes", "reshaped_input_sizes") if key in inputs]
    masks = processor.post_process_masks(output.pred_masks, *sizes)[0]
    return masks[:, 0].numpy(), output.iou_scores[0, :, 0].numpy()


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A model whose masks are neither empty nor the whole picture, saved as a user's would be."""
    return request.param, save_model(request.param, tmp_path_factory.mktemp(request.param))


def save_model(name: str, folder: Path) -> Path:
    make, make_processor, model_class = FAMILIES[name]
    make_processor().save_pretrained(folder)
    image = photo(*PICTURES[0]).permute(1, 2, 0).numpy()
    for seed in range(30):
        torch.manual_seed(seed)
        model = make()
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(folder)
        if 0.1 < by_hand(folder, model_class, image, BOXES[0])[0].mean() < 0.9:
            return folder
    raise AssertionError("no seed gives masks")


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model("sam", tmp_path_factory.mktemp("sam"))


def test_masks_are_those_that_transformers_gives(family: tuple[str, Path]) -> None:
    name, folder = family
    segmenter, spec = load_segmenter(str(folder), None, CPU)
    assert spec == {"model": str(folder), "architecture": name, "commit": None, "precision": "float32"}
    images = [photo(*size, seed=number) for number, size in enumerate(PICTURES)]
    for image, boxes, of_image in zip(images, BOXES, segmenter(images, BOXES), strict=True):
        [(masks, scores)] = [wait() for wait in of_image]
        expected, expected_scores = by_hand(folder, FAMILIES[name][2], image.permute(1, 2, 0).numpy(), boxes)
        assert masks.dtype == bool
        assert masks.shape == (len(boxes), *image.shape[1:])
        assert (masks == expected).mean() > 0.9999  # batches of images change the last bits
        np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-5)


def test_many_boxes_are_taken_in_groups(sam_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clip2.segment.models.BOXES_A_PASS", 2)
    segmenter, _ = load_segmenter(str(sam_folder), None, CPU)
    boxes = np.concatenate([BOXES[0], BOXES[0] + 3, BOXES[0][:1]])
    [groups] = segmenter([photo(*PICTURES[0])], [boxes])
    found = [wait() for wait in groups]
    assert [len(masks) for masks, _ in found] == [2, 2, 1]
    assert np.array_equal(found[0][0][0], found[2][0][0])
    assert not np.array_equal(found[0][0][0], found[1][0][0])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("no/such/folder", "no such model folder"),
        ("EMPTY", "holds no config.json"),
        ("CUT", "cannot be loaded as a segmenter"),
        ("DETECTOR", "a owlv2 model, not a segmenter that boxes can prompt; give one of: edgetam"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(
    sam_folder: Path, tmp_path: Path, repository: Path, model: str, message: str
) -> None:
    if model == "CUT":
        for path in sam_folder.iterdir():
            data = path.read_bytes()
            (tmp_path / path.name).write_bytes(data[:-1000] if path.suffix == ".safetensors" else data)
    folder = {"EMPTY": tmp_path, "CUT": tmp_path, "DETECTOR": repository / "resources/models/tiny_owl"}
    with pytest.raises(InputError, match=message) as told:
        load_segmenter(str(folder.get(model, model)), None, CPU)
    assert "\n" not in str(told.value)


# --- the stage -------------------------------------------------------------------------------------------------------


def segment(shard: Path, out: str = "masks", threads: int = 1, **chosen: Any) -> tuple[dict[str, Any], list[Any]]:
    """Run the stage; the header and the rows that it wrote."""
    path = shard / f"{out}.parquet"
    asked = SegmentSettings.model_validate({"max_bad_share": 0.5} | chosen)
    run(shard / "frames.parquet", shard / "detections.parquet", shard, path, asked, "cpu", threads)
    return read_header(path), list(iterate_rows(path))


def test_the_stage_writes_a_row_for_each_box(shard: Path, sam_folder: Path) -> None:
    header, rows = segment(shard, model=str(sam_folder))
    detections = list(iterate_rows(shard / "detections.parquet"))
    assert [(row["frame_id"], row["box"]) for row in rows] == [(d["frame_id"], d["box"]) for d in detections]
    assert {tuple(row["size"]) for row in rows} == {(SIZE[1], SIZE[0])}
    counts = header["counts"]
    lost = sum(counts[key] for key in counts if key.startswith("lost_"))
    assert counts["boxes"] == 8 == counts["masks"] + lost
    assert counts["masks"] == sum(row["counts"] is not None for row in rows) > 0
    for row in rows:
        if row["counts"] is not None:
            mask = coco_mask.decode({"size": row["size"], "counts": row["counts"]})
            x0, y0, x1, y1 = row["box"]
            assert mask.sum() == mask[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))].sum() > 0
    assert header["segmenter"]["architecture"] == "sam"
    assert set(header["provenance"]["inputs"]) >= {"frames", "detections", "model/model.safetensors"}
    segment(shard, "again", 3, model=str(sam_folder))
    assert file_digest(shard / "masks.parquet") == file_digest(shard / "again.parquet")


def test_an_image_that_cannot_be_read_leaves_its_boxes_without_masks(shard: Path, sam_folder: Path) -> None:
    (shard / "1.jpg").unlink()
    header, rows = segment(shard, model=str(sam_folder))
    assert header["counts"]["lost_bad_frame"] == 2
    assert header["bad_frames"]["counts"] == {"image_missing": 1}
    assert [row["counts"] for row in rows if row["frame_id"] == "f1"] == [None, None]
    assert [row["frame_id"] for row in rows] == [f"f{i}" for i in range(4) for _ in range(2)]
    with pytest.raises(InputError, match="1 of 4 frames could not be read"):
        segment(shard, model=str(sam_folder), max_bad_share=0.01)


def test_a_gpu_s_batches_give_the_same_masks(shard: Path, sam_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its way through batches and groups of boxes, on the CPU."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr("clip2.segment.models.BOXES_A_PASS", 2)
    (shard / "1.jpg").unlink()
    segmenter, _ = load_segmenter(str(sam_folder), None, CPU)
    columns = ["frame_id", "image_path", "width", "height", "lens"]
    boxes = np.array([[10, 10, 90, 90], [60, 20, 350, 180], [0, 0, 400, 200]], np.float32)
    asked = [
        row | {"boxes": boxes[: 1 + n % 3]} for n, row in enumerate(iterate_rows(shard / "frames.parquet", columns))
    ]
    counts, single = Counter[str](), Counter[str]()
    bad = BadFrames(1)
    batched = list(segment_on_gpu(asked, shard, segmenter, 2, 2, bad, counts))
    assert bad.counts == {"image_missing": 1}
    alone = list(segment_on_cpu(asked, shard, segmenter, 2, BadFrames(1), single))
    assert [frame["frame_id"] for frame, _ in batched] == ["f0", "f2", "f3"]
    assert counts == single
    for (frame, masks), (same_frame, others) in zip(batched, alone, strict=True):
        assert frame is same_frame
        assert len(masks) == len(others) == len(frame["boxes"])
        for (runs, score), (same_runs, same_score) in zip(masks, others, strict=True):
            assert (decode(runs, (200, 400)) == decode(same_runs, (200, 400))).mean() > 0.999
            assert score == pytest.approx(same_score, abs=1e-4)


# --- masks on disk ---------------------------------------------------------------------------------------------------

PLATE = [189, 89, 211, 111]
DISC = cv2.circle(np.zeros((SIZE[1], SIZE[0]), np.uint8), (200, 100), 9, 1, -1) > 0
BESIDE = np.roll(DISC, 60, 1)


def compressed(mask: np.ndarray) -> dict[str, Any]:
    found = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    flat = mask.T.ravel()
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], ends, [len(flat)]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs}


def write_masks(shard: Path, segmentation: Any, **more: Any) -> dict[str, Any]:
    """A COCO file with a mask for the plate of each frame; the settings that name it."""
    images = [{"id": i, "file_name": f"{i}.jpg"} for i in range(4)]
    annotations = [{"id": i, "image_id": i, "segmentation": segmentation, **more} for i in range(4)]
    (shard / "masks.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return {"kind": "stored", "masks": str(shard / "masks.json")}


@pytest.mark.parametrize("form", [compressed, uncompressed])
@pytest.mark.parametrize("box", [{}, {"bbox": [189, 89, 22, 22]}])
def test_masks_on_disk_go_to_the_boxes_that_they_overlap(
    shard: Path, form: Callable[[np.ndarray], Any], box: dict[str, Any]
) -> None:
    header, rows = segment(shard, **write_masks(shard, form(DISC), **box))
    counts = {key: value for key, value in header["counts"].items() if value}
    assert counts == {"images": 4, "boxes": 8, "masks": 4, "lost_no_mask": 4}
    for row in rows[::2]:
        assert np.array_equal(decode(row["counts"], SIZE[::-1]), DISC)
        assert row["score"] is None
    assert [row["counts"] for row in rows[1::2]] == [None] * 4


def test_polygons_are_masks_and_a_mask_is_cut_to_its_box(shard: Path) -> None:
    polygons = [[190.0, 90, 200, 90, 200, 110, 190, 110], [200.0, 90, 224, 90, 224, 110, 200, 110]]
    header, rows = segment(shard, **write_masks(shard, polygons, bbox=[189, 89, 22, 22]))
    assert header["counts"]["cut"] == header["counts"]["masks"] == 4
    inside = decode(rows[0]["counts"], SIZE[::-1])
    assert inside[90:110, 190:211].all()
    assert inside.sum() == pytest.approx(20 * 21, abs=45)  # a border pixel more or less


def change_masks(shard: Path, change: Callable[[int, dict[str, Any]], Any]) -> None:
    content = json.loads((shard / "masks.json").read_text())
    for number, annotation in enumerate(content["annotations"]):
        change(number, annotation)
    (shard / "masks.json").write_text(json.dumps(content))


def test_masks_beside_their_box_and_empty_ones_are_counted(shard: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = write_masks(shard, compressed(DISC), bbox=[189, 89, 22, 22])
    empty = compressed(np.zeros_like(DISC))
    for mask, loss, said in ((compressed(BESIDE), "lost_outside", "off their bbox"), (empty, "lost_empty", "empty")):
        change_masks(shard, lambda number, a, mask=mask: number or a.update(segmentation=mask))
        header, rows = segment(shard, **chosen)
        assert header["counts"][loss] == 1
        assert header["counts"]["masks"] == 3
        assert rows[0]["counts"] is None
        assert header["segmenter"]["stored"][said.replace(" ", "_")] == 1
        assert f"of 4 masks, 1 {said}" in caplog.text


POLYGON = [189.0, 89, 211, 89, 211, 111, 189, 111]
CONVENTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "run lengths along rows": ({"size": [200, 400], "counts": uncompressed(DISC.T)["counts"]}, {}),
    "shares of the picture": ([[value / 400 for value in POLYGON]], {}),
    "shares of the picture, no box": ([[value / 400 for value in POLYGON]], {"bbox": None}),
    "y before x": ([[*np.array(POLYGON).reshape(-1, 2)[:, ::-1].ravel()]], {}),
    "pixels of a larger picture": ([[5 * value for value in POLYGON]], {"bbox": None}),
    "corners for the box's sizes": (compressed(DISC), {"bbox": PLATE}),
    "another thing's mask": (compressed(BESIDE), {}),
    "no masks": (compressed(np.zeros_like(DISC)), {}),
}


@pytest.mark.parametrize(("segmentation", "more"), CONVENTIONS.values(), ids=CONVENTIONS)
def test_masks_of_another_convention_are_refused(shard: Path, segmentation: Any, more: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"of 4 masks, 4 .* another convention"):
        segment(shard, **write_masks(shard, segmentation, **({"bbox": [189, 89, 22, 22]} | more)))


@pytest.mark.parametrize(
    ("segmentation", "box"),
    [([POLYGON[:6] + POLYGON[4:]], {"bbox": [189, 89, 22, 22]}), ([POLYGON, [189.0, 100, 195, 100, 195, 105]], {})],
)
def test_polygons_of_resized_pictures_are_scaled_to_their_frames(
    shard: Path, segmentation: Any, box: dict[str, Any]
) -> None:
    _, expected = segment(shard, **write_masks(shard, segmentation, **box))
    chosen = write_masks(shard, segmentation, **box)

    def halve(_: int, annotation: dict[str, Any]) -> None:
        annotation["segmentation"] = [[value / 2 for value in polygon] for polygon in annotation["segmentation"]]
        if box:
            annotation["bbox"] = [value / 2 for value in annotation["bbox"]]

    change_masks(shard, halve)
    content = json.loads((shard / "masks.json").read_text())
    for image in content["images"]:
        image.update(width=SIZE[0] // 2, height=SIZE[1] // 2)
    (shard / "masks.json").write_text(json.dumps(content))
    header, rows = segment(shard, "halved", **chosen)
    assert rows == expected
    assert rows[0]["counts"]
    assert header["segmenter"]["stored"]["scaled"] == 4


def test_crowds_have_no_mask(shard: Path, caplog: pytest.LogCaptureFixture) -> None:
    chosen = write_masks(shard, compressed(DISC))
    change_masks(shard, lambda number, a: a.update(iscrowd=int(number == 1)))
    header, rows = segment(shard, **chosen)
    assert header["counts"]["masks"] == 3
    assert rows[2]["counts"] is None
    assert "of the masks, 1 are crowds" in caplog.text


def test_masks_that_are_no_box_s_are_told_or_refused(
    shard: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = write_masks(shard, compressed(BESIDE))
    assert segment(shard, **chosen)[0]["counts"]["lost_no_mask"] == 8
    assert "none of 4 masks overlaps one of the 8 boxes" in caplog.text
    monkeypatch.setattr("clip2.segment.stored.MANY", 4)
    with pytest.raises(InputError, match="none of 4 masks overlaps one of the 8 boxes"):
        segment(shard, **chosen)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [200, 400], "counts": compressed(DISC)["counts"][:-3]}, "annotation 0: the mask is damaged: its run"),
        ({"size": [200, 400], "counts": compressed(DISC)["counts"] + "Z"}, "cut off, or no run lengths"),
        ({"size": [200, 400], "counts": "mask"}, "damaged"),
        ({"size": [200, 400], "counts": "oooooooooooo1"}, "beyond all pictures"),
        ({"size": [200, 400], "counts": ""}, "cut off, or no run lengths"),
        ({"size": [200, 400], "counts": "ünïcode"}, "cut off, or no run lengths"),
        ({"size": [200, 400], "counts": [80001, -1]}, "do not fill a picture of 400 x 200"),
        ({"size": [200, 400], "counts": [79999]}, "do not fill"),
        ({"size": [200, 400], "counts": [10**30]}, "damaged"),
        ({"size": [200, 400], "counts": [1.5, 2]}, "neither text nor a list of whole numbers"),
        ({"size": [200, 400]}, "neither text nor a list"),
        ({"size": [400, 200], "counts": [80000]}, r"of height, width \[400, 200\], its frame has \[200, 400\]"),
        ([[1, 2, 3, 4]], "neither run lengths nor polygons"),
        ([[1, 2, 3, 4, 5, float("nan")]], "neither run lengths nor polygons"),
        ([], "neither run lengths nor polygons"),
        (None, "neither run lengths nor polygons"),
        ("mask", "neither run lengths nor polygons"),
    ],
)
def test_damaged_masks_are_refused(shard: Path, segmentation: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        segment(shard, **write_masks(shard, segmentation))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": [], "annotations": None}, "no list of annotations"),
        ([{"image_id": "elsewhere.jpg"}], r"no mask in it belongs to a frame.*the file has elsewhere.jpg"),
        ([{"image_id": 3}], "is a number that no table explains"),
        ([{"image_id": "0.jpg", "segmentation": compressed(DISC), "bbox": [1, 2]}], "not four numbers"),
        (
            [{"image_id": "0.jpg", "segmentation": compressed(DISC), "bbox": [1, 2, 3, float("nan")]}],
            "not four numbers",
        ),
        ("[1, 2", "JSON"),
    ],
)
def test_files_of_another_form_are_refused(shard: Path, content: Any, message: str) -> None:
    (shard / "masks.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=message):
        segment(shard, kind="stored", masks=str(shard / "masks.json"))
    with pytest.raises(InputError, match="no such file of masks"):
        segment(shard, kind="stored", masks=str(shard / "nowhere.json"))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_run_lengths_are_coco_s(seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 60, 2)
    y0, x0 = rng.integers(0, height), rng.integers(0, width)
    sides = rng.integers(1, height - y0 + 1), rng.integers(1, width - x0 + 1)
    part = rng.random(sides) < rng.choice([0, 0.5, 0.9, 1])
    mask = np.zeros((height, width), bool)
    mask[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
    text = encode(part, (x0, y0), (height, width))
    assert text == compressed(mask)["counts"]
    assert np.array_equal(decode(text, (height, width)), mask)
    assert np.array_equal(decode(uncompressed(mask)["counts"], (height, width)), mask)


def test_run_lengths_of_a_large_picture() -> None:
    mask = np.zeros((3000, 4000), bool)
    mask[5:2900, 7:3990] = True
    assert encode(mask, (0, 0), mask.shape) == compressed(mask)["counts"]
    assert np.array_equal(decode(compressed(mask)["counts"], mask.shape), mask)


# --- lifting ---------------------------------------------------------------------------------------------------------

CAMERA = np.array([[200.0, 0, 200], [0, 200, 100], [0, 0, 1]])


def two_plates() -> tuple[np.ndarray, np.ndarray, list[float], np.ndarray]:
    """Two plates side by side, 10 m ahead, before a wall; the left one's points, a box around both, the left's mask."""
    grid = np.stack(np.meshgrid(np.linspace(0.05, 0.95, 24), np.linspace(-0.5, 0.5, 24)), -1).reshape(-1, 2)
    left = np.column_stack([grid[:, 0] - 1, grid[:, 1], np.full(len(grid), 10.0)])
    right = left + np.array([1, 0, 0])
    wall = np.stack(np.meshgrid(np.linspace(-6, 6, 80), np.linspace(-3, 3, 40)), -1).reshape(-1, 2)
    points = np.concatenate([left, right, np.column_stack([wall, np.full(len(wall), 14.0)])])
    mask = np.zeros((200, 400), bool)
    mask[90:111, 180:200] = True
    return points, np.arange(len(points)) < len(left), [180, 90, 220, 111], mask


@pytest.mark.parametrize("method", ["frustum", "frustum-dbscan"])
def test_a_mask_tells_things_apart_that_depth_does_not(method: str) -> None:
    points, left, box, mask = two_plates()
    given_all = (points, np.eye(4), CAMERA, [box, box], (400, 200), method)
    whole, masked = lift_boxes(*given_all, masks=[None, mask], mask_margin=0)
    assert left[whole].mean() < 0.6
    assert left[masked].all()
    assert left[masked].sum() > 0.9 * left.sum()
    everything = lift_boxes(*given_all, masks=[np.ones_like(mask)] * 2)
    for crop, plain in zip(everything, lift_boxes(*given_all)):
        assert np.array_equal(crop, plain)


def test_depth_lifting_stays_in_the_mask() -> None:
    points, _, box, mask = two_plates()
    [crop] = lift_boxes(points, np.eye(4), CAMERA, [box], (400, 200), "depth", masks=[mask], mask_margin=0)
    assert len(crop)
    assert (points[crop, 0] * 20 < 1).all()


def test_a_margin_widens_masks_and_reaches_no_further_than_the_box() -> None:
    points, left, box, mask = two_plates()
    narrow = np.zeros_like(mask)
    narrow[90:111, 186:194] = True
    given_one = (points, np.eye(4), CAMERA, [box], (400, 200), "frustum")
    sizes = [len(lift_boxes(*given_one, masks=[narrow], mask_margin=share)[0]) for share in (0, 0.005, 0.01, 0.015)]
    assert sizes == sorted(set(sizes))
    [all_of_box] = lift_boxes(*given_one, masks=[narrow], mask_margin=0.1)
    assert np.array_equal(all_of_box, lift_boxes(*given_one)[0])
    assert left[lift_boxes(*given_one, masks=[narrow], mask_margin=0)[0]].all()


def test_masks_that_leave_too_little_are_counted_and_the_whole_box_is_searched() -> None:
    points, _, box, mask = two_plates()
    counts: Counter[str] = Counter()
    given_all = (points, np.eye(4), CAMERA, [box, box, box, [300, 0, 300, 0]], (400, 200))
    speck = np.zeros_like(mask)
    speck[100, 190] = True
    masks = [np.zeros_like(mask), speck, None, mask]
    crops = lift_boxes(*given_all, masks=masks, mask_margin=0, mask_counts=counts)
    assert counts == {"masks_too_small": 2, "boxes_without_mask": 1}
    assert all(len(crop) > LEAST for crop in crops[:3])
    assert np.array_equal(crops[0], crops[2])
    assert not len(crops[3])  # a box without area


def test_masks_have_to_fit_the_boxes_and_the_picture() -> None:
    points, _, box, mask = two_plates()
    with pytest.raises(ValueError, match=r"mask 0 is \(400, 200\), but the picture"):
        lift_boxes(points, np.eye(4), CAMERA, [box], (400, 200), masks=[mask.T])
    with pytest.raises(ValueError, match="shorter"):
        lift_boxes(points, np.eye(4), CAMERA, [box, box], (400, 200), masks=[mask])


def lift_masked(shard: Path, masks: Path, **chosen: Any) -> dict[str, Any]:
    out = shard / "masked.parquet"
    asked = LiftSettings.model_validate(chosen)
    detections = shard / "detections.parquet"
    run_lift(shard / "frames.parquet", detections, shard, out, out.with_suffix(".h5"), asked, masks)
    return read_header(out)


def test_the_stage_lifts_within_masks(shard: Path) -> None:
    upper = np.zeros_like(DISC)
    upper[89:100, 189:211] = True
    segment(shard, **write_masks(shard, compressed(upper), bbox=[189, 89, 22, 22]))
    plain = lift(shard, "plain")
    header = lift_masked(shard, shard / "masks.parquet", parameters={"mask_margin": 0})
    assert header["counts"] == plain["counts"] | {"boxes_without_mask": 4}
    assert header["provenance"]["inputs"]["masks"] == file_digest(shard / "masks.parquet")
    assert "masks" not in plain["provenance"]["inputs"]
    with RaggedReader(shard / "masked.h5") as reader, RaggedReader(shard / "plain.h5") as whole:
        for number in range(4):
            assert reader[number][:, 2].min() >= 0 > whole[number][:, 2].min()  # z up: the upper half of the plate
            assert 60 < len(reader[number]) < len(whole[number])


def test_masks_of_other_boxes_and_damaged_ones_are_refused(shard: Path) -> None:
    segment(shard, **write_masks(shard, compressed(DISC)))
    rows = list(iterate_rows(shard / "masks.parquet"))
    for changed, message in (
        (rows[:-1], "holds masks of other boxes"),
        (rows[::-1], "is not in the order of"),
        ([{**row, "counts": "0" if row["counts"] else None} for row in rows], "the mask of box .* is damaged"),
    ):
        write_table(shard / "others.parquet", changed, MASKS, {})
        with pytest.raises(InputError, match=message):
            lift_masked(shard, shard / "others.parquet")
