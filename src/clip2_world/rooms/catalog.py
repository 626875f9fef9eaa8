"""The classes of things in rooms: names, where and in which rooms they stand, how often, and how they are built."""

from dataclasses import dataclass, field

import numpy as np

from clip2_world.catalog import ANY_COLOUR, PALETTE, Build, Rng
from clip2_world.mesh import Mesh
from clip2_world.rooms import furniture_bath as bath
from clip2_world.rooms import furniture_beds as beds
from clip2_world.rooms import furniture_cases as cases
from clip2_world.rooms import furniture_hung as hung
from clip2_world.rooms import furniture_screens as screens
from clip2_world.rooms import furniture_seats as seats
from clip2_world.rooms import furniture_small as small
from clip2_world.rooms import furniture_tables as tables

BEDROOM, LIVING, OFFICE, BATHROOM, KITCHEN = ROOMS = ("bedroom", "living room", "office", "bathroom", "kitchen")
WALL, CORNER, FREE, HUNG, ON = PLACES = ("wall", "corner", "free", "hung", "on")
"""Floor against a wall, floor in a corner, free on the floor, on a wall, on another piece."""


@dataclass(frozen=True)
class RoomClass:
    """One class.

    Attributes:
        name: the fine name.
        builds: where it may stand, one of ``PLACES`` → how it is built for that.
        rooms: the kinds of rooms it occurs in.
        weight: how often it is chosen to fill a room, relative to the others that fit there; beside that, every kind
            of room has things that belong to it (``room_plan``).
        hosts: the classes it may stand on.
        height: metres above the floor of its lower edge, from and to, where it hangs.
    """

    name: str
    synonyms: tuple[str, ...]
    builds: dict[str, Build]
    rooms: tuple[str, ...]
    weight: float = 1.0
    colours: tuple[str, ...] = ANY_COLOUR
    hosts: tuple[str, ...] = ()
    height: tuple[float, float] = field(default=(0.0, 0.0))


@dataclass(frozen=True)
class Furniture:
    """One built piece: its box is centred on x = y = 0 and stands on z = 0; its front looks along +x."""

    kind: str
    mesh: Mesh
    colour: str


WOODEN = ("brown", "brown", "brown", "beige", "beige", "white", "white", "gray", "black")
CLOTH = ("gray", "blue", "beige", "brown", "red", "green", "black", "white", "purple", "orange")
DRY = (BEDROOM, LIVING, OFFICE)
TOPS = ("table", "desk", "dresser", "cabinet", "night stand", "counter", "shelf")

