"""The configured experiment, as the rules ask for it: which files there are, and what each stage is given.

Nothing here needs Snakemake. A method that takes ``wildcards`` is asked about one job: they are the parts of its file
names. Paths are relative to the working directory, as Snakemake compares them.
"""

import json
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from clip2.export import formats
from clip2.runtime.errors import InputError
from clip2.scans.outline import Outline, Part
from clip2.scans.shards import ROLES, shard_names
from clip2.scans.splits import SplitSettings
from clip2.workflow.config import PARTS, BaselineConfig, BenchmarkConfig, check_config, lifted_by, parts_of
from clip2.workflow.shards import number_of_shards
from clip2.workflow.sources import BY_BOXES, MODULES, index_files

FRAMES = "results/{source}/frames/{shard}.parquet"
ANNOTATIONS = "results/{source}/annotations/{shard}.parquet"
DETECTIONS = "results/{source}/detections/{detector}/{shard}.parquet"
OBJECTS = "results/{source}/objects/{shard}"
MASKS = "results/{source}/masks/{detector}.{segmenter}/{shard}.parquet"
MINED = "results/{source}/triplets/{detector}.{lifter}"
EMBEDDED = "results/{source}/embeddings/{detector}.{lifter}.{teacher}"
TRACKED = "results/{source}/tracks/{detector}.{lifter}.{teacher}"
MODEL = "results/models/{sources}.{detector}.{lifter}.{teacher}.{model}"
TOWER = "results/towers/{sources}.{detector}.{lifter}.{teacher}/{tower}.safetensors"
OF_SEED = "-seed"
"""Between the name of a model and a seed: the same model, trained with that seed."""
LABELS = str(formats.LABELS)
"""Named boxes of the source that the experiment is about; :data:`OF_LABELS`: the parts that make them."""
OF_LABELS = ("benchmark", "sources", *PARTS)
SHAPE_TOWER = "results/towers/{pairs}.{teacher}/{tower}.safetensors"
ENCODED = "results/{source}/encoded/{teacher}/{shard}.h5"
"""What the frozen teacher's image tower sees of a shard of objects."""
TOWER_ENCODED = "results/towers/{sources}.{detector}.{lifter}.{teacher}/{benchmark}.{shard}.h5"
"""What the rivals' image towers see of it."""

Wildcards = Mapping[str, str]


class WorldSize(Protocol):
    """How much a built-in world holds (clip2_world.settings.Size)."""

    @property
    def train(self) -> int: ...
    @property
    def val(self) -> int: ...
    @property
    def pictures_a_scene(self) -> int: ...


