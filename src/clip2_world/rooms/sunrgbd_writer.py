"""Writer of the official SUN RGB-D layout: pictures of built-in rooms with their metadata, as the release has them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from clip2.geometry import invert, oriented_box_corners, rigid, transform_points
from clip2.store.atomic import atomic_path
from clip2_world.rgbd import RgbdFrame, RoomObject

Array = NDArray[np.float64]
Record = dict[str, Any]

PATH_PREFIX = "/n/fs/sun3d/data/"
"""What the release's metadata puts before every path: a folder of its authors."""
FOLDER = "SUNRGBD/kv2/built_in"
METADATA, SPLITS = "SUNRGBDMeta3DBB_v2.mat", "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat"
DEPTH_FROM_CAM = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Camera (x right, y down, z forward) → the toolbox's depth axes (x right, y forward, z up)."""
MIN_PIXELS, MIN_SHARE = 150, 0.1
"""An object is annotated when it has so many pixels, and so large a share of those that its box would cover."""
NEAREST = 0.1
"""Metres; corners nearer than this are projected from here, which makes the box large and its visible share small."""
JPEG_QUALITY = 92
HEADER = b"MATLAB 5.0 MAT-file, written for the built-in world".ljust(116)


def write_frame(root: Path, index: int, frame: RgbdFrame, objects: Sequence[RoomObject]) -> Record:
    """Write one frame's folder.

    Args:
        root: data root.
        index: number of the frame, unique in the data set.
        frame: must not look straight up or down: the upright frame's y axis is where the camera looks.
        objects: all of the room's; those that are seen well enough become boxes.

    Returns:
        What :func:`write_tables` needs of it, ready for JSON.
    """
    name, stem = f"{FOLDER}/{index:06d}", f"{index:07d}"
    folder = root / name
    tilt, T_up_from_room = _upright(frame.T_room_from_cam)
    boxes = [_box(objects[number], T_up_from_room) for number in _seen(frame, objects)]
    depth = _png(encode_depth(frame.depth))
    _write(folder / "image" / f"{stem}.jpg", _jpeg(frame.image))
    _write(folder / "depth" / f"{stem}.png", depth)
    _write(folder / "depth_bfx" / f"{stem}.png", depth)
    _write(folder / "intrinsics.txt", " ".join(f"{value:.6f}" for value in frame.K.ravel()) + "\n")
    extrinsics = "\n".join(" ".join(f"{value:.6f}" for value in [*row, 0.0]) for row in tilt)
    _write(folder / "extrinsics" / "20000101000000.txt", extrinsics + "\n")
    _write(folder / "scene.txt", "built-in room")
    polygons = {"objects": [{"name": box["classname"], "polygon": [_polygon(box)]} for box in boxes]}
    _write(folder / "annotation3Dfinal" / "index.json", json.dumps(polygons))
    return {
        "name": name,
        "rgbname": f"{stem}.jpg",
        "depthname": f"{stem}.png",
        "K": frame.K.tolist(),
        "extrinsics": tilt.tolist(),
        "Rtilt": (DEPTH_FROM_CAM @ tilt @ DEPTH_FROM_CAM.T).tolist(),
        "boxes": boxes,
    }


def write_tables(root: Path, records: Sequence[Mapping[str, Any]], train: Sequence[str], val: Sequence[str]) -> None:
    """Write the metadata and the splits; the metadata, which comes last, makes the data set complete.

    Args:
        records: from :func:`write_frame`, in the order of the metadata.
        train, val: names of their frames (``record["name"]``).
    """
    half = len(train) // 2
    cells = {key: _cells([PATH_PREFIX + name for name in names]) for key, names in (("train", train), ("val", val))}
    halves = {"train": cells["train"][:, :half], "val": cells["train"][:, half:]}
    _save_mat(root / SPLITS, {"alltrain": cells["train"], "alltest": cells["val"], "trainvalsplit": halves})
    _save_mat(root / METADATA, {"SUNRGBDMeta": _structs([_metadata(record) for record in records])})


