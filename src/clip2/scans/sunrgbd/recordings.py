"""What a SUN RGB-D frame is, whatever the layout on disk."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

AXES = {"points": "upright depth frame, origin at the camera: x right, y forward, z up", "up": "z"}
DEPTH_FROM_CAM = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""Camera (x right, y down, z forward) → the toolbox's depth axes (x right, y forward, z up), still tilted."""
MAX_SKEW = 1e-2
"""Largest error of Rtiltᵀ·Rtilt; VoteNet's text files keep five digits, which gives 2e-6."""


@dataclass(frozen=True)
class Calibration:
    """Colour and depth share one camera and one pixel grid.

    Attributes:
        K: (3, 3) intrinsics, pixels, applied to a grid that starts at 0 (MATLAB's starts at 1).
        Rtilt: (3, 3) tilted depth axes → upright depth frame: ``p_up = Rtilt @ (x, d, -y)``.
    """

    K: NDArray[np.float64]
    Rtilt: NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """One frame.

    Attributes:
        name: of its sequence ("SUNRGBD/kv2/…"), or its number in VoteNet's layout ("000001").
        image_path, cloud_path: relative to the data root.
        cloud_format: "depth-png-sunrgbd" or "votenet-mat".
        calibration: None where it is missing or no calibration.
        labels: where its human boxes are: structs of the metadata, or a file; None where there are none.
    """

    name: str
    image_path: str
    cloud_path: str
    cloud_format: str
    calibration: Calibration | None
    labels: NDArray | Path | None


@dataclass(frozen=True)
class Release:
    """All frames of a data root.

    Attributes:
        layout: words for the header.
        boxes_from: what the human boxes are read from, for the header of the annotations.
        recordings: by name, in the order of names.
        splits: split name → names of frames, which may hold more than there is.
        split_file: the file that the splits come from, and where to get it.
        tables: name → file, for the provenance.
        unnamed: entries of the metadata that are empty or repeat another's name.
    """

    layout: str
    boxes_from: str
    recordings: dict[str, Recording]
    splits: dict[str, list[str]]
    split_file: str
    tables: dict[str, Path] = field(default_factory=dict)
    unnamed: int = 0


def calibration(K: ArrayLike | None, Rtilt: ArrayLike | None) -> Calibration | None:
    """A calibration from nine numbers each, row-major; None where they cannot be one."""
    if K is None or Rtilt is None:
        return None
    K, Rtilt = np.reshape(K, (3, 3)), np.reshape(Rtilt, (3, 3))
    rotation = np.abs(Rtilt.T @ Rtilt - np.eye(3)).max() < MAX_SKEW and np.linalg.det(Rtilt) > 0
    return Calibration(K, Rtilt) if rotation and K[0, 0] > 0 and K[1, 1] > 0 else None


def read_numbers(path: Path) -> NDArray[np.float64] | None:
    """All numbers of a small text file, or None where it is missing or holds something else."""
    try:
        values = np.array(path.read_text().split(), np.float64)
    except (OSError, ValueError):
        return None
    return values if np.isfinite(values).all() else None
