"""What an RGB-D scan of a built-in room is: the interface between the rooms and the writers of data set formats."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NOTHING = -1
"""Owner of what belongs to no object: walls, floor, ceiling, and pixels without depth."""


@dataclass(frozen=True)
class RoomObject:
    """One piece of furniture.

    Attributes:
        kind: fine name ("night stand").
        T_room_from_box: (4, 4) pose of its box: centre, x along its length, y its width, z up.
        size_lwh: (3,) full sizes, metres.
    """

    kind: str
    T_room_from_box: NDArray[np.float64]
    size_lwh: NDArray[np.float64]


@dataclass(frozen=True)
class RgbdFrame:
    """One picture of an RGB-D camera; colour and depth share the pixel grid. Integer (u, v) is a pixel's centre.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 metres along the optical axis, 0 where nothing was measured.
        owners: (H, W) int32, number of the object seen at each pixel, ``NOTHING`` elsewhere.
        K: (3, 3) pixels.
        T_room_from_cam: (4, 4) camera (x right, y down, z forward) → room (z up).
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    owners: NDArray[np.int32]
    K: NDArray[np.float64]
    T_room_from_cam: NDArray[np.float64]


@dataclass(frozen=True)
class RoomScan:
    """One room: its objects, the pictures taken of it, and its surface as a reconstruction would give it.

    Attributes:
        vertices: (V, 3) float32, room frame, metres: as dense as ScanNet's decimated meshes (about 2 to 4 cm apart).
        colours: (V, 3) uint8 RGB.
        faces: (F, 3) int32.
        owners: (V,) int32 number of the object that a vertex belongs to, or ``NOTHING``.
    """

    name: str
    objects: list[RoomObject]
    frames: list[RgbdFrame]
    vertices: NDArray[np.float32]
    colours: NDArray[np.uint8]
    faces: NDArray[np.int32]
    owners: NDArray[np.int32]
