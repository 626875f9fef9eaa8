"""Vertices of ScanNet's meshes."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.scans.files import absent
from clip2.scans.ply import read_vertices


def read_ply_vertices(path: Path) -> NDArray[np.float32]:
    """(V, 3) positions of a PLY file whose first element is the vertices.

    Raises:
        InputError: missing, cut short, or of another shape.
    """
    if not path.is_file():
        raise InputError(f"{absent(path)}: the mesh is missing; download it, or check the data root")
    try:
        vertices = read_vertices(path)
    except ValueError as error:
        raise InputError(f"{path}: {error}; download it again") from None
    return np.stack([vertices[axis] for axis in "xyz"], axis=1).astype(np.float32)
