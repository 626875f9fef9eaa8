"""Decoded messages of ROS 2 and of Foxglove → what an import needs of them: pictures, clouds, calibrations, transforms.

ROS 2: sensor_msgs, tf2_msgs (ros2/common_interfaces, geometry2). Foxglove: its Protobuf schemas, with the same content.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from clip2.geometry import transform_points
from clip2.imports.mcap.frame_tree import plain_frame
from clip2.scans.point_files import rows_of_columns

Matrix = NDArray[np.float64]
PICTURE, CLOUD, CAMERA, TRANSFORMS = "picture", "cloud", "camera", "transforms"
KINDS = {
    "sensor_msgs/msg/Image": PICTURE,
    "sensor_msgs/msg/CompressedImage": PICTURE,
    "sensor_msgs/msg/PointCloud2": CLOUD,
    "sensor_msgs/msg/CameraInfo": CAMERA,
    "tf2_msgs/msg/TFMessage": TRANSFORMS,
    "foxglove.RawImage": PICTURE,
    "foxglove.CompressedImage": PICTURE,
    "foxglove.PointCloud": CLOUD,
    "foxglove.CameraCalibration": CAMERA,
    "foxglove.FrameTransform": TRANSFORMS,
    "foxglove.FrameTransforms": TRANSFORMS,
}
"""Schema → what it holds."""
STATIC = "tf_static"
"""Topic, without its namespace, of transforms that do not change."""


class Head(NamedTuple):
    """When a message was taken (nanoseconds, 0 where it does not say), and in which frame."""

    time_ns: int
    frame: str


def head_of(message: Any) -> Head:
    """The head of a decoded message."""
    header = getattr(message, "header", None)
    if header is not None:
        return Head(header.stamp.sec * 10**9 + header.stamp.nanosec, plain_frame(header.frame_id))
    return Head(message.timestamp.seconds * 10**9 + message.timestamp.nanos, plain_frame(message.frame_id))


def head_of_cdr(data: bytes) -> Head:
    """The head of a ROS 2 message that begins with a std_msgs/Header, without decoding what follows.

    Raises:
        ValueError: too short for one.
    """
    order = "<" if len(data) > 1 and data[1] & 1 else ">"  # second byte of the encapsulation header
    try:
        seconds, nanoseconds, length = struct.unpack_from(f"{order}iII", data, 4)
    except struct.error:
        raise ValueError(f"{len(data)} bytes is less than a header") from None
    if not 0 < length <= len(data) - 16:
        raise ValueError(f"its frame's name has {length} letters")
    return Head(seconds * 10**9 + nanoseconds, plain_frame(data[16 : 15 + length].decode("utf-8", "replace")))


# --- pictures ---------------------------------------------------------------------------------------------------------

_COLOURS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, cv2.COLOR_RGB2BGR),
    "bgr8": (3, None),
    "8UC3": (3, None),
    "rgba8": (4, cv2.COLOR_RGBA2BGR),
    "bgra8": (4, cv2.COLOR_BGRA2BGR),
    "8UC4": (4, cv2.COLOR_BGRA2BGR),
    "mono8": (1, cv2.COLOR_GRAY2BGR),
    "8UC1": (1, cv2.COLOR_GRAY2BGR),
    "bayer_rggb8": (1, cv2.COLOR_BayerRGGB2BGR),
    "bayer_bggr8": (1, cv2.COLOR_BayerBGGR2BGR),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGBRG2BGR),
    "bayer_grbg8": (1, cv2.COLOR_BayerGRBG2BGR),
    "yuv422": (2, cv2.COLOR_YUV2BGR_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2BGR_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2BGR_YUY2),
}
"""Encoding of a raw picture (sensor_msgs/image_encodings.hpp) → bytes a pixel, OpenCV's conversion to BGR."""
_SIGNS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png"}
_DEPTH = ("16UC1", "32FC1", "mono16", "compressedDepth")
"""Encodings (or parts of a compressed picture's format) that are depth images, not pictures."""


