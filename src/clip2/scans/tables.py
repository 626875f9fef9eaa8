"""Writing the artefacts of `ingest` and `annotations`, the same way for every source."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from clip2.runtime.errors import InputError
from clip2.scans.intrinsics import intrinsics_complaint
from clip2.scans.marker import source_kind
from clip2.scans.undistort import lens_complaint
from clip2.store.bad_frames import BadFrames
from clip2.store.schemas import ANNOTATIONS, FRAMES
from clip2.store.tables import table_writer

log = logging.getLogger(__name__)


def source_facts(source: str, root: Path, dataset: str, sensor: str, axes: Mapping[str, str]) -> dict[str, Any]:
    """What all headers of a source say, whatever the split.

    Args:
        source: its name in the configuration.
        sensor: "lidar" or "rgbd".
        axes: {"points": words, "up": "z"}.
    """
    return {
        "source": source,
        "source_kind": source_kind(root),
        "dataset": dataset,
        "sensor": sensor,
        "axes": axes,
    }


KINDS: dict[str, pa.Schema] = {"frames": FRAMES, "annotations": ANNOTATIONS}


def write_shard(
    path: Path,
    kind: str,
    rows: Iterable[Mapping[str, Any]],
    facts: Mapping[str, Any],
    made_by: Mapping[str, Any],
    counts: Mapping[str, int] | None = None,
    bad: BadFrames | None = None,
) -> None:
    """Write one shard of frames or annotations; memory holds a few rows.

    Args:
        kind: "frames" or "annotations".
        rows: of the kind's schema; may be a generator that adds to ``counts`` and ``bad`` as it goes.
        facts: :func:`source_facts`, the ``split`` and what else the source has to say.
        made_by: the provenance block.
        counts: what else was counted, into the header's ``counts``.
        bad: recordings that had to be passed over; too many of them are an error.

    Raises:
        InputError: a camera's intrinsics cannot be those of its pictures, or too much is bad.
    """
    with table_writer(path, KINDS[kind]) as table:
        for row in rows:
            if kind == "frames":
                _check_camera(row)
            table.append(row)
        table.header = {
            "kind": kind,
            **facts,
            "units": "metres",
            "counts": {**(counts or Counter()), kind: table.n_rows},
            "provenance": made_by,
        }
        if bad is not None:
            bad.check(table.n_rows + bad.counts.total())
            table.header["bad_frames"] = bad.header()
    log.info("%s: %d %s", path.stem, table.n_rows, kind)


def _check_camera(row: Mapping[str, Any]) -> None:
    """Of the pinhole camera, of the picture as stored where a lens bent it, and of depth images."""
    size, lens = (row["width"], row["height"]), row.get("lens")
    complaints = [intrinsics_complaint(tuple(K), size) for K in (row["K"], *([lens["K"]] if lens else ()))]
    if lens and not any(complaints):
        complaints.append(lens_complaint(tuple(lens["K"]), tuple(lens["distortion"]), size))
    for depth in (cloud["depth"] for cloud in row["clouds"] if cloud.get("depth")):
        if complaint := intrinsics_complaint(tuple(depth["K"]), (depth["width"], depth["height"])):
            complaints.append(f"depth: {complaint}")
    for complaint in complaints:
        if complaint:
            raise InputError(f"{row['frame_id']}: camera {row['camera']}: {complaint}")
