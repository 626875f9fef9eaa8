"""Rigid transforms, pinhole cameras and 3D boxes: numpy only, no files."""

from clip2.geometry.boxes import (
    box_corners,
    oriented_box_corners,
    points_in_box,
    points_in_oriented_box,
    project_box,
    upright_boxes,
    yaw_rotation,
)
from clip2.geometry.camera import MIN_DEPTH, in_image, project_points
from clip2.geometry.transforms import invert, is_rigid, rigid, transform_points

__all__ = [
    "MIN_DEPTH",
    "box_corners",
    "in_image",
    "invert",
    "is_rigid",
    "oriented_box_corners",
    "points_in_box",
    "points_in_oriented_box",
    "project_box",
    "project_points",
    "rigid",
    "transform_points",
    "upright_boxes",
    "yaw_rotation",
]
