"""Where the boxes were lost, when not one triplet is left to learn from."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.store.tables import read_header

LOST = "lost_"
"""What the counts of lifting (clip2.lift.stage) begin with that say why a box gave no triplet."""
_ADVICE = {
    "lost_no_points": "no point lies behind them: are points and pictures of the same time, and the calibration right?",
    "lost_few_points": "they hold too few points: lower min_points of the lifter",
    "lost_too_far": "they are too far away: raise max_range of the lifter",
    "lost_bad_frame": "their pictures or clouds cannot be read",
}


def check_any_triplets(shards: Sequence[Path]) -> None:
    """Look at the headers of all triplets (.parquet) that a model is to learn from.

    Raises:
        InputError: there is not one triplet in them; says whether none was detected or none lifted, and why.
    """
    counts: Counter[str] = Counter()
    for path in shards:
        own = read_header(path).get("counts")
        if isinstance(own, dict):
            counts.update({key: value for key, value in own.items() if isinstance(value, int)})
    if counts["triplets"] or not counts["frames"]:  # what was not made by lifting has no frames
        return
    where = f"{shards[0].parent}: no triplet in {len(shards)} shards"
    if not counts["boxes"]:
        raise InputError(
            f"{where}: the detector found no box in {counts['frames']} pictures; look at its vocabulary and "
            "score_threshold, and at the pictures"
        )
    lost = Counter({key: value for key, value in counts.items() if key.startswith(LOST)})
    told = ", ".join(f"{value} {key.removeprefix(LOST).replace('_', ' ')}" for key, value in lost.most_common())
    advice = _ADVICE.get(next((key for key, _ in lost.most_common(1)), ""), "look at the lifter's settings")
    raise InputError(f"{where}: of {counts['boxes']} boxes found, none was lifted ({told}); {advice}")
