"""Renders one street into the files of a ONCE sequence."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from clip2.geometry import box_corners, invert, project_box, rigid, transform_points, yaw_rotation
from clip2.store.atomic import write_text
from clip2_world.streets import once_rig
from clip2_world.streets.once_rig import DistortedCamera, Lens
from clip2_world.streets.render import take_picture
from clip2_world.streets.scan import sweep
from clip2_world.streets.street import Actor
from clip2_world.streets.traffic import make_street
from clip2_world.tracing import NOBODY, Tracer

INTERVAL = 0.5
"""Seconds between frames, as in ONCE."""
ANNOTATION_RANGE = 80.0
"""Metres from the LiDAR within which objects are annotated."""
JPEG_QUALITY = 90
_EPOCH_MS, _SCENE_GAP_MS = 1_616_000_000_000, 60_000
_NOT_SEEN = [-1.0, -1.0, -1.0, -1.0]
_CLASSES = {
    "car": "Car",
    "truck": "Truck",
    "bus": "Bus",
    "pedestrian": "Pedestrian",
    "construction worker": "Pedestrian",
}
_CYCLES = ("bicycle", "motorcycle")


@dataclass(frozen=True)
class SequenceRecipe:
    """What one sequence depends on; see ``once_settings.OnceWorldSettings`` for the units."""

    name: str
    seed: int
    frames: int
    image_width: int
    cameras: tuple[str, ...]


def write_sequence(root: Path, recipe: SequenceRecipe) -> int:
    """Write all files of a sequence below a data root; its JSON comes last. Gives the number of boxes."""
    return SequenceWriter(root, recipe).write()


def once_class(actor: Actor) -> str | None:
    """The class of ONCE's benchmark that an actor belongs to; ONCE annotates nothing else."""
    if actor.kind in _CYCLES and actor.ridden:
        return "Cyclist"
    return _CLASSES.get(actor.kind)


class SequenceWriter:
    """Writes one sequence."""

    def __init__(self, root: Path, recipe: SequenceRecipe) -> None:
        self.folder, self.recipe = root / "data" / recipe.name, recipe
        self.street = make_street(recipe.seed, duration=recipe.frames * INTERVAL)
        self.tracer, self.lidar = Tracer(self.street), once_rig.lidar()
        self.cameras = once_rig.cameras(recipe.cameras, recipe.image_width)
        self.lenses = [Lens(camera) for camera in self.cameras]
        self.T_ego_from_points = rigid(self.lidar.rotation, self.lidar.position)

    def write(self) -> int:
        """Write the sequence; the number of its boxes."""
        for name in (once_rig.LIDAR, *self.recipe.cameras):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        frames = [self._frame(index) for index in range(self.recipe.frames)]
        content = {
            "meta_info": {
                "weather": "rainy" if self.street.weather.wet > 0.5 else "sunny",
                "period": "noon",
                "description": self.street.describe(),
            },
            "calib": {camera.camera.channel: self._calibration(camera) for camera in self.cameras},
            "frames": frames,
        }
        write_text(self.folder / f"{self.recipe.name}.json", json.dumps(content))
        return sum(len(frame["annos"]["names"]) for frame in frames)

    def _calibration(self, camera: DistortedCamera) -> dict[str, Any]:
        return {
            "cam_to_velo": invert(self._T_cam_from_points(camera)).tolist(),
            "cam_intrinsic": camera.camera.intrinsic.tolist(),
            "distortion": camera.distortion.tolist(),
        }

    def _T_cam_from_points(self, camera: DistortedCamera) -> NDArray[np.float64]:
        T_ego_from_cam = rigid(camera.camera.rotation, camera.camera.position)
        return invert(T_ego_from_cam) @ self.T_ego_from_points

    def _frame(self, index: int) -> dict[str, Any]:
        """Write a frame's cloud and pictures; its entry of the JSON."""
        time = index * INTERVAL
        name = str(_EPOCH_MS + self.recipe.seed * _SCENE_GAP_MS + round(time * 1000))
        points, owners = sweep(self.tracer, self.lidar, time, self._rng(0, index))
        np.ascontiguousarray(points[:, :4]).tofile(self.folder / once_rig.LIDAR / f"{name}.bin")
        for number, lens in enumerate(self.lenses, 1):
            picture = take_picture(self.tracer, lens.wide, time, self._rng(number, index))
            image = cv2.cvtColor(lens.bend(picture.image), cv2.COLOR_RGB2BGR)
            path = self.folder / lens.wide.channel / f"{name}.jpg"
            if not cv2.imwrite(str(path), image, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)):
                raise OSError(f"{path}: could not be written")
        position, yaw = self.street.ego_pose(time)
        T_street_from_points = rigid(yaw_rotation(yaw), position) @ self.T_ego_from_points
        return {
            "frame_id": name,
            "pose": [
                *Rotation.from_matrix(T_street_from_points[:3, :3]).as_quat().tolist(),  # x y z w
                *T_street_from_points[:3, 3].tolist(),
            ],
            "annos": self._boxes(np.unique(owners[owners != NOBODY]), T_street_from_points, time),
        }

    def _rng(self, sensor: int, index: int) -> np.random.Generator:
        """Noise that depends on the sequence, the sensor and the frame alone."""
        return np.random.default_rng((self.recipe.seed, 3, sensor, index))

    def _boxes(self, actors: NDArray[np.int32], T_street_from_points: NDArray[np.float64], time: float) -> Any:
        """The ``annos`` of a frame: boxes of the actors, which all have returns."""
        T_points_from_street = invert(T_street_from_points)
        turn = float(np.arctan2(T_points_from_street[1, 0], T_points_from_street[0, 0]))
        annos: dict[str, Any] = {"names": [], "boxes_3d": [], "boxes_2d": {name: [] for name in self.recipe.cameras}}
        for number in actors:
            actor = self.street.actors[int(number)]
            kind, (_, yaw) = once_class(actor), actor.pose(time)
            centre = transform_points(actor.box_centre(time)[None], T_points_from_street)[0]
            if kind is None or np.hypot(centre[0], centre[1]) > ANNOTATION_RANGE:
                continue
            heading = float((yaw + turn + np.pi) % (2 * np.pi) - np.pi)
            box = [*centre.tolist(), *actor.size.tolist(), heading]
            annos["names"].append(kind)
            annos["boxes_3d"].append(box)
            for camera in self.cameras:
                annos["boxes_2d"][camera.camera.channel].append(self._box_2d(camera, box))
        return annos

    def _box_2d(self, camera: DistortedCamera, box: list[float]) -> list[float]:
        """The image rectangle of a 3D box, in the undistorted picture."""
        size = (camera.camera.width, camera.camera.height)
        # As ONCE's devkit undistorts: alpha 0 keeps valid pixels only.
        K = cv2.getOptimalNewCameraMatrix(camera.camera.intrinsic, camera.distortion, size, 0.0, size)[0]
        seen = project_box(box_corners(box), self._T_cam_from_points(camera), K, size)
        return _NOT_SEEN if seen is None else seen[0].round(2).tolist()
