"""ROS 2 recordings written by MCAP's own writer, message by message: what `clip2 import mcap` is tested on."""

from pathlib import Path
from types import SimpleNamespace as Message
from typing import Any

import numpy as np
from mcap_ros2.writer import Writer
from scipy.spatial.transform import Rotation

_HEADER = """
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
"""
_FIELD = """
================================================================================
MSG: sensor_msgs/PointField
uint8 INT8=1
string name
uint32 offset
uint8 datatype
uint32 count
"""
_ROI = """
================================================================================
MSG: sensor_msgs/RegionOfInterest
uint32 x_offset
uint32 y_offset
uint32 height
uint32 width
bool do_rectify
"""
_GEOMETRY = """
================================================================================
MSG: geometry_msgs/TransformStamped
std_msgs/Header header
string child_frame_id
geometry_msgs/Transform transform
================================================================================
MSG: geometry_msgs/Transform
geometry_msgs/Vector3 translation
geometry_msgs/Quaternion rotation
================================================================================
MSG: geometry_msgs/Vector3
float64 x
float64 y
float64 z
================================================================================
MSG: geometry_msgs/Quaternion
float64 x
float64 y
float64 z
float64 w
"""
DEFINITIONS = {
    "sensor_msgs/msg/Image": "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\n"
    "uint8 is_bigendian\nuint32 step\nuint8[] data" + _HEADER,
    "sensor_msgs/msg/CompressedImage": "std_msgs/Header header\nstring format\nuint8[] data" + _HEADER,
    "sensor_msgs/msg/PointCloud2": "std_msgs/Header header\nuint32 height\nuint32 width\n"
    "sensor_msgs/PointField[] fields\nbool is_bigendian\nuint32 point_step\nuint32 row_step\nuint8[] data\n"
    "bool is_dense" + _FIELD + _HEADER,
    "sensor_msgs/msg/CameraInfo": "std_msgs/Header header\nuint32 height\nuint32 width\nstring distortion_model\n"
    "float64[] d\nfloat64[9] k\nfloat64[9] r\nfloat64[12] p\nuint32 binning_x\nuint32 binning_y\n"
    "sensor_msgs/RegionOfInterest roi" + _ROI + _HEADER,
    "tf2_msgs/msg/TFMessage": "geometry_msgs/TransformStamped[] transforms" + _GEOMETRY + _HEADER,
    "std_msgs/msg/Header": _HEADER.partition("Header\n")[2],
}


class Bag:
    """A recording that is being written; times are in nanoseconds."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer = Writer(self._file, chunk_size=200_000)
        self._schemas: dict[str, Any] = {}

    def __enter__(self) -> "Bag":
        return self

    def __exit__(self, *_: Any) -> None:
        self._writer.finish()
        self._file.close()

    def write(self, topic: str, schema: str, message: Any, time: int) -> None:
        if schema not in self._schemas:
            self._schemas[schema] = self._writer.register_msgdef(schema, DEFINITIONS[schema])
        self._writer.write_message(topic, self._schemas[schema], message, log_time=time)

    def cloud(self, topic: str, frame: str, time: int, points: np.ndarray, logged: int | None = None) -> None:
        """Points (N, 4) as most drivers write them: x y z intensity float32, ring uint16, and padding."""
        row = np.dtype({"names": ["x", "y", "z", "intensity", "ring"], "formats": ["<f4"] * 4 + ["<u2"],
                        "offsets": [0, 4, 8, 16, 20], "itemsize": 32})  # fmt: skip
        rows = np.zeros(len(points), row)
        for i, name in enumerate(("x", "y", "z", "intensity")):
            rows[name] = points[:, i]
        kinds = {"x": 7, "y": 7, "z": 7, "intensity": 7, "ring": 4}
        self.write(topic, "sensor_msgs/msg/PointCloud2", Message(
            header=header(frame, time), height=1, width=len(points), is_bigendian=False, point_step=32,
            row_step=32 * len(points), data=rows.tobytes(), is_dense=True, fields=fields(row, kinds),
        ), time if logged is None else logged)  # fmt: skip

    def image(self, topic: str, frame: str, time: int, pixels: np.ndarray, encoding: str, pad: int = 0) -> None:
        """A raw picture (H, W[, C]), with ``pad`` bytes behind each row."""
        height, width = pixels.shape[:2]
        rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, pad)))
        self.write(topic, "sensor_msgs/msg/Image", Message(
            header=header(frame, time), height=height, width=width, encoding=encoding, is_bigendian=0,
            step=rows.shape[1], data=rows.tobytes(),
        ), time)  # fmt: skip

    def compressed(self, topic: str, frame: str, time: int, data: bytes, format: str = "jpeg") -> None:
        self.write(topic, "sensor_msgs/msg/CompressedImage",
                   Message(header=header(frame, time), format=format, data=data), time)  # fmt: skip

    def info(self, topic: str, frame: str, time: int, size: tuple[int, int], K: Any, model: str = "plumb_bob",
             D: Any = (0.0,) * 5, **others: Any) -> None:  # fmt: skip
        K = np.asarray(K, float).reshape(3, 3)
        made = {
            "header": header(frame, time), "width": size[0], "height": size[1], "distortion_model": model,
            "d": [float(d) for d in D], "k": K.ravel().tolist(), "r": np.eye(3).ravel().tolist(),
            "p": np.column_stack([K, np.zeros(3)]).ravel().tolist(), "binning_x": 0, "binning_y": 0,
            "roi": Message(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
        }  # fmt: skip
        self.write(topic, "sensor_msgs/msg/CameraInfo", Message(**{**made, **others}), time)

    def tf(self, parent: str, child: str, time: int, T: np.ndarray, static: bool = False) -> None:
        """A transform; zeros become a quaternion of zeros, as nodes write that know nothing."""
        x, y, z, w = Rotation.from_matrix(T[:3, :3]).as_quat().tolist() if T.any() else [0.0] * 4
        tx, ty, tz = T[:3, 3].tolist()
        transform = Message(translation=Message(x=tx, y=ty, z=tz), rotation=Message(x=x, y=y, z=z, w=w))
        one = Message(header=header(parent, time), child_frame_id=child, transform=transform)
        self.write("/tf_static" if static else "/tf", "tf2_msgs/msg/TFMessage", Message(transforms=[one]), time)


def header(frame: str, time: int) -> Message:
    return Message(stamp=Message(sec=time // 10**9, nanosec=time % 10**9), frame_id=frame)


def fields(row: np.dtype, kinds: dict[str, int]) -> list[Message]:
    """PointFields of a structured type; ``kinds``: name → sensor_msgs/PointField's number."""
    places = row.fields or {}
    return [Message(name=name, offset=places[name][1], datatype=kind, count=1) for name, kind in kinds.items()]
