"""What was mined, shard by shard: where its files lie, and the small columns that a search goes over."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clip2.runtime.errors import InputError
from clip2.search.vectors import EMBEDDINGS_FILE, Floats, ImageVectors, Ints
from clip2.store.hdf5 import open_hdf5, try_together
from clip2.store.tables import read_header, read_table
from clip2.teach.teacher import same_teacher


@dataclass(frozen=True)
class ShardFiles:
    """Files of a shard, as the workflow names them; tracks need not be there."""

    embeddings: Path

    @property
    def source(self) -> str:
        """Name of its source."""
        return self.embeddings.parents[2].name

    @property
    def frames(self) -> Path:
        """Frames (.parquet)."""
        return self._beside("frames", "", ".parquet")

    @property
    def triplets(self) -> Path:
        """Triplets (.parquet)."""
        return self._beside("triplets", self.embeddings.parent.name.rpartition(".")[0], ".parquet")

    @property
    def tracks(self) -> Path:
        """Tracks (.parquet)."""
        return self._beside("tracks", self.embeddings.parent.name, ".parquet")

    @property
    def members(self) -> Path:
        """Members of the tracks (.parquet)."""
        return self.tracks.with_suffix(".members.parquet")

    def _beside(self, kind: str, made_by: str, suffix: str) -> Path:
        return self.embeddings.parents[2] / kind / made_by / f"{self.embeddings.stem}{suffix}"


class MinedShard:
    """One shard.

    Attributes:
        score, label: (n,) of the triplets' boxes: the detector's score, and the number of its word among ``labels``.
        thing: (n,) number of the track that each triplet is in, or of the triplet itself where there are no tracks.
        names: ids of the things.
    """

    def __init__(self, files: ShardFiles) -> None:
        self.files = files
        self.images = ImageVectors(files.embeddings)
        with open_hdf5(files.embeddings, *EMBEDDINGS_FILE) as file:
            self.header = file.header()
            self.text: Floats = file["text"][:].astype(np.float32)
            self.label: Ints = file["label_index"][:].astype(np.int64)
            try:
                self.labels: list[str] = self.header["labels"]
                self.header["teacher"]["model"], self.header["templates"], self.header["provenance"]
            except (KeyError, TypeError) as error:
                raise file.error(f"header: {error}") from None
        table = read_table(files.triplets, ["triplet_id", "score"])
        if len(table) != len(self.images):
            raise InputError(f"{files.embeddings}: {len(self.images)} rows, but {files.triplets} has {len(table)}; "
                             "delete the embeddings and run again")  # fmt: skip
        ids = table["triplet_id"].combine_chunks()
        self.score = table["score"].to_numpy()
        self.has_tracks = files.tracks.exists()
        self.names: pa.StringArray = ids
        self.thing: Ints = np.arange(len(ids))
        if self.has_tracks:
            self.names, self.thing = _tracks(files, ids)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def points_files(self) -> list[Path]:
        """Where the points of its triplets and tracks are."""
        tables = [self.files.triplets, *([self.files.tracks] if self.has_tracks else [])]
        return [table.with_suffix(".h5") for table in tables]

    @cached_property
    def triplets_header(self) -> dict[str, Any]:
        """Source, what kind it is, sensor …"""
        return read_header(self.files.triplets)


def _tracks(files: ShardFiles, ids: pa.StringArray) -> tuple[pa.StringArray, Ints]:
    """Ids of the tracks, and of each triplet the number of its track."""
    members = read_table(files.members, ["track_id", "triplet_id"])
    row = pc.index_in(ids, members["triplet_id"].combine_chunks())
    if row.null_count or len(members) != len(ids):
        raise InputError(f"{files.members}: not the tracks of {files.triplets}; delete them and run again")
    track = members["track_id"].combine_chunks().dictionary_encode()
    return track.dictionary, track.indices.to_numpy()[row.to_numpy()].astype(np.int64)


class Mined:
    """All shards, one after the other: things have numbers over all of them.

    Attributes:
        shards: the shards; thing: (n,) of each triplet; first: number of each shard's first triplet.
    """

    def __init__(self, embeddings: Sequence[Path], threads: int) -> None:
        """
        Raises:
            InputError: no files, files that do not belong together, or shards of two teachers.
        """
        if not embeddings:
            raise InputError("no embeddings: nothing to search in")
        try_together(embeddings, *EMBEDDINGS_FILE)
        with ThreadPoolExecutor(max(1, threads)) as pool:
            self.shards = list(pool.map(MinedShard, map(ShardFiles, embeddings)))
        self._threads = threads
        for shard in self.shards[1:]:
            if not same_teacher(shard.header["teacher"], self.teacher):
                raise InputError(f"{shard.files.embeddings}: by another teacher than {embeddings[0]}; search in one's")
        self.first = np.cumsum([0, *map(len, self.shards)])
        self.first_thing = np.cumsum([0, *(len(shard.names) for shard in self.shards)])
        self.thing: Ints = np.concatenate([s.thing + k for s, k in zip(self.shards, self.first_thing)])

    @property
    def teacher(self) -> dict[str, Any]:
        """Its spec."""
        spec: dict[str, Any] = self.shards[0].header["teacher"]
        return spec

    @property
    def n_things(self) -> int:
        """Tracks, and triplets where there are none."""
        return int(self.first_thing[-1])

    def words(self) -> dict[str, NDArray[np.float32]]:
        """All that the detector called something, with the teacher's vectors."""
        return {word: vector for shard in self.shards for word, vector in zip(shard.labels, shard.text, strict=True)}

    def cosines(self, vectors: Floats) -> Floats:
        """(n, T) of all triplets' pictures."""
        with ThreadPoolExecutor(max(1, self._threads)) as pool:
            return np.concatenate(list(pool.map(lambda shard: shard.images.cosines(vectors), self.shards)))

    def of_views(self, views: Ints) -> tuple[Floats, NDArray[np.str_], Floats]:
        """Of some triplets, ascending: image vectors (m, D), the detector's words (m,) and scores (m,)."""
        vectors, words, scores = [], [], []
        for shard, own in zip(self.shards, self.by_shard(views), strict=True):
            vectors.append(shard.images.rows(own))
            words.append(np.array(shard.labels, dtype=str)[shard.label[own]] if len(own) else np.array([], dtype=str))
            scores.append(shard.score[own])
        return np.concatenate(vectors), np.concatenate(words), np.concatenate(scores)

    def by_shard(self, views: Ints) -> list[Ints]:
        """Some triplets, ascending, as rows of each shard."""
        bounds = np.searchsorted(views, self.first)
        return [views[low:high] - first for low, high, first in zip(bounds[:-1], bounds[1:], self.first, strict=False)]

    def place(self, view: int) -> tuple[MinedShard, int]:
        """The shard and the row of a triplet."""
        number = int(np.searchsorted(self.first, view, "right")) - 1
        return self.shards[number], view - int(self.first[number])

    def name(self, thing: int) -> str:
        """The id of a thing."""
        number = int(np.searchsorted(self.first_thing, thing, "right")) - 1
        found: str = self.shards[number].names[thing - int(self.first_thing[number])].as_py()
        return found

    def thing_named(self, name: str) -> int | None:
        """The number of a track or triplet."""
        for shard, first in zip(self.shards, self.first_thing, strict=False):
            if (number := pc.index(shard.names, name).as_py()) >= 0:
                return int(first) + number
        return None