def is_depth(message: Any) -> bool:
    """Whether a picture is one of distances, which nobody can name things in."""
    told = str(getattr(message, "encoding", "") or getattr(message, "format", ""))
    return any(word in told for word in _DEPTH)


def picture_file(message: Any) -> tuple[bytes, str]:
    """A picture as a file's bytes, and their ending: compressed ones as they are, raw ones as PNG, without loss.

    Raises:
        ValueError: an encoding that is not read, or fewer bytes than pixels.
    """
    if hasattr(message, "format"):
        content = bytes(message.data)
        ending = next((ending for sign, ending in _SIGNS.items() if content.startswith(sign)), None)
        if ending is None or is_depth(message):
            raise ValueError(f"format {message.format!r} is neither JPEG nor PNG")
        return content, ending
    done, png = cv2.imencode(".png", _raw_picture(message), (cv2.IMWRITE_PNG_COMPRESSION, 1))
    if not done:
        raise ValueError(f"a picture of {message.width}×{message.height} cannot be written")
    return png.tobytes(), ".png"


def _raw_picture(message: Any) -> NDArray[np.uint8]:
    """(H, W, 3) BGR."""
    if message.encoding not in _COLOURS:
        raise ValueError(f"encoding {message.encoding!r} is not read; it has to be one of {', '.join(_COLOURS)}")
    n, conversion = _COLOURS[message.encoding]
    data, (width, height, step) = bytes(message.data), (message.width, message.height, message.step)
    if step < n * width or len(data) < step * height or not width * height:
        raise ValueError(f"{len(data)} bytes are no {message.encoding} picture of {width}×{height}, {step} bytes a row")
    rows = np.frombuffer(data, np.uint8, step * height).reshape(height, step)[:, : n * width]
    pixels = np.ascontiguousarray(rows.reshape(height, width, n) if n > 1 else rows)
    return np.asarray(pixels if conversion is None else cv2.cvtColor(pixels, conversion), np.uint8)


# --- clouds -----------------------------------------------------------------------------------------------------------

_ROS_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
"""sensor_msgs/PointField."""
_FOXGLOVE_NUMBERS = {1: "u1", 2: "i1", 3: "u2", 4: "i2", 5: "u4", 6: "i4", 7: "f4", 8: "f8"}
"""foxglove.PackedElementField."""
FAR = 1e4
"""Metres; points whose median is farther from their sensor are in a map's coordinates."""


def n_points(message: Any) -> int:
    """How many points a cloud has, whether or not they were hit."""
    return message.width * message.height if hasattr(message, "point_step") else _stride_points(message)


def _stride_points(message: Any) -> int:
    return len(message.data) // message.point_stride if message.point_stride else 0


def points_of(message: Any) -> NDArray[np.float32]:
    """(N, 4) x y z intensity of a cloud in its frame, metres; what was not hit (not finite, or all zero) is left out.

    Raises:
        ValueError: no x, y and z, fewer bytes than points, a pose that is none, or points of a map.
    """
    ros = hasattr(message, "point_step")
    stride = message.point_step if ros else message.point_stride
    numbers = _ROS_NUMBERS if ros else _FOXGLOVE_NUMBERS
    order = ">" if ros and message.is_bigendian else "<"
    fields = {}
    for field in message.fields:
        kind = field.datatype if ros else field.type
        if kind in numbers and field.offset + int(numbers[kind][1]) <= stride:
            fields[field.name] = (f"{order}{numbers[kind]}", field.offset)
    if not stride or not fields:
        raise ValueError(f"its points of {stride} bytes have no fields")
    row = np.dtype({
        "names": list(fields),
        "formats": [number for number, _ in fields.values()],
        "offsets": [offset for _, offset in fields.values()],
        "itemsize": stride,
    })  # fmt: skip
    data = bytes(message.data)
    if ros and message.height > 1 and message.row_step > stride * message.width:  # rows with something behind them
        rows = np.frombuffer(data[: message.row_step * message.height], np.uint8).reshape(message.height, -1)
        data = rows[:, : stride * message.width].tobytes()
    if len(data) < n_points(message) * stride:
        raise ValueError(f"{len(data)} bytes for {n_points(message)} points of {stride}")
    points = np.frombuffer(data, row, n_points(message))
    rows_xyzi = rows_of_columns({name: points[name] for name in fields})
    xyz = rows_xyzi[:, :3]
    found = rows_xyzi[np.isfinite(xyz).all(1) & xyz.any(1)]
    if len(found) and (away := float(np.median(np.abs(found[:, :3]).max(1)))) > FAR:
        raise ValueError(
            f"its points are {away:.0f} m away from frame {head_of(message).frame!r}: choose the sensor's own"
        )
    if not ros and message.HasField("pose"):
        T = _pose(message.pose.position, message.pose.orientation)
        if T is None:
            raise ValueError("its pose is no rotation with a shift")
        found = np.column_stack([transform_points(found, T), found[:, 3]])
    return found.astype(np.float32)


