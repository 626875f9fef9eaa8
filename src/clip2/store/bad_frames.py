"""Frames that cannot be read are counted, reported and skipped; too many of them stop the stage."""

import logging
from collections import Counter
from typing import Any

from clip2.runtime.errors import InputError

log = logging.getLogger(__name__)
LISTED = 20


class BadFrames:
    """Collects frames that a stage had to pass over.

    Args:
        max_share: the largest share of bad frames that a shard may have; 0 makes the first one an error.
    """

    def __init__(self, max_share: float) -> None:
        self._max_share = max_share
        self._listed: list[dict[str, str]] = []
        self.counts: Counter[str] = Counter()

    def add(self, frame_id: str, reason: str, message: str) -> None:
        """Report one bad frame; ``reason`` is a short fixed word, ``message`` names the file and what is wrong."""
        if self._max_share == 0:
            raise InputError(f"{message}; set max_bad_share above 0 to pass over such frames")
        log.warning("frame %s skipped: %s", frame_id, message)
        self.counts[reason] += 1
        if len(self._listed) < LISTED:
            self._listed.append({"frame_id": frame_id, "reason": reason, "message": message})

    def check(self, n_frames: int) -> None:
        """Raise :class:`InputError` when more than the allowed share of ``n_frames`` was bad."""
        bad = self.counts.total()
        if bad > self._max_share * n_frames:
            raise InputError(
                f"{bad} of {n_frames} frames could not be read (allowed share: {self._max_share:g}); "
                f"the first: {self._listed[0]['message']}"
            )

    def header(self) -> dict[str, Any]:
        """For an artefact's header: counts by reason and the first few frames."""
        return {"counts": dict(sorted(self.counts.items())), "first": self._listed}
