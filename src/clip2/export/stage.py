"""Command `export`: labels or triplets in the form that a tool reads. The folder appears whole or not at all."""

import logging
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from clip2.export.formats import FORMATS
from clip2.export.mined import MinedTriplets
from clip2.export.recordings import Recordings
from clip2.export.scans import LabelledScans
from clip2.export.settings import ExportSettings
from clip2.runtime.errors import InputError
from clip2.store.atomic import atomic_folder, write_json
from clip2.store.provenance import provenance

log = logging.getLogger(__name__)

HEADER = "clip2_export.json"
"""What every export says of itself; a folder with such a file may be written again."""


def export_labels(
    format: str, labels: Path, frames: Sequence[Path], data_root: Path, out: Path, settings: ExportSettings
) -> dict[str, Any]:
    """Write labels and the recordings they belong to.

    Args:
        format: a name of ``FORMATS`` that takes labels.
        labels, frames, data_root: as of :class:`LabelledScans`.
        out: folder to write; one that an earlier export wrote is replaced.

    Returns:
        The header that the folder has.

    Raises:
        InputError: an input is missing or wrong, or ``out`` holds something else.
    """
    check_free(out)
    scans = LabelledScans(labels, frames, data_root, settings)
    recordings = Recordings(data_root, settings)
    with atomic_folder(out) as folder:
        import_module(FORMATS[format].module).write(scans, recordings, folder)
        recordings.bad.check(scans.counts["pictures"])
        made_by = provenance(f"export {format}", settings.model_dump(mode="json"), {"labels": labels})
        header = {
            "kind": "export",
            "format": format,
            **{key: scans.header[key] for key in ("source", "source_kind", "sensor", "units", "axes")},
            "counts": dict(sorted({**scans.counts, **recordings.counts}.items())),
            "bad_frames": recordings.bad.header(),
            "provenance": made_by,
        }
        write_json(folder / HEADER, header)
    return header


def export_triplets(format: str, triplets: Sequence[Path], out: Path) -> dict[str, Any]:
    """Write triplets with a data card.

    Args:
        format: a name of ``FORMATS`` that takes triplets.
        triplets: Parquet files of all shards, their points beside them.
        out: folder to write; one that an earlier export wrote is replaced.

    Returns:
        The header that the folder has.

    Raises:
        InputError: an input is missing or wrong, or ``out`` holds something else.
    """
    check_free(out)
    mined = MinedTriplets(triplets)
    with atomic_folder(out) as folder:
        import_module(FORMATS[format].module).write(mined, folder)
        header = {
            "kind": "export",
            "format": format,
            "source": sorted({header["source"] for header in mined.headers}),
            "counts": {"triplets": mined.counts.total(), "labels": len(mined.counts)},
            "provenance": provenance(f"export {format}", {}, {path.name: path for path in mined.paths}),
        }
        write_json(folder / HEADER, header)
    return header


def check_free(out: Path) -> None:
    """
    Raises:
        InputError: the folder holds what no export wrote.
    """
    if out.exists() and not (out / HEADER).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: is there and was not written by `clip2 export`; name another --out, or remove it")


def said(header: dict[str, Any], out: Path) -> str:
    """The one line that a person reads when an export is done."""
    counts = Counter(header["counts"])
    left_out = [f"{n:,} {key.removeprefix('left_out_').replace('_', ' ')}"
                for key, n in counts.items() if key.startswith("left_out_") and n]  # fmt: skip
    if FORMATS[header["format"]].takes == "triplets":
        return f"{out}: {header['format']}, {counts['triplets']:,} triplets of {counts['labels']:,} names"
    what = f"{counts['labels']:,} labels of {counts['samples']:,} samples"
    lines = [f"{out}: {header['format']}, {what}"]
    lines += [f"left out: {', '.join(left_out)}"] if left_out else []
    lines += [f"{counts['files_linked']:,} pictures and clouds are links"] if counts["files_linked"] else []
    return "; ".join(lines)
