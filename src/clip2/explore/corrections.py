"""Labels as a person corrected them in the explorer: ``corrections.json`` → a corrected copy of the labels.

The page (``page/corrections.js``, ``page/model.js``) shows the same while one reviews.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clip2.runtime.errors import InputError
from clip2.store.provenance import file_digest, provenance
from clip2.store.schemas import LABELS
from clip2.store.tables import iterate_rows, read_header, read_table, table_writer

log = logging.getLogger(__name__)

SUFFIX = "~2"
"""Behind the id of a track that was split: its later part."""

Row = dict[str, Any]


class Correction(BaseModel):
    """What a person says of one track."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Literal["accepted", "rejected"] | None = None
    label: str | None = Field(None, min_length=1, description="the right name")
    into: str | None = Field(None, description="the track that is the same thing, whose name counts")
    split: str | None = Field(None, description="the sample from which on it is another thing, ID~2")


class Corrections(BaseModel):
    """The file that the explorer saves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["corrections"]
    source: str | None
    labels: str = Field(description="digest of the labels that were looked at")
    tracks: dict[str, Correction]


def read_corrections(path: Path) -> Corrections:
    """Read and check a file of corrections.

    Raises:
        InputError: it is missing, or is none.
    """
    try:
        return Corrections.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; save one in the explorer") from None
    except (ValidationError, UnicodeDecodeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: {f'{where}: ' if where else ''}{first['msg']}; save it in the explorer") from None


def apply(labels: Path, corrections: Path, out: Path) -> Counter[str]:
    """Write corrected labels, with the columns of store.schemas.LABELS; gives what was done, counted.

    A name that a person gave or accepted has probability 1. Boxes of rejected tracks are left out, and of two boxes
    that a merged track has at one sample, the one with fewer points.

    Raises:
        InputError: corrections of tracks that the labels do not have, or that contradict one another.
    """
    wanted = read_corrections(corrections)
    if wanted.labels != file_digest(labels):
        log.warning("%s was made for other labels than %s: its tracks are looked up by their ids", corrections, labels)
    tracks = _Tracks(labels, wanted, corrections)
    owners = tracks.owners()
    dropped = _doubles(labels, owners)
    counts = tracks.counts()
    with table_writer(out, LABELS) as writer:
        for number, (row, owner) in enumerate(zip(iterate_rows(labels), owners, strict=True)):
            if wanted.tracks.get(owner, Correction()).status == "rejected":
                counts["lost_rejected"] += 1
            elif number in dropped:
                counts["lost_merged"] += 1
            else:
                writer.append(tracks.corrected(row, owner))
        counts["boxes"], counts["labels"] = len(owners), writer.n_rows
        inputs = {"labels": labels, "corrections": corrections}
        before = read_header(labels)
        header = {key: value for key, value in before.items() if key not in ("counts", "provenance")}
        made = provenance("correct", {}, inputs)
        # What the labels were made of stays known: an export finds their frames by it.
        made["inputs"] = before.get("provenance", {}).get("inputs", {}) | made["inputs"]
        writer.header = {**header, "corrected": True, "counts": dict(sorted(counts.items())), "provenance": made}
    return counts


class _Tracks:
    """The tracks of the labels, and what becomes of them."""

    def __init__(self, labels: Path, wanted: Corrections, path: Path) -> None:
        columns = ["track_id", "scene", "sample", "timestamp_us", "label", "score", "names"]
        self._rows: list[Row] = read_table(labels, columns).to_pylist()
        self._wanted, self._path, self._labels = wanted.tracks, path, labels
        self._first = {row["track_id"]: row for row in reversed(self._rows)}
        times: dict[str, tuple[int, int]] = {}
        for number, row in enumerate(self._rows):
            times.setdefault(row["sample"], (row["timestamp_us"] or 0, number))
        self._time = times
        for track, own in self._wanted.items():
            self._check(track, own)

    def _check(self, track: str, own: Correction) -> None:
        first = self._known(track)
        if own.into is not None and self._known(own.into)["scene"] != first["scene"]:
            raise InputError(f"{self._path}: {track} is in another scene than {own.into}, which it is to go into")
        if own.split is not None and own.split not in self._time:
            raise InputError(
                f"{self._path}: {track} is split at sample {own.split}, which {self._labels} does not have"
            )
        seen = {track}
        while own.into is not None:
            if own.into in seen:
                raise InputError(f"{self._path}: {track} goes into itself, by way of {own.into}; undo one merge")
            seen.add(own.into)
            own = self._wanted.get(own.into, Correction())

    def _known(self, track: str) -> Row:
        """The first row of the track that an id comes from."""
        base, split = track, True
        while base not in self._first and base.endswith(SUFFIX):
            base = base.removesuffix(SUFFIX)
            split = split and self._wanted.get(base, Correction()).split is not None
        if base not in self._first or not split:
            raise InputError(f"{self._path}: {self._labels} has no track {track}; use the labels that were reviewed")
        return self._first[base]

    def owners(self) -> list[str]:
        """Of each box, the track that it belongs to after splits and merges."""
        return [self._owner(row["track_id"], row["sample"]) for row in self._rows]

    def _owner(self, track: str, sample: str) -> str:
        while (own := self._wanted.get(track)) is not None:
            if own.split is not None and self._time[sample] >= self._time[own.split]:
                track += SUFFIX
            elif own.into is not None:
                track = own.into
            else:
                break
        return track

    def corrected(self, row: Row, owner: str) -> Row:
        """A row of the corrected labels."""
        own, said = self._wanted.get(owner, Correction()), self._known(owner)
        name = own.label or (said["label"] if own.status == "accepted" else None)
        if name is not None:
            named = {"label": name, "score": 1.0, "names": [{"name": name, "probability": 1.0}]}
        else:
            named = {key: said[key] for key in ("label", "score", "names")}
        return row | named | {"track_id": owner}

    def counts(self) -> Counter[str]:
        """What a person decided, in tracks."""
        counts = Counter[str](tracks=len(self._first))
        for own in self._wanted.values():
            counts["renamed"] += own.label is not None
            counts["accepted"] += own.status == "accepted" and own.label is None
            counts["rejected"] += own.status == "rejected"
            counts["merged"] += own.into is not None
            counts["split"] += own.split is not None
        return counts


def _doubles(labels: Path, owners: list[str]) -> set[int]:
    """Numbers of boxes that stand beside a box of the same track and sample with more points."""
    best: dict[tuple[str, str], tuple[int, int]] = {}
    dropped: set[int] = set()
    for number, (sample, n_points) in enumerate(_points(labels)):
        key = (owners[number], sample)
        if key in best:
            dropped.add(min(best[key], (n_points, number))[1])
        best[key] = max(best.get(key, (-1, -1)), (n_points, number))
    return dropped


def _points(labels: Path) -> Iterator[tuple[str, int]]:
    return ((row["sample"], row["n_points"]) for row in iterate_rows(labels, ["sample", "n_points"]))
