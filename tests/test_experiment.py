"""What the rules ask of the configuration, without Snakemake."""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from test_outline import record, touch

from clip2.runtime.errors import InputError
from clip2.workflow.check import read_config
from clip2.workflow.experiment import (
    DETECTIONS,
    ENCODED,
    FRAMES,
    LABELS,
    MINED,
    OBJECTS,
    TOWER,
    TOWER_ENCODED,
    TRACKED,
    Experiment,
    model_files,
)
from clip2.workflow.resources import growing, needs
from clip2_world.settings import world_size


@pytest.fixture(scope="module")
def written(repository: Path) -> dict[str, Any]:
    """The configuration that the checkout ships, as written."""
    return read_config([repository / "config.yaml"])


def changed(written: Mapping[str, Any], *path_and_value: Any) -> Experiment:
    """An experiment in which one key has another value."""
    *path, key, value = path_and_value
    raw = deepcopy(dict(written))
    section = raw
    for name in path:
        section = section[name]
    section[key] = value
    return Experiment(raw)


@pytest.fixture(scope="module")
def default(written: dict[str, Any]) -> Experiment:
    return Experiment(written)


def test_a_benchmark_is_put_together_of_the_experiment_and_its_own(default: Experiment) -> None:
    assert default.parts == {
        "benchmark": "nuscenes",
        "source": "world",
        "sources": "world",
        "detector": "tiny_owl",
        "lifter": "auto",
        "teacher": "tiny_clip",
        "model": "small",
    }
    rooms = default.parts_of("sunrgbd")
    assert (rooms["source"], rooms["sources"], rooms["detector"]) == ("rooms", "rooms+scans", "tiny_owl_rooms")


def test_a_segmenter_is_part_of_the_lifter_s_name(written: dict[str, Any], default: Experiment) -> None:
    segmenters = {"sam": {"model": "org/sam"}, "disk": {"kind": "stored", "masks": "masks.json"}}
    raw = deepcopy(written) | {"segmenters": segmenters}
    assert Experiment(raw).parts == default.parts
    raw["experiment"]["segmenter"] = "sam"
    raw["benchmarks"]["sunrgbd"]["segmenter"] = "disk"
    experiment = Experiment(raw)
    assert experiment.parts == default.parts | {"lifter": "sam+auto"}
    assert experiment.parts_of("sunrgbd")["lifter"] == "disk+auto"
    job = experiment.parts | {"shard": "train-000of002"}
    assert experiment.masks(job) == ["results/world/masks/tiny_owl.sam/train-000of002.parquet"]
    assert experiment.masks(job | {"lifter": "auto"}) == []
    assert experiment.lifter_settings("sam+auto") == experiment.lifter_settings("auto")
    assert experiment.segmenter_files({"segmenter": "disk"}) == ["masks.json"]
    assert experiment.segmenter_files({"segmenter": "sam"}) == []
    raw["segmenters"]["sam"]["model"] = "./models/none"
    with pytest.raises(InputError, match=r"\./models/none: no such model folder"):
        Experiment(raw).segmenter_files({"segmenter": "sam"})


def test_a_model_of_two_sources_learns_from_the_shards_of_both(default: Experiment) -> None:
    detections = default.mined(default.parts_of("sunrgbd"), DETECTIONS)
    assert detections == [
        f"results/{source}/detections/tiny_owl_rooms/train-00{i}of002.parquet"
        for source in ("rooms", "scans")
        for i in range(2)
    ]
    # A job that makes something of one source's triplets has that source alone.
    of_one = default.mined({"source": "rooms", "detector": "d", "lifter": "l"}, f"{MINED}/{{shard}}.h5")
    assert of_one == [f"results/rooms/triplets/d.l/train-00{i}of002.h5" for i in range(2)]


def test_tracks_are_asked_for_by_models_that_learn_from_them(written: dict[str, Any], default: Experiment) -> None:
    pattern = f"{TRACKED}/{{shard}}.parquet"
    assert default.learnt_tracks(default.parts, pattern) == default.mined(default.parts, pattern)
    by_views = changed(written, "models", "small", "names_from", "views")
    assert by_views.learnt_tracks(by_views.parts, pattern) == []


