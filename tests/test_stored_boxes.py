"""Boxes of other software: read where they can be meant so, else refused or counted; never taken for something else."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clip2.detect.detector import Found
from clip2.detect.settings import DetectSettings
from clip2.detect.stage import run
from clip2.detect.stored import read_boxes
from clip2.detect.vocabulary import Vocabulary
from clip2.runtime.errors import InputError
from clip2.store.schemas import FRAMES
from clip2.store.tables import read_header, read_table, write_table

FRAMES_OF = {f"f{i}": f"drive/images/{i}.png" for i in range(8)}
SIZES = dict.fromkeys(FRAMES_OF, (320, 240))
WORDS = Vocabulary(("car", "person"), ("car", "person"), (0, 1))
BOX = [115.0, 120.0, 205.0, 158.0]  # x0 y0 x1 y1
XYWH = [115.0, 120.0, 90.0, 38.0]


def coco() -> dict[str, Any]:
    images = [{"id": n, "file_name": image, "width": 320} for n, image in enumerate(FRAMES_OF.values())]
    annotations = [
        {"id": n, "image_id": n, "category_id": 7 if n % 2 else 27, "bbox": list(XYWH), "score": 0.9} for n in range(8)
    ]
    return {
        "images": images,
        "categories": [{"id": 7, "name": "car"}, {"id": 27, "name": "person"}],
        "annotations": annotations,
    }


def table(**changes: Any) -> dict[str, Any]:
    return {
        "image_path": list(FRAMES_OF.values()),
        "box": [BOX] * 8,
        "label": ["car"] * 8,
        "score": [0.9] * 8,
    } | changes


def read(path: Path, counts: Counter[str] | None = None, known: Any = ()) -> dict[str, Found]:
    return read_boxes(path, FRAMES_OF, WORDS, SIZES, known, counts)


def read_json(folder: Path, content: Any, counts: Counter[str] | None = None) -> dict[str, Found]:
    (folder / "b.json").write_text(json.dumps(content))
    return read(folder / "b.json", counts)


def read_parquet(folder: Path, columns: Any, counts: Counter[str] | None = None) -> dict[str, Found]:
    columns = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(columns, folder / "b.parquet")
    return read(folder / "b.parquet", counts)


def good(found: dict[str, Found], score: float = 0.9) -> bool:
    return set(found) == set(FRAMES_OF) and all(
        np.allclose(f.boxes, BOX) and np.allclose(f.scores, score) for f in found.values()
    )


# --- conventions -----------------------------------------------------------------------------------------------------


def test_good_boxes_are_read(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    assert good(read_json(tmp_path, coco(), counts))
    assert good(read_parquet(tmp_path, table(), counts))
    assert not +counts


CONVENTIONS: dict[str, Any] = {
    "corners for sizes": lambda a: a.update(bbox=BOX),
    "shares of the picture": lambda a: a.update(bbox=[0.36, 0.5, 0.28, 0.16]),
    "negative sizes": lambda a: a.update(bbox=[205, 158, -90, -38]),
    "no size": lambda a: a.update(bbox=[115, 120, 0, 38]),
    "another picture's size": lambda a: a.update(bbox=[3 * v for v in XYWH]),
}


@pytest.mark.parametrize("change", CONVENTIONS.values(), ids=CONVENTIONS)
def test_coco_boxes_of_another_convention_are_refused(tmp_path: Path, change: Any) -> None:
    content = coco()
    for annotation in content["annotations"]:
        change(annotation)
    with pytest.raises(InputError, match=r"of 8 boxes, 8 .*another convention"):
        read_json(tmp_path, content)


@pytest.mark.parametrize("box", [XYWH, [0.36, 0.5, 0.64, 0.66], [205.0, 158, 115, 120], [0.0, 0, 0, 0]])
def test_table_boxes_of_another_convention_are_refused(tmp_path: Path, box: list[float]) -> None:
    with pytest.raises(InputError, match=r"of 8 boxes, 8 .*another convention"):
        read_parquet(tmp_path, table(box=[box] * 8))


def test_a_few_impossible_boxes_are_counted(tmp_path: Path) -> None:
    names = list(FRAMES_OF.values()) * 20
    boxes = [BOX] * 157 + [XYWH, [10.0, 10, 10.5, 10.5], [300.0, 200, 480, 230]]
    counts: Counter[str] = Counter()
    columns = {"image_path": names, "box": boxes, "label": ["car"] * 160, "score": [0.9] * 160}
    assert sum(len(f.boxes) for f in read_parquet(tmp_path, columns, counts).values()) == 160
    assert counts == Counter(without_side=1, below_a_pixel=1, beyond_the_picture=1)


def test_boxes_that_reach_a_little_beyond_the_picture_are_good(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    read_parquet(tmp_path, table(box=[[-5.0, -3, 330, 250]] * 8), counts)
    assert not +counts


# --- names -----------------------------------------------------------------------------------------------------------


def test_entries_that_belong_to_no_picture_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content, counts = coco(), Counter[str]()
    for image in content["images"][::2]:
        image["file_name"] = image["file_name"].upper()
    found = read_json(tmp_path, content, counts)
    assert len(found) == 4
    assert counts["of_no_frame"] == 4
    assert "4 boxes belong to no frame; the file has DRIVE/IMAGES/0.PNG" in caplog.text


@pytest.mark.parametrize("as_id", [str, float])
def test_ids_are_the_same_as_text_and_as_numbers(tmp_path: Path, as_id: Any) -> None:
    content = coco()
    for annotation in content["annotations"][::2]:
        annotation["image_id"] = as_id(annotation["image_id"])
        annotation["category_id"] = as_id(annotation["category_id"])
    assert good(read_json(tmp_path, content))


@pytest.mark.parametrize("prefix", ["/data/recordings/", "./", "C:\\data\\"])
def test_longer_paths_of_the_same_pictures_are_read(tmp_path: Path, prefix: str) -> None:
    content = coco()
    for image in content["images"]:
        image["file_name"] = prefix + image["file_name"].replace("/", "\\" if "\\" in prefix else "/")
    assert good(read_json(tmp_path, content))


def test_a_shard_whose_pictures_have_no_box_is_no_error(tmp_path: Path) -> None:
    others = {f"g{i}" for i in range(8)}
    pq.write_table(pa.table(table(image_path=sorted(others))), tmp_path / "b.parquet")
    counts: Counter[str] = Counter()
    assert read(tmp_path / "b.parquet", counts, known=others) == {}
    assert counts["of_no_frame"] == 0
    with pytest.raises(InputError, match=r"no box in it belongs to a frame .*; the file has g0, g1, g2"):
        read(tmp_path / "b.parquet")


def test_pictures_of_two_recordings_do_not_mean_one_frame(tmp_path: Path) -> None:
    content = coco()
    for number, image in enumerate(content["images"]):
        image["file_name"] = f"/data/{'ab'[number % 2]}/{FRAMES_OF[f'f{number // 2}']}"
    said = r"“data/a/drive/images/0.png” and “data/b/drive/images/0.png” both end in drive/images/0.png"
    with pytest.raises(InputError, match=said):
        read_json(tmp_path, content)
    with pytest.raises(InputError, match=said):
        read_parquet(tmp_path, table(image_path=[image["file_name"] for image in content["images"]]))


@pytest.mark.parametrize(
    ("which", "row", "said"),
    [
        (
            "images",
            {"id": "0", "file_name": "drive/images/5.png"},
            "images has the id 0 twice, for “drive",
        ),
        ("images", {"id": 0, "file_name": "drive/images/0.png", "width": 160}, "images has the id 0 twice"),
        ("categories", {"id": 7.0, "name": "person"}, "categories has the id 7.0 twice, for “car” and for “person”"),
    ],
)
def test_an_id_of_two_things_is_refused(tmp_path: Path, which: str, row: dict[str, Any], said: str) -> None:
    content = coco()
    content[which].append(row)
    with pytest.raises(InputError, match=said):
        read_json(tmp_path, content)


def test_a_row_that_stands_twice_is_no_error(tmp_path: Path) -> None:
    content = coco()
    for which in ("images", "categories"):
        content[which].append(dict(content[which][0]))
    assert good(read_json(tmp_path, content))


# --- pictures of another size, crowds --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(160, 120), (640, 480), (213, 160)])
def test_boxes_of_resized_pictures_are_scaled_to_their_frames(
    tmp_path: Path, size: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    content, counts = coco(), Counter[str]()
    share = np.tile(np.array(size) / (320, 240), 2)
    for image, annotation in zip(content["images"], content["annotations"], strict=True):
        image.update(width=size[0], height=size[1])
        annotation["bbox"] = list(share * XYWH)
    assert good(read_json(tmp_path, content, counts))
    assert counts == Counter(scaled=8)
    assert "8 were drawn in pictures of another size" in caplog.text


@pytest.mark.parametrize("size", [(240, 320), (320, 320), (640, 640), (320, 200)])
def test_pictures_of_another_shape_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    content = coco()
    content["images"][3].update(width=size[0], height=size[1])
    with pytest.raises(
        InputError, match=rf"3.png is of {size[0]} x {size[1]} pixels there, but its frame of 320 x 240"
    ):
        read_json(tmp_path, content)


@pytest.mark.parametrize("size", [(0, 0), (None, 240), ("320", "240"), (320.0, 240)])
def test_sizes_that_say_nothing_do_no_harm(tmp_path: Path, size: tuple[Any, Any]) -> None:
    content, counts = coco(), Counter[str]()
    for image in content["images"]:
        image.update(width=size[0], height=size[1])
    assert good(read_json(tmp_path, content, counts))
    assert not +counts


@pytest.mark.parametrize("mark", ["iscrowd", "ignore"])
def test_crowds_are_left_out_and_counted(tmp_path: Path, mark: str, caplog: pytest.LogCaptureFixture) -> None:
    content, counts = coco(), Counter[str]()
    for annotation in content["annotations"]:
        annotation[mark] = 0
    content["annotations"] += [a | {mark: 1, "bbox": [0, 0, 300, 200]} for a in content["annotations"][:3]]
    assert good(read_json(tmp_path, content, counts))
    assert counts == Counter(crowd_or_ignored=3)
    assert "3 are crowds or to be ignored" in caplog.text
    for annotation in content["annotations"]:
        annotation[mark] = 1
    if mark == "ignore":
        with pytest.raises(InputError, match="all of its 11 annotations are to be ignored"):
            read_json(tmp_path, content)
    else:  # as CVAT marks masks that were painted
        read_json(tmp_path, content, counts := Counter[str]())
        assert counts == Counter(crowd_as_thing=11)
        assert "11 are marked as crowds" in caplog.text


def test_the_path_itself_and_a_longer_one_are_one_picture(tmp_path: Path) -> None:
    content = coco()
    content["images"] += [{**image, "id": f"again {image['id']}", "file_name": f"data/rec/{image['file_name']}"}
                          for image in content["images"]]  # fmt: skip
    assert good(read_json(tmp_path, content))


def test_tables_that_were_joined_may_say_sizes_once(tmp_path: Path) -> None:
    content = coco()
    sized = [image | {"width": 320, "height": 240} for image in content["images"]]
    content["images"] = sized + [{key: image[key] for key in ("id", "file_name")} for image in content["images"]]
    assert good(read_json(tmp_path, content))


# --- scores ----------------------------------------------------------------------------------------------------------


def test_what_people_drew_has_no_score(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content, counts = coco(), Counter[str]()
    for annotation in content["annotations"]:
        del annotation["score"]
    assert good(read_json(tmp_path, content, counts), score=1)
    columns = table()
    del columns["score"]
    assert good(read_parquet(tmp_path, columns, counts), score=1)
    assert counts["without_score"] == 16
    assert "have no score: 1 is taken" in caplog.text


def test_a_score_that_some_lack_is_refused(tmp_path: Path) -> None:
    content = coco()
    del content["annotations"][3]["score"]
    with pytest.raises(InputError, match="annotation 3 has no score, but others have"):
        read_json(tmp_path, content)


@pytest.mark.parametrize("score", [87.0, -0.1, 1.0001, float("nan"), float("inf")])
def test_scores_are_from_0_to_1(tmp_path: Path, score: float) -> None:
    content = coco()
    content["annotations"][3]["score"] = score
    with pytest.raises(
        InputError, match=r"annotation 3: score (.* is not from 0 to 1; divide percents|is (inf|nan), not)"
    ):
        read_json(tmp_path, content)
    with pytest.raises(InputError, match=r"row 3(: score .* is not from 0 to 1|: column score is empty)"):
        read_parquet(tmp_path, table(score=[0.9] * 3 + [score] + [0.9] * 4))


@pytest.mark.parametrize("name", ["confidence", "conf", "prob"])
def test_a_score_of_another_name_is_taken_and_told(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    content, columns = coco(), table()
    for annotation in content["annotations"]:
        annotation[name] = annotation.pop("score")
    columns[name] = columns.pop("score")
    assert good(read_json(tmp_path, content))
    assert good(read_parquet(tmp_path, columns))
    assert caplog.text.count(f"has no score, so `{name}` is taken for it") == 2
    columns["score"] = [0.8] * 8
    assert good(read_parquet(tmp_path, columns), score=0.8)


def test_scores_off_by_rounding_are_good(tmp_path: Path) -> None:
    assert good(read_parquet(tmp_path, table(score=[1 + 5e-7] * 8)), score=1)


@pytest.mark.filterwarnings("error")
def test_a_box_beyond_all_measure_is_counted_without_a_word_of_numpy_s(tmp_path: Path) -> None:
    names = list(FRAMES_OF.values()) * 20
    boxes = [BOX] * 159 + [[-1e39, 0.0, 1e39, 10.0]]
    counts: Counter[str] = Counter()
    columns = {"image_path": names, "box": boxes, "label": ["car"] * 160, "score": [0.9] * 160}
    found = read_parquet(tmp_path, columns, counts)
    assert all(np.isfinite(f.boxes).all() for f in found.values())
    assert counts == Counter(beyond_the_picture=1)


# --- tables as pandas writes them ------------------------------------------------------------------------------------

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a score is missing": (table(score=[None] + [0.9] * 7), "row 0: column score is empty"),
    "a label is missing": (table(label=["car"] * 5 + [None] + ["car"] * 2), "row 5: column label is empty"),
    "a name is missing": (table(image_path=[*list(FRAMES_OF.values())[:7], None]), "row 7: column image_path is empty"),
    "labels are numbers": (table(label=[2] * 8), "column label holds int64, but has to hold names"),
    "labels are bytes": (table(label=[b"car"] * 8), "column label holds binary, but has to hold names"),
    "all labels are missing": (table(label=[None] * 8), "column label holds null, but has to hold names"),
    "scores are text": (table(score=["0.9"] * 8), "column score holds string, but has to hold numbers"),
    "six numbers a box": (table(box=[[*BOX, 0.9, 2]] * 8), r"row 0: column box is .*, not four numbers"),
    "no box": (table(box=[None] + [BOX] * 7), "row 0: column box is None, not four numbers"),
    "half a box": (table(box=[[1.0, None, 3, 4]] + [BOX] * 7), r"row 0: column box is \[1.0, None"),
    "boxes are text": (table(box=["1 2 3 4"] * 8), "column box holds string, but has to hold lists of four numbers"),
    "boxes of text": (table(box=[["1", "2", "3", "4"]] * 8), "column box holds list.*, but has to hold lists"),
    "an infinite box": (table(box=[[1.0, 2, float("inf"), 4]] + [BOX] * 7), "row 0: the box is not finite"),
    "frames are numbers": (
        {"frame_id": list(range(8)), **{k: table()[k] for k in ("box", "label", "score")}},
        "column frame_id holds int64, but has to hold text",
    ),
    "paths in a column of another name": (
        {"path": ["a"], "box": [BOX], "label": ["car"]},
        "needs frame_id or image_path",
    ),
}


@pytest.mark.parametrize(("columns", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_table_is_named(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        read_parquet(tmp_path, columns)
    assert "\n" not in str(error.value)


def test_what_pandas_writes_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame(table())
    frame["label"] = frame["label"].astype("category")
    frame["image_path"] = frame["image_path"].astype("category")
    frame["score"] = frame["score"].astype("float32")
    frame.index = frame.index + 100
    assert good(read_parquet(tmp_path, pa.Table.from_pandas(frame)))
    for column, name in enumerate(("x0", "y0", "x1", "y1")):
        frame[name] = int(BOX[column])
    assert good(read_parquet(tmp_path, pa.Table.from_pandas(frame.drop(columns="box"))))


WRONG_COCO: dict[str, tuple[Any, str]] = {
    "no annotations": (lambda c: c.pop("annotations"), "no list of annotations"),
    "annotations are no list": (lambda c: c.update(annotations={}), "no list of annotations"),
    "an annotation is a number": (lambda c: c["annotations"].__setitem__(2, 5), "annotation 2 is no object"),
    "no images": (lambda c: c.pop("images"), "no list of images"),
    "an image without a name": (
        lambda c: c["images"][1].pop("file_name"),
        "images, number 1, has no id or no file_name",
    ),
    "a name that is a list": (lambda c: c["images"][1].update(file_name=[]), "images, number 1"),
    "an id that is an object": (lambda c: c["images"][1].update(id={}), "images, number 1"),
    "text in a box": (lambda c: c["annotations"][0].update(bbox=["1", 2, 3, 4]), "annotation 0: bbox is"),
    "a box of three": (lambda c: c["annotations"][0].update(bbox=[1, 2, 3]), "annotation 0: bbox is"),
    "a huge number": (lambda c: c["annotations"][0].update(bbox=[10**400, 2, 3, 4]), "annotation 0: bbox is"),
    "a score of text": (lambda c: c["annotations"][0].update(score="0.9"), "annotation 0: score is '0.9'"),
    "no category": (lambda c: c["annotations"][0].pop("category_id"), "annotation 0: category is None"),
    "a category of no table": (lambda c: c["annotations"][0].update(category_id=99), "number that no table explains"),
    "no image": (lambda c: c["annotations"][0].pop("image_id"), "annotation 0: image_id is None"),
}


@pytest.mark.parametrize(("change", "said"), WRONG_COCO.values(), ids=WRONG_COCO)
def test_what_is_wrong_in_coco_json_is_named(tmp_path: Path, change: Any, said: str) -> None:
    content = coco()
    change(content)
    with pytest.raises(InputError, match=said):
        read_json(tmp_path, content)


@pytest.mark.parametrize("content", [None, 5, "boxes", [1], [[]], {"images": {}}])
def test_json_of_something_else_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError, match=r"b\.json: not COCO-style JSON"):
        read_json(tmp_path, content)


def test_damaged_tables_are_one_error(tmp_path: Path) -> None:
    path, rng, refused = tmp_path / "b.parquet", np.random.default_rng(0), 0
    pq.write_table(pa.table(table()), path)
    whole = path.read_bytes()
    for trial in range(30):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 1 + trial % 9):
            data[at] = rng.integers(0, 256)
        path.write_bytes(data)
        try:
            read(path)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > 5


# --- the stage -------------------------------------------------------------------------------------------------------


def test_the_stage_tells_what_was_wrong_with_the_boxes(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    for shard in range(2):
        rows = [
            {
                "frame_id": f"f{4 * shard + i}", "scene": "s", "sample": "s", "camera": "c", "timestamp_us": None,
                "image_path": FRAMES_OF[f"f{4 * shard + i}"], "width": 320, "height": 240, "K": [1.0] * 9,
                "T_cam_from_points": [0.0] * 16, "clouds": [],
            }
            for i in range(4)
        ]  # fmt: skip
        write_table(folder / f"train-{shard:03d}of002.parquet", rows, FRAMES, {"kind": "frames"})
    content = coco()
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] < 4]
    content["images"][2]["file_name"] = "elsewhere/x.png"
    (tmp_path / "b.json").write_text(json.dumps(content))
    (tmp_path / "v.txt").write_text("car\nperson\n")
    settings = DetectSettings(kind="stored", boxes=tmp_path / "b.json", vocabulary=tmp_path / "v.txt")
    for shard, kept in ((0, 3), (1, 0)):
        out = tmp_path / f"{shard}.parquet"
        run(folder / f"train-{shard:03d}of002.parquet", tmp_path, out, settings)
        assert read_table(out).num_rows == kept
        assert read_header(out)["detector"]["stored"]["of_no_frame"] == 1
