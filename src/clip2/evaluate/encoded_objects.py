"""Files of what image towers see of a shard's objects, computed once for all models that are measured.

HDF5, float16, rows as in the shard. A data set an encoder: ``teacher_2d`` (n, D) of the pictures, NaN where there is
none; a depth method (n, V, D) of its views. Objects of no benchmark class are NaN. The attribute ``clip2`` is the JSON
header.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.store.hdf5 import Data, Hdf5, new_hdf5, open_hdf5, write_header
from clip2.teach.teacher import same_teacher

Array = NDArray[Any]


def write_encoded(
    path: Path, batches: Iterable[tuple[list[int], Mapping[str, Array]]], n: int, header: Mapping[str, Any]
) -> None:
    """Write a file.

    Args:
        batches: rising rows of the shard, and their vectors by encoder. Other rows are NaN.
        n: rows of the shard.
    """
    with new_hdf5(path) as file:
        held: dict[str, h5py.Dataset] = {}
        for rows, vectors in batches:
            for name, values in vectors.items():
                if name not in held:
                    shape = (n, *values.shape[1:])
                    held[name] = file.create_dataset(name, shape, np.float16, fillvalue=np.nan, fletcher32=True)
                held[name][rows] = values.astype(np.float16)
        write_header(file, {"kind": "encoded objects", **header})


class EncodedObjects:
    """Open files of several shards, by the digest of the objects that they are of."""

    def __init__(self) -> None:
        self._of_objects: dict[str, dict[str, Data]] = {}

    def add(self, path: Path, file: Hdf5, teacher: Mapping[str, Any], towers: Mapping[str, str]) -> None:
        """Check an open file and take it in; arguments as those of :func:`open_encoded`."""
        header = file.header()
        try:
            said, made_with, objects = header["teacher"], header["towers"], header["provenance"]["inputs"]["objects"]
            vectors = {name: file[name] for name in file}
            if not all(data.ndim in (2, 3) and data.dtype.kind == "f" for data in vectors.values()):
                raise ValueError("its data sets are no vectors")
            same, made_with = same_teacher(said, teacher), dict(made_with)
        except (KeyError, TypeError, ValueError) as error:
            raise file.error(str(error)) from None
        if not same:
            raise InputError(f"{path}: made with the teacher {said['model']!r} ({said['pretrained']!r}), but asked "
                             f"with {teacher['model']!r} ({teacher['pretrained']!r}); make it again")  # fmt: skip
        for name, digest in made_with.items():
            if towers.get(name, digest) != digest:
                raise InputError(f"{path}: made with another tower {name}; make it again")
        self._of_objects.setdefault(objects, {}).update(vectors)

    def of(self, digest: str, encoders: Collection[str]) -> dict[str, Data]:
        """Those of ``encoders``, as far as they are there, for the objects whose Parquet file has this digest."""
        return {name: data for name, data in self._of_objects.get(digest, {}).items() if name in encoders}


@contextmanager
def open_encoded(
    paths: Sequence[Path], teacher: Mapping[str, Any], towers: Mapping[str, str]
) -> Iterator[EncodedObjects]:
    """Open files; they stay so for as long as the context lasts.

    Args:
        teacher: the one that is asked with (``Teacher.spec``).
        towers: digests of the towers that are asked with, by method.

    Raises:
        InputError: missing, unreadable, or made with another teacher or tower.
    """
    encoded = EncodedObjects()
    with ExitStack() as files:
        for path in paths:
            try:
                file = files.enter_context(open_hdf5(path, "file of encoded objects", "make it again"))
            except FileNotFoundError:
                raise InputError(f"{path}: no such file; make it with `clip2 encode-objects`") from None
            encoded.add(path, file, teacher, towers)
        yield encoded
