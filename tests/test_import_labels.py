"""`clip2 import-labels`: what was exported, and what people corrected of it, as a folder's labels."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_world import Labelled, folder_labels, world_as_folder
from scipy.spatial.transform import Rotation
from tiny_nuscenes import make_tables, write_tables

from clip2.export import read_kitti, read_nuscenes, read_sustechpoints
from clip2.export.corrected import import_labels
from clip2.export.index import read_index
from clip2.export.kitti import calibration, label_line
from clip2.export.settings import ExportSettings
from clip2.export.stage import export_labels
from clip2.export.views import View
from clip2.geometry import rigid, yaw_rotation
from clip2.runtime.errors import InputError
from clip2.store.tables import iterate_rows

Row = dict[str, Any]
FORMATS = ("kitti", "nuscenes-tables", "sustechpoints")


@pytest.fixture(scope="module", params=[("z", "m"), ("-y", "mm")], ids=["as they are", "other axes and units"])
def folder(labelled_world: Labelled, request: pytest.FixtureRequest, tmp_path_factory: Any) -> Labelled:
    """The street as a folder of recordings."""
    return world_as_folder(labelled_world, tmp_path_factory.mktemp("folder"), *request.param)


def export(format: str, made: Labelled, out: Path) -> Row:
    return export_labels(format, made.labels, [made.frames], made.root, out, ExportSettings())


def without_labels(made: Labelled, to: Path) -> Path:
    shutil.copytree(made.root, to, ignore=shutil.ignore_patterns("labels"))
    return to


def annotations(made: Labelled) -> list[Row]:
    return list(iterate_rows(made.annotations))


@pytest.mark.parametrize("format", FORMATS)
def test_export_and_import_give_the_same_labels(folder: Labelled, tmp_path: Path, format: str) -> None:
    header = export(format, folder, tmp_path / "out")
    root = without_labels(folder, tmp_path / "copy")
    n, samples = import_labels(format, tmp_path / "out", root)
    assert samples == 3
    before, after = annotations(folder), annotations(folder_labels(root, tmp_path / "again"))
    left_out = header["counts"].get("left_out_in_no_picture", 0)
    assert n == len(after) == len(before) - left_out
    assert len(after) > 30
    assert (left_out > 0) == (format == "kitti")  # two cameras do not see all around
    places = {row["sample"]: [] for row in before}
    for row in before:
        places[row["sample"]].append(row)
    for row in after:
        T = np.reshape(row["T_points_from_box"], (4, 4))
        same = [
            other
            for other in places[row["sample"]]
            if np.abs(np.reshape(other["T_points_from_box"], (4, 4)) - T).max() < 1e-5
        ]
        assert len(same) == 1
        assert row["class_name"] == same[0]["class_name"]
        np.testing.assert_allclose(row["size_lwh"], same[0]["size_lwh"], atol=1e-5)


def test_a_correction_in_sustechpoints_arrives(folder: Labelled, tmp_path: Path) -> None:
    export("sustechpoints", folder, tmp_path / "out")
    name, entry = next(iter(read_index(tmp_path / "out").items()))
    path = tmp_path / "out" / "data" / name.split("/")[0] / "label" / f"{name.split('/')[1]}.json"
    boxes = json.loads(path.read_text())
    boxes[0]["obj_type"] = "FireHydrant"
    boxes[0]["psr"]["position"]["x"] += 1.5
    boxes[0]["psr"]["rotation"]["z"] = 0.25
    path.write_text(json.dumps({"scene": "street", "objs": boxes[:1]}))  # as newer releases of the tool write
    root = without_labels(folder, tmp_path / "copy")
    import_labels("sustechpoints", tmp_path / "out", root)
    (row,) = [row for row in annotations(folder_labels(root, tmp_path / "again")) if row["sample"] == entry.sample]
    assert row["class_name"] == "fire_hydrant"
    T = np.reshape(row["T_points_from_box"], (4, 4))
    assert T[0, 3] == pytest.approx(boxes[0]["psr"]["position"]["x"])
    assert np.arctan2(T[1, 0], T[0, 0]) == pytest.approx(0.25)


def test_a_thing_in_two_cameras_files_is_taken_from_the_one_that_shows_more_of_it(
    labelled_world: Labelled, folder: Labelled, tmp_path: Path
) -> None:
    export("kitti", folder, tmp_path / "out")
    labels = tmp_path / "out" / "training" / "label_2"
    of_sample: dict[str, list[tuple[Path, int, list[str]]]] = {}
    for name, entry in read_index(tmp_path / "out").items():
        for number, line in enumerate((labels / f"{name}.txt").read_text().splitlines()):
            of_sample.setdefault(entry.sample, []).append((labels / f"{name}.txt", number, line.split()))
    twice = [
        (sample, one, other)
        for sample, lines in of_sample.items()
        for one in lines
        for other in lines
        if one[0] != other[0] and one[2][8:11] == other[2][8:11] and float(one[2][1]) < float(other[2][1])
    ]
    assert twice
    sample, (path, number, fields), _ = twice[0]
    lines = path.read_text().splitlines()
    lines[number] = " ".join(["Tram", *fields[1:8], f"{float(fields[8]) + 0.25}", *fields[9:]])
    path.write_text("\n".join(lines) + "\n")
    before = len(annotations(folder))
    root = without_labels(folder, tmp_path / "copy")
    import_labels("kitti", tmp_path / "out", root)
    after = annotations(folder_labels(root, tmp_path / "again"))
    (tram,) = [row for row in after if row["class_name"] == "tram"]
    assert tram["sample"] == sample
    assert tram["size_lwh"][2] == pytest.approx(float(fields[8]) + 0.25, abs=1e-5)
    assert len(after) < before


def test_what_cannot_be_is_refused(folder: Labelled, tmp_path: Path) -> None:
    export("kitti", folder, tmp_path / "out")
    with pytest.raises(InputError, match=r"labels/0000\.json: is there, as 2 others; --replace"):
        import_labels("kitti", tmp_path / "out", folder.root)
    root = without_labels(folder, tmp_path / "copy")
    (root / "street" / "clouds" / "0001.bin").unlink()
    with pytest.raises(InputError, match=r"has labels of sample 'street/0001', which .*copy does not have"):
        import_labels("kitti", tmp_path / "out", root)
    assert not (root / "street" / "labels").exists(), "nothing by halves"
    for format, message in zip(FORMATS, ("no label file", "holds 0 versions", "no SCENE/label"), strict=True):
        with pytest.raises(InputError, match=message):
            import_labels(format, tmp_path / "copy", root)
    label = tmp_path / "out" / "training" / "label_2" / "000000.txt"
    label.write_text(label.read_text() + "Car 0 0\n")
    with pytest.raises(InputError, match=r"000000\.txt: line \d+ is not 15 or 16 fields"):
        import_labels("kitti", tmp_path / "out", root)


@pytest.mark.parametrize("tilt", [0, 20, -35])
def test_yaw_survives_a_tilted_camera(tmp_path: Path, tilt: float) -> None:
    """KITTI knows an angle about the camera's y axis only; of an upright thing that is enough."""
    upright = np.array([[0, -1.0, 0], [0, 0, -1], [1, 0, 0]])
    R = Rotation.from_euler("xz", [tilt, tilt / 3], degrees=True).as_matrix() @ upright
    frame = {"T_cam_from_points": rigid(R, [0.1, 0.2, 0.3]).ravel(), "K": [700, 0, 600, 0, 700, 180, 0, 0, 1.0]}
    yaws = np.linspace(-3.1, 3.1, 23)
    lines = []
    for yaw in yaws:
        T = rigid(yaw_rotation(yaw), [12.0, 3.0, -0.5])
        row = {"T_points_from_box": T.ravel(), "size_lwh": [4.0, 1.8, 1.5], "label": "delivery robot", "score": 0.5}
        lines.append(label_line(row, frame["T_cam_from_points"], View(np.zeros(4), 1.0)))
    for folder, content in (("label_2", "".join(lines)), ("calib", calibration(frame, 0))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "000000.txt").write_text(content)
    ((sample, boxes),) = read_kitti.read(tmp_path, Counter())
    assert sample == "000000"
    assert {box.name for box in boxes} == {"delivery robot"}
    found = np.array([box.box for box in boxes])
    np.testing.assert_allclose(found[:, :6], [[12, 3, -0.5, 4, 1.8, 1.5]] * len(yaws), atol=2e-6)
    np.testing.assert_allclose(found[:, 6], yaws, atol=5e-6)


