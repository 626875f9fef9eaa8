"""Settings of the evaluation stages. Defaults are the nuScenes detection benchmark's."""

from typing import Any, Literal, get_args

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from clip2.runtime.settings import Positive, Settings, Template, Words

NUSCENES_CLASSES = (
    "car",
    "truck",
    "bus",
    "trailer",
    "construction_vehicle",
    "pedestrian",
    "motorcycle",
    "bicycle",
    "traffic_cone",
    "barrier",
)
"""In the order of the devkit's DETECTION_NAMES."""

NUSCENES_CLASS_RANGE = {
    "car": 50.0,
    "truck": 50.0,
    "bus": 50.0,
    "trailer": 50.0,
    "construction_vehicle": 50.0,
    "pedestrian": 40.0,
    "motorcycle": 40.0,
    "bicycle": 40.0,
    "traffic_cone": 30.0,
    "barrier": 30.0,
}
"""Metres: ``class_range`` of the devkit's detection_cvpr_2019 configuration."""

Method = Literal[
    "clip2",
    "pointclip",
    "pointclip_v2",
    "clip2point",
    "pointclip_tp",
    "pointclip_v2_tp",
    "clip2point_tp",
    "teacher_2d",
    "ensemble",
    "chance",
]


class ObjectsSettings(Settings):
    """Which annotated objects are queries, and which points they consist of."""

    class_range: dict[str, Positive] | None = Field(
        None,
        description="metres from the sensor; farther objects of the class are left out; "
        "null: the data set's own, which only nuScenes has; {} none",
    )
    official_filters: bool = Field(
        True, description="leave out boxes without a lidar or radar point, and cycles that stand in a bicycle rack"
    )
    min_points: int = Field(1, ge=1, description="objects with fewer points in their box are left out")
    margin_m: float = Field(0.0, ge=0, le=1, description="metres added to every side of a box when its points are cut")
    max_clouds: int = Field(
        0, ge=0, description="clouds a sample: 1 is the key frame alone, 0 all that the frames refer to"
    )
    min_sweep_range: float = Field(
        1.0,
        ge=0,
        description="metres; of earlier sweeps, points nearer to the sensor are the recording car and left out",
    )
    in_camera_only: bool = Field(False, description="leave out objects that no camera sees")
    min_view_share: float = Field(
        0.3, ge=0, le=1, description="a camera sees an object when this share of its projected box is in the image"
    )
    visibility: tuple[str, ...] = Field(
        (), description="visibility levels to keep, as the annotations name them; () all"
    )
    include_other: bool = Field(False, description="keep objects outside the benchmark's classes too (long tail)")
    max_bad_share: float = Field(0.01, ge=0, le=1, description="share of unreadable frames above which the stage fails")

    def ranges(self, dataset: str) -> dict[str, float]:
        """Class → metres, for the objects of a data set; a class that is not in it has no limit."""
        if self.class_range is not None:
            return self.class_range
        return NUSCENES_CLASS_RANGE if dataset == "nuscenes" else {}


class MeasuredSettings(Settings):
    """What all stages that measure a model have."""

    shared_scenes: int | None = Field(
        None,
        ge=0,
        description="scenes of the evaluation that were mined for the model, too, for the result to say; the workflow "
        "counts them where `benchmarks.<name>.shared_scenes` allows any",
    )

    @model_serializer(mode="wrap")
    def _only_where_told(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = serialise(self)
        if self.shared_scenes is None:
            del told["shared_scenes"]
        return told


class ZeroshotSettings(MeasuredSettings):
    """Which methods answer, and how the classes are worded for them."""

    methods: tuple[Method, ...] = Field(
        get_args(Method),
        min_length=1,
        description="methods, all on the same objects; those whose weights are not given are left out",
    )
    classes: Words = Field((), description="the classes to choose from; () the data set's own")
    names: dict[str, str] = Field(
        {}, description="words for a class in the prompts; a class that is not here is its name, underscores as spaces"
    )
    templates: tuple[Template, ...] = Field(
        (), description="prompt templates of clip2 and teacher_2d, averaged; () those that the model was trained with"
    )
    batch_size: int = Field(64, ge=1, description="objects in memory at a time")
    bootstrap: int = Field(1000, ge=0, description="resamples for the 95 % intervals; 0 leaves them out")
    seed: int = Field(0, ge=0, description="seed of the resampling")


class AuditSettings(Settings):
    """How mined crops are compared with human boxes."""

    margin_m: float = Field(
        0.1, ge=0, le=1, description="metres added to every side of a box: annotations are not exact"
    )
    min_points: int = Field(5, ge=1, description="an object counts as findable with this many points in one image")
    min_sweep_range: float = Field(1.0, ge=0, description="as lift.min_sweep_range, so that the points are the same")
    synonyms: dict[str, str] = Field(
        {}, description="detector's label → benchmark class, for words that are no name here"
    )
    max_bad_share: float = Field(
        0.01, ge=0, le=1, description="share of unreadable samples above which the stage fails"
    )


class SearchAuditSettings(Settings):
    """What is searched for by name among the mined things, and how they are compared with human boxes."""

    queries: Words = Field(
        (), description="names to search for; () every fine name or category outside the benchmark's classes"
    )
    names: dict[str, str] = Field({}, description="other words for a name in the query")
    ks: tuple[int, ...] = Field((1, 5, 10, 20, 50), min_length=1, description="recall is reported after so many things")
    min_objects: int = Field(1, ge=1, description="names with fewer objects are not searched for")
    margin_m: float = Field(
        0.1, ge=0, le=1, description="metres added to every side of a box: annotations are not exact"
    )
    min_points: int = Field(5, ge=1, description="an object counts with this many points in one image")
    min_sweep_range: float = Field(1.0, ge=0, description="as lift.min_sweep_range, so that the points are the same")
    max_bad_share: float = Field(
        0.01, ge=0, le=1, description="share of unreadable samples above which the stage fails"
    )
    chance_orders: int = Field(100, ge=1, description="random orders whose mean is the chance level")
    seed: int = Field(0, ge=0, description="seed of these orders")
