"""nuScenes' names for labels: classes of its detection benchmark, categories, attributes, colours."""

import math
from collections.abc import Sequence

from nuscenes.utils.color_map import get_colormap

from clip2.export.colours import colour_of
from clip2.label.words import canonical

MOVING_MPS = 0.2
"""Speed from which a thing moves."""
VEHICLE = ("vehicle.parked", "vehicle.moving")
CYCLE = ("cycle.without_rider", "cycle.with_rider")
ATTRIBUTES = {
    **dict.fromkeys(("car", "truck", "bus", "trailer", "construction_vehicle"), VEHICLE),
    **dict.fromkeys(("bicycle", "motorcycle"), CYCLE),
    "pedestrian": ("pedestrian.standing", "pedestrian.moving"),
}
"""Detection class → attribute of what stands and of what moves; barriers and cones have none."""
CATEGORIES = {
    "car": "vehicle.car",
    "truck": "vehicle.truck",
    "bus": "vehicle.bus.rigid",
    "trailer": "vehicle.trailer",
    "construction_vehicle": "vehicle.construction",
    "pedestrian": "human.pedestrian.adult",
    "motorcycle": "vehicle.motorcycle",
    "bicycle": "vehicle.bicycle",
    "traffic_cone": "movable_object.trafficcone",
    "barrier": "movable_object.barrier",
    "animal": "animal",
    "debris": "movable_object.debris",
    "bicycle_rack": "static_object.bicycle_rack",
    "child": "human.pedestrian.child",
    "construction_worker": "human.pedestrian.construction_worker",
    "police_officer": "human.pedestrian.police_officer",
    "stroller": "human.pedestrian.stroller",
    "wheelchair": "human.pedestrian.wheelchair",
    "ambulance": "vehicle.emergency.ambulance",
}
"""Label → category, one to one; the first ten are the detection benchmark's classes."""
CLASSES = tuple(CATEGORIES)[:10]
_CLASS = {canonical(name): name for name in CLASSES}
_CATEGORY = {canonical(name): category for name, category in CATEGORIES.items()}


def detection_class(label: str) -> str | None:
    """The detection benchmark's class of a label; None where it has none."""
    return _CLASS.get(canonical(label))


def category(label: str) -> str:
    """nuScenes' category of a label; the label itself where it has none."""
    return _CATEGORY.get(canonical(label), label)


def attribute(name: str | None, velocity: Sequence[float] | None) -> str:
    """The attribute of a detection class by its speed, "" where it has none; a thing of unknown speed stands."""
    if name not in ATTRIBUTES:
        return ""
    return ATTRIBUTES[name][velocity is not None and math.hypot(*velocity) > MOVING_MPS]


def colour(category: str) -> list[int]:
    """RGB of a category: nuScenes' own where it has one."""
    return list(get_colormap().get(category) or colour_of(category))
