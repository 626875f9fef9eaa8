"""Renders one scene into nuScenes' sensor files and collects the rows of its tables."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pyquaternion import Quaternion

from clip2.geometry import points_in_box, yaw_rotation
from clip2_world.mesh import Floats
from clip2_world.streets import rig
from clip2_world.streets.inventory import CATALOGUE
from clip2_world.streets.nuscenes_tables import (
    SCENE_TABLES,
    Row,
    Tables,
    attribute_tokens,
    token,
    visibility_token,
)
from clip2_world.streets.render import take_picture
from clip2_world.streets.scan import sweep
from clip2_world.streets.traffic import make_street
from clip2_world.streets.visibility import Seen, Shot, Silhouettes, seen_actors
from clip2_world.tracing import NOBODY, Tracer

KEY_INTERVAL = 0.5
"""Seconds between key frames."""
ANNOTATION_RANGE = 80.0
"""Metres from the ego car within which objects are annotated."""
JPEG_QUALITY = 90
_EPOCH_US = 1_532_402_927_000_000
_MICROSECONDS = 1_000_000
_SCENE_GAP_US = 60 * _MICROSECONDS


@dataclass(frozen=True)
class SceneRecipe:
    """What one scene depends on; see ``settings.WorldSettings`` for the units."""

    name: str
    seed: int
    key_frames: int
    image_width: int
    sweeps_per_key_frame: int


@dataclass(frozen=True)
class KeyImage:
    """One camera's image of a key frame: its row of ``sample_data`` and whom it shows."""

    row: Row
    shot: Shot
    seen: list[Seen]


