"""Small valid files of each reader, made by the writers of the tests and of the built-in world."""

import io
import json
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pyarrow as pa
import torch
from conftest import REPOSITORY
from fuzz_readers import CALIBRATION
from pyarrow import feather
from safetensors.torch import save
from scipy.io import savemat
from test_clouds import las, npy, npz, pcd, ply, rows_of
from test_scannet import sens_bytes
from tiny_nuscenes import make_tables

from clip2.store.atomic import write_sealed
from clip2.store.ragged import ragged_writer, write_array
from clip2.store.schemas import DETECTIONS
from clip2.store.tables import write_table
from clip2_world.rooms.sunrgbd_writer import METADATA, SPLITS
from clip2_world.rooms.sunrgbd_writer import write_tables as write_sunrgbd


def seeds() -> dict[str, list[bytes]]:
    """Reader (tests/fuzz_readers.py) → small files that it reads."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            "boxes": [*_boxes(folder), json.dumps(_coco()).encode()],
            "checkpoint": [_torch({"step": 3, "digest": "dig"}), save({"weight": torch.zeros(2, 3)}, {"clip2": "{}"})],
            "clouds": [*_clouds(), _mat({"instance": rng.normal(size=(30, 6))})],
            "depth": [
                _png(rng.integers(0, 5000, (72, 96)).astype(np.uint16)),
                _png(np.zeros((72, 96, 3), np.uint8)),
                _jpg(),
            ],
            "folder": [json.dumps(CALIBRATION).encode(), json.dumps([_label()]).encode(), b"a\nb\n"],
            "hdf5": list(_hdf5(folder)),
            "meshjson": [
                b'{"segIndices": [0, 0, 1, 1, 2, 2]}',
                b'{"segGroups": [{"objectId": 0, "label": "chair", "segments": [0, 1]}]}',
                b"axisAlignment = 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1\n",
                b"id\traw_category\tcategory\tcount\tnyu40id\n1\tchair\tchair\t9\t5\n",
            ],
            "model": [json.dumps(_model()).encode()],
            "nuscenes": [json.dumps(table).encode() for table in make_tables().values()],
            "rows": [json.dumps(table).encode() for table in make_tables().values()],
            "once": [json.dumps(_once()).encode()],
            "parquet": list(_boxes(folder)),
            "ply": [ply(rows_of(4, 20), form) for form in ("ascii", "binary_little_endian", "binary_big_endian")],
            "results": [_sealed(folder)],
            "sens": [sens_bytes([(_jpg(), zlib.compress(bytes(2 * 96 * 72)))] * 2, sizes=(96, 72, 96, 72))],
            "sunmat": [*_sunrgbd(folder), _mat({"instance": rng.normal(size=(30, 6))})],
            "texts": [b"car\nbus, van\n", b'{"names": ["car"]}', "Stra\u00dfe\r\n".encode("utf-16")],
        }


def _png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])


def _jpg() -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((72, 96, 3), 90, np.uint8))[1])


def _torch(value: Any) -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def _mat(variables: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    savemat(out, variables, do_compression=True)
    return out.getvalue()


def _boxes(folder: Path) -> Iterator[bytes]:
    rows = [{"frame_id": f"f{i}", "box": [1.0, 2, 30, 40], "label": "car", "score": 0.5} for i in (1, 2)]
    write_table(folder / "b.parquet", rows, DETECTIONS, {"kind": "detections"})
    yield (folder / "b.parquet").read_bytes()


def _coco() -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "images/1.jpg", "width": 320, "height": 240}],
        "annotations": [{"image_id": 1, "bbox": [1, 2, 30, 40], "category_id": 1, "score": 0.5}],
        "categories": [{"id": 1, "name": "car"}],
    }


def _feather(rows: np.ndarray) -> bytes:
    """A sweep of Argoverse 2."""
    out = io.BytesIO()
    columns = {name: rows[:, i].astype(np.float16) for i, name in enumerate("xyz")}
    feather.write_feather(pa.table(columns | {"intensity": np.zeros(len(rows), np.uint8)}), out)
    return out.getvalue()


def _clouds() -> list[bytes]:
    rows = rows_of(4, 40)
    forms = [pcd(rows, form) for form in ("ascii", "binary", "binary_compressed")]
    return [
        rows.astype("<f4").tobytes(),
        rows_of(5, 40).astype("<f4").tobytes(),
        npy(rows),
        npz(rows),
        las(rows),
        _feather(rows),
        *forms,
        ply(rows, "ascii"),
    ]


def _label() -> dict[str, Any]:
    return {"name": "car", "center": [1, 2, 3], "size_lwh": [4, 2, 1.5], "yaw": 0.1}


def _hdf5(folder: Path) -> Iterator[bytes]:
    with ragged_writer(folder / "points.h5") as points:
        points.append(np.zeros((5, 4), np.float32))
        points.append(np.ones((3, 4), np.float32))
        points.header = {"kind": "triplets"}
    yield (folder / "points.h5").read_bytes()
    with h5py.File(folder / "embeddings.h5", "w") as file:
        write_array(file, "image", np.zeros((4, 8), np.float16), rows=1024)
        write_array(file, "text", np.ones((2, 8), np.float16))
        write_array(file, "label_index", np.zeros(4, np.int32))
        file.attrs["clip2"] = json.dumps({"kind": "embeddings", "labels": ["car", "bus"], "teacher": {"model": "m"}})
    yield (folder / "embeddings.h5").read_bytes()
    with h5py.File(folder / "objects.h5", "w") as file:
        file["data"], file["label"] = np.zeros((2, 16, 3), np.float32), np.zeros(2, np.int64)
    yield (folder / "objects.h5").read_bytes()


def _model() -> dict[str, Any]:
    level = {"centroids": 8, "neighbours": 4, "radius": 0.4, "widths": [8, 16]}
    encoder = {"dim": 128, "n_points": 32, "levels": [level], "global_widths": [16, 32], "head_width": 32}
    teacher = {"model": str(REPOSITORY / "resources/models/tiny_clip"), "pretrained": None}
    return {
        "format": 1,
        "encoder": encoder,
        "teacher": teacher,
        "templates": ["a {}"],
        "logit_scale": 14.2,
        "labels": ["car"],
    }


def _once() -> dict[str, Any]:
    camera = {
        "cam_to_velo": np.eye(4).tolist(),
        "cam_intrinsic": [[30, 0, 16], [0, 30, 12], [0, 0, 1]],
        "distortion": [0.0] * 8,
    }
    annos = {"names": ["Car"], "boxes_3d": [[1.0, 2, 0, 4, 2, 1.5, 0.1]], "boxes_2d": {"cam01": [[1, 2, 3, 4]]}}
    frames = [
        {"sequence_id": "000001", "frame_id": frame, "pose": [0, 0, 0, 1, 0, 0, 0], "annos": annos}
        for frame in ("1", "2")
    ]
    return {"meta_info": {"weather": "sunny"}, "calib": {"cam01": camera}, "frames": frames}


def _sealed(folder: Path) -> bytes:
    write_sealed(folder / "r.json", {"dataset": "nuscenes", "n_objects": 1, "methods": {"clip2": {"top1": 0.5}}})
    return (folder / "r.json").read_bytes()


def _sunrgbd(folder: Path) -> Iterator[bytes]:
    box = {
        "basis": np.eye(3),
        "coeffs": [1, 1, 1],
        "centroid": [1, 2, 0],
        "classname": "chair",
        "orientation": [1, 0, 0],
    }
    record = {
        "name": "SUNRGBD/kv2/made/000001",
        "rgbname": "0000001.jpg",
        "depthname": "0000001.png",
        **{key: np.eye(3).tolist() for key in ("K", "Rtilt", "extrinsics")},
        "boxes": [box | {"fine_name": "chair"}],
    }
    write_sunrgbd(folder, [record], [record["name"]], [record["name"]])
    for path in (METADATA, SPLITS):
        yield (folder / path).read_bytes()
