"""The lie of a street: lanes, kerbs, pavements, a crossing road, the ground's mesh and the buildings along it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clip2_world.catalog import Rng
from clip2_world.mesh import Builder, Material, Mesh
from clip2_world.streets.route import Route

KERB = 0.1
"""Height of the pavement over the road, metres."""
LANE = 3.5
LAND = 120.0
"""How far from the road's middle the ground is modelled at pavement height, metres."""
WALLS = ((0.62, 0.4, 0.32), (0.72, 0.68, 0.6), (0.55, 0.56, 0.58), (0.8, 0.76, 0.66), (0.4, 0.43, 0.48))
_TURN_CHANCE, _JUNCTION_CHANCE = 0.3, 0.3


@dataclass(frozen=True)
class Junction:
    """A straight road of one lane per direction that crosses the street at right angles.

    Attributes:
        station: where on the street's route its middle is, metres.
        route: along its middle, to the left of the street; s = 0 on the street's route.
        half_width: of its roadway, metres.
    """

    station: float
    route: Route
    half_width: float


@dataclass(frozen=True)
class Layout:
    """Cross-section and course of a street. Widths in metres; ``zebra`` is the station of a pedestrian crossing."""

    route: Route
    lanes: int
    parking: float
    pavement: float
    grass: bool
    zebra: float
    junction: Junction | None
    low: float
    high: float

    @property
    def kerb(self) -> float:
        """Offset of the kerb from the middle of the road."""
        return self.lanes * LANE + self.parking

    def near_junction(self, station: float, margin: float) -> bool:
        """Whether a station lies in the crossing road or less than ``margin`` metres from its kerb."""
        j = self.junction
        return j is not None and abs(station - j.station) < j.half_width + margin


def make_layout(rng: Rng, length: float, behind: float) -> Layout:
    """A random street, modelled from ``behind`` metres behind the start to ``length`` metres after it."""
    lanes, pavement = int(rng.integers(1, 3)), rng.uniform(2.6, 5)
    parking = float(rng.choice([0.0, 2.6, 3.0], p=[0.12, 0.44, 0.44]))
    bends = rng.random() < _TURN_CHANCE
    curvature = float(rng.choice([-1, 1]) / rng.uniform(260, 800)) if bends else 0.0
    route = Route(curvature=curvature)
    zebra = rng.uniform(10, length)
    junction = None
    if rng.random() < _JUNCTION_CHANCE:
        station = float(rng.uniform(14, max(30.0, length - 20)))
        x, y = route.place(station, 0.0)
        across = Route(float(x), float(y), route.direction(station) + np.pi / 2)
        junction = Junction(station, across, LANE + rng.uniform(0.3, 0.8))
        zebra = station - junction.half_width - 2.4
    return Layout(route, lanes, parking, pavement, bool(rng.random() < 0.6), zebra, junction, -behind, length)


def build_surroundings(rng: Rng, layout: Layout) -> Mesh:
    """Mesh of the ground and of all buildings."""
    b = Builder()
    b.slab(((layout.low + layout.high) / 2, 0, -1), (900, 900, 1.0), (0.3, 0.3, 0.3), material=Material.GROUND)
    for side in (-1, 1):
        for stations in _land_stations(layout):
            _land(b, layout, side, stations)
        if rng.random() >= 0.2:
            _house_row(b, rng, layout, side)
    if layout.junction is not None:
        for arm in (-1, 1):
            for side in (-1, 1):
                _side_road_row(b, rng, layout, layout.junction, arm, side)
    return b.build()


def _land_stations(layout: Layout) -> list[NDArray[np.float64]]:
    """Stations of the columns of the raised ground: one run, or two beside a crossing road."""
    low, high, step = layout.low - 110, layout.high + 110, 4.0 if layout.route.curvature else 1e3
    ends = [low, high]
    if layout.junction is not None:
        centre, half = layout.junction.station, layout.junction.half_width
        ends = [low, centre - half, centre + half, high]
    runs = []
    for a, z in zip(ends[::2], ends[1::2]):
        runs.append(np.linspace(a, z, max(2, int(np.ceil((z - a) / step)) + 1)))
    return runs


