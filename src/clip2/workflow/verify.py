"""``clip2 verify``: whether results still come from the files that are there, digest by digest, down to the raw index.

Headers name their inputs by digests and not by paths, so that a folder can be moved; where an input lies follows from
the names of the artefacts (docs/architecture.md). Pictures and clouds of a data set are in no header.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip2.evaluate.rivals.towers import read_tower
from clip2.runtime.errors import InputError
from clip2.store.atomic import read_json
from clip2.store.hdf5 import open_hdf5
from clip2.store.provenance import file_digest
from clip2.store.tables import read_header
from clip2.workflow.check import read_config
from clip2.workflow.config import Config, check_config, lifted_by
from clip2.workflow.defaults import root_of
from clip2.workflow.sources import index_files

DIGEST = re.compile("[0-9a-f]{64}")
PUBLISHED = (".json", ".png")
"""What lies in results/ under a fixed name."""
RAW_STAGES = ("ingest", "annotations")
"""Their inputs are files of a data set, as are those of `objects` in sets that have nothing else."""
NAMES = ("sources", "detector", "lifter", "teacher", "model")
"""What dots separate in the names of artefacts."""
PLACES = {
    "frames": ("{source}/frames/{file}",),
    "annotations": ("{source}/annotations/{file}",),
    "detections": ("{source}/detections/{detector}/{file}",),
    "masks": ("{source}/masks/{detector}.{segmenter}/{file}",),
    "triplets": ("{source}/triplets/{detector}.{lifter}/{file}", "{source}/raw/{file}"),
    "embeddings": ("{source}/embeddings/{detector}.{lifter}.{teacher}/{file}",),
    "tracks": ("{source}/tracks/{detector}.{lifter}.{teacher}/{file}",),
    "objects": ("*/objects/{file}",),
    "encoded": ("*/encoded/{teacher}/{file}", "towers/{sources}.{detector}.{lifter}.{teacher}/{file}"),
    "towers": ("towers/{sources}.{detector}.{lifter}.{teacher}/{file}", "towers/*.{teacher}/{file}"),
    "model": ("models/{sources}.{detector}.{lifter}.{teacher}.{model}/{file}",),
    "ensemble": ("models/{sources}.{detector}.{lifter}.{teacher}.{model}/ensemble.json",),
    "labels": ("labels/labels.parquet",),
    "corrections": ("labels/*.json", "*.json"),
}
"""Kind of input → patterns of where it lies under results/."""
SAME_PLACE = {"train": "objects", "val": "objects", "members": "tracks"}
POINTS = {"label": "tracks", "encode-objects": "objects"}
"""Stage → the kind that its points lie beside; triplets for all others."""
ENDINGS = {"members": ".members.parquet", "points": ".h5", "embeddings": ".h5", "encoded": ".h5"}


@dataclass(frozen=True)
class Found:
    """What came of verifying.

    Attributes:
        n_files: how many were compared.
        wrong: one line for each file that does not match: the file, what is wrong, and what to do.
        notes: what could not be compared, and is no fault of the results.
    """

    n_files: int
    wrong: list[str]
    notes: list[str]


def verify(paths: Sequence[Path], overlays: Sequence[Path], dataroot: Path | None = None) -> Found:
    """Compare some results or artefacts with all that they were made from.

    Args:
        overlays: files laid over config.yaml, which says where data sets lie.
        dataroot: as ``--config dataroot=…``.

    Raises:
        InputError: one of ``paths`` is not there, or says nothing of its making.
    """
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: no such file; make it with `snakemake --cores all {path}`")
    config = check_config(read_config([Path("config.yaml"), *overlays])) if Path("config.yaml").is_file() else None
    if config is not None and dataroot is not None:
        config = config.model_copy(update={"dataroot": str(dataroot)})
    walk = _Walk(config)
    for path in paths:
        walk.start(path)
    return Found(walk.n_files, walk.wrong, walk.notes)


class _Walk:
    """From artefact to what it was made from, each once."""

    def __init__(self, config: Config | None) -> None:
        self._config = config
        self.seen: set[Path] = set()
        self._results = Path("results")
        self._digests: dict[Path, str] = {}
        self._differs: dict[Path, list[Path]] = {}
        self._gone: dict[Path, list[str]] = {}
        self._damaged: list[str] = []
        self.notes: list[str] = []

    def start(self, path: Path) -> None:
        results = next((parent for parent in path.absolute().parents if parent.name == "results"), None)
        if results is None:
            raise InputError(f"{path}: lies in no folder `results`, so that what it was made from is not to be found")
        self._results = Path("results") if results == Path("results").absolute() else results
        published = path.absolute().parent == results and path.suffix in PUBLISHED
        if published:
            self._published(path)
        if published and path.suffix == ".png":  # says nothing of its making itself
            self.seen.add(path)
        elif path.suffix in (".json", ".parquet", ".h5", ".safetensors"):
            self._visit(self._results / path.absolute().relative_to(results), asked_for=True)
        else:
            raise InputError(f"{path}: holds no digests; give a result (.json) or an artefact (.parquet, .h5)")

    def _published(self, path: Path) -> None:
        """A fixed name holds a copy of what lies beside the model, or the triplets."""
        names = {path.name, "audit.json"} if path.stem.endswith("audit") else {path.name}
        patterns = [f"{folder}/{name}" for name in sorted(names) for folder in ("models/*", "*/*/*")]
        made = [one for pattern in patterns for one in self._results.glob(pattern)]
        if made and file_digest(path) not in map(self._digest, made):
            advice = f"delete it and run `snakemake --cores all {path}`"
            self._damaged.append(f"{path}: is no copy of a result that is there; {advice}")

    def _visit(self, path: Path, asked_for: bool = False) -> None:
        if path in self.seen:
            return
        self.seen.add(path)
        try:
            header = _header(path)
        except InputError as error:
            self._damaged.append(str(error))
            return
        made_by = (header or {}).get("provenance")
        if header is None or not isinstance(made_by, dict):
            if asked_for:
                raise InputError(f"{path}: says nothing of what it was made from; give a result or an artefact")
            return
        recorded = {key: value for key, value in made_by["inputs"].items() if DIGEST.fullmatch(str(value))}
        if "weights_sha256" in header:
            recorded["model/model.safetensors"] = header["weights_sha256"]
        places = _Places(self._results, path, header, self._config)
        try:
            there = {key: places.of(key, made_by["stage"]) for key in recorded}
        except InputError as error:  # the data set is not there, or not all of it
            self.notes.append(f"{path}: its raw index is not compared: {error}")
            return
        for key, digest in recorded.items():
            same = self._compare(path, key, digest, there[key])
            if same is not None and _is_raw(key, made_by["stage"]):
                self.seen.add(same)  # a data set's file says nothing of its making, though it may be HDF5, too
            elif same is not None:
                self._visit(same)

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = file_digest(path)
        return self._digests[path]

    def _compare(self, made: Path, key: str, digest: str, places: Sequence[Path]) -> Path | None:
        """An input, if it is what it was when ``made`` was made from it; ``places``, in order, may be it."""
        last = key.rpartition("/")[2]
        numbered = last.isdigit()
        usual = [*places][int(last) :][:1] if numbered else [one for one in places if last in (one.name, one.stem)]
        # Where shards were dealt out anew, those of before lie between the numbers.
        same = next(
            (one for one in (*usual, *(places if numbered else ())) or places if self._digest(one) == digest), None
        )
        if same is not None:
            return same
        if usual or len(places) == 1:
            self._differs.setdefault((usual or places)[0], []).append(made)
        else:
            self._gone.setdefault(made, []).append(key)
        return None

    @property
    def n_files(self) -> int:
        """How many were compared."""
        return len(self.seen | set(self._differs))

    @property
    def wrong(self) -> list[str]:
        """A line for each file that is not what it was."""
        lines = [*self._damaged]
        for file, made in self._differs.items():
            others = f" and {len(set(made)) - 1} more" if len(set(made)) > 1 else ""
            ours = file.is_relative_to(self._results) and "raw" not in file.parts
            advice = f"delete it and run `snakemake --cores all {file}`" if ours else "restore it, or run again"
            lines.append(f"{file}: is not what {made[0]}{others} was made from; {advice}")
        for one, keys in self._gone.items():
            advice = f"run `snakemake --cores all --force {one}`"
            lines.append(f"{one}: what it was made from is not there any more ({', '.join(keys)}); {advice}")
        return lines


class _Places:
    """Where the inputs of an artefact lie, by its own name and header."""

    def __init__(self, results: Path, path: Path, header: Mapping[str, Any], config: Config | None) -> None:
        self._results, self._path, self._header, self._config = results, path, header, config
        head, *folders = path.relative_to(results).parts[:-1] or ("",)
        model = (header.get("protocol", {}).get("model") or {}).get("name")
        if head in ("models", "towers"):
            made_by = folders[0]
        elif len(folders) == 2 and folders[0] != "encoded":
            made_by = f"{head}.{folders[1]}"  # {source}/triplets/{detector}.{lifter}
        else:
            made_by = str(model or f"*.{header.get('mined_by', '*')}")
        self._names = dict.fromkeys(NAMES, "*") | dict(zip(NAMES, made_by.split("."), strict=False))
        self._names["segmenter"] = lifted_by(self._names["lifter"])[0] or "*"
        own = head if folders and head not in ("models", "towers", "labels", "search") else header.get("source")
        self._sources = [str(own)] if own else self._names["sources"].split("+")

    def of(self, key: str, stage: str) -> list[Path]:
        """Files that an input may be.

        Raises:
            InputError: the data set that it is of is not there.
        """
        kind, _, file = key.partition("/")
        file = file.rpartition("/")[2]
        if _is_raw(key, stage):
            return self._raw(key)
        if (stage, kind) == ("segment", "masks") or (
            stage in ("detect", "segment") and kind in ("vocabulary", "boxes", "model")
        ):
            settings = self._header["provenance"]["settings"]
            return _there([Path(settings["model"]) / file if kind == "model" else Path(settings[kind])])
        if "." not in file:  # by number, or the one of the same shard
            shard = "train-*" if file else self._path.stem.removesuffix(".members").rpartition(".")[2]
            file = f"{shard}{ENDINGS.get(kind, '.parquet')}"
        of_members = kind == "members" or file.endswith(".members.parquet")
        kind = POINTS.get(stage, "triplets") if kind == "points" else SAME_PLACE.get(kind, kind)
        patterns = [
            pattern.format(**self._names, source=source, file=file)
            for pattern in PLACES.get(kind, ())
            for source in self._sources
        ]
        there = [path for pattern in dict.fromkeys(patterns) for path in sorted(self._results.glob(pattern))]
        found = [path for path in there if path.name.endswith(".members.parquet") == of_members]
        return found + self._elsewhere(kind, file)

    def _elsewhere(self, kind: str, file: str) -> list[Path]:
        """What is not under results/: a model's own weights, and what the configuration takes from elsewhere."""
        places = [self._path.with_name(file)] if (kind, self._path.name) == ("model", "config.json") else []
        if self._config is not None:
            rivals = [rival.checkpoint for rival in self._config.baselines.values() if rival and rival.checkpoint]
            places += [Path(path) for path in rivals if kind == "towers" and Path(path).name == file]
            if kind == "model" and self._config.labels.model:
                places.append(Path(self._config.labels.model) / file)
        return _there(places)

    def _raw(self, key: str) -> list[Path]:
        name = str(self._header.get("source"))
        if self._config is None or name not in self._config.sources:
            raise InputError(
                f"no source {name!r} in the configuration; run this in the checkout, with its --configfile"
            )
        source = self._config.sources[name]
        root = self._results / name / "raw" if source.world is not None else root_of(self._config, name)
        if not root.is_dir():
            raise InputError(f"{root}: no such folder; give the data root with --dataroot")
        own = [root / "data" / key / f"{key}.json"] if source.kind == "once" else [root / key]
        return _there([*own, *index_files(source, root)])


def _is_raw(key: str, stage: str) -> bool:
    """Whether an input of a stage is a file of the data set."""
    kind = key.partition("/")[0]
    return stage in RAW_STAGES or (stage == "objects" and kind not in ("frames", "annotations"))


def _there(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path.is_file()]


def _header(path: Path) -> dict[str, Any] | None:
    """What an artefact says of itself; None for a kind of file that says nothing.

    Raises:
        InputError: it cannot be read.
    """
    reader = _READERS.get(path.suffix)
    return reader(path) if reader else None


def _json_header(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error}); make it again") from None
    return value if isinstance(value, dict) else {}


def _hdf5_header(path: Path) -> dict[str, Any]:
    with open_hdf5(path, "HDF5 artefact", "delete it and run again") as file:
        return file.header()


def _tower_header(path: Path) -> dict[str, Any]:
    return {} if path.name == "model.safetensors" else dict(read_tower(path).header)


_READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".json": _json_header,
    ".parquet": read_header,
    ".h5": _hdf5_header,
    ".safetensors": _tower_header,
}