@pytest.mark.real
def test_kittis_own_labels_are_read(realdata: Path) -> None:
    """Against boxes in the velodyne's frame that were worked out from the same files elsewhere."""
    content = json.loads((realdata / "frames.json").read_text())["frames"]
    expected = {Path(frame["cloud"]["path"]).stem: frame["boxes"] for frame in content if frame["set"] == "kitti"}
    found = dict(read_kitti.read(realdata / "kitti", Counter()))
    assert found.keys() == expected.keys()
    checked = 0
    for sample, boxes in expected.items():
        centres = np.array([one.box[:3] for one in found[sample]]).reshape(-1, 3)
        for box in boxes:
            one = found[sample][int(np.linalg.norm(centres - box["center"], axis=1).argmin())]
            np.testing.assert_allclose(one.box[:3], box["center"], atol=0.02)  # ours stand upright, theirs lean 0.8°
            np.testing.assert_allclose(one.box[3:6], box["size_lwh"], atol=1e-6)
            turned = one.box[6] - np.arctan2(box["R"][1][0], box["R"][0][0])
            assert abs(np.sin(turned)) < 0.01
            assert np.cos(turned) > 0
            assert one.name == box["class"].lower().replace("_", " ")
            checked += 1
    assert checked > 15


# --- files that people and other tools wrote -------------------------------------------------------------------------

