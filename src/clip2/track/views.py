"""The triplets of one scene as arrays, in time order and in one frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clip2.geometry import invert, transform_points

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

CUBE_M = {"lidar": 0.3, "rgbd": 0.1}
"""Side of the cubes by which crops are compared: sweeps of a LiDAR hit a thing that far apart."""
_AXIS_BITS = 21


@dataclass(frozen=True)
class Views:
    """n triplets ("views") of one scene, ordered by sample and id.

    Attributes:
        ids: of the triplets.
        rows: (n,) which row of the shard each is.
        picture: (n,) which picture each was cut from.
        sample: (n,) number of its sample, in time order.
        times: (m,) seconds of the samples.
        score: (n,) the detector's.
        image: (n, D) unit vectors, what the teacher sees.
        names: (n, V) probabilities of the shard's names.
        points: n crops (N_i, 4) float32, x y z in the scene's frame (from an origin near by) and intensity.
        eye: (n, 3) the camera's centre there.
        cube_m: side of the cubes by which crops are compared.
    """

    ids: Sequence[str]
    rows: Ints
    picture: Ints
    sample: Ints
    times: Floats
    score: Floats
    image: Floats
    names: Floats
    points: Sequence[Floats]
    eye: Floats
    cube_m: float

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def cubes(self) -> sparse.csr_matrix:
        """(n, cubes) ones where a crop has points."""
        return cube_table([np.unique(cube_of(points, self.cube_m)) for points in self.points])


def cube_of(points: Floats, side: float) -> Ints:
    """(N,) number of the cube that each point (N, 3+) is in."""
    cell = np.floor(points[:, :3] / side).astype(np.int64) + (1 << (_AXIS_BITS - 1))
    return np.asarray((cell[:, 0] << 2 * _AXIS_BITS) | (cell[:, 1] << _AXIS_BITS) | cell[:, 2])


def cube_table(numbers: Sequence[Ints]) -> sparse.csr_matrix:
    """Sets of cubes (n of them) as a sparse matrix (n, cubes) of ones."""
    known, column = np.unique(np.concatenate(numbers), return_inverse=True)
    starts = np.concatenate([[0], np.cumsum([len(own) for own in numbers])])
    return sparse.csr_matrix((np.ones(len(column), np.float32), column, starts), (len(numbers), len(known)))


def in_scene(points: Floats, frame: Mapping[str, Any], origin: Floats) -> Floats:
    """Points (N, 4) of a sample in the scene's frame, from an origin near by; as they are without a pose."""
    T = frame["T_scene_from_points"]
    if T is None:
        return points
    xyz = transform_points(points, np.reshape(T, (4, 4))) - origin
    return np.column_stack([xyz, points[:, 3]]).astype(np.float32)


def eye_of(frame: Mapping[str, Any], origin: Floats) -> Floats:
    """(3,) a camera's centre, as :func:`in_scene`."""
    centre = invert(np.reshape(frame["T_cam_from_points"], (4, 4)))[:3, 3]
    T = frame["T_scene_from_points"]
    return centre if T is None else transform_points(centre[None], np.reshape(T, (4, 4)))[0] - origin


def thinned(points: Floats, most: int) -> Floats:
    """Every so many-th row of (N, C), so that at most ``most`` are left."""
    if len(points) <= most:
        return points
    return points[np.arange(most) * len(points) // most]
