"""A street scene: layout, weather, actors and the ego car's drive, in the street frame (x ahead, z up, metres)."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clip2_world.mesh import Floats, Mesh
from clip2_world.streets.layout import Layout
from clip2_world.streets.route import Route
from clip2_world.streets.weather import Weather

HORIZON = 60.0
"""How far behind the start and beyond the end of the drive there are actors, metres."""
BOX_MARGIN = 0.04
"""Annotated boxes are this much wider than the mesh on every side and above: twice the LiDAR's range noise, metres."""
BOX_LIFT = 0.02
"""And start this much above its lowest point, so that returns from the ground stay out of them, metres."""
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Actor:
    """Something that stands or moves along a route at constant speed.

    Attributes:
        kind, colour: fine name and colour name.
        ridden: whether a person rides it.
        parked: a vehicle outside the traffic.
        mesh: in its own frame: x forward, bottom centre at the origin.
        station, offset, level: where it is at t = 0, on ``route`` and in height.
        turn: heading relative to the route's, radians.
        speed: along the route, m/s; negative against its direction.
        drift: across the route, to the left, m/s.
    """

    kind: str
    colour: str
    ridden: bool
    parked: bool
    mesh: Mesh
    route: Route
    station: float
    offset: float
    level: float
    turn: float
    speed: float = 0.0
    drift: float = 0.0

    @property
    def moving(self) -> bool:
        """Whether it is anywhere else a moment later."""
        return bool(np.hypot(self.speed, self.drift) > 0.0)

    @property
    def size(self) -> Vector:
        """Length, width, height of its annotated box, metres."""
        return self.mesh.extents.astype(np.float64) + np.array([2 * BOX_MARGIN, 2 * BOX_MARGIN, BOX_MARGIN - BOX_LIFT])

    @property
    def radius(self) -> float:
        """Of a circle on the ground around its position that holds it, metres."""
        return float(np.hypot(self.mesh.extents[0], self.mesh.extents[1])) / 2

    def pose(self, time: float) -> tuple[Vector, float]:
        """Position (3,) of its bottom centre and its yaw (radians) at a time (seconds)."""
        station = self.station + self.speed * time
        x, y = self.route.place(station, self.offset + self.drift * time)
        return np.array([x, y, self.level]), self.route.direction(station) + self.turn

    def box_centre(self, time: float) -> Vector:
        """Centre (3,) of its annotated box."""
        position, _ = self.pose(time)
        return position + np.array([0.0, 0.0, BOX_LIFT + self.size[2] / 2])


@dataclass
class Street:
    """One scene, in which the ego car keeps its lane with a slow sway.

    ``noise`` is the texture of the surfaces, ``grain`` normal noise for the pictures.
    """

    seed: int
    layout: Layout
    weather: Weather
    ego_lane: float
    ego_speed: float
    ego_sway: tuple[float, float]
    static: Mesh
    noise: Floats
    grain: Floats
    actors: list[Actor] = field(default_factory=list)

    def ego_pose(self, time: float) -> tuple[Vector, float]:
        """Position (3,) of the rear axle on the ground and heading (radians)."""
        amplitude, rate = self.ego_sway
        s = self.ego_speed * time
        d = self.ego_lane + amplitude * np.sin(rate * s)
        slope = amplitude * rate * np.cos(rate * s)
        route = self.layout.route
        x, y = route.place(s, d)
        return np.array([x, y, 0.0]), route.direction(s) + float(np.arctan2(slope, 1 - route.curvature * d))

    def describe(self) -> str:
        """A few words for the scene's description."""
        layout = self.layout
        course = "curved street" if layout.route.curvature else "straight street"
        crossing = ", junction" if layout.junction else ""
        return f"procedural {course}{crossing}, {2 * layout.lanes} lanes, {self.weather.name}"