CALIB = "R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n"
CAR = "Car 0 0 0 100 100 200 200 1.6 1.8 4.0 0.0 1.7 10.0 -1.5\n"
SEEN_ONLY = "Van -1 -1 -10 100 100 200 200 -1 -1 -1 -1000 -1000 -1000 -10\n"


def kitti(folder: Path, label: bytes, calib: bytes = CALIB.encode()) -> tuple[list[str], Counter[str]]:
    """Names of the boxes in one file, and what was left out."""
    for name, content in (("label_2", label), ("calib", calib)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "0.txt").write_bytes(content)
    left_out: Counter[str] = Counter()
    ((_, boxes),) = read_kitti.read(folder, left_out)
    return [box.name for box in boxes], left_out


@pytest.mark.parametrize(
    ("label", "names", "left_out"),
    [
        (CAR + "\n" + CAR.replace("Car", "Van") + "\n", ["car", "van"], {}),
        (CAR + SEEN_ONLY + SEEN_ONLY.replace("Van", "DontCare"), ["car"], {"without a size": 1, "DontCare": 1}),
        (CAR.replace("1.6 1.8 4.0", "0 0 0"), [], {"without a size": 1}),
        (CAR.replace("Car", "_"), [], {"without a name": 1}),
    ],
    ids=["blank line", "seen in the picture only", "no size", "no name"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_kitti_what_is_no_box_is_counted(
    tmp_path: Path, label: str, names: list[str], left_out: dict[str, int], encoding: str
) -> None:
    assert kitti(tmp_path, label.encode(encoding)) == (names, left_out)


@pytest.mark.parametrize(
    ("label", "calib", "message"),
    [
        (CAR.replace(" -1.5", " -90"), CALIB, r"label_2/0\.txt: line 1: -90 is more than two full turns in radians"),
        (CAR.replace("10.0", "nan"), CALIB, "line 1: a number is not finite"),
        (CAR.replace("4.0", "inf"), CALIB, "line 1: a number is not finite"),
        (CAR.replace("Car", "Stra\xdfe"), CALIB, "0.txt: not a readable UTF-8 text file"),
        (CAR, CALIB.replace("0 -1 0 0 0 0 -1 0 1", "0 -2 0 0 0 0 -2 0 2"), r"calib/0\.txt: Tr_velo_to_cam is no rot"),
        (CAR, CALIB.replace("R0_rect: 1 0 0 0 1 0 0 0 1", "R0_rect: 0 0 0 0 0 0 0 0 0"), "R0_rect is no rotation"),
        (CAR, CALIB.replace("cam: 0 -1", "cam: nan -1"), "Tr_velo_to_cam is no rotation"),
        (CAR, CALIB.replace("0 -1 0 0 0 0 -1 0 1 0 0 0", "1 0 0 0 0 1 0 0 0 0 1 0"), "camera's up is far from"),
    ],
    ids=["degrees", "nan", "inf", "latin-1", "scaled", "zeros", "nan in calib", "identity"],
)
def test_kitti_what_cannot_be_is_refused(tmp_path: Path, label: str, calib: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        kitti(tmp_path, label.encode("latin-1"), calib.encode())


def sustech(**changes: Any) -> Row:
    """A box as SUSTechPOINTS writes it; ``position_x=1`` changes a number of its place."""
    psr = {key: dict.fromkeys("xyz", 1.0) for key in ("position", "rotation", "scale")}
    for key, value in changes.items():
        if "_" in key and key != "obj_type":
            psr[key[:-2]][key[-1]] = value
    return {"obj_id": "1", "obj_type": changes.get("obj_type", "Car"), "psr": psr}


def read_sustech(folder: Path, content: bytes) -> tuple[list[str], Counter[str]]:
    path = folder / "street" / "label" / "0.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    left_out: Counter[str] = Counter()
    ((_, boxes),) = read_sustechpoints.read(folder, left_out)
    return [box.name for box in boxes], left_out


def test_sustechpoints_what_is_no_box_is_counted(tmp_path: Path) -> None:
    rows = [sustech(), sustech(scale_x=-4), sustech(scale_z=0), sustech(obj_type=""), sustech(obj_type=None)]
    for encoding in ("utf-8-sig", "utf-16"):
        found = read_sustech(tmp_path / encoding, json.dumps(rows).encode(encoding))
        assert found == (["car"], {"without a size": 2, "without a name": 2})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps([sustech(), sustech(rotation_z=90)]), "0.json: box 1: 90 is more than two full turns in radians"),
        (json.dumps([sustech(position_x=float("nan"))]), "box 0: a number is not finite"),
        (json.dumps([sustech(position_x=1e300)]), "box 0: a number is not finite, or too large"),
        (json.dumps([{}]), "box 0 is not one of SUSTechPOINTS'"),
        (json.dumps({"objs": None}), "not a list of SUSTechPOINTS' boxes"),
        ("[" * 100_000, "0.json: not JSON"),
        (json.dumps([sustech(obj_type="\ud800")]), "half a character"),
        ("<html>", "is a web page"),
    ],
    ids=["degrees", "nan", "huge", "no box", "no list", "deep", "half a character", "page"],
)
def test_sustechpoints_what_cannot_be_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_sustech(tmp_path, content.encode())


