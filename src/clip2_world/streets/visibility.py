"""Tight 2D boxes of what the cameras see, and how much of each actor is hidden behind others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from clip2.geometry import invert, project_points, rigid, yaw_rotation
from clip2_world.mesh import Floats
from clip2_world.streets.image_hits import pixel_rays
from clip2_world.streets.render import Picture, camera_pose, camera_sector
from clip2_world.streets.rig import Camera
from clip2_world.streets.street import Street
from clip2_world.tracing import Part, Solid

SAMPLES = 400
"""Pixels, at most, that an actor's share of visible pixels is estimated from in each image."""
_CELL = 40.0
"""Metres between the actors where silhouettes are traced; more than any actor's diameter."""


class Shot:
    """A picture with the camera's pose when it was taken.

    Attributes:
        rotation, centre: camera to street frame (3, 3), and the optical centre (3,) there.
        sector: the ground that the camera sees.
    """

    def __init__(self, street: Street, camera: Camera, time: float, picture: Picture) -> None:
        self.camera, self.time, self.picture = camera, time, picture
        self.rotation, self.centre = camera_pose(street, camera, time)
        self.sector = camera_sector(street, camera, time)


@dataclass(frozen=True)
class Seen:
    """One actor in one image: its visible pixels' box xyxy (exclusive on the far side) and their number."""

    actor: int
    box: tuple[int, int, int, int]
    pixels: int


def seen_actors(picture: Picture, min_pixels: int = 1) -> list[Seen]:
    """Every actor that shows at least so many pixels, in the order of their numbers."""
    found = []
    counts = np.bincount((picture.owners + 1).ravel())[1:]
    for number, slices in enumerate(find_objects(picture.owners + 1)):
        if slices is not None and counts[number] >= min_pixels:
            rows, columns = slices
            box = (columns.start, rows.start, columns.stop, rows.stop)
            found.append(Seen(number, box, int(counts[number])))
    return found


class Silhouettes:
    """Traces each actor alone: all meshes stand apart from one another on a grid, in their own frames."""

    def __init__(self, street: Street) -> None:
        self._street = street
        side = int(np.ceil(np.sqrt(len(street.actors))))
        places = [np.array([k % side, k // side, 0.0]) * _CELL for k in range(len(street.actors))]
        self._places = places
        self._solid = Solid([Part(actor.mesh, k, places[k]) for k, actor in enumerate(street.actors)])

    def visible_share(self, actor: int, shot: Shot) -> tuple[float, float]:
        """Pixels of the image that show the actor, and pixels that would if nothing stood before it; both estimates."""
        position, yaw = self._street.actors[actor].pose(shot.time)
        if not shot.sector.may_hold(position, self._street.actors[actor].radius):
            return 0.0, 0.0
        columns, rows, stride = self._sample_pixels(actor, shot)
        if not len(columns):
            return 0.0, 0.0
        camera, rotation, centre = shot.camera, shot.rotation, shot.centre
        turn = yaw_rotation(yaw)
        rays = pixel_rays(camera)[rows * camera.width + columns] @ (turn.T @ rotation).T.astype(np.float32)
        unhidden = self._hits(actor, (centre - position) @ turn, rays)
        visible = unhidden & (shot.picture.owners[rows, columns] == actor)
        return float(visible.sum()) * stride**2, float(unhidden.sum()) * stride**2

    def _hits(self, actor: int, origin: NDArray[np.float64], rays: Floats) -> NDArray[np.bool_]:
        """Which rays (N, 3) from one origin (3,), both in the actor's frame, meet its mesh."""
        height = float(self._street.actors[actor].mesh.extents[2])
        radius = float(np.linalg.norm(self._street.actors[actor].mesh.extents)) / 2 + 0.1
        skip = np.maximum((np.array([0, 0, height / 2]) - origin) @ rays.T - radius, 0)[:, None]  # to just before it
        origins = (origin + self._places[actor] + skip * rays).astype(np.float32)
        face, distance = self._solid.first_hit(origins, np.ascontiguousarray(rays))
        return (face >= 0) & (self._solid.owners[np.maximum(face, 0)] == actor) & (distance < 2 * _CELL)

    def _sample_pixels(self, actor: int, shot: Shot) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Columns, rows and spacing of a grid of pixels over the image rectangle that holds the actor."""
        camera = shot.camera
        position, yaw = self._street.actors[actor].pose(shot.time)
        length, width, height = self._street.actors[actor].mesh.extents
        signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0.0, 1.0)])
        corners = (signs * (length, width, height)) @ yaw_rotation(yaw).T + position
        uv, depth = project_points(corners, invert(rigid(shot.rotation, shot.centre)), camera.intrinsic)
        if (depth < 0.1).all():
            low, high = np.zeros(2), np.zeros(2)
        elif (depth < 0.1).any():  # reaches behind the camera: anywhere in the image
            low, high = np.zeros(2), np.array([camera.width, camera.height], float)
        else:
            low, high = np.floor(uv.min(0)), np.ceil(uv.max(0))
        low, high = np.maximum(low, 0), np.minimum(high, (camera.width, camera.height))
        if (high <= low).any():
            return np.zeros(0, np.int64), np.zeros(0, np.int64), 1
        stride = max(1, int(np.ceil(np.sqrt(np.prod(high - low) / SAMPLES))))
        start = low + (stride - 1) // 2
        columns, rows = np.meshgrid(
            np.arange(start[0], high[0], stride, dtype=np.int64), np.arange(start[1], high[1], stride, dtype=np.int64)
        )
        return columns.ravel(), rows.ravel(), stride
