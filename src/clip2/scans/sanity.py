"""Statistics that wrong axes, units or calibrations cannot pass: most failed reproductions are one of these.

They need no labels. ``clip2 check`` prints them; `lift` and `objects` stop on them before they make anything of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import in_image, invert, project_points
from clip2.runtime.errors import InputError
from clip2.scans.poses import PoseCheck

UP = np.array([0.0, 0.0, 1.0])
"""Of every points' frame in this project."""
UPRIGHT = 0.5
"""Least cosine between a camera's up and the points' up: cameras are rolled and pitched by less than 60 degrees."""
DISTANCE = {"lidar": (0.8, 150.0), "rgbd": (0.2, 20.0)}
"""Metres, least and most median distance of a cloud from its camera, by sensor."""
NEAR_M = 0.45
"""Median distance of a depth camera's points below which only a table or a hand is looked at."""
MOST_ABOVE = 1.5
"""Metres: the median point may be this much above the camera, not more: ground, floor and furniture are below it."""
LEAST_SEEN = {"lidar": 0.005, "rgbd": 0.3}
"""Least share of a cloud's points that the camera of a frame sees: less and they do not belong together."""


@dataclass(frozen=True)
class FrameFacts:
    """What one frame's numbers say.

    Attributes:
        upright: cosine between the camera's up and the points' up.
        distance: metres, median distance of the cloud's points from the camera.
        above: metres, median height of the points over the camera.
        seen: share of the points that the camera sees.
    """

    upright: float
    distance: float
    above: float
    seen: float


def frame_facts(frame: Mapping[str, Any], points: NDArray[np.floating]) -> FrameFacts:
    """Facts of one frame (a row of store.schemas.FRAMES) and its points (N, 3+)."""
    T = np.reshape(frame["T_cam_from_points"], (4, 4))
    centre = invert(T)[:3, 3]
    uv, depth = project_points(points, T, np.reshape(frame["K"], (3, 3)))
    seen = in_image(uv, (frame["width"], frame["height"])) & (depth > 0)
    offset = points[:, :3] - centre
    return FrameFacts(
        upright=float(-T[1, :3] @ UP),
        distance=float(np.median(np.linalg.norm(offset, axis=1))),
        above=float(np.median(offset[:, 2])),
        seen=float(seen.mean()),
    )


def figures(facts: Sequence[FrameFacts], sensor: str) -> list[tuple[str, ...]]:
    """The facts of some frames to print: what, least, median, most, and what is plausible; with units."""
    low, high = DISTANCE[sensor]
    tilt = [np.degrees(np.arccos(np.clip(fact.upright, -1, 1))) for fact in facts]
    rows = (
        ("camera's tilt", tilt, "{:.0f}°", f"under {np.degrees(np.arccos(UPRIGHT)):.0f}°"),
        ("points' distance from the camera", [fact.distance for fact in facts], "{:.1f} m", f"{low:g} to {high:g} m"),
        ("points' height over the camera", [fact.above for fact in facts], "{:.1f} m", f"under {MOST_ABOVE:g} m"),
        ("points that the camera sees", [fact.seen for fact in facts], "{:.1%}", f"over {LEAST_SEEN[sensor]:.1%}"),
    )
    return [
        (what, *(unit.format(value) for value in (min(values), float(np.median(values)), max(values))), plausible)
        for what, values, unit, plausible in rows
    ]


def doubts(facts: Sequence[FrameFacts], sensor: str) -> list[str]:
    """What is possible but rare: a note, and no reason to stop."""
    distance = float(np.median([fact.distance for fact in facts])) if facts else NEAR_M
    if sensor != "rgbd" or distance >= NEAR_M:
        return []
    return [
        f"the points' median distance from the camera is {distance:.2g} m, which is near for a room: check "
        "metres_per_unit of the depth"
    ]


def complaints(facts: Sequence[FrameFacts], sensor: str) -> list[str]:
    """What is wrong with some frames, in words that name the likely cause; medians decide, one odd frame does not."""
    if not facts:
        return []
    upright, distance, above, seen = (
        float(np.median([getattr(fact, name) for fact in facts])) for name in ("upright", "distance", "above", "seen")
    )
    low, high = DISTANCE[sensor]
    found = []
    if upright < UPRIGHT:
        found.append(
            f"the cameras' up direction is {np.degrees(np.arccos(np.clip(upright, -1, 1))):.0f}° away from the points' "
            "up (z): the axes or the camera's rotation are wrong"
        )
    if not low <= distance <= high:
        found.append(
            f"the points' median distance from the camera is {distance:.3g} m, expected {low:g} to {high:g}: "
            "the units are wrong (millimetres for metres?) or the camera's position is"
        )
    if above > MOST_ABOVE:
        found.append(f"the median point is {above:.1f} m above the camera: up and down are swapped")
    if seen < LEAST_SEEN[sensor]:
        found.append(f"a camera sees only {seen:.2%} of its cloud's points: its calibration belongs to another sensor")
    return found


class FrameCheck:
    """Looks at the first few frames of a stage, and pairs of samples with poses; stops it when they make no sense."""

    ENOUGH = 12
    SCENES = 4
    """Of hand-held cameras: one may look at the floor for a while."""

    def __init__(self, sensor: str, where: str) -> None:
        """``where``: the file that the frames come from, for the message."""
        self._sensor, self._where = sensor, where
        self._facts: list[FrameFacts] = []
        self._scenes: set[str] = set()
        self._poses = PoseCheck(sensor)
        self._frames_done = self._poses_done = sensor not in DISTANCE

    def add(self, frame: Mapping[str, Any], points: NDArray[np.floating]) -> None:
        """Look at one more frame; after enough of them, decide.

        Raises:
            InputError: axes, units, calibration or poses cannot be right.
        """
        if not self._frames_done:
            self._facts.append(frame_facts(frame, points))
            self._scenes.add(frame["scene"])
            if len(self._facts) >= self.ENOUGH and (self._sensor != "rgbd" or len(self._scenes) >= self.SCENES):
                self._decide_frames()
        if not self._poses_done:
            self._poses.add(frame, points)
            if self._poses.enough:
                self._decide_poses()

    def finish(self) -> None:
        """Decide on the frames seen so far (fewer than enough of them at the end of a small shard)."""
        if not self._frames_done:
            self._decide_frames()
        if not self._poses_done:
            self._decide_poses()

    def _decide_frames(self) -> None:
        self._frames_done = True
        self._refuse(complaints(self._facts, self._sensor))

    def _decide_poses(self) -> None:
        self._poses_done = True
        self._refuse(self._poses.complaints())

    def _refuse(self, found: list[str]) -> None:
        if found:
            raise InputError(f"{self._where}: {'; '.join(found)}; `clip2 check SOURCE` shows the figures")
