"""What stands in each kind of room."""

from collections.abc import Callable

import numpy as np

from clip2_world.catalog import Rng
from clip2_world.rooms.catalog import (
    BATHROOM,
    BEDROOM,
    CORNER,
    FREE,
    HUNG,
    KITCHEN,
    LIVING,
    OFFICE,
    ON,
    ROOM_CATALOGUE,
    WALL,
)
from clip2_world.rooms.layout import Layout, Placed

DOORWAY = 0.7
"""Metres that are kept free before a door."""


def furnish(layout: Layout, room: str) -> None:
    """Fill an empty room of one kind."""
    _door(layout)
    _PLANS[room](layout)
    if layout.rng.random() < 0.75:
        _window(layout, room)
    _fill(layout, room, int(layout.rng.integers(7, 13)))


def _door(layout: Layout) -> None:
    door = layout.put_against_wall("door", HUNG)
    if door:
        low, high = door.bounds
        out = np.sign(np.round(door.front, 6)) * DOORWAY
        layout.keep_free(np.minimum(low, low + out), np.maximum(high, high + out))


def _window(layout: Layout, room: str) -> None:
    """A window, in most rooms with a curtain on one or both sides."""
    window = layout.put_against_wall("window", HUNG)
    if not window or room == BATHROOM or layout.rng.random() < 0.3:
        return
    for side in (-1, 1)[: 1 + (layout.rng.random() < 0.6)]:
        shift = side * float(window.mesh.extents[1]) / 2
        layout.put_before(window, "curtain", HUNG, 0.01, shift, layout.rng.uniform(0.03, 0.15))


def _bedroom(layout: Layout) -> None:
    rng = layout.rng
    bed = layout.put_against_wall("bed", WALL)
    if bed:
        for _ in range(1 + (rng.random() < 0.5)):
            stand = layout.put_beside(bed, "night stand", WALL)
            if stand and rng.random() < 0.5:
                layout.put_on(stand, "lamp")
        for _ in range(rng.integers(0, 3)):
            layout.put_on(bed, "pillow")
    if rng.random() < 0.6:
        layout.put_against_wall("dresser", WALL)
    if rng.random() < 0.35:
        _desk(layout)


def _living_room(layout: Layout) -> None:
    rng = layout.rng
    sofa = layout.put_against_wall("sofa", WALL)
    if sofa:
        layout.put_facing(sofa, "table", FREE, 0.0, rng.uniform(0.3, 0.5))
        for _ in range(rng.integers(0, 3)):
            layout.put_on(sofa, "pillow")
    if rng.random() < 0.4:
        layout.put_against_wall("sofa", WALL)
    screen = layout.put_against_wall(str(rng.choice(["cabinet", "dresser"])), WALL)
    if not screen or not layout.put_on(screen, "display"):
        layout.put_against_wall("display", HUNG)
    if rng.random() < 0.5:
        layout.put_against_wall("bookshelf", WALL)


def _office(layout: Layout) -> None:
    for _ in range(layout.rng.integers(1, 4)):
        _desk(layout)
    for name in ("bookshelf", "cabinet", "shelf"):
        if layout.rng.random() < 0.5:
            layout.put_against_wall(name, WALL)


def _desk(layout: Layout) -> None:
    """A desk, its chair, and what is on it."""
    desk = layout.put_against_wall("desk", WALL)
    if not desk:
        return
    layout.put_facing(desk, "chair", FREE, 0.0, layout.rng.uniform(0.02, 0.3))
    for name, share in (("display", 0.6), ("laptop", 0.5), ("lamp", 0.3)):
        if layout.rng.random() < share:
            layout.put_on(desk, name)


def _bathroom(layout: Layout) -> None:
    rng = layout.rng
    tub = layout.put_against_wall("bathtub", WALL) if rng.random() < 0.85 else None
    if tub and rng.random() < 0.45:
        layout.put_before(tub, "shower curtain", HUNG, 0.02, rng.uniform(-0.3, 0.3), rng.uniform(0.2, 0.3))
    elif rng.random() < 0.6:
        layout.put_against_wall("shower curtain", HUNG)
    layout.put_against_wall("toilet", WALL)
    if rng.random() < 0.25:
        worktop = layout.put_against_wall("counter", WALL)
        if worktop and layout.put_on(worktop, "sink"):
            return
    layout.put_against_wall("sink", WALL)


def _kitchen(layout: Layout) -> None:
    rng = layout.rng
    worktop = layout.put_against_wall("counter", WALL)
    if worktop and rng.random() < 0.8:
        layout.put_on(worktop, "sink")
    if not worktop or not layout.put_beside(worktop, "refrigerator", WALL):
        layout.put_against_wall("refrigerator", WALL)
    if rng.random() < 0.4:
        second = layout.put_against_wall("counter", WALL)
        if second and rng.random() < 0.4:
            layout.put_on(second, "sink")
    table = layout.put_free("table", FREE)
    if table:
        for turn in rng.permutation([0.0, np.pi / 2, np.pi, -np.pi / 2])[: rng.integers(0, 4)]:
            seat = "stool" if rng.random() < 0.2 else "chair"
            layout.put_facing(table, seat, FREE, float(turn), rng.uniform(0.02, 0.15))


_PLANS: dict[str, Callable[[Layout], None]] = {
    BEDROOM: _bedroom,
    LIVING: _living_room,
    OFFICE: _office,
    BATHROOM: _bathroom,
    KITCHEN: _kitchen,
}


def _fill(layout: Layout, room: str, count: int) -> None:
    """``count`` more things (fewer where they do not fit) drawn by their weights from what this kind of room has."""
    kinds = [kind for kind in ROOM_CATALOGUE.values() if room in kind.rooms]
    weights = np.array([kind.weight for kind in kinds])
    for number in layout.rng.choice(len(kinds), count, p=weights / weights.sum()):
        kind = kinds[number]
        places = list(kind.builds)
        _put(layout, kind.name, places[layout.rng.integers(len(places))])


def _put(layout: Layout, name: str, place: str) -> Placed | None:
    if place == FREE:
        return layout.put_free(name, place)
    if place == ON:
        return _put_somewhere(layout, layout.rng, name)
    return layout.put_against_wall(name, place, layout.rng.uniform(0.01, 0.05), corner=place == CORNER)


def _put_somewhere(layout: Layout, rng: Rng, name: str) -> Placed | None:
    """On any piece that such a thing stands on."""
    hosts = [piece for piece in layout.pieces if piece.kind in ROOM_CATALOGUE[name].hosts]
    for number in rng.permutation(len(hosts))[:3]:
        placed = layout.put_on(hosts[number], name)
        if placed:
            return placed
    return None