ROOM_CATALOGUE: dict[str, RoomClass] = {
    kind.name: kind
    for kind in (
        RoomClass("bed", ("double bed", "single bed"), {WALL: beds.bed}, (BEDROOM,), 0.4, CLOTH),
        RoomClass(
            "table",
            ("dining table", "coffee table"),
            {FREE: tables.table, WALL: tables.table},
            (*DRY, KITCHEN),
            1,
            WOODEN,
        ),
        RoomClass("sofa", ("couch", "settee"), {WALL: seats.sofa}, (LIVING, OFFICE), 0.8, CLOTH),
        RoomClass(
            "chair", ("office chair", "dining chair"), {FREE: seats.chair, WALL: seats.chair}, (*DRY, KITCHEN), 0.7
        ),
        RoomClass("toilet", ("toilet bowl", "lavatory"), {WALL: bath.toilet}, (BATHROOM,), 0.1, ("white",)),
        RoomClass("desk", ("writing desk", "office desk"), {WALL: tables.desk}, (BEDROOM, OFFICE, LIVING), 0.8, WOODEN),
        RoomClass("dresser", ("chest of drawers",), {WALL: cases.dresser}, (BEDROOM, LIVING), 1.5, WOODEN),
        RoomClass("night stand", ("nightstand", "bedside table"), {WALL: cases.night_stand}, (BEDROOM,), 0.8, WOODEN),
        RoomClass("bookshelf", ("bookcase",), {WALL: cases.bookshelf}, DRY, 1.3, WOODEN),
        RoomClass("bathtub", ("bath tub", "tub"), {WALL: bath.bathtub}, (BATHROOM,), 0.3, ("white",)),
        RoomClass(
            "cabinet",
            ("cupboard", "wardrobe", "sideboard"),
            {WALL: cases.cabinet, HUNG: cases.hung_cabinet},
            ROOMS,
            1.2,
            WOODEN,
            height=(1.4, 1.6),
        ),
        RoomClass("door", ("closed door", "wooden door"), {HUNG: hung.door}, ROOMS, 0.2, WOODEN),
        RoomClass(
            "window",
            ("glass window",),
            {HUNG: hung.window},
            ROOMS,
            0.2,
            ("white", "white", "brown", "gray"),
            height=(0.85, 1.0),
        ),
        RoomClass(
            "picture",
            ("painting", "framed picture", "poster"),
            {HUNG: hung.picture},
            ROOMS,
            1.2,
            ("black", "white", "brown", "beige", "silver"),
            height=(1.25, 1.5),
        ),
        RoomClass(
            "counter",
            ("kitchen counter", "countertop"),
            {WALL: cases.counter},
            (KITCHEN, BATHROOM, OFFICE),
            0.3,
            WOODEN,
        ),
        RoomClass(
            "curtain",
            ("drapes", "window curtain"),
            {HUNG: hung.curtain},
            (*DRY, KITCHEN),
            0.8,
            CLOTH,
            height=(0.03, 0.2),
        ),
        RoomClass(
            "refrigerator",
            ("fridge", "freezer"),
            {WALL: cases.refrigerator},
            (KITCHEN,),
            1.0,
            ("white", "white", "silver", "gray", "black"),
        ),
        RoomClass(
            "shower curtain",
            ("bathroom curtain", "shower screen"),
            {HUNG: hung.shower_curtain},
            (BATHROOM,),
            0.8,
            ("blue", "green", "purple", "orange", "gray", "red"),
            height=(0.2, 0.4),
        ),
        RoomClass(
            "sink",
            ("wash basin", "kitchen sink"),
            {WALL: bath.sink, ON: bath.basin},
            (BATHROOM, KITCHEN),
            0.3,
            ("white", "silver"),
            hosts=("counter",),
        ),
        RoomClass(
            "bag",
            ("handbag", "backpack", "tote bag"),
            {FREE: small.bag, ON: small.bag},
            (*DRY, KITCHEN),
            1.6,
            ANY_COLOUR,
            ("bed", "sofa", "desk", "table"),
        ),
        RoomClass(
            "display",
            ("monitor", "television", "tv screen"),
            {ON: screens.display, HUNG: screens.hung_display},
            (*DRY, KITCHEN),
            1,
            ("black", "black", "gray", "silver", "white"),
            ("desk", "dresser", "cabinet", "table"),
            (0.9, 1.2),
        ),
        RoomClass(
            "shelf",
            ("rack", "open shelf"),
            {WALL: cases.shelf, HUNG: cases.hung_shelf},
            ROOMS,
            1.4,
            WOODEN,
            height=(1.3, 1.6),
        ),
        RoomClass("pillow", ("cushion",), {ON: beds.pillow}, (BEDROOM, LIVING), 2, ANY_COLOUR, ("bed", "sofa")),
        RoomClass(
            "lamp",
            ("floor lamp", "table lamp"),
            {CORNER: small.floor_lamp, ON: small.table_lamp},
            DRY,
            1.5,
            ("white", "beige", "yellow", "red", "blue", "gray"),
            ("night stand", "desk", "dresser", "cabinet", "table"),
        ),
        RoomClass(
            "stool", ("bar stool",), {FREE: seats.stool, WALL: seats.stool}, (LIVING, BATHROOM, KITCHEN, OFFICE), 1.2
        ),
        RoomClass(
            "plant",
            ("potted plant", "houseplant"),
            {CORNER: small.floor_plant, ON: small.pot_plant},
            (*DRY, KITCHEN, BATHROOM),
            1.1,
            ANY_COLOUR,
            TOPS,
        ),
        RoomClass(
            "laptop",
            ("notebook computer",),
            {ON: screens.laptop},
            (*DRY, KITCHEN),
            1.5,
            ("silver", "gray", "black", "white"),
            ("desk", "table", "bed", "counter"),
        ),
        RoomClass("trash bin", ("garbage can", "waste bin", "wastebasket"), {WALL: small.trash_bin}, ROOMS, 1.2),
        RoomClass(
            "cardboard box",
            ("box", "carton"),
            {FREE: small.cardboard_box, WALL: small.cardboard_box},
            (*DRY, KITCHEN),
            1.3,
            ("brown", "beige"),
        ),
    )
}
ROOM_CLASSES: tuple[str, ...] = tuple(sorted(ROOM_CATALOGUE))
"""The 29 fine names, sorted."""


def make_furniture(name: str, rng: Rng, place: str | None = None) -> Furniture:
    """A random piece of one class, built for one of its places (any, where none is given)."""
    kind = ROOM_CATALOGUE[name]
    places = tuple(kind.builds)
    chosen = places[rng.integers(len(places))] if place is None else place
    colour = kind.colours[rng.integers(len(kind.colours))]
    tint = np.array(PALETTE[colour]) * rng.uniform(0.85, 1.15) + rng.normal(0, 0.025, 3)
    mesh = kind.builds[chosen](rng, tuple(np.clip(tint, 0.07, 0.97))).build()
    return Furniture(name, mesh.centred(), colour)
