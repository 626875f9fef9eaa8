"""How large things of a name usually are, learnt from the things of this very source. No human label is read.

Most things are seen from one side. A bus from behind says only that buses are longer than what was seen of this one,
and at most as long as the sensor did not see through (label.free_space): its length lies in an interval. So length and
width in plan view are taken to be log-normal, and are fitted to such intervals, as lifetimes are to patients who are
still alive (interval censoring: Turnbull 1976). Some things of a name are something else, two things in one, or cut off
at the near side; these may have any size.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr

from clip2.label.extent import SMALLEST_M, Extent

Floats = NDArray[np.float64]

LEAST_EXAMPLES = 5
"""Well-seen things of a name, below which nothing is said about its size."""
MOST_EXAMPLES = 1000
"""Things of a name that are looked at; more say the same."""
OTHERS = 0.4
"""Share of things that are not whole things of their name."""
MEASURED, SPREAD_OF_SIZE = (0.5, 0.8), 0.3
"""Before anything is known of what was not seen, a kind is as wide and as long as these shares of its things measured,
with this standard deviation of the logarithm: where no length was ever seen whole, any would be as likely."""
LONGEST_M = 40.0
"""What is of any size is up to so long."""
BEGINS_M, ENDS_M = 0.1, 0.3
"""A measured side may be so much longer than the thing (range noise), and so much shorter (gap between two beams)."""
SPREAD, NARROWEST, WIDEST = 0.1, 0.04, 0.15
"""Standard deviation of the logarithm of a side: expected, least, most. What varies more is of several kinds."""
SPREAD_OF_SPREAD = 0.5
ROUND = 0.6
"""Ratio of width to length above which a kind is round: none of its sides is ever seen whole, so that what was seen of
the shorter one says little, and its width is the fitted one."""
WHOLE = 1.25
"""Greatest over least possible length of a thing whose length was seen whole."""
NEAR_MODE = 1.6
"""Ratio to the most frequent size within which sizes are of one kind of thing."""


def usual_sizes(labels: Sequence[str], extents: Sequence[Extent], well_seen: int, quantile: float) -> dict[str, Floats]:
    """Name → (3,) length ≥ width, and height, metres, for names of which enough things were seen well.

    Args:
        well_seen: points of a thing that was seen well.
        quantile: of measured heights, of measured widths of what is long, and of all sides where fewer than
            :data:`LEAST_EXAMPLES` lengths were seen whole, as of a depth camera.
    """
    seen: dict[str, list[Extent]] = defaultdict(list)
    for label, extent in zip(labels, extents, strict=True):
        if extent.n_points >= well_seen:
            seen[label].append(extent)
    return {name: _usual_size(examples, quantile) for name, examples in seen.items() if len(examples) >= LEAST_EXAMPLES}


def _usual_size(extents: Sequence[Extent], quantile: float) -> Floats:
    """(3,) length ≥ width, and height."""
    sides = np.array([extent.high - extent.low for extent in extents])
    length, width, height = (around_mode(side, quantile) for side in (*np.sort(sides[:, :2]).T[::-1], sides[:, 2]))
    if sum(map(_seen_whole, extents)) >= LEAST_EXAMPLES:
        length, fitted_width = fitted_plan(extents)
        width = fitted_width if fitted_width > ROUND * length else width
    return np.array([length, min(width, length), height])


def _seen_whole(extent: Extent) -> bool:
    side = _sides(extent)[:2]
    longer = int(side.argmax())
    return bool(side[longer] + _unseen(extent)[longer] < WHOLE * side[longer])


def fitted_plan(extents: Sequence[Extent]) -> tuple[float, float]:
    """The most likely length ≥ width, metres, of things of which these (one at least) were seen.

    Length and width lie along either axis of a thing, as likely. Sizes and spreads have priors, which data outweigh.
    """
    looked_at = extents[:: -(-len(extents) // MOST_EXAMPLES)]
    low, high = np.log([between(extent) for extent in looked_at]).transpose(1, 2, 0)  # (2 axes, n) each
    seen = np.clip((np.minimum(high, np.log(LONGEST_M)) - low) / np.log(LONGEST_M / SMALLEST_M), 1e-3, 1)
    any_size = seen.prod(0)

    def within(side: float, spread: float, axis: int) -> Floats:
        return np.maximum(ndtr((high[axis] - side) / spread) - ndtr((low[axis] - side) / spread), 1e-12)

    def unlikely(guess: Floats) -> float:
        length, width, log_spreads = guess[0], guess[0] + guess[1], guess[2:]
        spread = np.exp(log_spreads)
        along = within(length, spread[0], 0) * within(width, spread[1], 1)
        across = within(length, spread[0], 1) * within(width, spread[1], 0)
        likelihood = (1 - OTHERS) * (along + across) / 2 + OTHERS * any_size
        unexpected = ((log_spreads - np.log(SPREAD)) / SPREAD_OF_SPREAD) ** 2 / 2
        unmeasured = (np.array([width, length]) - expected) ** 2 / (2 * SPREAD_OF_SIZE**2)
        return float(unexpected.sum() + unmeasured.sum() - np.log(likelihood).sum())

    sides = np.log(np.sort([_sides(extent)[:2] for extent in looked_at], axis=1)).T  # shorter ones, longer ones
    expected = np.array([np.quantile(side, share) for side, share in zip(sides, MEASURED, strict=True)])
    spreads = (np.log(NARROWEST), np.log(WIDEST))
    bounds = [(np.log(SMALLEST_M), np.log(LONGEST_M)), (-4.0, 0.0), spreads, spreads]
    found = []
    for of_length, of_width in ((0.5, 0.5), (0.8, 0.5), (0.9, 0.7)):
        length, width = np.quantile(sides[1], of_length), np.quantile(sides[0], of_width)
        start = np.clip([length, min(width - length, -0.05), np.log(SPREAD), np.log(SPREAD)], *np.transpose(bounds))
        options = {"maxiter": 500, "xatol": 1e-3, "fatol": 1e-2}
        found.append(minimize(unlikely, start, method="Nelder-Mead", bounds=bounds, options=options))
    length, width_over_length = min(found, key=lambda one: float(one.fun)).x[:2]
    return float(np.exp(length)), float(np.exp(length + width_over_length))


def between(extent: Extent) -> Floats:
    """(2, 2) metres: least and greatest, of both horizontal axes, that a thing's sides may have."""
    side = _sides(extent)[:2]
    return np.stack([np.maximum(side - BEGINS_M, SMALLEST_M / 2), side + _unseen(extent) + ENDS_M])


def _unseen(extent: Extent) -> Floats:
    """(2,) metres that both horizontal axes can reach beyond what was measured, at the ends away from the sensor."""
    away = np.stack([extent.behind[:2] <= 0, extent.behind[:2] >= 0], axis=1)  # low end, high end
    return np.where(away, extent.room, 0.0).sum(1)


def _sides(extent: Extent) -> Floats:
    """(3,) metres."""
    return np.maximum(extent.high - extent.low, SMALLEST_M)


def around_mode(sizes: Floats, quantile: float) -> float:
    """A quantile of sizes (n,) around the most frequent one (half-sample mode of their logarithms), so that things
    of another kind with the same name, or two taken for one, do not count."""
    log_size = np.log(np.maximum(sizes, SMALLEST_M))
    mode = np.sort(log_size)
    while len(mode) > 3:
        half = (len(mode) + 1) // 2
        first = int((mode[half - 1 :] - mode[: len(mode) - half + 1]).argmin())
        mode = mode[first : first + half]
    apart = np.abs(log_size - mode.mean())
    near = apart < np.log(NEAR_MODE)
    if not near.any():
        near = apart == apart.min()
    return float(np.quantile(sizes[near], quantile))