def test_labels_are_measured_by_the_experiment_s_own_benchmark_and_model(
    written: dict[str, Any], default: Experiment
) -> None:
    assert default.measured_labels(default.parts) == [LABELS]
    assert default.measured_labels(default.parts_of("sunrgbd")) == []
    assert default.measured_labels(default.parts | {"model": "other"}) == []
    for labels in ({"model": "models/trained_elsewhere"}, {"names": ["tire"]}):  # of another model, or of few things
        assert changed(written, "labels", labels).measured_labels(default.parts) == []


def test_a_benchmark_asks_about_its_source_not_about_what_was_learnt_from(default: Experiment) -> None:
    parts = default.parts_of("scannet")
    assert default.asked(parts, f"{OBJECTS}.h5") == ["results/scans/objects/val-000of001.h5"]
    assert default.asked(parts, f"{OBJECTS}.h5", "train") == [
        f"results/scans/objects/train-00{i}of002.h5" for i in range(2)
    ]
    one = {"shard": "val-007of009", **parts}
    assert default.asked(one, f"{OBJECTS}.h5") == ["results/scans/objects/val-007of009.h5"]


def test_one_job_writes_all_shards_of_a_source(default: Experiment) -> None:
    assert default.all_shards("streets", "{source}/{shard}") == [
        "streets/train-000of002",
        "streets/train-001of002",
        "streets/val-000of001",
    ]


def test_shards_follow_the_frames_of_a_folder_and_a_number_wins(written: dict[str, Any], tmp_path: Path) -> None:
    mine = {"kind": "folder", "root": str(tmp_path)}
    assert changed(written, "sources", "mine", mine).shards("mine", "train") == ["train-000of001"]  # nothing there yet
    for number in range(120):
        record(tmp_path / f"drive{number}", ["a"])
    experiment = changed(written, "sources", "mine", mine)
    assert experiment.shards("mine", "train")[-1] == "train-001of002"
    assert experiment.shards("mine", "val") == ["val-000of001"]
    assert json.loads(experiment.source_settings("mine")) == {"train_shards": 2, "val_shards": 1}
    given = changed(written, "sources", "mine", {**mine, "settings": {"train_shards": 5, "val": "all"}})
    assert given.shards("mine", "train")[-1] == "train-004of005"
    assert json.loads(given.source_settings("mine")) == {"train_shards": 5, "val": "all", "val_shards": 3}


def test_shards_follow_the_settings_of_a_world_that_is_not_made_yet(written: dict[str, Any]) -> None:
    raw = deepcopy(written)
    raw["sources"]["world"] = {"kind": "nuscenes", "world": {"train_scenes": 20, "val_scenes": 2, "key_frames": 2}}
    raw["sources"]["streets"] = {"kind": "once", "world": {"train_scenes": 60, "val_scenes": 1, "frames": 2}}
    raw["sources"]["rooms"] = {"kind": "sunrgbd", "world": {"train_scenes": 40, "val_scenes": 10}}
    experiment = Experiment(raw, world_size)
    assert experiment.outline("world")["train"][1:] == (20, 20 * 2 * 6)
    assert experiment.outline("streets")["train"][1:] == (60, 60 * 2 * 3)
    assert experiment.outline("rooms")["train"][1:] == (40, 40)
    assert [len(experiment.shards(name, "train")) for name in ("world", "streets", "rooms")] == [5, 8, 1]
    assert experiment.outline("cad_objects") == {}
    with pytest.raises(InputError, match=r"sources.world.world.key_frames"):
        Experiment(changed(raw, "sources", "world", "world", {"key_frames": "many"}).raw, world_size)


def test_the_shipped_experiment_says_its_numbers_of_shards_itself(written: dict[str, Any], default: Experiment) -> None:
    """Its figures hang on them: seconds in the documentation, and models that were measured."""
    for source in default.sources_with("frames"):
        assert json.loads(default.source_settings(source)) == written["sources"][source]["settings"]


