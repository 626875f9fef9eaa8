"""The configuration: every key of config.yaml, its type, default and meaning.

The models here are the source of truth: ``clip2 schema`` writes ``schemas/config.schema.json`` from them, which the
Snakefile validates against. Stages never import this module: each gets its own slice, so that a change elsewhere in the
configuration does not touch it.
"""

from typing import Literal

from pydantic import Field

from clip2.detect.settings import DetectSettings
from clip2.evaluate.settings import AuditSettings, ObjectsSettings, ZeroshotSettings
from clip2.lift.settings import LiftSettings
from clip2.pretrain.settings import PretrainSettings
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.world.settings import WorldSettings
from clip2.store.settings import Settings
from clip2.teach.settings import TeachSettings


class SourceConfig(Settings):
    """One data set."""

    kind: Literal["nuscenes", "world"] = Field(
        description="nuscenes: a data set on disk; world: procedurally generated in nuScenes' format"
    )
    root: str | None = Field(None, description="data root of a data set on disk; null: the `dataroot` key")
    nuscenes: NuscenesSettings = NuscenesSettings()
    world: WorldSettings = WorldSettings()


class ExperimentConfig(Settings):
    """Which of the named parts below are put together. Each name also names the artefacts that it makes."""

    source: str = Field("world", description="key of `sources`")
    detector: str = Field("tiny_owl", description="key of `detectors`")
    lifter: str = Field("frustum", description="key of `lifters`")
    teacher: str = Field("tiny_clip", description="key of `teachers`")
    model: str = Field("small", description="key of `models`")


class EvaluationConfig(Settings):
    """How the result is measured."""

    objects: ObjectsSettings = ObjectsSettings()
    zeroshot: ZeroshotSettings = ZeroshotSettings()
    audit: AuditSettings = AuditSettings()


class Config(Settings):
    """The whole of config.yaml."""

    dataroot: str | None = Field(None, description="folder of the real data set; give it with --config dataroot=…")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: the GPU where there is one, and the scheduler is asked for one; cpu: neither"
    )
    experiment: ExperimentConfig = ExperimentConfig()
    sources: dict[str, SourceConfig]
    detectors: dict[str, DetectSettings]
    lifters: dict[str, LiftSettings]
    teachers: dict[str, TeachSettings]
    models: dict[str, PretrainSettings]
    evaluation: EvaluationConfig = EvaluationConfig()
