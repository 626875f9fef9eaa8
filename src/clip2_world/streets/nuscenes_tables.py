"""Rows of the nuScenes v1.0 tables: tokens, the tables that all scenes share, attributes."""

import hashlib
from typing import Any

from clip2_world.streets.inventory import CATALOGUE
from clip2_world.streets.rig import CHANNELS, LIDAR
from clip2_world.streets.street import Actor

Row = dict[str, Any]
Tables = dict[str, list[Row]]

SCENE_TABLES = (
    "calibrated_sensor",
    "ego_pose",
    "image_annotations",
    "instance",
    "log",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
)
"""Tables whose rows belong to one scene each; ``image_annotations`` is the devkit's export of 2D boxes."""
MAP_MASK = "maps/blank.png"
ATTRIBUTES = {
    "cycle.with_rider": "There is a rider on the bicycle or motorcycle.",
    "cycle.without_rider": "There is no rider on the bicycle or motorcycle.",
    "pedestrian.moving": "The human is moving.",
    "pedestrian.standing": "The human is standing.",
    "vehicle.moving": "Vehicle is moving.",
    "vehicle.parked": "Vehicle is stationary (usually for longer duration) with no immediate intent to move.",
    "vehicle.stopped": "Vehicle, with a driver/rider in/on it, is currently stationary but has an intent to move.",
}
VISIBILITY = {"1": (0, 40), "2": (40, 60), "3": (60, 80), "4": (80, 100)}


def token(*parts: object) -> str:
    """A stable 32-digit token."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def visibility_token(share: float) -> str:
    """Token of the visibility level that holds a share of visible pixels in [0, 1]."""
    return str(1 + sum(share > limit for limit in (0.4, 0.6, 0.8)))


def attribute_tokens(actor: Actor) -> list[str]:
    """At most one attribute, as the devkit's detection evaluation demands."""
    category = CATALOGUE[actor.kind].category
    if category in ("vehicle.bicycle", "vehicle.motorcycle"):
        name = "cycle.with_rider" if actor.ridden else "cycle.without_rider"
    elif category.startswith("vehicle."):
        name = "vehicle.moving" if actor.moving else "vehicle.parked" if actor.parked else "vehicle.stopped"
    elif category.startswith("human."):
        name = "pedestrian.moving" if actor.moving else "pedestrian.standing"
    else:
        return []
    return [token("attribute", name)]


def shared_tables(log_tokens: list[str]) -> Tables:
    """The tables that do not depend on a scene, but for the map's list of logs."""
    kinds: dict[str, list[str]] = {}
    for kind in CATALOGUE.values():
        kinds.setdefault(kind.category, []).append(kind.name)
    return {
        "attribute": [{"token": token("attribute", n), "name": n, "description": d} for n, d in ATTRIBUTES.items()],
        "category": [
            {"token": token("category", name), "name": name, "description": ", ".join(sorted(fine))}
            for name, fine in sorted(kinds.items())
        ],
        "map": [{"token": token("map"), "category": "semantic_prior", "filename": MAP_MASK, "log_tokens": log_tokens}],
        "sensor": [
            {"token": token("sensor", c), "channel": c, "modality": "lidar" if c == LIDAR else "camera"}
            for c in (*CHANNELS, LIDAR)
        ],
        "visibility": [
            {
                "token": key,
                "level": f"v{low}-{high}",
                "description": f"visibility of whole object is between {low} and {high}%",
            }
            for key, (low, high) in VISIBILITY.items()
        ],
    }