def test_a_data_set_that_cannot_be_used_is_said_to_those_who_need_it(written: dict[str, Any], tmp_path: Path) -> None:
    record(tmp_path, ["a"])
    settings = {"train": "scene:none", "val": "all"}
    experiment = changed(written, "sources", "mine", {"kind": "folder", "root": str(tmp_path), "settings": settings})
    assert experiment.shards("mine", "train") == ["train-000of001"]
    with pytest.raises(InputError, match=r"'scene:none'.*has no such scene"):
        experiment.raw_index("mine")


def folder_of(root: Path, name: str, written: dict[str, Any], **settings: Any) -> Experiment:
    """The shipped experiment, and over it one on a folder of one's own."""
    raw = deepcopy(written)
    raw["sources"][name] = {"kind": "folder", "root": str(root), "settings": settings}
    raw["benchmarks"][name] = {"source": name, "train": [name], "tasks": ["zeroshot", "fewshot"]}
    raw["experiment"]["benchmark"] = name
    return Experiment(raw)


def test_without_labels_nothing_is_asked_but_all_is_mined(written: dict[str, Any], tmp_path: Path) -> None:
    for number in range(10):
        record(tmp_path / f"drive{number}", ["a", "b"])
    experiment = folder_of(tmp_path, "mine", written)
    assert experiment.mined(experiment.parts, DETECTIONS)
    assert experiment.raw_index("mine")
    refused = (
        r"nothing can be measured on 'val' of source 'mine': none of its \d+ samples has a file labels/STEM.json; "
    )
    with pytest.raises(InputError, match=refused + "the targets `triplets` and `model` need no labels"):
        experiment.asked(experiment.parts, f"{OBJECTS}.h5")
    with pytest.raises(InputError, match=refused):
        experiment.encoded_files(experiment.parts)
    with pytest.raises(InputError, match=refused):
        experiment.raw_index("mine", "annotations")
    assert "audit.json" not in experiment.default_targets


def test_labels_of_one_role_allow_what_needs_no_others(written: dict[str, Any], tmp_path: Path) -> None:
    record(tmp_path / "monday", ["a", "b"])
    record(tmp_path / "tuesday", ["a", "b"])
    touch(tmp_path / "tuesday" / "labels" / "b.json", "[]")
    experiment = folder_of(tmp_path, "mine", written, train="scene:monday", val="scene:tuesday")
    assert experiment.asked(experiment.parts, f"{OBJECTS}.h5") == ["results/mine/objects/val-000of001.h5"]
    assert experiment.raw_index("mine", "annotations")
    with pytest.raises(InputError, match="nothing can be measured on 'train'"):  # few-shot draws its shots there
        experiment.asked(experiment.parts, f"{OBJECTS}.h5", "train")
    with pytest.raises(InputError, match="nothing can be measured on 'train'"):
        experiment.audited(experiment.parts, MINED)
    assert "audit.json" not in experiment.default_targets
    touch(tmp_path / "monday" / "labels" / "a.json", "[]")
    assert experiment.audited(experiment.parts, f"{MINED}/{{shard}}.h5")
    assert "audit.json" in experiment.default_targets


def test_a_share_that_leaves_nothing_to_ask_about_is_said(written: dict[str, Any], tmp_path: Path) -> None:
    record(tmp_path / "monday", ["a", "b"])
    touch(tmp_path / "monday" / "labels" / "b.json", "[]")
    experiment = folder_of(tmp_path, "mine", written, val_share=0.0)
    assert experiment.raw_index("mine")
    with pytest.raises(InputError, match="'val' of source 'mine': no scene falls into it"):
        experiment.asked(experiment.parts, f"{OBJECTS}.h5")


