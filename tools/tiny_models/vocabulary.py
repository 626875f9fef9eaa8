"""Words for the world's classes: names, hypernyms, captions, and which of them are true of a class."""

import numpy as np
from numpy.typing import NDArray

from clip2.evaluate.settings import NUSCENES_CLASSES as DETECTION_NAMES
from clip2_world.rooms.catalog import ROOM_CATALOGUE
from clip2_world.streets.inventory import CATALOGUE
from clip2_world.streets.inventory import CLASSES as STREET_CLASSES

CLASSES: tuple[str, ...] = STREET_CLASSES + tuple(sorted(set(ROOM_CATALOGUE) - set(STREET_CLASSES)))
"""All names, the street's first: their index is the class number of these tools."""
BACKGROUND = len(CLASSES)
BACKGROUND_NAMES = ("background", "empty road", "building", "sky and buildings", "wall", "floor")
TEMPLATES = (
    "{}",
    "a {}",
    "the {}",
    "a photo of a {}",
    "an image of a {}",
    "a {} on the street",
    "a {} in a room",
    "a picture of the {}",
    "there is a {} in the scene",
    "a cropped photo of a {}",
    "a blurry photo of a {}",
)
_HYPERNYMS = {
    "vehicle": ("car", "truck", "bus", "trailer", "construction vehicle", "motorcycle"),
    "animal": ("dog", "deer", "horse"),
    "pedestrian": ("construction worker",),
    "person": ("construction worker",),
    "plant": ("tree", "bush"),
}


def names_of(index: int) -> tuple[str, ...]:
    """Name and synonyms of a class number; ``BACKGROUND`` has names too."""
    if index == BACKGROUND:
        return BACKGROUND_NAMES
    name = CLASSES[index]
    kinds = [catalogue[name] for catalogue in (CATALOGUE, ROOM_CATALOGUE) if name in catalogue]
    return tuple(dict.fromkeys([name, *(word for kind in kinds for word in kind.synonyms)]))


def detection_of(index: int) -> int:
    """Position in ``DETECTION_NAMES`` of a class number, -1 for the long tail and the background."""
    if index == BACKGROUND:
        return -1
    kind = CATALOGUE.get(CLASSES[index])
    return DETECTION_NAMES.index(kind.detection) if kind and kind.detection else -1


def true_names() -> tuple[list[str], NDArray[np.bool_], NDArray[np.float32]]:
    """All names; truth[class, name]; and how likely a name is drawn for a class."""
    names = sorted({n for i in range(BACKGROUND + 1) for n in names_of(i)} | set(_HYPERNYMS))
    column = {n: i for i, n in enumerate(names)}
    truth = np.zeros((BACKGROUND + 1, len(names)), bool)
    chance = np.zeros(truth.shape, np.float32)
    for i in range(BACKGROUND + 1):
        for k, name in enumerate(names_of(i)):
            truth[i, column[name]] = True
            chance[i, column[name]] = 1.5 if k == 0 else 1.0
        for word, members in _HYPERNYMS.items():
            if i < BACKGROUND and CLASSES[i] in members:
                truth[i, column[word]] = True
                chance[i, column[word]] = 0.4
    return names, truth, chance / chance.sum(1, keepdims=True)
