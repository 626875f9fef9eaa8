"""`clip2 import waymo`: segments of Waymo's Open Dataset (version 2, Parquet) → folders with poses and labels.

Pictures and range images lie in columns of compressed files of a gigabyte, from which no stage could read one by one.
Names and meaning of the columns: waymo-research/waymo-open-dataset, `src/waymo_open_dataset/v2/perception`.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import invert, is_rigid, rigid
from clip2.imports.scene_folder import SceneFolder
from clip2.imports.settings import WaymoSettings
from clip2.imports.stage import Recording
from clip2.imports.waymo.components import Component, Row, matrix
from clip2.imports.waymo.range_images import inclinations, points_of
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError

Matrix = NDArray[np.float64]
CAMERAS = {1: "front", 2: "front_left", 3: "front_right", 4: "side_left", 5: "side_right"}
TOP = 1
"""The LiDAR on the roof; its pixels have poses of their own."""
TYPES = {1: "vehicle", 2: "pedestrian", 3: "sign", 4: "cyclist"}
OPTICAL = rigid([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], np.zeros(3))
"""(4, 4) Waymo's camera (x ahead, y left, z up) from ours (x right, y down, z ahead)."""
CAMERA, LASER = "key.camera_name", "key.laser_name"
IMAGE, LENS, LIDAR = "[CameraImageComponent].", "[CameraCalibrationComponent].", "[LiDARComponent]."
PLACE, PIXELS, BOX = "[LiDARCalibrationComponent].", "[LiDARPoseComponent].range_image_return1.", "[LiDARBoxComponent]."
POSE = "[VehiclePoseComponent].world_from_vehicle.transform"
RETURNS = ("range_image_return1", "range_image_return2")


def recordings(source: Path, settings: WaymoSettings) -> list[Recording]:
    """Segments of a split's folder, which holds a folder a component.

    Raises:
        InputError: there are none.
    """
    names = sorted(path.stem for path in (source / "lidar").glob("*.parquet"))
    if not names:
        raise InputError(
            f"{source}: holds no lidar/SEGMENT.parquet; give a split's folder (training, validation) of version 2, "
            "with the folders camera_image, camera_calibration, lidar, lidar_calibration, lidar_pose and vehicle_pose"
        )
    if settings.segment is not None:
        if settings.segment not in names:
            raise InputError(f"{source}: has no segment {settings.segment!r} (--segment); it has {names[0]} …")
        names = [settings.segment]
    return [Recording(name, partial(_write, source, name, settings)) for name in names]


class _Laser(NamedTuple):
    """A LiDAR: (4, 4) its place in the vehicle, and the row of its calibration, for the inclinations."""

    T_vehicle_from_lidar: Matrix
    calibration: Row


