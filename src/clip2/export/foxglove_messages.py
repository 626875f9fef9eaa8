"""Foxglove's messages of a sample's cloud, boxes, cameras and places. Needs the package foxglove-sdk."""

from typing import Any

import numpy as np
from foxglove import messages
from numpy.typing import NDArray

from clip2.export.colours import colour_of
from clip2.export.quaternions import quaternion_wxyz
from clip2.export.scans import Row, Sample, pose_of, size_of
from clip2.export.views import EDGES
from clip2.geometry import oriented_box_corners

Matrix = NDArray[np.float64]
SCENE, POINTS = "scene", "points"
"""Frames: the scene stands still; clouds and boxes are in that of the points."""
ALPHA = 0.35
FLOAT32, UINT8 = messages.PackedElementFieldNumericType.Float32, messages.PackedElementFieldNumericType.Uint8
EDGE_STEP_M = 0.1
EDGE_POINT = np.dtype([("xyz", "<f4", 3), ("rgba", "u1", 4)])
TEXT_M = 0.5
"""Height of a label's letters, metres."""


def place(child: str, T: Matrix, time_us: int) -> messages.FrameTransform:
    """Where a frame is in the scene at a time."""
    return messages.FrameTransform(
        timestamp=_timestamp(time_us), parent_frame_id=SCENE, child_frame_id=child,
        translation=_vector(T[:3, 3]), rotation=_quaternion(T),
    )  # fmt: skip


def compressed_image(content: tuple[bytes, str], camera: str, time_us: int) -> messages.CompressedImage:
    """A picture from a file's bytes and their kind."""
    data, kind = content
    return messages.CompressedImage(timestamp=_timestamp(time_us), frame_id=camera, data=data, format=kind)


def camera_calibration(frame: Row, time_us: int) -> messages.CameraCalibration:
    """A pinhole camera's intrinsics."""
    K = np.reshape(frame["K"], (3, 3))
    P = np.column_stack([K, np.zeros(3)])
    return messages.CameraCalibration(
        timestamp=_timestamp(time_us), frame_id=frame["camera"], width=frame["width"], height=frame["height"],
        K=K.ravel().tolist(), R=np.eye(3).ravel().tolist(), P=P.ravel().tolist(),
    )  # fmt: skip


def point_cloud(cloud: NDArray[np.float32], time_us: int) -> messages.PointCloud:
    """Points (N, 4) x y z intensity, in their own frame."""
    return _points(cloud.astype("<f4"), [("intensity", 12, FLOAT32)], time_us)


def label_edges(sample: Sample) -> messages.PointCloud:
    """The boxes' edges as coloured points: for viewers that know clouds but not a SceneUpdate."""
    parts = [np.empty(0, EDGE_POINT)]
    for row in sample.labels:
        corners = oriented_box_corners(pose_of(row), row["size_lwh"])
        for a, b in EDGES:
            n = int(np.linalg.norm(corners[a] - corners[b]) / EDGE_STEP_M) + 2
            part = np.zeros(n, EDGE_POINT)
            part["xyz"], part["rgba"] = np.linspace(corners[a], corners[b], n), (*colour_of(row["label"]), 255)
            parts.append(part)
    colours = [(name, 12 + i, UINT8) for i, name in enumerate(("red", "green", "blue", "alpha"))]
    return _points(np.concatenate(parts), colours, sample.time_us)


def _points(rows: NDArray[Any], others: list[tuple[str, int, Any]], time_us: int) -> messages.PointCloud:
    """Rows of 16 bytes: float32 x y z, and other fields by name, offset and kind."""
    fields = [(name, 4 * i, FLOAT32) for i, name in enumerate("xyz")] + others
    return messages.PointCloud(
        timestamp=_timestamp(time_us), frame_id=POINTS, pose=_pose(np.eye(4)), point_stride=16, data=rows.tobytes(),
        fields=[messages.PackedElementField(name=name, offset=at, type=kind) for name, at, kind in fields],
    )  # fmt: skip


def scene_update(sample: Sample) -> messages.SceneUpdate:
    """A sample's boxes in the place of those before."""
    everything = messages.SceneEntityDeletion(
        timestamp=_timestamp(sample.time_us), type=messages.SceneEntityDeletionType.All
    )
    entities = [_entity(row, sample.time_us) for row in sample.labels]
    return messages.SceneUpdate(deletions=[everything], entities=entities)


def _entity(row: Row, time_us: int) -> messages.SceneEntity:
    T, size = pose_of(row), size_of(row)
    red, green, blue = (part / 255 for part in colour_of(row["label"]))
    top = np.eye(4)
    top[:3, 3] = T[:3, 3] + [0.0, 0.0, size[2] / 2 + TEXT_M]
    facts = {"label": row["label"], "score": f"{row['score']:.4f}", "track_id": row["track_id"]}
    return messages.SceneEntity(
        timestamp=_timestamp(time_us),
        frame_id=POINTS,
        id=row["track_id"],
        metadata=[messages.KeyValuePair(key=key, value=value) for key, value in facts.items()],
        cubes=[
            messages.CubePrimitive(
                pose=_pose(T), size=_vector(size), color=messages.Color(r=red, g=green, b=blue, a=ALPHA)
            )
        ],
        texts=[
            messages.TextPrimitive(
                pose=_pose(top), billboard=True, font_size=TEXT_M, text=f"{row['label']} {row['score']:.2f}",
                color=messages.Color(r=red, g=green, b=blue, a=1.0),
            )
        ],
    )  # fmt: skip


def _pose(T: Matrix) -> messages.Pose:
    return messages.Pose(position=_vector(T[:3, 3]), orientation=_quaternion(T))


def _quaternion(T: Matrix) -> messages.Quaternion:
    w, x, y, z = quaternion_wxyz(T[:3, :3])
    return messages.Quaternion(x=x, y=y, z=z, w=w)


def _vector(values: Any) -> messages.Vector3:
    x, y, z = (float(value) for value in values)
    return messages.Vector3(x=x, y=y, z=z)


def _timestamp(time_us: int) -> messages.Timestamp:
    return messages.Timestamp(sec=time_us // 1_000_000, nsec=1000 * (time_us % 1_000_000))
