"""Parquet artefacts: streamed, atomic, with a JSON header that says what the file is and how it was made."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clip2.errors import InputError
from clip2.store.atomic import atomic_path

HEADER_KEY = b"clip2"


class TableWriter:
    """Appends rows; holds at most ``group_size`` of them in memory. Made by :func:`table_writer`."""

    def __init__(self, path: Path, schema: pa.Schema, group_size: int) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
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


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make it with `snakemake {path}`") from None
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a readable Parquet file ({error}); delete it and run again") from None


def read_header(path: Path) -> dict[str, Any]:
    """The JSON header of a Parquet artefact."""
    with _open(path) as file:
        text = (file.schema_arrow.metadata or {}).get(HEADER_KEY) or (file.metadata.metadata or {}).get(HEADER_KEY)
    if text is None:
        raise InputError(f"{path}: has no clip2 header, so it was not written by this project; delete it and run again")
    header: dict[str, Any] = json.loads(text)
    return header


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """A whole table, or some of its columns."""
    with _open(path) as file:
        return file.read(columns=columns)


def iterate_rows(path: Path, columns: list[str] | None = None, batch_size: int = 256) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries, ``batch_size`` in memory at a time."""
    with _open(path) as file:
        for batch in file.iter_batches(batch_size=batch_size, columns=columns):
            yield from batch.to_pylist()
