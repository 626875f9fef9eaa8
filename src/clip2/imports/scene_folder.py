"""Writes one recording as a folder that the source `folder` reads (docs/your_own_data.md): lidar, z up, metres."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.scans.folder.calibration import Calibration
from clip2.scans.folder.files import CALIBRATION, LABELS, TIMES
from clip2.scans.intrinsics import intrinsics_complaint
from clip2.store.atomic import write_json, write_text

Matrix = NDArray[np.float64]
CLOUDS, POSES, CAMERA_POSES = "clouds", "poses", "camera_poses"


class SceneFolder:
    """The files of one recording; ``calibration.json``, which makes it one, is written last.

    Attributes:
        counts: what was written: ``clouds``, ``pictures``, ``poses``, ``labels``.
        left_out: what was left out, and why, in words → how often.
        said: what a person should know of the recording, a line each.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cameras: dict[str, dict[str, Any]] = {}
        self._times: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.said: list[str] = []

    def camera(
        self, name: str, size: tuple[int, int], K: Any, T_cam_from_points: Any, distortion: Sequence[float] = ()
    ) -> None:
        """Declare a camera.

        Args:
            size: (width, height) of its pictures.
            K: (3, 3) intrinsics, pixels.
            T_cam_from_points: (4, 4), without the motion between a cloud's time and a picture's.
            distortion: OpenCV's coefficients; none for pictures without.

        Raises:
            InputError: no camera has such intrinsics.
        """
        complaint = intrinsics_complaint(tuple(np.ravel(np.asarray(K, np.float64)).tolist()), size)
        if complaint:
            raise InputError(f"camera {name}: {complaint}")
        self._cameras[name] = {
            "image_folder": f"images/{name}",
            "width": size[0],
            "height": size[1],
            "K": np.reshape(K, (3, 3)).tolist(),
            "T_cam_from_points": np.asarray(T_cam_from_points, np.float64).tolist(),
            **({"distortion": [float(value) for value in distortion]} if any(distortion) else {}),
        }

    def cloud(self, stem: str, points: NDArray[np.float32], time_ns: int) -> None:
        """Points (N, 4) x y z intensity, and their time."""
        self._new(f"{CLOUDS}/{stem}.bin").write_bytes(points.astype("<f4").tobytes())
        self._times[stem] = time_ns
        self.counts["clouds"] += 1

    def picture(self, camera: str, stem: str, content: bytes, ending: str) -> None:
        """A picture's file, as bytes; ``ending`` is ".jpg" or ".png"."""
        self._new(f"images/{camera}/{stem}{ending}").write_bytes(content)
        self.counts["pictures"] += 1

    def files(self, stem: str, time_ns: int, cloud: Path, pictures: Mapping[str, Path], link: bool) -> None:
        """A sample whose cloud (float32 x y z intensity) and pictures are files already: links to them, or copies."""
        places = {f"{CLOUDS}/{stem}.bin": cloud} | {
            f"images/{camera}/{stem}{path.suffix}": path for camera, path in pictures.items()
        }
        for name, path in places.items():
            if link:
                os.symlink(path.absolute(), self._new(name))
            else:
                shutil.copyfile(path, self._new(name))
        self._times[stem] = time_ns
        self.counts.update(clouds=1, pictures=len(pictures))

    def pose(self, stem: str, T_scene_from_points: Matrix) -> None:
        """Where a cloud's points (4, 4) are in the scene."""
        self._new(f"{POSES}/{stem}.txt").write_text(_lines(T_scene_from_points))
        self.counts["poses"] += 1

    def camera_pose(self, camera: str, stem: str, T_scene_from_cam: Matrix) -> None:
        """Where a camera (4, 4) was in the scene when it took a picture."""
        self._new(f"{CAMERA_POSES}/{camera}/{stem}.txt").write_text(_lines(T_scene_from_cam))
        self._cameras[camera]["pose_folder"] = f"{CAMERA_POSES}/{camera}"

    def labels(self, stem: str, boxes: Sequence[Mapping[str, Any]]) -> None:
        """A sample's boxes, as clip2.scans.folder.annotations reads them."""
        self._new(f"{LABELS}/{stem}.json").write_text(json.dumps(list(boxes), indent=1))
        self.counts["labels"] += len(boxes)

    def finish(self) -> None:
        """Write the times and the calibration."""
        clouds = {"folder": CLOUDS, "format": "float32x4"} | ({"pose_folder": POSES} if self.counts["poses"] else {})
        calibration = {"sensor": "lidar", "up": "z", "units": "m", "clouds": clouds, "cameras": self._cameras}
        Calibration.model_validate(calibration)
        times = sorted(self._times.items())
        seconds = (f"{stem} {time // 10**9}.{time % 10**9:09d}\n" for stem, time in times)
        write_text(self._folder / TIMES, "".join(seconds))
        write_json(self._folder / CALIBRATION, calibration)

    def _new(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _lines(T: Matrix) -> str:
    return "\n".join(" ".join(map(repr, row)) for row in T.tolist()) + "\n"