# --- cameras ----------------------------------------------------------------------------------------------------------


class Lens(NamedTuple):
    """A camera's calibration.

    Attributes:
        size: (width, height) of its pictures.
        model: the distortion's name, "" for none.
        K, R, P: (3, 3), (3, 3), (3, 4), as sensor_msgs/CameraInfo explains them.
    """

    frame: str
    size: tuple[int, int]
    model: str
    distortion: tuple[float, ...]
    K: Matrix
    R: Matrix
    P: Matrix


def lens_of(message: Any) -> Lens:
    """The calibration in a message of a camera.

    Raises:
        ValueError: the camera is not calibrated, or only a part of its picture is taken.
    """
    # ROS 2 writes d, k, r, p; Foxglove and ROS 1 write capitals.
    D, K, R, P = (np.asarray(getattr(message, k, getattr(message, k.upper(), None)), np.float64) for k in "dkrp")
    if K.size != 9 or not K.any():
        raise ValueError("K is all zero: the camera is not calibrated")
    roi = getattr(message, "roi", None)
    if max(getattr(message, "binning_x", 0), getattr(message, "binning_y", 0)) > 1 or (
        roi is not None and roi.width not in (0, message.width)
    ):
        raise ValueError("the pictures are binned or cut (binning, roi), which is not read")
    return Lens(
        head_of(message).frame,
        (message.width, message.height),
        message.distortion_model if D.any() else "",
        tuple(D.tolist()),
        K.reshape(3, 3),
        R.reshape(3, 3) if R.size == 9 and R.any() else np.eye(3),
        P.reshape(3, 4) if P.size == 12 and P.any() else np.column_stack([K.reshape(3, 3), np.zeros(3)]),
    )


# --- transforms -------------------------------------------------------------------------------------------------------


class Transform(NamedTuple):
    """Where a frame is in its parent at a time; None where the message's numbers are no rotation with a shift."""

    parent: str
    child: str
    time_ns: int
    T_parent_from_child: Matrix | None


def transforms_of(message: Any) -> Iterator[Transform]:
    """All transforms in a message."""
    for one in getattr(message, "transforms", None) or ([message] if hasattr(message, "parent_frame_id") else []):
        if hasattr(one, "header"):
            T = _pose(one.transform.translation, one.transform.rotation)
            yield Transform(one.header.frame_id, one.child_frame_id, head_of(one).time_ns, T)
        else:
            time = one.timestamp.seconds * 10**9 + one.timestamp.nanos
            yield Transform(one.parent_frame_id, one.child_frame_id, time, _pose(one.translation, one.rotation))


def _pose(position: Any, rotation: Any) -> Matrix | None:
    """(4, 4) of a position and a quaternion; None where they are none."""
    q = np.array([rotation.w, rotation.x, rotation.y, rotation.z], np.float64)
    norm = float(np.linalg.norm(q))
    if not 0.9 < norm < 1.1 or not np.isfinite([position.x, position.y, position.z]).all():
        return None
    w, x, y, z = q / norm
    T = np.eye(4)
    T[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    T[:3, 3] = position.x, position.y, position.z
    return T
