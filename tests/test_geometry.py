"""Geometry against independent formulas."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from nuscenes.utils.data_classes import Box
from nuscenes.utils.geometry_utils import points_in_box as devkit_points_in_box
from nuscenes.utils.geometry_utils import view_points
from pyquaternion import Quaternion

from clip2.geometry import (
    box_corners,
    in_image,
    invert,
    oriented_box_corners,
    points_in_box,
    points_in_oriented_box,
    project_box,
    project_points,
    rigid,
    transform_points,
)

K = np.array([[1000.0, 0, 800], [0, 1010, 450], [0, 0, 1]])
seeds = st.integers(0, 2**32 - 1)


def random_transform(rng: np.random.Generator) -> np.ndarray:
    return rigid(Quaternion.random().rotation_matrix, rng.normal(0, 20, 3))


@given(seeds)
def test_inverse_undoes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    T, points = random_transform(rng), rng.normal(0, 30, (20, 3))
    np.testing.assert_allclose(transform_points(transform_points(points, T), invert(T)), points, atol=1e-9)
    np.testing.assert_allclose(invert(T), np.linalg.inv(T), atol=1e-9)


@given(seeds)
def test_projection_equals_the_devkits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform([-10, -5, 1], [10, 5, 60], (50, 3))
    uv, depth = project_points(points, np.eye(4), K)
    expected = view_points(points.T, K, normalize=True)
    np.testing.assert_allclose(uv, expected[:2].T, atol=1e-9)
    np.testing.assert_array_equal(depth, points[:, 2])


def test_points_behind_the_camera_have_no_pixel() -> None:
    uv, depth = project_points([[0, 0, -5.0], [0, 0, 0.0], [0, 0, 5.0]], np.eye(4), K)
    assert np.isnan(uv[:2]).all()
    np.testing.assert_allclose(uv[2], [800, 450])
    np.testing.assert_array_equal(in_image(uv, (1600, 900)), [False, False, True])
    assert depth[0] == -5


@given(seeds)
def test_points_in_any_box_equal_the_devkits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.3, 6, 3)  # l w h
    rotation, centre = Quaternion.random(), rng.normal(0, 10, 3)
    points = centre + rng.normal(0, 3, (300, 3))
    box = Box(centre.tolist(), [size[1], size[0], size[2]], rotation)
    expected = devkit_points_in_box(box, points.T)
    T = rigid(rotation.rotation_matrix, centre)
    np.testing.assert_array_equal(points_in_oriented_box(points, T, size), expected)
    np.testing.assert_allclose(
        np.sort(oriented_box_corners(T, size), axis=0), np.sort(box.corners().T, axis=0), atol=1e-9
    )


def test_upright_box() -> None:
    box = [1.0, 2, 3, 4, 2, 1, np.pi / 2]  # its length lies along y
    inside = points_in_box([[1, 3.9, 3], [1.9, 2, 3], [1.1, 2, 3.4], [1, 4.1, 3], [2.1, 2, 3]], box)
    np.testing.assert_array_equal(inside, [True, True, True, False, False])
    assert points_in_box([[1, 4.1, 3]], box, margin=0.2).all()
    np.testing.assert_allclose(np.ptp(box_corners(box), axis=0), [2, 4, 1], atol=1e-9)


def test_projected_box_is_clipped_and_says_how_much_is_left() -> None:
    corners = box_corners([0, 0, 10, 2, 2, 2, 0])  # centred on the axis, front face at 9 m
    box, share = project_box(corners, np.eye(4), K, (1600, 900)) or (None, None)
    np.testing.assert_allclose(box, [800 - 1000 / 9, 450 - 1010 / 9, 800 + 1000 / 9, 450 + 1010 / 9])
    assert share == 1.0
    box, share = project_box(corners, np.eye(4), K, (800, 900)) or (None, None)
    assert box is not None
    assert box[2] == 800
    np.testing.assert_allclose(share, 0.5)
    assert project_box(corners - [0, 0, 10], np.eye(4), K, (1600, 900)) is None  # around the camera
    assert project_box(corners - [100, 0, 0], np.eye(4), K, (1600, 900)) is None  # beside the image
