"""Where along a road something is: stations and offsets along an arc, and back from ground positions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Route:
    """A line of constant curvature in the ground plane of the street frame.

    A place on it is a station ``s`` (metres along the line) and an offset ``d`` (metres to the left of it).

    Attributes:
        x, y: where s = 0 is, metres.
        heading: direction of travel there, radians.
        curvature: 1/metres, positive to the left; 0 is a straight line.
    """

    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0
    curvature: float = 0.0

    def direction(self, station: float) -> float:
        """Heading of the line at a station, radians."""
        return self.heading + self.curvature * station

    def place(self, station: ArrayLike, offset: ArrayLike) -> NDArray[np.float64]:
        """Ground positions (..., 2) of stations and offsets, which broadcast."""
        s, d = np.broadcast_arrays(np.asarray(station, np.float64), np.asarray(offset, np.float64))
        angle = self.heading + self.curvature * s
        if self.curvature:
            x = self.x + (np.sin(angle) - np.sin(self.heading)) / self.curvature
            y = self.y - (np.cos(angle) - np.cos(self.heading)) / self.curvature
        else:
            x, y = self.x + s * np.cos(angle), self.y + s * np.sin(angle)
        return np.stack([x - d * np.sin(angle), y + d * np.cos(angle)], -1)

    def locate(self, x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Stations and offsets of ground positions, the inverse of ``place``; float32 in, float32 out."""
        c, s = np.float32(np.cos(self.heading)), np.float32(np.sin(self.heading))
        dx, dy = x - np.float32(self.x), y - np.float32(self.y)
        along, left = c * dx + s * dy, c * dy - s * dx
        if not self.curvature:
            return along, left
        radius = np.float32(1 / self.curvature)
        side = np.sign(radius)
        towards = radius - left
        return radius * np.arctan2(side * along, side * towards), radius - side * np.hypot(along, towards)
