"""The configuration: every key of config.yaml, its type, default and meaning.

The models here are the source of truth: the Snakefile checks its configuration with them, and ``clip2 schema`` writes
``schemas/config.schema.json`` from them, for editors. Stages never import this module: each gets its own slice, so that
a change elsewhere in the configuration does not touch it.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from clip2.detect.settings import DetectSettings
from clip2.evaluate.ensemble.settings import EnsembleSettings
from clip2.evaluate.fewshot.settings import FewshotSettings
from clip2.evaluate.localization.settings import LocalizeSettings
from clip2.evaluate.retrieval.settings import RetrievalSettings
from clip2.evaluate.rivals.tune_settings import TuneSettings
from clip2.evaluate.scannet.settings import ScannetObjectsSettings
from clip2.evaluate.settings import AuditSettings, ObjectsSettings, SearchAuditSettings, ZeroshotSettings
from clip2.explore.settings import ExplorerSettings
from clip2.export.settings import ExportSettings
from clip2.label.settings import LabelSettings
from clip2.lift.settings import LiftSettings
from clip2.pretrain.settings import PretrainSettings
from clip2.runtime.errors import InputError
from clip2.runtime.settings import Settings, distinct
from clip2.segment.settings import SegmentSettings
from clip2.teach.settings import TeachSettings
from clip2.track.settings import TrackSettings
from clip2.workflow.sources import BY_BOXES, MODULES, Source

Name = Annotated[str, Field(pattern="^[A-Za-z0-9_-]+$")]
"""It becomes part of file names, which dots and plus signs separate."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Task = Literal["zeroshot", "fewshot", "localization", "retrieval"]


class ExperimentConfig(Settings):
    """Which of the named parts below are put together. Each name also names the artefacts that it makes."""

    benchmark: Name = Field(
        "nuscenes", description="key of `benchmarks`: what `snakemake` without a target makes, and the stage targets"
    )
    detector: Name = Field("tiny_owl", description="key of `detectors`")
    segmenter: Name | None = Field(None, description="key of `segmenters`; null: boxes are lifted without masks")
    lifter: Name = Field("auto", description="key of `lifters`")
    teacher: Name = Field("tiny_clip", description="key of `teachers`")
    model: Name = Field("small", description="key of `models`")


class BenchmarkConfig(Settings):
    """One benchmark: `results/{name}_{task}.json`."""

    source: Name = Field(description="key of `sources`: whose evaluation objects are asked about")
    train: Annotated[tuple[Name, ...], AfterValidator(distinct)] = Field(
        min_length=1, description="keys of `sources`: what the model's triplets come from"
    )
    tasks: Annotated[tuple[Task, ...], AfterValidator(distinct)] = Field(
        ("zeroshot",), description="what `results/benchmark.json` gathers of it"
    )
    detector: Name | None = Field(None, description="instead of the experiment's")
    segmenter: Name | None = Field(None, description="instead of the experiment's")
    lifter: Name | None = Field(None, description="instead of the experiment's")
    teacher: Name | None = Field(None, description="instead of the experiment's")
    model: Name | None = Field(None, description="instead of the experiment's")
    shared_scenes: bool = Field(
        False, description="evaluate on scenes that were mined for the model, too; the result says on how many"
    )
    evaluation: dict[Task, dict[str, Any]] = Field(
        {},
        description="sections of `evaluation` for its tasks (zeroshot …), and the keys that differ for this benchmark",
    )


class BaselineConfig(Settings):
    """One rival that is trained."""

    pairs: Name | None = Field(
        None, description="key of `sources`, of kind pairs: what it is trained on; null: the benchmark's triplets"
    )
    checkpoint: str | None = Field(
        None, description="weights to use instead of training: a file of `clip2 tune`, or CLIP2Point's own .pth"
    )
    tune: TuneSettings = Field(TuneSettings(), description="settings of `tune`; the teacher is the experiment's")


class LabelsConfig(LabelSettings):
    """How the experiment's source gets named 3D boxes: `results/labels/labels.parquet`."""

    model: str | None = Field(
        None, description="folder of a model that was trained elsewhere; null: the experiment's own, trained first"
    )


class EvaluationConfig(Settings):
    """How the result is measured."""

    objects: ObjectsSettings = ObjectsSettings()
    scannet_objects: ScannetObjectsSettings = ScannetObjectsSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    zeroshot: ZeroshotSettings = ZeroshotSettings()
    fewshot: FewshotSettings = FewshotSettings()
    localization: LocalizeSettings = LocalizeSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    audit: AuditSettings = AuditSettings()
    search_audit: SearchAuditSettings = SearchAuditSettings()
    seeds: Annotated[tuple[Seed, ...], AfterValidator(distinct)] = Field(
        (0, 1, 2), min_length=2, description="seeds of the trainings that `results/{benchmark}_seeds.json` compares"
    )


PARTS = {"detector": "detectors", "lifter": "lifters", "teacher": "teachers", "model": "models"}
"""Key of an experiment or a benchmark → section that it names an entry of; part of the names of artefacts."""
MASKED = "+"
"""Stands between segmenter and lifter in the names of what was lifted with masks: `sam+auto`."""