def test_scenes_that_are_mined_are_not_asked_about_unless_one_says_so(written: dict[str, Any], tmp_path: Path) -> None:
    for scene in ("monday", "tuesday"):
        record(tmp_path / scene, ["a", "b"])
        touch(tmp_path / scene / "labels" / "a.json", "[]")
    experiment = folder_of(tmp_path, "mine", written, train="all", val="scene:tuesday")
    assert experiment.shared_scenes("mine") == {"tuesday"}
    with pytest.raises(InputError, match=r"1 scenes .*\(tuesday …\).*benchmarks.mine.shared_scenes to true"):
        experiment.asked(experiment.parts, f"{OBJECTS}.h5")
    assert "shared_scenes" not in experiment.evaluation("mine", "zeroshot")
    allowed = changed(experiment.raw, "benchmarks", "mine", "shared_scenes", True)
    assert allowed.asked(allowed.parts, f"{OBJECTS}.h5")
    assert json.loads(allowed.evaluation("mine", "zeroshot")) == {"shared_scenes": 1}
    apart = folder_of(tmp_path, "mine", written, train="scene:monday", val="scene:tuesday")
    apart = changed(apart.raw, "benchmarks", "mine", "shared_scenes", True)
    assert json.loads(apart.evaluation("mine", "zeroshot")) == {"shared_scenes": 0}


def test_two_sources_on_one_folder_share_its_scenes(written: dict[str, Any], tmp_path: Path) -> None:
    for scene in ("monday", "tuesday"):
        record(tmp_path / "data" / scene, ["a", "b"])
        touch(tmp_path / "data" / scene / "labels" / "a.json", "[]")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    raw = dict(folder_of(tmp_path / "data", "mine", written, train="scene:monday", val="scene:tuesday").raw)
    raw["sources"]["all"] = {
        "kind": "folder",
        "root": str(tmp_path / "link"),
        "settings": {"train": "all", "val": "all"},
    }
    raw["benchmarks"]["mine"]["train"] = ["all"]
    experiment = Experiment(raw)
    with pytest.raises(InputError, match="1 scenes that it asks about are mined"):
        experiment.asked(experiment.parts, f"{OBJECTS}.h5")
    raw["benchmarks"]["mine"] |= {"source": "all", "train": ["mine"]}
    assert Experiment(raw).shared_scenes("mine") == {"monday"}
    # What few-shot learns from is of the benchmark's own source, whatever the model was trained on.
    assert Experiment(raw).shared_scenes("mine", few_shot=True) == {"monday", "tuesday"}


def test_a_world_s_splits_are_compared_before_it_is_made(written: dict[str, Any], default: Experiment) -> None:
    experiment = Experiment(written, world_size)
    assert not any(experiment.shared_scenes(name, few_shot=True) for name in experiment.benchmarks)
    raw = deepcopy(written)
    raw["sources"]["world"]["settings"]["train"] = "all"
    assert (
        len(Experiment(raw, world_size).shared_scenes("nuscenes")) == written["sources"]["world"]["world"]["val_scenes"]
    )


def test_published_names_and_what_is_made_without_a_target(written: dict[str, Any], default: Experiment) -> None:
    folder = "results/models/world.tiny_owl.auto.tiny_clip.small"
    assert default.published["nuscenes_zeroshot.json"] == f"{folder}/nuscenes_zeroshot.json"
    assert default.published["nuscenes_fewshot.png"] == f"{folder}/nuscenes_fewshot.png"
    assert "nuscenes_retrieval.png" not in default.published  # nothing draws one
    assert default.published["audit.json"] == "results/world/triplets/tiny_owl.auto/audit.json"
    tracks = "results/world/tracks/tiny_owl.auto.tiny_clip"
    assert default.published["tracks_audit.json"] == f"{tracks}/audit.json"
    assert default.published["search_audit.json"] == f"{tracks}/search_audit.json"  # only where it is asked for
    assert set(default.default_targets) == {
        "nuscenes_zeroshot.json",
        "nuscenes_zeroshot.png",
        "triplets.png",
        "audit.json",
        "tracks_audit.json",
    }
    assert all(name.endswith(".json") and name in default.published for name in default.results)
    scannet = changed(written, "experiment", "benchmark", "scannet")
    assert "audit.json" in scannet.default_targets  # the first source that it learns from has boxes by sample …
    alone = changed(scannet.raw, "benchmarks", "scannet", {"source": "scans", "train": ["scans"]})
    assert "audit.json" not in alone.published  # … ScanNet's are by scene


