"""Built-in rooms in ScanNet's files: recording, decimated mesh, segments, marked objects, scene facts, tables."""

import hashlib
import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.geometry import invert, rigid, transform_points, yaw_rotation
from clip2.store.atomic import atomic_path, write_text
from clip2_world.rgbd import NOTHING, RgbdFrame, RoomScan

Array = NDArray[np.float64]

LOST_EVERY, LOST_AT = 10, 7
"""Of ten frames, the eighth has no pose, as where a real recording lost its tracking."""
DEPTH_UNITS_PER_METRE = 1000.0
FRAME_US = 33_333
QUALITY = 90
SEGMENT_M = 0.5
"""Edge of the cubes that an object's surface falls into, a segment each."""
NYU40 = {
    "cabinet": (3, "cabinet"),
    "bed": (4, "bed"),
    "chair": (5, "chair"),
    "sofa": (6, "sofa"),
    "table": (7, "table"),
    "door": (8, "door"),
    "window": (9, "window"),
    "bookshelf": (10, "bookshelf"),
    "picture": (11, "picture"),
    "counter": (12, "counter"),
    "desk": (14, "desk"),
    "shelf": (15, "shelves"),
    "curtain": (16, "curtain"),
    "dresser": (17, "dresser"),
    "pillow": (18, "pillow"),
    "refrigerator": (24, "refridgerator"),  # so spelt in the real table
    "shower curtain": (28, "shower curtain"),
    "cardboard box": (29, "box"),
    "night stand": (32, "night stand"),
    "toilet": (33, "toilet"),
    "sink": (34, "sink"),
    "lamp": (35, "lamp"),
    "bathtub": (36, "bathtub"),
    "bag": (37, "bag"),
    "trash bin": (39, "otherfurniture"),
    "display": (40, "otherprop"),
    "laptop": (40, "otherprop"),
    "plant": (40, "otherprop"),
    "stool": (40, "otherprop"),
}
"""Fine name → NYU40 id and name."""


def write_scene(root: Path, scan: RoomScan) -> None:
    """Write ``scans/NAME/``: ``.sens``, mesh, segments, aggregation, facts.

    The recording's world is turned and shifted against the room, and axisAlignment turns it back: axis-aligned
    coordinates are the room's own.
    """
    folder, name = root / "scans" / scan.name, scan.name
    T_world_from_room = _world(name)
    _write_sens(folder / f"{name}.sens", scan.frames, T_world_from_room)
    vertices = transform_points(scan.vertices, T_world_from_room).astype(np.float32)
    _write_ply(folder / f"{name}_vh_clean_2.ply", vertices, scan.colours, scan.faces)
    segments = _segments(scan)
    mesh = f"{name}_vh_clean_2.0.010000.segs.json"
    write_text(folder / mesh, json.dumps({"sceneId": name, "segIndices": segments.tolist()}) + "\n")
    groups = _groups(scan, segments)
    aggregation = {"sceneId": f"scannet.{name}", "segGroups": groups, "segmentsFile": f"scannet.{mesh}"}
    write_text(folder / f"{name}.aggregation.json", json.dumps(aggregation) + "\n")
    _write_facts(folder / f"{name}.txt", scan.frames, invert(T_world_from_room))


def write_tables(root: Path, train: Sequence[str], val: Sequence[str]) -> None:
    """Write the table of labels (the columns in use) and the lists of the scenes to mine and to evaluate."""
    lines = ["id\traw_category\tcategory\tcount\tnyu40id\tnyu40class"]
    lines += [
        f"{row}\t{kind}\t{kind}\t1\t{number}\t{name}" for row, (kind, (number, name)) in enumerate(NYU40.items(), 1)
    ]
    write_text(root / "scannetv2-labels.combined.tsv", "\n".join(lines) + "\n")
    for split, scenes in (("train", train), ("val", val)):
        write_text(root / f"scannetv2_{split}.txt", "".join(f"{scene}\n" for scene in scenes))


def _world(name: str) -> Array:
    """(4, 4) pose of a room in its recording's world, from its name alone."""
    turn, *shift = np.frombuffer(hashlib.sha256(name.encode()).digest()[:8], "<u2") / 65536
    return rigid(yaw_rotation((0.2 + 0.6 * turn) * np.pi), 6 * np.array(shift) - 3)


