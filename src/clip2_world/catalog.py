"""The object classes: names, nuScenes category, where they stand; the shape modules register how they look."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from clip2_world.mesh import Builder, Mesh, Vec3

T = TypeVar("T")
Rng = np.random.Generator
Build = Callable[[Rng, Vec3], Builder]
AddRider = Callable[[Builder, Rng], None]

PALETTE: dict[str, tuple[float, float, float]] = {
    "white": (0.9, 0.9, 0.9),
    "black": (0.06, 0.06, 0.07),
    "gray": (0.45, 0.46, 0.48),
    "silver": (0.72, 0.74, 0.76),
    "red": (0.75, 0.08, 0.08),
    "blue": (0.1, 0.22, 0.7),
    "green": (0.1, 0.45, 0.15),
    "yellow": (0.92, 0.78, 0.1),
    "orange": (0.95, 0.45, 0.06),
    "brown": (0.4, 0.25, 0.13),
    "beige": (0.8, 0.7, 0.52),
    "purple": (0.45, 0.15, 0.55),
}
ANY_COLOUR = tuple(PALETTE)
CAR_COLOURS = ("white", "black", "gray", "silver", "red", "blue", "green", "yellow", "brown")
DARK, STEEL, GLASS, WHITE = (0.08, 0.08, 0.09), (0.6, 0.62, 0.64), (0.13, 0.17, 0.21), (0.9, 0.9, 0.9)
SKIN = ((0.9, 0.72, 0.6), (0.75, 0.55, 0.4), (0.5, 0.34, 0.24), (0.3, 0.2, 0.14))
WOOD = ((0.55, 0.38, 0.2), (0.42, 0.28, 0.16), (0.65, 0.5, 0.3))
ZONES = ("lane", "roadside", "pavement", "debris", "verge")


@dataclass(frozen=True)
class ThingClass:
    """One of the world's classes.

    Attributes:
        name: the fine name, as the vocabulary of the demo models knows it.
        category: a category that nuScenes itself has, so that its devkit can map and draw it.
        detection: the class of nuScenes' detection benchmark, or None.
        zone: where it stands, one of ``ZONES``.
        weight: how often, relative to the others of its zone.
    """

    name: str
    category: str
    detection: str | None
    synonyms: tuple[str, ...]
    zone: str
    weight: float
    colours: tuple[str, ...]
    build: Build


@dataclass(frozen=True)
class Specimen:
    """One built thing."""

    mesh: Mesh
    colour: str
    ridden: bool


CATALOGUE: dict[str, ThingClass] = {}
RIDERS: dict[str, AddRider] = {}


def thing(
    name: str,
    category: str,
    zone: str,
    *synonyms: str,
    detection: str | None = None,
    weight: float = 1.0,
    colours: tuple[str, ...] = ANY_COLOUR,
) -> Callable[[Build], Build]:
    """Register a builder as the shape of a class."""

    def register(build: Build) -> Build:
        CATALOGUE[name] = ThingClass(name, category, detection, synonyms, zone, weight, colours, build)
        return build

    return register


def rider_of(name: str) -> Callable[[AddRider], AddRider]:
    """Register how a person gets onto a thing of this class."""

    def register(add: AddRider) -> AddRider:
        RIDERS[name] = add
        return add

    return register


def make(name: str, rng: Rng, ridden: bool = False) -> Specimen:
    """A random specimen; ``ridden`` is heeded where the class has riders."""
    kind = CATALOGUE[name]
    colour = kind.colours[rng.integers(len(kind.colours))]
    tint = np.array(PALETTE[colour]) * rng.uniform(0.85, 1.1) + rng.normal(0, 0.02, 3)
    builder = kind.build(rng, tuple(np.clip(tint, 0.02, 0.98)))
    ridden = ridden and name in RIDERS
    if ridden:
        RIDERS[name](builder, rng)
    return Specimen(builder.build().centred(), colour, ridden)


def pick(rng: Rng, options: tuple[T, ...]) -> T:
    """One of the options, each as likely."""
    return options[rng.integers(len(options))]


def any_colour(rng: Rng, low: float = 0.0, high: float = 1.0) -> Vec3:
    """RGB with independent channels in [low, high)."""
    return rng.uniform(low, high, 3)


def contrast(colour: Vec3) -> Vec3:
    """White on dark paint, dark on light paint."""
    return WHITE if np.asarray(colour)[0] < 0.8 else DARK


def scaled(colour: Vec3, factor: float) -> Vec3:
    """A darker or lighter shade."""
    return np.asarray(colour) * factor
