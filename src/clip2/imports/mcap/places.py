"""Where the clouds and cameras of a recording are, over time."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import invert
from clip2.imports.mcap import messages
from clip2.imports.mcap.cameras import Camera
from clip2.imports.mcap.frame_tree import plain_frame
from clip2.imports.mcap.index import Index
from clip2.imports.settings import McapSettings
from clip2.runtime.errors import InputError

Matrix = NDArray[np.float64]
UPRIGHT = 0.9
"""Least cosine between the clouds' z and the scene's: 26 degrees, more than a mount is tilted to look down."""


class Places:
    """Places of clouds and cameras over time.

    Attributes:
        scene: frame that poses lead to; None where nothing moves in it, so that there are no poses.
    """

    def __init__(self, index: Index, lidar: str, cameras: list[Camera], settings: McapSettings, where: Path) -> None:
        self._tree, self._where = index.tree, where
        stored = messages.head_of(index.first[lidar]).frame
        self.frame = plain_frame(settings.points_frame or stored)
        T = np.eye(4) if self.frame == stored else self._tree.fixed(self.frame, stored)
        if T is None:
            raise InputError(
                f"{where}: nothing says where frame {stored!r} of {lidar} is in --points-frame "
                f"{self.frame!r}, always the same; the frames are {', '.join(self._tree.frames)}"
            )
        self.T_points_from_stored: Matrix = T
        chain = self._tree.chain(self.frame)
        root = plain_frame(settings.scene_frame or chain[-1])
        if root not in chain:
            raise InputError(
                f"{where}: frame {self.frame!r} does not hang from --scene-frame {root!r}, but from "
                f"{', '.join(chain[1:]) or 'none'}"
            )
        self.scene = root if self._tree.moves(self.frame, root) else None
        self._root = root
        self._check_up(sorted(index.times_of(lidar).values()), lidar)
        for camera in cameras:
            self._check_chain(camera, lidar)

    def of_points(self, time_ns: int) -> Matrix | None:
        """(4, 4) ``T_scene_from_points``; None where it is not known at that time."""
        return None if self.scene is None else self._tree.place(self.frame, self.scene, time_ns)

    def of_camera(self, camera: Camera, time_ns: int) -> Matrix | None:
        """(4, 4) ``T_scene_from_cam``; None where it is not known at that time."""
        if self.scene is None or self.scene not in self._tree.chain(camera.lens.frame):
            return None
        T = self._tree.place(camera.lens.frame, self.scene, time_ns)
        return None if T is None else T @ invert(camera.T_cam_from_optical)

    def fixed(self, camera: Camera) -> Matrix | None:
        """(4, 4) ``T_cam_from_points`` where it is always the same: without motion between a cloud and a picture."""
        T = self._tree.fixed(camera.lens.frame, self.frame)
        return None if T is None else camera.T_cam_from_optical @ T

    def _check_chain(self, camera: Camera, lidar: str) -> None:
        top = self._tree.meeting(camera.lens.frame, self.frame)
        if top is None:
            raise InputError(
                f"{self._where}: no chain of transforms joins frame {self.frame!r} of {lidar} and frame "
                f"{camera.lens.frame!r} of {camera.info_topic}; record /tf and /tf_static, or leave the "
                "camera out (--cameras)"
            )
        if self.fixed(camera) is None and self.scene is None:
            raise InputError(
                f"{self._where}: frame {camera.lens.frame!r} of {camera.info_topic} moves, and nothing "
                f"says how, seen from {self.frame!r}"
            )

    def _check_up(self, times: list[int], lidar: str) -> None:
        """Frames of ROS stand with z up (REP 103), but for optical ones; a tilted sensor's clouds would lie aslant."""
        T = next((T for time in times if (T := self._tree.place(self.frame, self._root, time)) is not None), None)
        up = 1.0 if T is None else float(T[2, 2])
        if up < UPRIGHT:
            angle = np.degrees(np.arccos(np.clip(up, -1, 1)))
            raise InputError(
                f"{self._where}: z of frame {self.frame!r} of {lidar} is {angle:.0f}° away from that of "
                f"{self._root!r}: give a frame of the vehicle with z up (--points-frame base_link), or "
                "another --scene-frame, if it is that one which lies"
            )