class SceneWriter:
    """Writes one scene below a data set's root."""

    def __init__(self, root: Path, recipe: SceneRecipe) -> None:
        self.root, self.recipe = root, recipe
        self.street = make_street(recipe.seed, duration=recipe.key_frames * KEY_INTERVAL)
        self.tracer, self.silhouettes = Tracer(self.street), Silhouettes(self.street)
        self.cameras, self.lidar = rig.cameras(recipe.image_width), rig.lidar()
        self.min_pixels = max(8, round(30 * (recipe.image_width / 800) ** 2))
        place = np.random.default_rng((recipe.seed, 1))
        self.heading = float(place.uniform(-np.pi, np.pi))
        self.offset = np.array([*place.uniform(300, 1800, 2), 0.0])
        self.tables: Tables = {name: [] for name in SCENE_TABLES}
        self.latest: dict[int, Row] = {}  # the last annotation of each actor

    def write(self) -> Tables:
        """Write all files of the scene and return its rows, table by table."""
        self._calibrations()
        for index in range(self.recipe.key_frames):
            if index:
                self._sweeps(index)
            self._key_frame(index)
        self._instances()
        self._scene()
        return self.tables

    def to_global(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Street frame to nuScenes' global frame, (..., 3)."""
        return points @ yaw_rotation(self.heading).T + self.offset

    def _stamp(self, time: float) -> int:
        """Microseconds since 1970 of a scene time in seconds."""
        return _EPOCH_US + self.recipe.seed * _SCENE_GAP_US + round(time * _MICROSECONDS)

    def _rng(self, channel: str, time: float) -> np.random.Generator:
        """Noise that depends on the scene, the sensor and the time alone."""
        sensor = (*rig.CHANNELS, rig.LIDAR).index(channel)
        return np.random.default_rng((self.recipe.seed, 2, sensor, self._stamp(time)))

    def _lidar_times(self) -> list[float]:
        """Times of all sweeps, key frames and those in between, in order."""
        per_key = self.recipe.sweeps_per_key_frame + 1
        return [k * KEY_INTERVAL / per_key for k in range((self.recipe.key_frames - 1) * per_key + 1)]

    def _calibrations(self) -> None:
        sensors: list[rig.Camera | rig.Lidar] = [*self.cameras, self.lidar]
        for sensor in sensors:
            self.tables["calibrated_sensor"].append(
                {
                    "token": token(self.recipe.name, "calibration", sensor.channel),
                    "sensor_token": token("sensor", sensor.channel),
                    "translation": sensor.position.tolist(),
                    "rotation": _quaternion(sensor.rotation),
                    "camera_intrinsic": sensor.intrinsic.tolist() if isinstance(sensor, rig.Camera) else [],
                }
            )

    def _sample_data(self, sensor: rig.Camera | rig.Lidar, time: float, index: int, times: list[float]) -> Row:
        """Add a row of ``sample_data``, number ``index`` of the sensor's ``times``, and its ego pose."""
        name, channel = self.recipe.name, sensor.channel
        tokens = [token(name, channel, self._stamp(t)) for t in times]
        position, yaw = self.street.ego_pose(time)
        key, is_key = self._key_of(index, times)
        camera = isinstance(sensor, rig.Camera)
        folder, suffix = "samples" if is_key else "sweeps", "jpg" if camera else "pcd.bin"
        self.tables["ego_pose"].append(
            {
                "token": tokens[index],
                "timestamp": self._stamp(time),
                "translation": self.to_global(position).tolist(),
                "rotation": _yaw_quaternion(yaw + self.heading),
            }
        )
        row: Row = {
            "token": tokens[index],
            "sample_token": token(name, "sample", key),
            "ego_pose_token": tokens[index],
            "calibrated_sensor_token": token(name, "calibration", channel),
            "timestamp": self._stamp(time),
            "fileformat": "jpg" if camera else "pcd",
            "is_key_frame": is_key,
            "height": sensor.height if isinstance(sensor, rig.Camera) else 0,
            "width": sensor.width if isinstance(sensor, rig.Camera) else 0,
            "filename": f"{folder}/{channel}/{name}__{channel}__{self._stamp(time)}.{suffix}",
            "prev": tokens[index - 1] if index else "",
            "next": tokens[index + 1] if index + 1 < len(tokens) else "",
        }
        self.tables["sample_data"].append(row)
        return row

    def _key_of(self, index: int, times: list[float]) -> tuple[int, bool]:
        """The key frame nearest to number ``index`` of a sensor's times, and whether it is that key frame's own."""
        per_key = (len(times) - 1) // max(1, self.recipe.key_frames - 1) or 1
        return round(index / per_key), index % per_key == 0

    def _sweeps(self, index: int) -> None:
        """LiDAR sweeps between key frame ``index`` - 1 and key frame ``index``."""
        times, per_key = self._lidar_times(), self.recipe.sweeps_per_key_frame + 1
        for number in range((index - 1) * per_key + 1, index * per_key):
            points, _ = sweep(self.tracer, self.lidar, times[number], self._rng(rig.LIDAR, times[number]))
            points.tofile(self.root / self._sample_data(self.lidar, times[number], number, times)["filename"])

    def _key_frame(self, index: int) -> None:
        now, recipe = index * KEY_INTERVAL, self.recipe
        self.tables["sample"].append(
            {
                "token": token(recipe.name, "sample", index),
                "timestamp": self._stamp(now),
                "scene_token": token(recipe.name),
                "prev": token(recipe.name, "sample", index - 1) if index else "",
                "next": token(recipe.name, "sample", index + 1) if index + 1 < recipe.key_frames else "",
            }
        )
        points, owners = sweep(self.tracer, self.lidar, now, self._rng(rig.LIDAR, now))
        number = index * (recipe.sweeps_per_key_frame + 1)
        points.tofile(self.root / self._sample_data(self.lidar, now, number, self._lidar_times())["filename"])
        images = [self._shoot(camera, index) for camera in self.cameras]
        in_street = self._in_street_frame(points, now)
        in_street = in_street[np.argsort(in_street[:, 0])]
        for actor in np.unique(owners[owners != NOBODY]):
            self._annotate(int(actor), index, in_street, images)

    def _shoot(self, camera: rig.Camera, index: int) -> KeyImage:
        """Take and write one camera's picture of a key frame."""
        times = [k * KEY_INTERVAL + camera.delay for k in range(self.recipe.key_frames)]
        time = times[index]
        row = self._sample_data(camera, time, index, times)
        picture = take_picture(self.tracer, camera, time, self._rng(camera.channel, time))
        path, quality = str(self.root / row["filename"]), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
        if not cv2.imwrite(path, picture.image[..., ::-1], quality):
            raise OSError(f"could not write {path}")
        return KeyImage(row, Shot(self.street, camera, time, picture), seen_actors(picture))

    def _in_street_frame(self, points: Floats, time: float) -> NDArray[np.float64]:
        """Sweep points (N, 5) as xyz (N, 3) in the street frame."""
        ego, yaw = self.street.ego_pose(time)
        turn = yaw_rotation(yaw)
        in_ego = points[:, :3].astype(np.float64) @ self.lidar.rotation.T + self.lidar.position
        return in_ego @ turn.T + ego

    def _annotate(self, number: int, index: int, points: NDArray[np.float64], images: list[KeyImage]) -> None:
        """Add an actor's annotation at a key frame; ``points`` (N, 3) are the sweep's, in the street frame, by x."""
        now, actor, name = index * KEY_INTERVAL, self.street.actors[number], self.recipe.name
        centre, (_, yaw), size = actor.box_centre(now), actor.pose(now), actor.size
        ego, _ = self.street.ego_pose(now)
        first, last = np.searchsorted(points[:, 0], centre[0] + np.array([-1, 1]) * np.linalg.norm(size))
        inside = int(points_in_box(points[first:last], [*centre, *size, yaw]).sum())
        if inside == 0 or np.hypot(*(centre - ego)[:2]) > ANNOTATION_RANGE:
            return
        length, width, height = size.tolist()
        row: Row = {
            "token": token(name, "annotation", index, number),
            "sample_token": token(name, "sample", index),
            "instance_token": token(name, "instance", number),
            "visibility_token": visibility_token(self._visible_share(number, images)),
            "attribute_tokens": attribute_tokens(actor),
            "translation": self.to_global(centre).tolist(),
            "size": [width, length, height],
            "rotation": _yaw_quaternion(yaw + self.heading),
            "prev": "",
            "next": "",
            "num_lidar_pts": inside,
            "num_radar_pts": 0,
        }
        if number in self.latest:
            row["prev"], self.latest[number]["next"] = self.latest[number]["token"], row["token"]
        self.latest[number] = row
        self.tables["sample_annotation"].append(row)
        self._image_boxes(number, row, images)

    def _visible_share(self, number: int, images: list[KeyImage]) -> float:
        """Share of the actor's pixels that are visible, over all images in which it could be seen."""
        if not any(seen.actor == number for image in images for seen in image.seen):
            return 0.0
        totals = [self.silhouettes.visible_share(number, image.shot) for image in images]
        visible, unhidden = np.sum(totals, 0)
        return float(visible / unhidden) if unhidden else 0.0

    def _image_boxes(self, number: int, annotation: Row, images: list[KeyImage]) -> None:
        """Add the boxes of the actor's visible pixels in every image that shows enough of them."""
        shared = ("attribute_tokens", "instance_token", "num_lidar_pts", "num_radar_pts", "visibility_token")
        for image in images:
            for seen in image.seen:
                if seen.actor == number and seen.pixels >= self.min_pixels:
                    self.tables["image_annotations"].append(
                        {
                            **{key: annotation[key] for key in shared},
                            "sample_annotation_token": annotation["token"],
                            "sample_data_token": image.row["token"],
                            "filename": image.row["filename"],
                            "category_name": CATALOGUE[self.street.actors[number].kind].category,
                            "bbox_corners": list(map(float, seen.box)),
                            "prev": "",
                            "next": "",
                        }
                    )

    def _instances(self) -> None:
        """One row an annotated actor, with its fine name and colour in two keys beyond nuScenes' own."""
        tracks: dict[str, list[str]] = {}
        for row in self.tables["sample_annotation"]:
            tracks.setdefault(row["instance_token"], []).append(row["token"])
        for number, actor in enumerate(self.street.actors):
            this = token(self.recipe.name, "instance", number)
            if this in tracks:
                self.tables["instance"].append(
                    {
                        "token": this,
                        "category_token": token("category", CATALOGUE[actor.kind].category),
                        "nbr_annotations": len(tracks[this]),
                        "first_annotation_token": tracks[this][0],
                        "last_annotation_token": tracks[this][-1],
                        "fine_name": actor.kind,
                        "colour": actor.colour,
                    }
                )

    def _scene(self) -> None:
        name, frames = self.recipe.name, self.recipe.key_frames
        self.tables["scene"].append(
            {
                "token": token(name),
                "log_token": token(name, "log"),
                "nbr_samples": frames,
                "first_sample_token": token(name, "sample", 0),
                "last_sample_token": token(name, "sample", frames - 1),
                "name": name,
                "description": self.street.describe(),
            }
        )
        self.tables["log"].append(
            {
                "token": token(name, "log"),
                "logfile": f"built-in-world-{self.recipe.seed}",
                "vehicle": "virtual",
                "date_captured": "2018-07-24",
                "location": "procedural-town",
            }
        )


def _quaternion(rotation: NDArray[np.float64]) -> list[float]:
    """w, x, y, z of a rotation matrix."""
    return [float(v) for v in Quaternion(matrix=rotation, rtol=1e-5, atol=1e-6).elements]


def _yaw_quaternion(yaw: float) -> list[float]:
    """w, x, y, z of a turn about +z."""
    return [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))]