def encode_depth(metres: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Depth as the release stores it: millimetres, the 16 bits rotated left by three."""
    millimetres = np.rint(np.clip(metres, 0, 65.535) * 1000.0).astype(np.uint16)
    return (millimetres << np.uint16(3)) | (millimetres >> np.uint16(13))


def _upright(T_room_from_cam: Array) -> tuple[Array, Array]:
    """The camera's rotation (3, 3) to the *upright camera* axes (x right, y down, z forward), as the release's
    extrinsics have it, and the room's transform to the upright depth frame (origin at the camera, y where it looks)."""
    rotation = np.asarray(T_room_from_cam, np.float64)[:3, :3]
    forward = np.array([rotation[0, 2], rotation[1, 2], 0.0])
    forward /= np.linalg.norm(forward)
    right = np.array([forward[1], -forward[0], 0.0])
    up_from_room = np.stack([right, forward, [0.0, 0.0, 1.0]])
    T_up_from_room = rigid(up_from_room, -up_from_room @ np.asarray(T_room_from_cam)[:3, 3])
    return DEPTH_FROM_CAM.T @ up_from_room @ rotation, T_up_from_room


def _seen(frame: RgbdFrame, objects: Sequence[RoomObject]) -> list[int]:
    """Numbers of the objects that a human would annotate in this picture."""
    pixels = np.bincount(frame.owners[frame.owners >= 0].ravel(), minlength=len(objects))
    return [
        number
        for number, item in enumerate(objects)
        if pixels[number] >= MIN_PIXELS and pixels[number] >= MIN_SHARE * _covered(frame, item)
    ]


def _covered(frame: RgbdFrame, item: RoomObject) -> float:
    """Pixels that an object's box covers on an image plane without borders."""
    corners = oriented_box_corners(item.T_room_from_box, item.size_lwh)
    cam = transform_points(corners, invert(frame.T_room_from_cam))
    uv = (cam @ np.asarray(frame.K).T)[:, :2] / np.maximum(cam[:, 2:], NEAREST)
    return float(cv2.contourArea(cv2.convexHull(uv.astype(np.float32))))


def _box(item: RoomObject, T_up_from_room: Array) -> Record:
    """A ``groundtruth3DBB`` entry. As in the release, the second axis is the length, away from where it faces."""
    T = T_up_from_room @ np.asarray(item.T_room_from_box, np.float64)
    length, width, height = np.asarray(item.size_lwh, np.float64)
    x, y, z = T[:3, :3].T
    return {
        "basis": np.stack([y, -x, z]).tolist(),
        "coeffs": [width / 2, length / 2, height / 2],
        "centroid": T[:3, 3].tolist(),
        "classname": item.kind.replace(" ", "_"),
        "orientation": x.tolist(),
        "fine_name": item.kind,
    }


def _polygon(box: Record) -> Record:
    """The same box as ``annotation3Dfinal`` has it: corners on the floor, heights pointing down, hence Ymin > Ymax."""
    centre, basis, half = (np.array(box[key]) for key in ("centroid", "basis", "coeffs"))
    first, second = basis[0] * half[0], basis[1] * half[1]
    corners = [centre + a * first + b * second for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return {
        "X": [float(corner[0]) for corner in corners],
        "Z": [float(corner[1]) for corner in corners],
        "Ymin": float(half[2] - centre[2]),
        "Ymax": float(-half[2] - centre[2]),
        "rectangle": True,
    }


def _metadata(record: Mapping[str, Any]) -> Record:
    """One element of ``SUNRGBDMeta``, with the release's fields in the release's order."""
    path = f"{PATH_PREFIX}{record['name']}"
    boxes = [
        {
            "basis": np.array(box["basis"]),
            "coeffs": np.array([box["coeffs"]]),
            "centroid": np.array([box["centroid"]]),
            "classname": box["classname"],
            "sequenceName": record["name"],
            "orientation": np.array([box["orientation"]]),
            "label": np.zeros((0, 0)),
            "fine_name": box["fine_name"],  # ours; the release has no such field
        }
        for box in record["boxes"]
    ]
    return {
        "sequenceName": record["name"],
        "Rtilt": np.array(record["Rtilt"]),
        "K": np.array(record["K"]),
        "depthpath": f"{path}/depth_bfx/{record['depthname']}",
        "rgbpath": f"{path}/image/{record['rgbname']}",
        "anno_extrinsics": np.array(record["extrinsics"]),
        "depthname": record["depthname"],
        "rgbname": record["rgbname"],
        "sensorType": "kv2",
        "valid": np.ones((1, 1)),
        "groundtruth3DBB": _structs(boxes),
    }


def _structs(rows: Sequence[Record]) -> NDArray:
    """A 1×n MATLAB struct array; ``[]`` where there are no rows, as MATLAB leaves it."""
    if not rows:
        return np.zeros((0, 0))
    structs = np.empty((1, len(rows)), [(field, object) for field in rows[0]])
    for index, row in enumerate(rows):
        structs[0, index] = tuple(row.values())
    return structs


def _cells(texts: Sequence[str]) -> NDArray:
    """A 1×n MATLAB cell array of strings."""
    cells = np.empty((1, len(texts)), object)
    cells[0, :] = texts
    return cells


def _save_mat(path: Path, variables: Mapping[str, Any]) -> None:
    """Write a MATLAB 5 file; its first bytes, which would hold the time, are always the same."""
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            savemat(file, dict(variables), do_compression=True)
        with temporary.open("r+b") as file:
            file.write(HEADER)


def _png(image: NDArray[np.uint16]) -> bytes:
    return _encoded(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    return _encoded(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def _encoded(extension: str, image: Any, options: list[int]) -> bytes:
    done, data = cv2.imencode(extension, image, options)
    if not done:
        raise RuntimeError(f"could not encode a {image.shape} image as {extension}")
    return bytes(data)


def _write(path: Path, data: bytes | str) -> None:
    """Not atomic: a frame is there when the tables name it, and a room that was not finished is made again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