class Config(Settings):
    """The whole of config.yaml."""

    dataroot: str | None = Field(None, description="folder of the real data set; give it with --config dataroot=…")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: the GPU where there is one, and the scheduler is asked for one; cpu: neither"
    )
    pretrain_gpus: int = Field(
        1, ge=1, description="GPUs of one machine that a pretrain job asks for and trains on, unless `device` is cpu"
    )
    experiment: ExperimentConfig = ExperimentConfig()
    benchmarks: dict[Name, BenchmarkConfig | None] = Field(description="what is measured; null leaves one out")
    sources: dict[Name, Source]
    detectors: dict[Name, DetectSettings]
    segmenters: dict[Name, SegmentSettings] = Field({}, description="what gives each detected box a mask")
    lifters: dict[Name, LiftSettings]
    teachers: dict[Name, TeachSettings]
    track: TrackSettings = TrackSettings()
    labels: LabelsConfig = LabelsConfig()
    models: dict[Name, PretrainSettings]
    baselines: dict[Name, BaselineConfig | None] = Field(
        {}, description="rivals that are trained, by the name of their result; null leaves one out"
    )
    evaluation: EvaluationConfig = EvaluationConfig()
    explorer: ExplorerSettings = ExplorerSettings()
    export: ExportSettings = Field(ExportSettings(), description="`results/labels/{format}`, labels for other tools")

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        self._need("experiment.benchmark", self.experiment.benchmark, "benchmarks")
        for part, section in PARTS.items():
            self._need(f"experiment.{part}", getattr(self.experiment, part), section)
        if self.experiment.segmenter is not None:
            self._need("experiment.segmenter", self.experiment.segmenter, "segmenters")
        for name, benchmark in self.benchmarks.items():
            if benchmark is None:
                continue
            for part, section in {**PARTS, "segmenter": "segmenters"}.items():
                if getattr(benchmark, part) is not None:
                    self._need(f"benchmarks.{name}.{part}", getattr(benchmark, part), section)
            self._need(f"benchmarks.{name}.source", benchmark.source, "sources")
            for source in benchmark.train:
                self._need(f"benchmarks.{name}.train", source, "sources")
                if MODULES[self.sources[source].kind].frames is None:
                    raise ValueError(f"benchmarks.{name}.train: {source!r} has no images to mine triplets from")
            self._own_evaluation_is_right(name, benchmark)
            self._tasks_have_something_to_ask(name, benchmark)
        for name, baseline in self.baselines.items():
            if baseline is not None and baseline.pairs is not None:
                self._need(f"baselines.{name}.pairs", baseline.pairs, "sources")
        return self

    def _own_evaluation_is_right(self, name: str, benchmark: BenchmarkConfig) -> None:
        """Else the job that measures would say so, when all is trained."""
        for task, own in benchmark.evaluation.items():
            general = getattr(self.evaluation, task).model_dump()
            try:
                type(getattr(self.evaluation, task)).model_validate(general | own)
            except ValidationError as error:
                raise ValueError(f"benchmarks.{name}.evaluation.{task}.{_first(error)}") from None

    def _tasks_have_something_to_ask(self, name: str, benchmark: BenchmarkConfig) -> None:
        kind = self.sources[benchmark.source].kind
        modules, source = MODULES[kind], f"source {benchmark.source!r}, of kind {kind},"
        if modules.objects is None and modules.object_set is None:
            raise ValueError(f"benchmarks.{name}.source: {source} has nothing to recognise")
        if "localization" in benchmark.tasks and modules.annotations is None:
            raise ValueError(f"benchmarks.{name}.tasks: localization searches scans, and {source} holds single objects")
        queries = self.evaluation.retrieval.queries or benchmark.evaluation.get("retrieval", {}).get("queries")
        # Of these data sets, all human boxes are of the classes that the other tasks ask about.
        none_other = modules.objects != BY_BOXES or kind == "folder" or not self.evaluation.objects.include_other
        if "retrieval" in benchmark.tasks and none_other and not queries:
            raise ValueError(
                f"benchmarks.{name}.tasks: retrieval searches for what is in none of the benchmark's classes, and "
                f"{source} gives none of that; set evaluation.retrieval.queries, or evaluation.objects.include_other "
                "where the data set has some"
            )

    def _need(self, key: str, name: str, section: str) -> None:
        there = [key for key, value in getattr(self, section).items() if value is not None]
        if name not in there:
            raise ValueError(f"{key} is {name!r}, but `{section}` has only: {', '.join(there)}")


def parts_of(config: Config, benchmark: BenchmarkConfig) -> dict[str, str]:
    """What is put together for a benchmark, as it stands in the names of artefacts: key of :data:`PARTS` → name.

    A lifter with masks is `{segmenter}+{lifter}`; without, names are as if there were no segmenters.
    """

    def named(part: str) -> Any:
        return getattr(benchmark, part) or getattr(config.experiment, part)

    parts: dict[str, str] = {part: named(part) for part in PARTS}
    if segmenter := named("segmenter"):
        parts["lifter"] = f"{segmenter}{MASKED}{parts['lifter']}"
    return parts


def lifted_by(lifter: str) -> tuple[str | None, str]:
    """Segmenter, None without, and lifter, of the part of a name that says what lifted."""
    segmenter, _, own = lifter.rpartition(MASKED)
    return segmenter or None, own


def check_config(raw: dict[str, Any]) -> Config:
    """The configuration that a dictionary holds.

    Raises:
        InputError: with the first thing that is wrong.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"config: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """Key and message of the first thing that is wrong."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"{key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}"