class Experiment:
    """All that the rules ask of the configuration.

    Attributes:
        raw: the configuration as it was written. Settings go to the stages from here and not from ``config``, so that a
            new setting's default runs nothing again.
        config: the same, checked.
    """

    def __init__(
        self, raw: Mapping[str, Any], world_size: Callable[[str, str, dict[str, Any]], WorldSize | None] | None = None
    ) -> None:
        """
        Args:
            world_size: of a source's name and kind and the settings of its built-in world, which it checks; this
                package does not know the built-in world.

        Raises:
            InputError: the configuration is wrong.
        """
        self.raw = raw
        self.config = check_config(dict(raw))
        self.benchmarks: dict[str, BenchmarkConfig] = _without_none(self.config.benchmarks)
        self.rivals: dict[str, BaselineConfig] = _without_none(self.config.baselines)
        self._outlines = {
            name: world_outline(self._settings(name), size)
            for name, source in self.config.sources.items()
            if world_size and source.world is not None and (size := world_size(name, source.kind, source.world))
        }

    # What is put together

    def parts_of(self, benchmark: str) -> dict[str, str]:
        """Wildcards of a benchmark's files: its source, those its model learns from, and its parts."""
        spec = self.benchmarks[benchmark]
        return parts_of(self.config, spec) | {
            "benchmark": benchmark,
            "source": spec.source,
            "sources": "+".join(spec.train),
        }

    @cached_property
    def parts(self) -> dict[str, str]:
        """Those of the experiment's own benchmark."""
        return self.parts_of(self.config.experiment.benchmark)

    @property
    def mined_sources(self) -> list[str]:
        """The sources that the experiment's own model learns from."""
        return self.parts["sources"].split("+")

    @property
    def published(self) -> dict[str, str]:
        """Fixed name under ``results/`` → what was made: all results and their pictures, and those of the mining."""
        made = {
            f"{name}_{task}.{ending}": f"{MODEL}/{name}_{task}.{ending}".format(**self.parts_of(name))
            for ending, drawn in (("json", None), ("png", ("zeroshot", "fewshot")))
            for name, spec in self.benchmarks.items()
            for task in spec.tasks
            if drawn is None or task in drawn
        }
        for name, spec in self.benchmarks.items():
            if "zeroshot" in spec.tasks:
                made[f"{name}_seeds.json"] = f"{MODEL}/{name}_seeds.json".format(**self.parts_of(name))
        mined = MINED.format(**self.parts | {"source": self.mined_sources[0]})
        made["triplets.png"] = f"{mined}/triplets.png"
        # The audit wants boxes by sample: ScanNet's are by scene, and a folder may have none.
        if self.mined_sources[0] in self.sources_by_boxes:
            made["audit.json"] = f"{mined}/audit.json"
            tracked = TRACKED.format(**self.parts | {"source": self.mined_sources[0]})
            made["tracks_audit.json"] = f"{tracked}/audit.json"
            made["search_audit.json"] = f"{tracked}/search_audit.json"
        return made

    @property
    def results(self) -> list[str]:
        """Fixed names of all benchmarks' results."""
        return [f"{name}_{task}.json" for name, spec in self.benchmarks.items() for task in spec.tasks]

    @property
    def default_targets(self) -> list[str]:
        """Fixed names of what ``snakemake`` without a target makes."""
        wanted = {f"{self.parts['benchmark']}_zeroshot.{ending}" for ending in ("json", "png")} | {"triplets.png"}
        if self._missing_labels(self.mined_sources[0], "train") is None:
            wanted |= {"audit.json", "tracks_audit.json"}
        return [name for name in self.published if name in wanted]

    @property
    def explored_results(self) -> list[str]:
        """Fixed names of the results that the explorer shows: what is measured without being asked for."""
        measured = self._missing_labels(self.parts["source"], "val") is None
        own = [name for name in self.default_targets if name.endswith(".json")]
        return [name for name in own if measured or not name.endswith("_zeroshot.json")]

    @property
    def explored_logs(self) -> list[str]:
        """The training log that the explorer shows: of the model that names things, unless it was trained elsewhere."""
        return [] if self.config.labels.model else [f"{self.label_model}/train_log.jsonl"]

    # Sources and their shards

    def sources_with(self, stage: str) -> list[str]:
        """Sources of the kinds that have a stage (a field of workflow.sources.Modules)."""
        return [name for name, source in self.config.sources.items() if getattr(MODULES[source.kind], stage)]

    @property
    def sources_by_boxes(self) -> list[str]:
        """Sources whose objects are cut out by human boxes."""
        return [name for name in self.sources_with("objects") if self._modules(name).objects == BY_BOXES]

    @property
    def sources_by_meshes(self) -> list[str]:
        """Sources whose objects are instances of a scene's mesh: ScanNet's."""
        return [name for name in self.sources_with("objects") if self._modules(name).objects != BY_BOXES]

    def module(self, source: str, stage: str) -> str:
        """Name of the module that does a stage for a source."""
        name: str = getattr(self._modules(source), stage)
        return name

    def _modules(self, source: str) -> Any:
        return MODULES[self.config.sources[source].kind]

    def _settings(self, source: str) -> SplitSettings:
        """A source's checked settings; kinds without roles, which are only trained on, have none and are not asked."""
        settings: SplitSettings = self.config.sources[source].settings  # type: ignore[union-attr]
        return settings

    def shards(self, source: str, role: str) -> list[str]:
        """Names of a source's shards of one role, known before anything runs."""
        return shard_names(role, self._n_shards(source, role))

    def _n_shards(self, source: str, role: str) -> int:
        """What the source's settings say, else by how many frames it has; 1 as long as there is nothing to count."""
        given: int | None = getattr(self._settings(source), f"{role}_shards")
        if given:
            return given
        try:
            part = self.outline(source).get(role)
        except InputError:
            part = None  # raw_index says what is wrong, to those who need this source
        return number_of_shards(role, part.n_scenes, part.n_frames) if part else 1

    def outline(self, source: str) -> Outline:
        """How much of a source each role holds; empty for kinds that have no frames, and unknown worlds.

        Raises:
            InputError: there is no such data set, or a split names nothing of it.
        """
        module = self._modules(source).outline
        if source not in self._outlines and module is not None and self.config.sources[source].world is None:
            self._outlines[source] = import_module(module).outline(self._raw(source), self._settings(source))
        return self._outlines.get(source, {})

    def all_shards(self, source: str, pattern: str) -> list[str]:
        """A path for each shard of a source, of both roles."""
        return [pattern.format(source=source, shard=shard) for role in ROLES for shard in self.shards(source, role)]

    def mined(self, wildcards: Wildcards, pattern: str) -> list[str]:
        """A path for each mining shard of the job's source, or of all sources that its model learns from."""
        names = wildcards.get("sources") or wildcards["source"]
        return [
            pattern.format(**dict(wildcards.items()) | {"source": source, "shard": shard})
            for source in names.split("+")
            for shard in self.shards(source, "train")
        ]

    def learnt_tracks(self, wildcards: Wildcards, pattern: str) -> list[str]:
        """As :meth:`mined`; nothing where the job's model does not learn from tracks."""
        base, _ = self._base_and_seed(wildcards["model"])
        by_tracks = self.config.models[base].names_from == "tracks"
        return self.mined(wildcards, pattern) if by_tracks else []

    def model_settings(self, model: str) -> str:
        """Settings of `pretrain` for a model, which may be another's twin of another seed."""
        base, seed = self._base_and_seed(model)
        return _json(self.section("models", base) | ({} if seed is None else {"seed": seed}))

    def seeds(self, wildcards: Wildcards, pattern: str) -> list[str]:
        """A path for each seed that the job's model is trained with: its own folder, and twins' for other seeds."""
        model = wildcards["model"]
        own = self.config.models[model].seed
        twins = [model if seed == own else f"{model}{OF_SEED}{seed}" for seed in self.config.evaluation.seeds]
        return [pattern.format(**dict(wildcards.items()) | {"model": twin}) for twin in twins]

    def _base_and_seed(self, model: str) -> tuple[str, int | None]:
        base, _, seed = model.rpartition(OF_SEED)
        is_twin = model not in self.config.models and base in self.config.models and seed.isdecimal()
        return (base, int(seed)) if is_twin else (model, None)

    def labelled(self, pattern: str) -> list[str]:
        """A path for each shard, of both roles, of the source that the experiment is about; of what is in both, one."""
        source = self.parts["source"]
        words = {role: {word.strip() for word in getattr(self._settings(source), role).split(",")} for role in ROLES}
        twice = "all" in words["train"] or words["val"] <= words["train"]
        return [
            pattern.format(**self.parts | {"shard": shard})
            for role in (("train",) if twice or self._is_empty(source, "val") else ROLES)
            for shard in self.shards(source, role)
        ]

    def measured_labels(self, wildcards: Wildcards) -> list[str]:
        """The labels, for a job that measures the source and the model that they are of."""
        named_by = self.config.labels.model is None and not self.config.labels.names
        return [LABELS] if named_by and all(wildcards[key] == self.parts[key] for key in OF_LABELS) else []

    def _is_empty(self, source: str, role: str) -> bool:
        """Whether a role is known to hold nothing."""
        try:
            part = self.outline(source).get(role)
        except InputError:
            return False  # raw_index says what is wrong
        return part is not None and not part.n_frames

    @property
    def label_model(self) -> str:
        """Folder of the model that names things: one trained elsewhere, or the experiment's own."""
        return self.config.labels.model or MODEL.format(**self.parts)

    @property
    def label_settings(self) -> str:
        """The settings of `label`, as the JSON text that its command line takes."""
        return json.dumps({key: value for key, value in self.section("labels").items() if key != "model"})

    def asked(self, wildcards: Wildcards, pattern: str, role: str = "val") -> list[str]:
        """A path for each shard of the source that the job's benchmark asks about; for a job of one shard, that one.

        Raises:
            InputError: nothing can be measured there, or it would be measured on what was mined.
        """
        source = self.benchmarks[wildcards["benchmark"]].source
        self.need_labels(source, role)
        self._need_other_scenes(wildcards["benchmark"], role)
        shard = wildcards.get("shard")
        return [
            pattern.format(**dict(wildcards.items()) | {"source": source, "shard": shard})
            for shard in ([shard] if shard else self.shards(source, role))
        ]

    def audited(self, wildcards: Wildcards, pattern: str) -> list[str]:
        """A path for each mining shard of the job's source, whose triplets are held against human boxes.

        Raises:
            InputError: there are none.
        """
        self.need_labels(wildcards["source"], "train")
        return self.mined(wildcards, pattern)

    # What cannot end is refused before anything starts

    def need_labels(self, source: str, *roles: str) -> None:
        """Refuse to measure where nobody labelled.

        Raises:
            InputError: none of these roles of the source has human boxes.
        """
        reasons = {role: self._missing_labels(source, role) for role in roles}
        if all(reasons.values()):
            role, reason = next(iter(reasons.items()))
            raise InputError(
                f"{self.data_root(source)}: nothing can be measured on {role!r} of source {source!r}: {reason}; "
                "the targets `triplets` and `model` need no labels"
            )

    def _missing_labels(self, source: str, role: str) -> str | None:
        """Why nothing can be measured on a role; None where something can be, and where that is not known."""
        module = self._modules(source).outline
        if module is None or self.config.sources[source].world is not None:
            return None
        try:
            missing: str | None = import_module(module).missing_labels(self._raw(source), self._settings(source), role)
        except InputError:
            return None  # raw_index says what is wrong
        return missing

    def _need_other_scenes(self, benchmark: str, role: str) -> None:
        shared = self.shared_scenes(benchmark, few_shot=role == "train")
        if shared and not self.benchmarks[benchmark].shared_scenes:
            raise InputError(
                f"benchmark {benchmark!r}: {len(shared)} scenes that it asks about are mined for its model, too "
                f"({min(shared)} …), so that it would say nothing about unseen ones; change `train` or `val` of its "
                f"sources, or set benchmarks.{benchmark}.shared_scenes to true, and the result says so"
            )

    def shared_scenes(self, benchmark: str, few_shot: bool = False) -> frozenset[str]:
        """Scenes that a benchmark asks about and its model has seen, as far as the data sets' lists tell.

        Args:
            few_shot: the model also learns from labelled objects of the benchmark's own source.
        """
        spec = self.benchmarks[benchmark]
        asked = self._scenes(spec.source, "val")
        mined = {name for name in spec.train if self._same_data(name, spec.source)}
        return asked & frozenset[str]().union(
            *(self._scenes(name, "train") for name in mined | ({spec.source} if few_shot else set()))
        )

    def _scenes(self, source: str, role: str) -> frozenset[str]:
        try:
            part = self.outline(source).get(role)
        except InputError:
            part = None  # raw_index says what is wrong
        return part.scenes if part else frozenset()

    def _same_data(self, one: str, other: str) -> bool:
        same_kind = self.config.sources[one].kind == self.config.sources[other].kind
        return same_kind and os.path.realpath(self.data_root(one)) == os.path.realpath(self.data_root(other))

    def data_root(self, source: str) -> str:
        """Folder that holds a source's raw files.

        Raises:
            InputError: nothing names one.
        """
        settings = self.config.sources[source]
        if settings.world is not None:
            return f"results/{source}/raw"
        if root := settings.root or self.config.dataroot:
            return root
        raise InputError(
            f"source {source!r} needs its data root: add `--config dataroot=/path/to/data` or set sources.{source}.root"
        )

    def raw_index(self, source: str, stage: str = "frames") -> list[str]:
        """Files that say what a source's raw data is: a job that reads them runs again when they change.

        Raises:
            InputError: there is no such data set, or no human boxes for the stage `annotations`.
        """
        settings = self.config.sources[source]
        if settings.world is not None:
            return [f"results/{source}/raw/world.json"]
        paths = [str(path) for path in index_files(settings, self._raw(source))]
        self.outline(source)
        if stage == "annotations":
            self.need_labels(source, *reversed(ROLES))
        return paths

    def _raw(self, source: str) -> Path:
        """The data root of a source that is on disk."""
        root = Path(self.data_root(source))
        if not root.is_dir():
            raise InputError(f"{root}: no such folder; give the data root with `--config dataroot=/path/to/data`")
        return root

    # Settings, as the JSON text that a stage's command line takes

    def section(self, *keys: str) -> dict[str, Any]:
        """A slice of the configuration, as it was written; empty where it was not."""
        value: Any = self.raw
        for key in keys:
            value = (value or {}).get(key, {})
        return value or {}

    def settings(self, *keys: str) -> str:
        """A stage's slice of the configuration."""
        return _json(self.section(*keys))

    def source_settings(self, source: str) -> str:
        """Settings of the stages that write a source's shards: with how many there are of them."""
        counted = {
            f"{role}_shards": self._n_shards(source, role)
            for role in ROLES
            if getattr(self._settings(source), f"{role}_shards") is None
        }
        return _json(self.section("sources", source, "settings") | counted)

    def evaluation(self, benchmark: str, stage: str, **asked: Any) -> str:
        """An evaluation stage's settings for a benchmark: the general ones, then the benchmark's own, then a rule's."""
        shared = (
            {"shared_scenes": len(self.shared_scenes(benchmark, few_shot=stage == "fewshot"))}
            if self.benchmarks[benchmark].shared_scenes
            else {}
        )
        own = self.section("benchmarks", benchmark, "evaluation", stage)
        return _json(self.section("evaluation", stage) | own | shared | asked)

    def teacher_model(self, teacher: str) -> str:
        """Which model a teacher is, without the wording of its texts: for what has no texts."""
        return _json(self._teacher_model(teacher))

    def tune(self, rival: str, teacher: str) -> str:
        """Settings of `tune` for a rival, with the job's teacher."""
        return _json(self._teacher_model(teacher) | self.section("baselines", rival, "tune"))

    def _teacher_model(self, teacher: str) -> dict[str, Any]:
        written = self.section("teachers", teacher)
        return {key: written[key] for key in ("model", "pretrained") if key in written}

    # Files of models

    def teacher_files(self, wildcards: Wildcards) -> list[str]:
        """Files of the job's teacher."""
        return model_files(self.config.teachers[wildcards["teacher"]].model)

    def detector_files(self, wildcards: Wildcards) -> list[str]:
        """Files of the job's detector: its vocabulary, and its model's or the stored boxes."""
        detector = self.config.detectors[wildcards["detector"]]
        own = [str(detector.boxes)] if detector.kind == "stored" else model_files(detector.model)
        return [str(detector.vocabulary), *own]

    def segmenter_files(self, wildcards: Wildcards) -> list[str]:
        """Files of the job's segmenter: its model's, or the stored masks."""
        segmenter = self.config.segmenters[wildcards["segmenter"]]
        return [str(segmenter.masks)] if segmenter.kind == "stored" else model_files(segmenter.model)

    def masks(self, wildcards: Wildcards) -> list[str]:
        """The masks that a lifting job takes, if its lifter is one with masks."""
        segmenter, _ = lifted_by(wildcards["lifter"])
        return [MASKS.format(**dict(wildcards.items()) | {"segmenter": segmenter})] if segmenter else []

    def lifter_settings(self, lifter: str) -> str:
        """A lifter's slice of the configuration, by the part of a name that says what lifted."""
        return self.settings("lifters", lifted_by(lifter)[1])

    # Rivals that are trained

    @property
    def tuned(self) -> list[str]:
        """Rivals that are tuned on a benchmark's own triplets."""
        return [name for name, rival in self.rivals.items() if rival.pairs is None and rival.checkpoint is None]

    @property
    def pretrained(self) -> dict[str, str]:
        """Rivals that are trained once for all on rendered shapes → the source of these."""
        return {name: rival.pairs for name, rival in self.rivals.items() if rival.pairs and rival.checkpoint is None}

    @property
    def image_rivals(self) -> list[str]:
        """Rivals with an image tower of their own, not an adapter to the teacher's."""
        return [name for name, rival in self.rivals.items() if rival.checkpoint or rival.tune.method == "clip2point"]

    def tower_files(self, wildcards: Wildcards) -> list[str]:
        """Weights of all trained rivals."""
        return [self._tower_file(name, wildcards) for name in self.rivals]

    def image_tower_files(self, wildcards: Wildcards) -> list[str]:
        """Weights of the rivals with an image tower of their own."""
        return [self._tower_file(name, wildcards) for name in self.image_rivals]

    def _tower_file(self, name: str, wildcards: Wildcards) -> str:
        rival = self.rivals[name]
        if rival.checkpoint:
            return rival.checkpoint
        own = {"pairs": rival.pairs, "tower": name}
        return (SHAPE_TOWER if rival.pairs else TOWER).format(**dict(wildcards.items()) | own)

    def encoded_files(self, wildcards: Wildcards) -> list[str]:
        """What image towers see of all objects that the job's benchmark asks about."""
        patterns = [ENCODED, TOWER_ENCODED] if self.image_rivals else [ENCODED]
        return [path for pattern in patterns for path in self.asked(wildcards, pattern)]

    @property
    def uses_gpu(self) -> bool:
        """Whether jobs that run a model ask the scheduler for a GPU."""
        return self.config.device != "cpu"


def world_outline(settings: SplitSettings, size: WorldSize) -> Outline:
    """What each role of a built-in world holds: its scenes by number, as long as it is not made."""
    splits = {"train": [f"train {i}" for i in range(size.train)], "val": [f"val {i}" for i in range(size.val)]}
    splits["all"] = splits["train"] + splits["val"]
    parts = {}
    for role in ROLES:
        words = [word.strip() for word in getattr(settings, role).split(",")]
        scenes = frozenset(scene for word in words for scene in splits.get(word, [word]))
        parts[role] = Part(scenes, len(scenes), len(scenes) * size.pictures_a_scene)
    return parts


def model_files(folder: str) -> list[str]:
    """Files of a model folder; nothing for a hub id, which the settings pin by themselves.

    Raises:
        InputError: it can only be a folder, and is not there.
    """
    if not os.path.isdir(folder):
        if folder.startswith((".", "/", "~")) or folder.count("/") > 1:
            raise InputError(f"{folder}: no such model folder; give a folder or a hub id (org/name)")
        return []
    endings = {".json", ".safetensors", ".txt"}
    return sorted(str(path) for path in Path(folder).iterdir() if path.suffix in endings)


def _without_none(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value is not None}


def _json(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
