"""Parquet artefacts: streamed, atomic, with a JSON header that says what the file is and how it was made."""

import hashlib
import json
import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from clip2.runtime.errors import InputError
from clip2.store.atomic import atomic_path

HEADER_KEY = b"clip2"


class TableWriter:
    """Appends rows; holds at most ``group_size`` of them in memory. Made by :func:`table_writer`."""

    def __init__(self, path: Path, schema: pa.Schema, group_size: int) -> None:
        self._path = path
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)
        self._schema, self._group_size = schema, group_size
        self._rows: list[Mapping[str, Any]] = []
        self.header: dict[str, Any] = {}
        self.n_rows = 0

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row; its keys are the schema's names."""
        self._rows.append(row)
        self.n_rows += 1
        if len(self._rows) >= self._group_size:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist([dict(r) for r in self._rows], self._schema))
            self._rows.clear()

    def _close(self) -> None:
        self._flush()
        self._writer.add_key_value_metadata({HEADER_KEY: json.dumps(self.header, allow_nan=False)})
        self._writer.close()
        _seal(self._path)


_SEAL = b"clip2 sha256 "
"""Stands before the footer, where readers of Parquet do not look, with a digest: Parquet has those of pages only."""
_DIGEST = hashlib.sha256().digest_size
SMALL = 4 << 20
"""Bytes of a file up to which the digest is of all of it, else of the footer: of a large one, headers of pages are a
hundred-thousandth."""


def _footer(file: IO[bytes]) -> tuple[int, bytes]:
    """Where the footer begins, and all bytes from there on."""
    end = file.seek(-8, os.SEEK_END)
    start = max(0, end - int.from_bytes(file.read(4), "little"))
    file.seek(start)
    return start, file.read()


def _digest(file: IO[bytes], start: int, footer: bytes) -> bytes:
    digest = hashlib.sha256(footer)
    if start <= SMALL:
        file.seek(0)
        digest.update(file.read(start))
    return digest.digest()


def _seal(path: Path) -> None:
    with path.open("r+b") as file:
        start, footer = _footer(file)
        digest = _digest(file, start, footer)
        file.seek(start)
        file.write(_SEAL + digest + footer)


def check_seal(path: Path) -> None:
    """Compare a table with its digest, if it was written with one.

    Raises:
        OSError: it is another.
    """
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) <= 8:
            return
        footer_at, footer = _footer(file)
        start = footer_at - len(_SEAL) - _DIGEST
        if start < 0:
            return
        file.seek(start)
        seal = file.read(footer_at - start)
        if seal.startswith(_SEAL) and seal[len(_SEAL) :] != _digest(file, start, footer):
            raise OSError("it is not what was written")


@contextmanager
def table_writer(path: Path, schema: pa.Schema, group_size: int = 1024) -> Iterator[TableWriter]:
    """Open a Parquet artefact for writing; set ``writer.header`` before the block ends. Nothing appears on an error."""
    with atomic_path(Path(path)) as temporary:
        writer = TableWriter(temporary, schema, group_size)
        try:
            yield writer
        except BaseException:
            writer._writer.close()
            raise
        writer._close()


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema, header: dict[str, Any]) -> None:
    """Write a small table at once."""
    with table_writer(path, schema) as writer:
        writer.header = header
        for row in rows:
            writer.append(row)


@contextmanager
def open_table(path: Path) -> Iterator[pq.ParquetFile]:
    """An open file; what is wrong with it is told in one line, also while it is read."""
    try:
        check_seal(Path(path))
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a readable Parquet file ({reason}); delete it and run again") from None


def _check_columns(file: pq.ParquetFile, columns: list[str] | None) -> None:
    missing = set(columns or ()) - set(file.schema_arrow.names)
    if missing:
        raise KeyError(f"it has no column {', '.join(sorted(missing))}")


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a Parquet artefact."""
    with open_table(path) as file:
        text = (file.schema_arrow.metadata or {}).get(HEADER_KEY) or (file.metadata.metadata or {}).get(HEADER_KEY)
    if text is None:
        raise InputError(f"{path}: has no clip2 header, so it was not written by this project; delete it and run again")
    try:
        header = json.loads(text)
        if not isinstance(header, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its clip2 header is damaged ({error}); delete it and run again") from None
    return header


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A whole table, or some of its columns."""
    with open_table(path) as file:
        _check_columns(file, columns)
        table = file.read(columns=columns, use_threads=False)
        table.validate(full=True)
        return table


def iterate_rows(path: Path, columns: list[str] | None = None, batch_size: int = 256) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries, ``batch_size`` in memory at a time."""
    with open_table(path) as file:
        _check_columns(file, columns)
        # Without threads: what Arrow throws in them on a damaged file ends the process.
        for batch in file.iter_batches(batch_size=batch_size, columns=columns, use_threads=False):
            yield from batch.to_pylist()


def read_rows(path: Path, rows: Iterable[int], columns: list[str] | None = None) -> list[dict[str, Any]]:
    """Some rows, by their numbers and in that order; only the parts of the file that they are in are read."""
    found: dict[int, dict[str, Any]] = {}
    wanted = list(rows)
    ascending = sorted(set(wanted))
    with open_table(path) as file:
        _check_columns(file, columns)
        first = 0
        for group in range(file.num_row_groups):
            stop = first + file.metadata.row_group(group).num_rows
            if own := ascending[bisect_left(ascending, first) : bisect_left(ascending, stop)]:
                part = file.read_row_group(group, columns=columns, use_threads=False).take([row - first for row in own])
                found |= dict(zip(own, part.to_pylist(), strict=True))
            first = stop
    return [found[row] for row in wanted]
