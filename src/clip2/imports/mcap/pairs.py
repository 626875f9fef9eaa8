"""Which pictures belong to which clouds, by their times."""

from collections.abc import Mapping

import numpy as np


def nearest_pairs(
    pictures: Mapping[int, int], clouds: Mapping[int, int], tolerance: int
) -> tuple[dict[int, int], float]:
    """Pairs of which each is the other's nearest in time.

    Args:
        pictures, clouds: number → time.
        tolerance: most that the two may be apart, in the same unit.

    Returns:
        Number of a picture → number of its cloud, and the least time between any two (inf where there is none).
    """
    if not pictures or not clouds:
        return {}, float("inf")
    picture, cloud = (
        np.array(sorted((time, number) for number, time in those.items())) for those in (pictures, clouds)
    )
    of_picture, of_cloud = _nearest(picture[:, 0], cloud[:, 0]), _nearest(cloud[:, 0], picture[:, 0])
    apart = np.abs(picture[:, 0] - cloud[of_picture, 0])
    mutual = of_cloud[of_picture] == np.arange(len(picture))
    pairs = {
        int(picture[i, 1]): int(cloud[of_picture[i], 1]) for i in np.flatnonzero(mutual & (apart <= tolerance)).tolist()
    }
    return pairs, float(apart.min())


def _nearest(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each time, the place of the nearest of others, which are sorted; of two as near, the earlier."""
    after = np.clip(np.searchsorted(others, times), 1, max(len(others) - 1, 1))
    if len(others) == 1:
        return np.zeros(len(times), np.int64)
    return np.where(times - others[after - 1] <= others[after] - times, after - 1, after)
