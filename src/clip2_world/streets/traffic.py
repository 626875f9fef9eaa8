"""Makes streets: who and what stands and moves there, on lanes, pavements, road edges and the crossing road."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from clip2_world.catalog import RIDERS, ZONES, Rng, make
from clip2_world.streets.inventory import CATALOGUE
from clip2_world.streets.layout import KERB, LANE, Junction, build_surroundings, make_layout
from clip2_world.streets.street import HORIZON, Actor, Street
from clip2_world.streets.surface import make_noise
from clip2_world.streets.weather import make_weather

WALKERS = ("pedestrian", "construction worker", "bicycle", "scooter", "wheelchair", "dog")
RIDDEN_AT_REST = {"wheelchair": 0.7, "scooter": 0.3, "bicycle": 0.2}
"""How often somebody sits on it while it stands on the pavement."""
GRAIN = 1_000_003
"""Values of sensor noise that pictures draw on, from a place of their own each; prime, so that no rows repeat."""
_GAP_BEHIND, _GAP_AHEAD = -9.0, 11.0
_KINDS = {zone: [kind for kind in CATALOGUE.values() if kind.zone == zone] for zone in ZONES}


def make_street(seed: int, duration: float = 4.0, density: float = 1.0) -> Street:
    """A street that depends on the arguments alone.

    Args:
        duration: seconds of drive that it must last for.
        density: how close things stand; 1 is usual.
    """
    rng = np.random.default_rng(seed)
    speed = rng.uniform(3.5, 11)
    layout = make_layout(rng, HORIZON + speed * duration, HORIZON)
    lane = -(int(rng.integers(layout.lanes)) + 0.5)
    street = Street(
        seed=seed,
        layout=layout,
        weather=make_weather(rng),
        ego_lane=lane * LANE,
        ego_speed=speed,
        ego_sway=(rng.uniform(0.1, 0.45), rng.uniform(0.03, 0.08)),
        static=build_surroundings(rng, layout),
        noise=make_noise(rng),
        grain=rng.standard_normal(GRAIN, dtype=np.float32),
    )
    populate(street, rng, density)
    return street


def populate(street: Street, rng: Rng, density: float) -> None:
    """Fill a street with actors."""
    spawner = _Spawner(street, rng, density)
    spawner.traffic()
    spawner.parked()
    for side in (-1, 1):
        spawner.pavement(side)
        spawner.verge(side)
        spawner.road_edge(side)
    spawner.jaywalkers()
    if street.layout.junction is not None:
        for arm in (-1, 1):
            spawner.side_road(street.layout.junction, arm)
            spawner.corners(street.layout.junction, arm)


class _Spawner:
    def __init__(self, street: Street, rng: Rng, density: float) -> None:
        self.street, self.rng, self.density = street, rng, density
        self.layout = street.layout

    def choose(self, zone: str) -> str:
        weights = np.array([kind.weight for kind in _KINDS[zone]])
        return _KINDS[zone][self.rng.choice(len(weights), p=weights / weights.sum())].name

    def make(
        self, kind: str, s: float, d: float, z: float, turn: float, speed: float = 0.0, ridden: bool = False
    ) -> Actor:
        """An actor on the street's route; ``speed`` is along the actor's own heading."""
        specimen = make(kind, self.rng, ridden)
        direction = float(np.sign(np.cos(turn))) or 1.0
        return Actor(
            kind, specimen.colour, specimen.ridden, False, specimen.mesh, self.layout.route, s, d, z, turn,
            speed * direction,
        )  # fmt: skip

    def add(self, actor: Actor, **changes: Any) -> None:
        """Put an actor on the street, with some of its fields changed."""
        self.street.actors.append(replace(actor, **changes))

    def spaces(self, gap: tuple[float, float]) -> Iterator[float]:
        """Stations along the street, a random gap (metres, divided by the density) apart."""
        s = self.layout.low
        while s < self.layout.high:
            yield s
            s += self.rng.uniform(*gap) / self.density

    def traffic(self) -> None:
        """Vehicles on the lanes; those on the ego car's lane keep its speed."""
        rng, street = self.rng, self.street
        for lane in range(2 * self.layout.lanes):
            d = (lane - self.layout.lanes + 0.5) * LANE
            own = abs(d - street.ego_lane) < 1
            speed = street.ego_speed if own else (0.0 if rng.random() < 0.25 else rng.uniform(4, 12))
            margin = 0 if own or speed == 0 else 40
            s = self.layout.low - margin + rng.uniform(0, 15)
            while s < self.layout.high + margin:
                s += self._lane_vehicle(s, d, speed, own) + rng.uniform(5, 26) / self.density

    def _lane_vehicle(self, s: float, d: float, speed: float, own: bool) -> float:
        """Put one vehicle with its rear end at s, unless something speaks against it; gives its length."""
        rng = self.rng
        kind = self.choose("lane") if rng.random() < 0.85 else str(rng.choice(["motorcycle", "bicycle"]))
        turn = (0.0 if d < 0 else np.pi) + rng.normal(0, 0.02)
        actor = self.make(kind, s, d + rng.uniform(-0.25, 0.25), 0.0, turn, speed, ridden=True)
        length = float(actor.mesh.extents[0])
        on_ego = own and s + length > _GAP_BEHIND and s < _GAP_AHEAD
        in_the_way = speed == 0 and self.layout.near_junction(s + length / 2, length / 2 + 4)
        if not (on_ego or in_the_way):
            self.add(actor, station=s + length / 2)
        return length

    def parked(self) -> None:
        """Vehicles on the parking strips."""
        rng, layout = self.rng, self.layout
        if not layout.parking:
            return
        for side in (-1, 1):
            s = layout.low
            while s < layout.high:
                kind = self.choose("roadside") if rng.random() < 0.55 else self.choose("lane")
                turn = (0.0 if side < 0 else np.pi) + rng.normal(0, 0.04) + (np.pi if rng.random() < 0.1 else 0)
                if kind == "motorcycle":
                    turn += rng.uniform(-1.2, 1.2)
                actor = self.make(kind, s, side * (layout.kerb - layout.parking / 2), 0.0, turn)
                length, width, _ = actor.mesh.extents
                half = float(max(abs(length * np.cos(turn)), abs(width * np.sin(turn))) / 2)
                if not layout.near_junction(s + half, half + 5):
                    self.add(actor, station=s + half, parked=True)
                s += 2 * half + rng.uniform(1.0, 9) / self.density

    def pavement_thing(self, s: float, d: float, facing: float) -> Actor:
        """Somebody or something on the pavement; signs and lights turn to ``facing``."""
        rng = self.rng
        kind = self.choose("pavement")
        walks = kind in WALKERS and rng.random() < 0.5
        turn = (0.0 if rng.random() < 0.5 else np.pi) + rng.normal(0, 0.15) if walks else rng.uniform(-np.pi, np.pi)
        if kind in ("street sign", "traffic light"):
            turn = facing + rng.normal(0, 0.3)
        ridden = kind in RIDERS and (walks or rng.random() < RIDDEN_AT_REST.get(kind, 0.0))
        speed = rng.uniform(2.0, 4.0) if kind == "bicycle" else rng.uniform(0.7, 1.6)
        return self.make(kind, s, d, KERB, turn, speed if walks else 0.0, ridden)

    def pavement(self, side: int) -> None:
        """People and things between kerb and verge."""
        layout = self.layout
        for s in self.spaces((1.2, 5)):
            d = side * (layout.kerb + self.rng.uniform(0.5, layout.pavement - 0.3))
            actor = self.pavement_thing(s, d, 0.0 if side < 0 else np.pi)
            if not layout.near_junction(s, 0.6):
                self.add(actor)

    def verge(self, side: int) -> None:
        """Trees, bushes and animals behind the pavement."""
        layout = self.layout
        for s in self.spaces((4, 12)):
            d = side * (layout.kerb + layout.pavement + self.rng.uniform(0.6, 2.4))
            actor = self.make(self.choose("verge"), s, d, KERB, self.rng.uniform(-np.pi, np.pi))
            if not layout.near_junction(s, 2.0):
                self.add(actor)

    def road_edge(self, side: int) -> None:
        """Cones, barriers and lost things beside the lanes; cones and barriers often in rows."""
        rng, layout = self.rng, self.layout
        s = layout.low
        while s < layout.high:
            kind = self.choose("debris")
            run = int(rng.integers(2, 6)) if kind in ("traffic cone", "barrier") and rng.random() < 0.6 else 1
            across = np.pi / 2 if kind == "barrier" else rng.uniform(-np.pi, np.pi)
            for _ in range(run):
                d = side * (layout.lanes * LANE + 0.1 + rng.uniform(0, 0.35))
                actor = self.make(kind, s, d, 0.0, across + rng.normal(0, 0.06))
                if not layout.near_junction(s, 1.5):
                    self.add(actor)
                s += (float(actor.mesh.extents[1]) if kind == "barrier" else 0.4) + rng.uniform(0.4, 2.0)
            s += rng.uniform(2, 10) / self.density

    def jaywalkers(self) -> None:
        """Up to two people who cross the road well ahead of the ego car."""
        rng = self.rng
        for _ in range(rng.integers(0, 3)):
            s, d = rng.uniform(18, 40) + self.street.ego_speed * 3, rng.uniform(-self.layout.kerb, self.layout.kerb)
            left = int(rng.choice([-1, 1]))
            walker = self.make("pedestrian", s, d, 0.0, left * np.pi / 2)
            self.add(walker, drift=left * rng.uniform(0.8, 1.6), speed=0.0)

    def side_road(self, junction: Junction, arm: int) -> None:
        """One arm of the crossing road: vehicles that wait at the line, others that drive away, and its pavements."""
        rng, layout = self.rng, self.layout
        s = layout.kerb + 5.0
        for _ in range(rng.integers(0, 4)):
            waiting = self.make(self.choose("lane"), 0.0, 0.0, 0.0, 0.0)
            length = float(waiting.mesh.extents[0])
            self._on_arm(waiting, junction, arm, s + length / 2, inwards=True)
            s += length + rng.uniform(1.0, 3.0)
        s = layout.kerb + rng.uniform(6, 25)
        for _ in range(rng.integers(0, 3)):
            kind = self.choose("lane") if rng.random() < 0.85 else str(rng.choice(["motorcycle", "bicycle"]))
            leaving = self.make(kind, 0.0, 0.0, 0.0, 0.0, 1.0, ridden=True)
            self._on_arm(leaving, junction, arm, s, inwards=False, speed=rng.uniform(3, 8))
            s += float(leaving.mesh.extents[0]) + rng.uniform(10, 25)
        for side in (-1, 1):
            s = layout.kerb + layout.pavement + rng.uniform(0, 4)
            while s < 45:
                d = side * (junction.half_width + rng.uniform(0.5, layout.pavement - 0.3))
                self.add(self.pavement_thing(arm * s, d, 0.0 if side < 0 else np.pi), route=junction.route)
                s += rng.uniform(4, 12) / self.density

    def _on_arm(self, actor: Actor, junction: Junction, arm: int, s: float, inwards: bool, speed: float = 0.0) -> None:
        """Put a vehicle s metres out on an arm (+1 left of the street, -1 right), on its right-hand lane."""
        forward = arm * (-1 if inwards else 1)  # +1: heads along the crossing road's route
        turn = (0.0 if forward > 0 else np.pi) + self.rng.normal(0, 0.02)
        self.add(
            actor, route=junction.route, station=arm * s, offset=-forward * LANE / 2, turn=turn, speed=forward * speed
        )

    def corners(self, junction: Junction, arm: int) -> None:
        """Traffic lights on two corners of one arm, each facing those who come towards it."""
        if self.rng.random() < 0.3:
            return
        layout = self.layout
        for side, facing in ((-1, 0.0), (1, np.pi)):
            s = junction.station + side * (junction.half_width + 0.5)
            light = self.make("traffic light", s, arm * (layout.kerb + 0.5), KERB, facing)
            self.add(light)