def test_a_benchmark_that_is_left_out_is_gone(written: dict[str, Any]) -> None:
    experiment = changed(written, "benchmarks", "once", None)
    assert not [name for name in experiment.published if name.startswith("once")]
    assert "once" not in experiment.benchmarks


def test_sources_by_what_their_kind_has(default: Experiment) -> None:
    assert default.sources_with("frames") == ["world", "streets", "rooms", "scans"]
    assert default.sources_with("object_set") == ["scanned_objects", "cad_objects"]
    assert default.sources_by_boxes == ["world", "streets", "rooms"]
    assert default.sources_by_meshes == ["scans"]
    assert default.module("rooms", "frames") == "clip2.scans.sunrgbd.frames"


def test_where_raw_files_are(written: dict[str, Any], tmp_path: Path) -> None:
    assert Experiment(written).data_root("world") == "results/world/raw"
    assert Experiment(written).raw_index("world") == ["results/world/raw/world.json"]
    mine = changed(written, "sources", "mine", {"kind": "folder"})
    with pytest.raises(InputError, match="--config dataroot="):
        mine.raw_index("mine")
    with pytest.raises(InputError, match=f"{tmp_path}/none: no such folder"):
        Experiment({**mine.raw, "dataroot": f"{tmp_path}/none"}).raw_index("mine")
    record(tmp_path, [f"{number:03}" for number in range(40)])
    assert Experiment({**mine.raw, "dataroot": str(tmp_path)}).raw_index("mine") == [str(tmp_path / "calibration.json")]
    own = changed(written, "sources", "mine", {"kind": "folder", "root": "here"})
    assert Experiment({**own.raw, "dataroot": "there"}).data_root("mine") == "here"


def test_settings_are_as_written_and_no_default_is_in_them(written: dict[str, Any], default: Experiment) -> None:
    assert json.loads(default.settings("lifters", "auto")) == written["lifters"]["auto"]
    assert default.settings("evaluation", "zeroshot") == "{}"
    assert default.settings("sources", "cad_objects", "settings") == "{}"  # the key is not there at all


def test_a_benchmark_s_own_evaluation_lies_over_the_general_one(written: dict[str, Any]) -> None:
    experiment = changed(written, "evaluation", "localization", {"box_fit": "l-shape", "trim": 0.1})
    assert json.loads(experiment.evaluation("scannet", "localization")) == {"box_fit": "axis-aligned", "trim": 0.1}
    assert json.loads(experiment.evaluation("nuscenes", "localization")) == {"box_fit": "l-shape", "trim": 0.1}


def test_rivals_are_tuned_with_the_teacher_s_model_and_not_with_its_words(
    written: dict[str, Any], default: Experiment
) -> None:
    settings = json.loads(default.tune("pointclip_tp", "tiny_clip"))
    assert settings == {"model": "resources/models/tiny_clip", **written["baselines"]["pointclip_tp"]["tune"]}
    assert json.loads(default.teacher_model("tiny_clip")) == {"model": "resources/models/tiny_clip"}


def test_rivals_by_how_they_are_trained(written: dict[str, Any], default: Experiment) -> None:
    assert default.tuned == ["pointclip_tp", "pointclip_v2_tp", "clip2point_tp"]
    assert default.pretrained == {"clip2point": "shapes"}
    assert default.image_rivals == ["clip2point_tp", "clip2point"]
    parts = default.parts
    assert default.tower_files(parts) == [
        *(TOWER.format(**parts, tower=name) for name in default.tuned),
        "results/towers/shapes.tiny_clip/clip2point.safetensors",
    ]
    downloaded = changed(written, "baselines", "clip2point", {"checkpoint": "best_eval.pth"})
    assert downloaded.pretrained == {}
    assert downloaded.image_tower_files(parts)[-1] == "best_eval.pth"