def _land(b: Builder, layout: Layout, side: int, stations: NDArray[np.float64]) -> None:
    """Ground at pavement height from the kerb outwards, with the kerb's face."""
    reach = LAND if side * layout.route.curvature <= 0 else min(LAND, 0.85 / abs(layout.route.curvature))
    offsets = side * np.array([layout.kerb, layout.kerb, layout.kerb + layout.pavement, reach])
    xy = layout.route.place(stations[:, None], offsets[None])
    if layout.junction is not None:
        xy = _keep_off(layout.junction, xy, stations.mean() > layout.junction.station)
    z = np.broadcast_to(np.array([0.0, KERB, KERB, KERB])[None, :, None], (*xy.shape[:2], 1))
    grid = np.concatenate([xy, z], -1)
    b.add(grid.reshape(-1, 3), _grid_faces(*grid.shape[:2]), (0.5, 0.5, 0.5), Material.GROUND)
    for end in (grid[0], grid[-1]):  # faces towards the crossing road
        foot = end * np.array([1.0, 1.0, 0.0])
        b.add(np.stack([foot, end]).reshape(-1, 3), _grid_faces(2, len(end)), (0.5, 0.5, 0.5), Material.GROUND)


def _keep_off(junction: Junction, xy: NDArray[np.float64], beyond: bool) -> NDArray[np.float64]:
    """Move ground positions (..., 2) out of the crossing road, to the side before or beyond it."""
    left = np.array([-np.sin(junction.route.heading), np.cos(junction.route.heading)])
    offset = (xy - np.array([junction.route.x, junction.route.y])) @ left  # left of the crossing road: before it
    half = junction.half_width
    kept = np.minimum(offset, -half) if beyond else np.maximum(offset, half)
    return xy + (kept - offset)[..., None] * left


def _grid_faces(rows: int, columns: int) -> NDArray[np.int32]:
    """Two triangles for each cell of a grid of vertices in row order."""
    i = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).reshape(-1, 1)
    quads = np.concatenate([i, i + columns, i + columns + 1, i, i + columns + 1, i + 1], 1)
    return quads.reshape(-1, 3).astype(np.int32)


def _house(b: Builder, rng: Rng, xy: NDArray[np.float64], size: tuple[float, float, float], yaw: float) -> None:
    wall = np.clip(np.array(WALLS[rng.integers(len(WALLS))]) + rng.normal(0, 0.04, 3), 0.1, 0.95)
    b.slab((xy[0], xy[1], KERB), size, wall, yaw=yaw, material=Material.FACADE)


def _house_row(b: Builder, rng: Rng, layout: Layout, side: int) -> None:
    """Buildings along one side of the street, with a gap where a road crosses."""
    s, front = layout.low - 20, layout.kerb + layout.pavement + rng.uniform(3, 9)
    while s < layout.high + 40:
        width, depth, height = rng.uniform(8, 24), rng.uniform(8, 14), rng.uniform(5, 24)
        middle, offset = s + width / 2, side * (front + depth / 2 + rng.uniform(0, 2))
        if rng.random() < 0.85 and not layout.near_junction(middle, width / 2 + layout.pavement + 3):
            place = layout.route.place(middle, offset)
            _house(b, rng, place, (width, depth, height), layout.route.direction(middle))
        s += width + (0 if rng.random() < 0.6 else rng.uniform(2, 12))


def _side_road_row(b: Builder, rng: Rng, layout: Layout, junction: Junction, arm: int, side: int) -> None:
    """Buildings along one side of one arm of the crossing road, behind those of the street itself."""
    front = junction.half_width + layout.pavement + rng.uniform(2, 6)
    s = layout.kerb + layout.pavement + 26
    while s < 110:
        width, depth, height = rng.uniform(8, 20), rng.uniform(8, 12), rng.uniform(5, 18)
        if rng.random() < 0.75:
            place = junction.route.place(arm * (s + width / 2), side * (front + depth / 2))
            _house(b, rng, place, (width, depth, height), junction.route.heading)
        s += width + rng.uniform(0, 8)
