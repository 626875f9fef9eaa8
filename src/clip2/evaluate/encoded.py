"""Files of what image towers see of a shard's objects, computed once for all that is asked about them.

HDF5, float16, rows as in the shard. A data set an encoder: ``teacher_2d`` (n, D) of the pictures, NaN where there is
none; a depth method (n, V, D) of its views. Objects of no benchmark class are NaN. The attribute ``clip2`` is the JSON
header.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from clip2.errors import InputError
from clip2.store.atomic import atomic_path

Array = NDArray[Any]


def write_encoded(
    path: Path, batches: Iterable[tuple[list[int], Mapping[str, Array]]], n: int, header: Mapping[str, Any]
) -> None:
    """Write a file.

    Args:
        batches: rising rows of the shard, and their vectors by encoder. Other rows are NaN.
        n: rows of the shard.
    """
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for rows, vectors in batches:
            for name, values in vectors.items():
                if name not in file:
                    file.create_dataset(name, (n, *values.shape[1:]), np.float16, fillvalue=np.nan)
                file[name][rows] = values.astype(np.float16)
        file.attrs["clip2"] = json.dumps({"kind": "encoded objects", **header}, allow_nan=False)


class EncodedObjects:
    """Open files of several shards, by the digest of the objects that they are of."""

    def __init__(self, paths: Sequence[Path], teacher: Mapping[str, Any], towers: Mapping[str, str]) -> None:
        """Check the files; they stay open until :func:`open_encoded` ends.

        Args:
            teacher: the one that is asked with (``Teacher.spec``).
            towers: digests of the towers that are asked with, by method.
        """
        self.files = ExitStack()
        self._of_objects: dict[str, dict[str, h5py.Dataset]] = {}
        for path in paths:
            file, header = self._open(path)
            if header["teacher"] != teacher:
                raise InputError(f"{path}: made with the teacher {header['teacher']}, but asked with {dict(teacher)}; "
                                 "make it again with `clip2 encode-objects`")  # fmt: skip
            for name, digest in header["towers"].items():
                if towers.get(name, digest) != digest:
                    raise InputError(f"{path}: made with another tower {name}; make it again")
            mine = self._of_objects.setdefault(header["provenance"]["inputs"]["objects"], {})
            mine |= {name: file[name] for name in file}

    def _open(self, path: Path) -> tuple[h5py.File, dict[str, Any]]:
        try:
            file = self.files.enter_context(h5py.File(path, "r"))
            header = json.loads(file.attrs["clip2"])
            header["teacher"], header["towers"], header["provenance"]["inputs"]["objects"]
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; make it with `clip2 encode-objects`") from None
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: not a readable file of encoded objects ({error}); make it again") from None
        return file, header

    def of(self, digest: str) -> Mapping[str, h5py.Dataset]:
        """Vectors by encoder of the shard of objects whose Parquet file has this digest; none where none were made."""
        return self._of_objects.get(digest, {})


@contextmanager
def open_encoded(
    paths: Sequence[Path], teacher: Mapping[str, Any], towers: Mapping[str, str]
) -> Iterator[EncodedObjects]:
    """See :class:`EncodedObjects`.

    Raises:
        InputError: unreadable, or made with another teacher or tower.
    """
    encoded = EncodedObjects(paths, teacher, towers)
    with encoded.files:
        yield encoded