class _Segment:
    """The components of a segment."""

    def __init__(self, source: Path, name: str) -> None:
        self.source, self.name = source, name
        parts = [f"{LIDAR}{number}.{part}" for number in RETURNS for part in ("values", "shape")]
        self.lidar = self._component("lidar", LASER, *parts)
        self.pixels = self._component("lidar_pose", LASER, f"{PIXELS}values", f"{PIXELS}shape")
        self.vehicle = self._component("vehicle_pose", POSE)
        self.images = self._component("camera_image", CAMERA, f"{IMAGE}image", f"{IMAGE}pose.transform")
        self.boxes = None
        if (source / "lidar_box" / f"{name}.parquet").is_file():
            sides = [f"{BOX}box.{part}.{axis}" for part in ("center", "size") for axis in "xyz"]
            self.boxes = self._component("lidar_box", "key.laser_object_id", f"{BOX}type", f"{BOX}box.heading", *sides)
        beams = [f"{PLACE}beam_inclination.{key}" for key in ("min", "max", "values")]
        placed = self._component("lidar_calibration", LASER, f"{PLACE}extrinsic.transform", *beams)
        self.lasers = {row[LASER]: _Laser(self._place(row, PLACE), row) for row in placed.all()}

    def declare_cameras(self, out: SceneFolder) -> dict[int, Matrix]:
        """Number of a camera → (4, 4) ``T_vehicle_from_cam``, our camera's axes."""
        lens = [f"{LENS}intrinsic.{key}" for key in ("f_u", "f_v", "c_u", "c_v", "k1", "k2", "p1", "p2", "k3")]
        size = [f"{LENS}{key}" for key in ("width", "height")]
        found = {}
        for row in self._component("camera_calibration", CAMERA, f"{LENS}extrinsic.transform", *lens, *size).all():
            if row[CAMERA] not in CAMERAS:
                continue
            fu, fv, cu, cv, *distortion = (row[column] for column in lens)  # in OpenCV's order
            T = found[row[CAMERA]] = self._place(row, LENS) @ OPTICAL
            width, height = (int(row[column]) for column in size)
            out.camera(
                CAMERAS[row[CAMERA]], (width, height), [[fu, 0, cu], [0, fv, cv], [0, 0, 1]], invert(T), distortion
            )
        return found

    def cloud(self, time: int, T_world_from_vehicle: Matrix) -> NDArray[np.float32]:
        """(N, 4) points of all LiDARs, both returns, in the vehicle's frame."""
        pixels = {row[LASER]: row for row in self.pixels.at(time)}
        parts = []
        for row in self.lidar.at(time):
            for number in RETURNS:
                image = self._image(row, f"{LIDAR}{number}.")
                if image is None:
                    continue
                laser = self.lasers.get(row[LASER])
                pose = self._image(pixels[row[LASER]], PIXELS) if row[LASER] in pixels else None
                if laser is None or (row[LASER] == TOP) != (pose is not None) or image.shape[2] < 2:
                    raise self._wrong(f"LiDAR {row[LASER]} at {time} lacks its calibration or its pixels' poses")
                if pose is not None and pose.shape != (*image.shape[:2], 6):
                    raise self._wrong(f"the pixels' poses at {time} are {pose.shape}, its range image {image.shape}")
                low, high, values = (
                    laser.calibration[f"{PLACE}beam_inclination.{k}"] for k in ("min", "max", "values")
                )
                try:
                    beams = inclinations(values, low, high, image.shape[0])
                except ValueError as error:
                    raise self._wrong(f"LiDAR {row[LASER]}: {error}") from None
                parts.append(points_of(image, beams, laser.T_vehicle_from_lidar, pose, T_world_from_vehicle))
        return np.concatenate(parts) if parts else np.empty((0, 4), np.float32)

    def labels(self, time: int, out: SceneFolder) -> list[dict[str, Any]]:
        """A frame's boxes as a folder's labels; those of no type are counted."""
        found = []
        for row in self.boxes.at(time) if self.boxes else ():
            if row[f"{BOX}type"] not in TYPES:
                out.left_out["boxes of no type"] += 1
                continue
            center, size = ([row[f"{BOX}box.{part}.{axis}"] for axis in "xyz"] for part in ("center", "size"))
            found.append({
                "name": TYPES[row[f"{BOX}type"]],
                "center": center,
                "size_lwh": size,
                "yaw": row[f"{BOX}box.heading"],
                "track": row["key.laser_object_id"],
            })  # fmt: skip
        return found

    def _component(self, kind: str, *columns: str) -> Component:
        return Component(self.source / kind / f"{self.name}.parquet", *columns)

    def _image(self, row: Row, prefix: str) -> NDArray[np.float32] | None:
        """(H, W, channels) of a range image; None where there is none."""
        values, shape = row[f"{prefix}values"], row[f"{prefix}shape"]
        if values is None or shape is None or not len(values):
            return None
        if len(shape) != 3 or int(np.prod(shape)) != len(values):
            raise self._wrong(f"a range image of {list(shape)} has {len(values)} numbers")
        return np.asarray(values, np.float32).reshape(shape)

    def _place(self, row: Row, prefix: str) -> Matrix:
        T = matrix(row[f"{prefix}extrinsic.transform"])
        if not is_rigid(T):
            raise self._wrong(f"{prefix}extrinsic is not a rotation with a shift")
        return T

    def _wrong(self, what: str) -> InputError:
        return InputError(f"{self.source}: segment {self.name}: {what}; download it again")


def _write(source: Path, name: str, settings: WaymoSettings, out: SceneFolder) -> None:
    segment = _Segment(source, name)
    T_vehicle_from_cam = segment.declare_cameras(out)
    times = segment.lidar.times
    chosen = times[:: settings.every]
    out.left_out["clouds by --every"] = len(times) - len(chosen)
    origin: Matrix | None = None
    for time in progress(chosen, "frames", len(chosen)):
        poses = [matrix(row[POSE]) for row in segment.vehicle.at(time)]
        pictures = [row for row in segment.images.at(time) if row[CAMERA] in T_vehicle_from_cam]
        if len(poses) != 1 or not is_rigid(poses[0]):
            out.left_out["clouds without a pose of the vehicle"] += 1
            continue
        if not pictures:
            out.left_out["clouds without a picture"] += 1
            continue
        # The world's origin is kilometres away.
        origin = rigid(np.eye(3), poses[0][:3, 3]) if origin is None else origin
        stem = str(time)
        out.cloud(stem, segment.cloud(time, poses[0]), 1000 * time)
        out.pose(stem, invert(origin) @ poses[0])
        for row in pictures:
            out.picture(CAMERAS[row[CAMERA]], stem, row[f"{IMAGE}image"], ".jpg")
            T_world_from_vehicle = matrix(row[f"{IMAGE}pose.transform"])  # when the picture's middle was taken
            if is_rigid(T_world_from_vehicle):
                T = invert(origin) @ T_world_from_vehicle @ T_vehicle_from_cam[row[CAMERA]]
                out.camera_pose(CAMERAS[row[CAMERA]], stem, T)
            else:
                out.left_out["poses of pictures, of which the camera's fixed place is taken"] += 1
        if segment.boxes is not None:
            out.labels(stem, segment.labels(time, out))
    if not out.counts["clouds"]:
        raise InputError(f"{source}: segment {name} has no frame with a cloud, a picture and a pose; download it again")
