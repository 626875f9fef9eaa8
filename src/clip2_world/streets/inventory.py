"""All classes of the world, registered: import ``CATALOGUE`` from here, not from ``catalog``."""

from clip2_world.catalog import CATALOGUE, PALETTE
from clip2_world.streets import (  # noqa: F401  (importing them registers their classes)
    animals,
    cycles,
    mobility,
    people,
    plants,
    road_debris,
    road_works,
    street_furniture,
    vehicles,
    work_vehicles,
)

CLASSES: tuple[str, ...] = tuple(sorted(CATALOGUE))
"""The 39 fine names, sorted: their index is the class number of the demo models' tools."""
COLOURS: tuple[str, ...] = tuple(PALETTE)

__all__ = ["CATALOGUE", "CLASSES", "COLOURS"]