def test_objects_are_shown_to_rivals_only_where_one_has_an_image_tower(
    written: dict[str, Any], default: Experiment
) -> None:
    parts = default.parts
    shards = default.shards("world", "val")
    by_teacher = [ENCODED.format(**parts, shard=shard) for shard in shards]
    assert default.encoded_files(parts) == by_teacher + [TOWER_ENCODED.format(**parts, shard=s) for s in shards]
    raw = deepcopy(written)
    raw["baselines"] |= {"clip2point": None, "clip2point_tp": None}
    assert Experiment(raw).encoded_files(parts) == by_teacher


def test_files_of_detectors_and_models(written: dict[str, Any], tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json", "merges.txt", "pytorch_model.bin"):
        (tmp_path / name).touch()
    assert [Path(path).name for path in model_files(str(tmp_path))] == [
        "config.json",
        "merges.txt",
        "model.safetensors",
    ]
    assert model_files("google/owlv2-base-patch16-ensemble") == []
    stored = {"kind": "stored", "boxes": "boxes.parquet", "vocabulary": "names.txt"}
    experiment = changed(written, "detectors", "stored", stored)
    assert experiment.detector_files({"detector": "stored"}) == ["names.txt", "boxes.parquet"]


def test_a_gpu_is_asked_for_unless_the_device_is_the_cpu(written: dict[str, Any]) -> None:
    assert not Experiment(written).uses_gpu
    assert changed(written, "device", "auto").uses_gpu


def test_jobs_ask_for_more_with_each_attempt() -> None:
    asked = needs(mem_mb=4000, hours=2, minutes=10, gpu=1)
    assert (asked["mem_mb"]({}, attempt=1), asked["mem_mb"]({}, attempt=3)) == (4000, 12000)
    assert asked["runtime"]({}, attempt=2) == 260
    assert asked["gpu"] == 1
    assert growing(7)({}, 2) == 14


def test_the_explorer_shows_what_is_measured_anyway(written: dict[str, Any], default: Experiment) -> None:
    assert default.explored_results == ["nuscenes_zeroshot.json", "audit.json", "tracks_audit.json"]
    assert default.explored_logs == ["results/models/world.tiny_owl.auto.tiny_clip.small/train_log.jsonl"]
    assert changed(written, "labels", "model", "elsewhere").explored_logs == []


def test_the_explorer_of_a_source_without_labels_waits_for_no_measurement(
    written: dict[str, Any], tmp_path: Path
) -> None:
    for scene in ("monday", "tuesday"):
        record(tmp_path / scene, ["a", "b"])
    mine = folder_of(tmp_path, "mine", written, train="scene:monday", val="scene:tuesday")
    assert mine.explored_results == []


@pytest.mark.parametrize(
    ("train", "val", "roles"),
    [
        ("scene:monday", "scene:tuesday", ["train", "val"]),
        ("all", "scene:tuesday", ["train"]),
        ("scene:monday,scene:tuesday", "scene:tuesday", ["train"]),
        ("scene:monday", "all", ["train", "val"]),
    ],
)
def test_what_is_in_both_roles_is_labelled_once(
    written: dict[str, Any], tmp_path: Path, train: str, val: str, roles: list[str]
) -> None:
    for scene in ("monday", "tuesday"):
        record(tmp_path / scene, ["a", "b"])
    mine = folder_of(tmp_path, "mine", written, train=train, val=val)
    assert [Path(path).name.split("-")[0] for path in mine.labelled(FRAMES)] == roles


def test_a_role_that_holds_nothing_makes_no_jobs(written: dict[str, Any], tmp_path: Path) -> None:
    for scene in ("monday", "tuesday"):
        record(tmp_path / scene, ["a", "b"])
    mine = folder_of(tmp_path, "mine", written, val_share=0)
    assert [Path(path).name.split("-")[0] for path in mine.labelled(FRAMES)] == ["train"]