def test_two_files_of_one_sample_and_boxes_twice(folder: Labelled, tmp_path: Path, caplog: Any) -> None:
    export("sustechpoints", folder, tmp_path / "out")
    labels = sorted((tmp_path / "out" / "data").glob("*/label/*.json"))
    rows = json.loads(labels[0].read_text())
    labels[0].write_text(json.dumps(rows + rows[:2]))
    root = without_labels(folder, tmp_path / "copy")
    n, _ = import_labels("sustechpoints", tmp_path / "out", root)
    assert n == len(annotations(folder))
    assert "left out: 2 that repeat another" in caplog.text
    (tmp_path / "out" / "index.csv").unlink()
    stranger = tmp_path / "out" / "data" / "elsewhere" / "label" / "0000.json"
    stranger.parent.mkdir(parents=True)
    stranger.write_text(labels[0].read_text())
    labels[0].rename(labels[0].with_name("0000.json"))
    for path in labels[1:]:
        path.unlink()
    with pytest.raises(InputError, match=r"has two files of labels of sample '0000'; keep one"):
        import_labels("sustechpoints", tmp_path / "out", root / "street")


def test_links_that_lead_nowhere_are_refused(folder: Labelled, tmp_path: Path) -> None:
    (tmp_path / "calib").mkdir()
    (tmp_path / "calib" / "0000.txt").write_text(CALIB)
    for format, path in (("kitti", "label_2/0000.txt"), ("sustechpoints", "street/label/0000.json")):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).symlink_to("nowhere")
        with pytest.raises(InputError, match=rf"{path}: is a link to nowhere"):
            import_labels(format, tmp_path, folder.root, replace=True)


def test_nuscenes_what_is_no_box_is_counted(tmp_path: Path) -> None:
    tables = make_tables()
    for row in tables["sample_annotation"]:
        row["size"] = [-1, -1, -1]
    write_tables(tmp_path, tables)
    left_out: Counter[str] = Counter()
    assert not any(boxes for _, boxes in read_nuscenes.read(tmp_path, left_out))
    assert left_out == {"without a size": len(tables["sample_annotation"])}
