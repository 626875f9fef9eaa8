"""Index of a ScanNet recording (`.sens`, version 4): where each image lies in the file, without reading the images.

Byte layout, little-endian (ScanNet's SensReader): u32 version; u64 length and bytes of the sensor's name; four 4×4 f32
matrices, intrinsics and extrinsics of the colour and of the depth camera; i32 compression of colour and of depth; u32
width and height of colour and of depth; f32 depth units a metre; u64 number of frames. Each frame: 4×4 f32
camera-to-world; u64 timestamp of colour and of depth; u64 bytes of colour and of depth; these bytes. IMU data follow.
An extrinsic matrix takes a camera's points to the frame that the poses are of (identity in the released files, whose
depth images were warped to the colour camera).
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import is_rigid
from clip2.runtime.errors import InputError
from clip2.scans.files import byte_range
from clip2.scans.intrinsics import LARGEST

Array = NDArray[np.float64]

VERSION = 4
COLOUR_COMPRESSION = {-1: "unknown", 0: "raw", 1: "png", 2: "jpeg"}
DEPTH_COMPRESSION = {-1: "unknown", 0: "raw_ushort", 1: "zlib_ushort", 2: "occi_ushort"}
READABLE_COLOUR, READABLE_DEPTH = ("png", "jpeg"), ("zlib_ushort",)
_START = struct.Struct("<IQ")
_BODY = struct.Struct("<16f16f16f16fiiIIIIfQ")
_FRAME = struct.Struct("<16fqqQQ")
_LONGEST_NAME = 4096
_MOST_FRAMES = 10**8
_POSE_TOLERANCE = 0.01
"""Of a pose's rotation: float32, and averaged by some recorders."""


@dataclass(frozen=True)
class SensHeader:
    """What is the same for all frames of a recording.

    Attributes:
        K_colour, K_depth: (3, 3) pixels.
        T_common_from_colour, T_common_from_depth: (4, 4) camera → the frame that the poses are of.
        colour_size, depth_size: (width, height) pixels.
        metres_per_unit: of a raw depth value.
        n_frames: as the header says; a file that is cut short holds fewer.
        first_frame: byte at which the frames begin.
    """

    K_colour: Array
    K_depth: Array
    T_common_from_colour: Array
    T_common_from_depth: Array
    colour_size: tuple[int, int]
    depth_size: tuple[int, int]
    metres_per_unit: float
    n_frames: int
    first_frame: int


@dataclass(frozen=True)
class SensFrame:
    """One frame: its pose and where its images lie.

    Attributes:
        number: counted from 0.
        T_world_from_common: (4, 4); no pose where tracking was lost.
        timestamp: of the colour image, in the recorder's unit (taken as microseconds).
        colour, depth: offset and size, bytes.
    """

    number: int
    T_world_from_common: Array
    timestamp: int
    colour: tuple[int, int]
    depth: tuple[int, int]

    @property
    def has_pose(self) -> bool:
        """Whether tracking knew where the camera was: a rotation with a shift."""
        return is_rigid(self.T_world_from_common, _POSE_TOLERANCE)


def read_header(path: Path) -> SensHeader:
    """The header of a recording.

    Raises:
        InputError: missing, cut short within the header, of another version, or compressed in a way not read here.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such recording; download it, or check the data root")
    with path.open("rb") as file:
        start = _exactly(file.read(_START.size), _START.size, path)
        version, name_length = _START.unpack(start)
        if version != VERSION:
            raise InputError(f"{path}: is .sens version {version}, only version {VERSION} is known; download it again")
        if name_length > _LONGEST_NAME:
            raise InputError(f"{path}: its header is damaged (a name of {name_length} bytes); download it again")
        body = _exactly(file.read(name_length + _BODY.size), name_length + _BODY.size, path)
    values = _BODY.unpack(body[name_length:])
    matrices = np.array(values[:64], np.float64).reshape(4, 4, 4)
    colour_code, depth_code, colour_w, colour_h, depth_w, depth_h, shift, n_frames = values[64:]
    _check_compression(path, "colour", COLOUR_COMPRESSION, colour_code, READABLE_COLOUR)
    _check_compression(path, "depth", DEPTH_COMPRESSION, depth_code, READABLE_DEPTH)
    sizes = (colour_w, colour_h, depth_w, depth_h)
    if not 0 < min(sizes) <= max(sizes) <= LARGEST:
        raise InputError(f"{path}: its header has pictures of {sizes[:2]} and depths of {sizes[2:]}; download it again")
    if not 0 < shift < np.inf or n_frames > _MOST_FRAMES:
        raise InputError(f"{path}: its header has {shift} depth units a metre and {n_frames} frames; download it again")
    return SensHeader(
        K_colour=matrices[0, :3, :3],
        K_depth=matrices[2, :3, :3],
        T_common_from_colour=matrices[1],
        T_common_from_depth=matrices[3],
        colour_size=(colour_w, colour_h),
        depth_size=(depth_w, depth_h),
        metres_per_unit=1 / shift,
        n_frames=n_frames,
        first_frame=_START.size + name_length + _BODY.size,
    )


def _exactly(data: bytes, size: int, path: Path) -> bytes:
    if len(data) < size:
        raise InputError(f"{path}: is cut short within its header (0 whole frames); download it again")
    return data


def _check_compression(path: Path, what: str, names: dict[int, str], code: int, readable: tuple[str, ...]) -> None:
    name = names.get(code, "unknown")
    if name not in readable:
        raise InputError(
            f"{path}: its {what} images are compressed as {name} (code {code}), "
            f"only {' and '.join(readable)} can be read; convert it"
        )


def iterate_frames(path: Path, header: SensHeader) -> Iterator[SensFrame]:
    """The frames of a recording in order, up to the last that is whole: one short read a frame, images are skipped."""
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # half a megabyte of images between two reads
        offset = header.first_frame
        for number in range(header.n_frames):
            record = os.pread(file.fileno(), _FRAME.size, offset)
            if len(record) < _FRAME.size:
                return
            values = _FRAME.unpack(record)
            timestamp, _, colour_bytes, depth_bytes = values[16:]
            colour = offset + _FRAME.size
            offset = colour + colour_bytes + depth_bytes
            if offset > size:
                return
            pose = np.array(values[:16], np.float64).reshape(4, 4)
            yield SensFrame(number, pose, timestamp, (colour, colour_bytes), (colour + colour_bytes, depth_bytes))


def image_range(path: str, place: tuple[int, int]) -> str:
    """The path of one image within a recording, as ``clip2.scans.files`` takes it."""
    return byte_range(path, *place)