def _write_sens(path: Path, frames: Sequence[RgbdFrame], T_world_from_room: Array) -> None:
    """A version 4 recording: JPEG colour, zlib depth at half the size (every second pixel of every second row)."""
    height, width = frames[0].depth.shape
    half = np.diag([0.5, 0.5, 1.0])  # pixel (i, j) of the small image is pixel (2i, 2j) of the large one
    K = frames[0].K
    matrices = [_padded(K), np.eye(4), _padded(half @ K), np.eye(4)]
    name = b"built-in world"
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<IQ", 4, len(name)) + name)
        file.write(np.array(matrices, "<f4").tobytes())
        file.write(struct.pack("<iiIIII", 2, 1, width, height, (width + 1) // 2, (height + 1) // 2))
        file.write(struct.pack("<fQ", DEPTH_UNITS_PER_METRE, len(frames)))
        for number, frame in enumerate(frames):
            pose = T_world_from_room @ frame.T_room_from_cam
            if number % LOST_EVERY == LOST_AT:
                pose = np.full((4, 4), -np.inf)
            done, colour = cv2.imencode(
                ".jpg", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, QUALITY)
            )
            if not done:
                raise RuntimeError(f"could not encode a {frame.image.shape} picture")
            depth = np.round(frame.depth[::2, ::2] * DEPTH_UNITS_PER_METRE).astype("<u2")
            packed = zlib.compress(depth.tobytes())
            file.write(pose.astype("<f4").tobytes())
            file.write(struct.pack("<QQQQ", number * FRAME_US, number * FRAME_US, len(colour), len(packed)))
            file.write(bytes(colour) + packed)
        file.write(struct.pack("<Q", 0))  # no IMU data


def _padded(K: Array) -> Array:
    padded = np.eye(4)
    padded[:3, :3] = K
    return padded


def _write_ply(path: Path, vertices: NDArray[np.float32], colours: NDArray[np.uint8], faces: NDArray[np.int32]) -> None:
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n"
        + "".join(f"property float {axis}\n" for axis in "xyz")
        + "".join(f"property uchar {channel}\n" for channel in ("red", "green", "blue", "alpha"))
        + f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(vertices), [("xyz", "<f4", 3), ("rgba", "u1", 4)])
    rows["xyz"], rows["rgba"][:, :3], rows["rgba"][:, 3] = vertices, colours, 255
    corners = np.empty(len(faces), [("n", "u1"), ("corners", "<i4", 3)])
    corners["n"], corners["corners"] = 3, faces
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(header.encode() + rows.tobytes() + corners.tobytes())


def _segments(scan: RoomScan) -> NDArray[np.int64]:
    """(V,) segment of each vertex, named by its first vertex as ScanNet's segmentation does; none spans two objects."""
    cells = np.floor(scan.vertices / SEGMENT_M).astype(np.int64)
    _, first, inverse = np.unique(np.column_stack([scan.owners, cells]), axis=0, return_index=True, return_inverse=True)
    return np.asarray(first[inverse.ravel()], np.int64)


def _groups(scan: RoomScan, segments: NDArray[np.int64]) -> list[dict[str, object]]:
    """The marked objects; one that no vertex is of could not be marked."""
    groups: list[dict[str, object]] = []
    for owner in np.unique(scan.owners[scan.owners != NOTHING]):
        members = np.unique(segments[scan.owners == owner]).tolist()
        number = len(groups)
        label = scan.objects[owner].kind
        groups.append({"id": number, "objectId": number, "segments": members, "label": label})
    return groups


def _write_facts(path: Path, frames: Sequence[RgbdFrame], T_room_from_world: Array) -> None:
    height, width = frames[0].depth.shape
    alignment = " ".join(f"{value:.6f}" for value in T_room_from_world.ravel())
    facts = {
        "axisAlignment": alignment,
        "colorHeight": height,
        "colorWidth": width,
        "depthHeight": (height + 1) // 2,
        "depthWidth": (width + 1) // 2,
        "numColorFrames": len(frames),
        "numDepthFrames": len(frames),
        "sceneType": "built-in room",
    }
    write_text(path, "".join(f"{key} = {value}\n" for key, value in facts.items()))
