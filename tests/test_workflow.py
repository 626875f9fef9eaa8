"""What is run again after which change: dry runs over a finished experiment, in a copy of the checkout.

The finished experiment is made of empty files that Snakemake is told to take as done (``--touch``), which records the
same parameters, inputs and checksums as real jobs would.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import copy_checkout, snakemake
from test_outline import record, touch

ZEROSHOT = {"zeroshot", "report_result"}
FROM_TUNE = {"tune", "encode_objects_by_towers", "ensemble", *ZEROSHOT}
FROM_TRACK = {"track", "audit_tracks", "pretrain", "ensemble", *ZEROSHOT}
FROM_LIFT = {"lift", "embed", "report_triplets", "audit", *FROM_TRACK, *FROM_TUNE}
FROM_DETECT = {"detect", *FROM_LIFT}
FROM_SEGMENT = {"segment", *FROM_LIFT}
PUBLISH = {
    "publish_nuscenes_zeroshot_json",
    "publish_nuscenes_zeroshot_png",
    "publish_triplets_png",
    "publish_audit_json",
    "publish_tracks_audit_json",
    "all",
}
PUBLISH_RESULT = {"publish_nuscenes_zeroshot_json", "publish_nuscenes_zeroshot_png", "all"}


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Rules that a dry run lists, and how many jobs of each."""
    text = snakemake(folder, *arguments, "--dry-run", "--printshellcmds")
    jobs = Counter(re.findall(r"^rule (\w+):$", text, re.M))
    assert jobs or "Nothing to be done" in text, text
    if jobs:
        assert f"{jobs.total() - jobs['all']} jobs. Nothing was run" in text
    return jobs


def set_config(folder: Path, change: Callable[[dict], object]) -> None:
    """Edit config.yaml."""
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config))


def touch_all(folder: Path, *arguments: str) -> None:
    """Make every output of the plan as an empty file and have Snakemake take it as done."""
    summary = snakemake(folder, "--summary", *arguments)
    for line in summary.splitlines():
        if line.startswith("results/"):
            output = folder / line.split("\t")[0]
            output.parent.mkdir(parents=True, exist_ok=True)
            output.touch()
    snakemake(folder, "--touch", *arguments)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout in which the default experiment is done."""
    folder = copy_checkout(tmp_path_factory.mktemp("workflow") / "checkout")
    (folder / "README.md").write_text("# CLIP²\n")
    touch_all(folder)
    assert planned(folder) == {}
    return folder


@pytest.fixture
def checkout(finished: Path, tmp_path: Path) -> Path:
    """A fresh copy of the finished checkout for one test (copy2 keeps the times)."""
    return Path(shutil.copytree(finished, tmp_path / "checkout"))


def plan(folder: Path, *arguments: str, width: int = 80) -> dict[str, tuple[int, str]]:
    """What a dry run prints: stage → number of jobs, and why."""
    text = snakemake(folder, *arguments, "--dry-run", width=width)
    assert len(text.splitlines()) <= 60, text
    table = text[text.index("stage ") : text.index(" jobs. Nothing was run")].splitlines()[1:-1]
    assert all(len(line) <= width for line in table), text
    rows = [re.match(r"(\w*) +([\d,]*) +(.*?) *$", line) for line in table]
    plan: dict[str, tuple[int, str]] = {}
    for row in rows:
        assert row, text
        if row[1]:
            last = row[1]
            plan[last] = (int(row[2].replace(",", "")), row[3])
        else:  # a line that goes on
            plan[last] = (plan[last][0], f"{plan[last][1]} {row[3]}")
    return plan


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize(("target", "width"), [("all", 60), ("results/benchmark.md", 120)])
def test_a_dry_run_is_a_line_a_stage(checkout: Path, width: int, target: str) -> None:
    for folder in ("results", ".snakemake"):
        shutil.rmtree(checkout / folder)
    stages = plan(checkout, target, width=width)
    jobs = planned(checkout, target)
    assert list(stages)[:3] == ["world", "annotations", "ingest"]
    assert stages["zeroshot"] == (jobs["zeroshot"], "not made yet")
    assert stages["encode"][0] == jobs["encode_objects"] + jobs["encode_objects_by_towers"]
    assert sum(n for n, _ in stages.values()) == sum(jobs.values()) - (target == "all")


def test_a_dry_run_names_the_changed_source_file(checkout: Path) -> None:
    append(checkout / "src/clip2/lift/frustum.py", "\n# edited\n")
    stages = plan(checkout)
    assert stages["lift"] == (2, "src/clip2/lift/frustum.py changed")
    assert stages["audit"] == (2, "follows lift, track")
    assert stages["pretrain"] == (1, "follows lift, embed, track")
    append(checkout / "src/clip2/lift/stage.py", "\n# edited\n")
    assert plan(checkout)["lift"] == (2, "src/clip2/lift/frustum.py, src/clip2/lift/stage.py changed")


@pytest.mark.parametrize(
    ("path", "text", "stage"),
    [
        ("src/clip2/lift/frustum.py", "\n# edited\n", "lift"),
        ("resources/vocabularies/world.txt", "unicycle\n", "detect"),
        ("resources/models/tiny_clip/open_clip_config.json", "\n", "embed"),
    ],
)
def test_an_edit_with_an_older_date_is_seen_by_its_content(checkout: Path, path: str, text: str, stage: str) -> None:
    file = checkout / path
    before = file.stat()
    append(file, text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns - 10**12))
    assert plan(checkout)[stage] == (2, f"{path} changed")


def test_a_dry_run_names_the_changed_setting(checkout: Path) -> None:
    def change(config: dict) -> None:
        config["detectors"]["tiny_owl"].update(score_threshold=0.41)
        config["baselines"]["pointclip_tp"]["tune"].update(epochs=3, seed=7)

    set_config(checkout, change)
    stages = plan(checkout)
    assert stages["detect"] == (2, "settings changed: score_threshold 0.4 → 0.41")
    assert stages["lift"] == (2, "follows detect")
    set_config(checkout, lambda config: config["detectors"]["tiny_owl"].update(score_threshold=0.4))
    number, why = plan(checkout)["tune"]
    assert number == 1
    assert re.fullmatch(r"settings changed: epochs .+ → 3, seed default → 7", why)


def test_a_dry_run_says_that_another_detector_makes_other_files(checkout: Path) -> None:
    def switch(config: dict) -> None:
        config["detectors"]["other"] = dict(config["detectors"]["tiny_owl"], score_threshold=0.4)
        config["experiment"]["detector"] = "other"

    set_config(checkout, switch)
    stages = plan(checkout)
    assert stages["detect"] == (2, "not made yet")
    assert stages["publish"][1].startswith("other input files than last time")


def test_a_rule_s_name_begins_with_its_stage(checkout: Path) -> None:
    """So does the folder of its logs: the screen gathers jobs by the one, people look for logs by the other."""
    text = snakemake(checkout, "results/benchmark.md", "--dry-run", "--printshellcmds", "--forceall")
    logs = re.findall(r"^rule (\w+):$(?:\n    .*)*?\n    log: logs/(\w+)/", text, re.M)
    assert len({rule for rule, _ in logs}) > 40
    assert [(rule, folder) for rule, folder in logs if rule.split("_")[0] != folder.split("_")[0]] == []


def test_another_detector_runs_from_detection_on_and_keeps_the_old_results(checkout: Path) -> None:
    def switch(config: dict) -> None:
        config["detectors"]["other"] = dict(config["detectors"]["tiny_owl"], score_threshold=0.4)
        config["experiment"]["detector"] = "other"

    before = (checkout / "config.yaml").read_text()
    set_config(checkout, switch)
    jobs = planned(checkout)
    assert set(jobs) == FROM_DETECT | PUBLISH
    n_shards = yaml.safe_load(before)["sources"]["world"]["settings"]["train_shards"]
    assert jobs["detect"] == jobs["lift"] == jobs["embed"] == n_shards
    touch_all(checkout)
    assert planned(checkout) == {}
    (checkout / "config.yaml").write_text(before)
    assert set(planned(checkout)) == PUBLISH  # changing back only copies


def test_a_detector_threshold_runs_from_detection_on(checkout: Path) -> None:
    set_config(checkout, lambda config: config["detectors"]["tiny_owl"].update(score_threshold=0.41))
    assert set(planned(checkout)) == FROM_DETECT | PUBLISH


def test_a_new_word_in_the_vocabulary_runs_from_detection_on(checkout: Path) -> None:
    vocabulary = yaml.safe_load((checkout / "config.yaml").read_text())["detectors"]["tiny_owl"]["vocabulary"]
    append(checkout / vocabulary, "unicycle\n")
    assert set(planned(checkout)) == FROM_DETECT | PUBLISH


def test_a_lift_parameter_runs_from_lifting_on(checkout: Path) -> None:
    set_config(checkout, lambda config: config["lifters"]["auto"].update(min_points=7))
    assert set(planned(checkout)) == FROM_LIFT | PUBLISH


def test_a_segmenter_runs_from_segmenting_on_and_leaves_detection_alone(checkout: Path) -> None:
    def use(config: dict) -> None:
        config["segmenters"] = {"sam": {"model": "models/sam"}, "unused": {"model": "models/sam"}}
        config["experiment"]["segmenter"] = "sam"

    before = (checkout / "config.yaml").read_text()
    made = sorted(checkout.glob("results/**/*.parquet"))
    (checkout / "models/sam").mkdir(parents=True)
    (checkout / "models/sam/config.json").write_text("{}")
    set_config(checkout, use)
    jobs = planned(checkout)
    assert set(jobs) == FROM_SEGMENT | PUBLISH
    assert jobs["segment"] == jobs["lift"] == yaml.safe_load(before)["sources"]["world"]["settings"]["train_shards"]
    touch_all(checkout, "--forceall")
    names = {str(path.parent.relative_to(checkout)) for path in checkout.glob("results/world/*/*/*.parquet")}
    assert {f"results/world/{kind}" for kind in ("masks/tiny_owl.sam", "triplets/tiny_owl.sam+auto")} <= names
    assert set(made) < set(checkout.glob("results/**/*.parquet"))  # what was lifted without stays beside it

    set_config(checkout, lambda config: config["segmenters"]["unused"].update(precision="float32"))
    assert planned(checkout) == {}
    set_config(checkout, lambda config: config["segmenters"]["sam"].update(precision="float32"))
    assert set(planned(checkout)) == FROM_SEGMENT | PUBLISH
    set_config(checkout, lambda config: config["segmenters"]["sam"].pop("precision"))
    set_config(checkout, lambda config: config["lifters"]["auto"].update(min_points=7))
    assert set(planned(checkout)) == FROM_LIFT | PUBLISH
    (checkout / "config.yaml").write_text(before)
    assert set(planned(checkout)) == PUBLISH  # changing back only copies


def test_a_track_setting_runs_tracking_and_what_follows(checkout: Path) -> None:
    set_config(checkout, lambda config: config.update(track={"max_gap_s": 1.0}))
    jobs = planned(checkout)
    assert set(jobs) == FROM_TRACK | {"publish_tracks_audit_json"} | PUBLISH_RESULT
    config = yaml.safe_load((checkout / "config.yaml").read_text())
    assert jobs["track"] == config["sources"]["world"]["settings"]["train_shards"]


def test_an_edit_of_a_track_module_runs_tracking_and_what_follows(checkout: Path) -> None:
    append(checkout / "src/clip2/track/motion.py", "\n# edited\n")
    assert set(planned(checkout)) == FROM_TRACK | {"publish_tracks_audit_json"} | PUBLISH_RESULT


def test_a_setting_of_an_unused_lifter_runs_nothing(checkout: Path) -> None:
    set_config(checkout, lambda config: config["lifters"]["dbscan"].update(min_points=7))
    assert planned(checkout) == {}


@pytest.mark.parametrize("module", ["lift/frustum.py", "lift/stage.py"])
def test_an_edit_of_a_lift_module_runs_from_lifting_on(checkout: Path, module: str) -> None:
    append(checkout / "src/clip2" / module, "\n# edited\n")
    assert set(planned(checkout)) == FROM_LIFT | PUBLISH


@pytest.mark.parametrize("module", ["train.py", "encoder.py", "settings.py"])
def test_an_edit_of_pretraining_runs_from_it_on_and_no_rival(checkout: Path, module: str) -> None:
    append(checkout / "src/clip2/pretrain" / module, "\n# edited\n")
    assert set(planned(checkout)) == {"pretrain", "ensemble"} | ZEROSHOT | PUBLISH_RESULT


def test_a_setting_of_the_model_runs_from_pretraining_on_and_no_rival(checkout: Path) -> None:
    set_config(checkout, lambda config: config["models"]["small"].update(epochs=3))
    assert set(planned(checkout)) == {"pretrain", "ensemble"} | ZEROSHOT | PUBLISH_RESULT


def test_an_edit_of_an_evaluation_module_runs_the_evaluation(checkout: Path) -> None:
    append(checkout / "src/clip2/evaluate/zeroshot.py", "\n# edited\n")
    assert set(planned(checkout)) == ZEROSHOT | PUBLISH_RESULT


def test_an_evaluation_setting_runs_the_evaluation(checkout: Path) -> None:
    set_config(checkout, lambda config: config["evaluation"].update(zeroshot={"bootstrap": 10}))
    assert set(planned(checkout)) == ZEROSHOT | PUBLISH_RESULT


def test_an_edit_of_how_human_boxes_are_read_leaves_mining_alone(checkout: Path) -> None:
    append(checkout / "src/clip2/scans/nuscenes/annotations.py", "\n# edited\n")
    jobs = set(planned(checkout))
    assert not jobs & {"detect", "lift", "embed", "pretrain", "ingest_world"}
    assert not jobs & {"track"}
    assert {"annotations_world", "objects", "zeroshot", "audit", "audit_tracks"} <= jobs


def test_search_is_audited_where_it_is_asked_for(checkout: Path) -> None:
    target = "results/search_audit.json"
    assert "audit_search" not in planned(checkout)
    assert set(planned(checkout, target)) == {"audit_search", "publish_search_audit_json"}
    append(checkout / "src/clip2/track/stage.py", "\n# edited\n")
    assert set(planned(checkout, target)) == {"track", "audit_search", "publish_search_audit_json"}


def test_seeds_train_twins_where_they_are_asked_for(checkout: Path) -> None:
    """The finished model is that of one seed already; a rival's setting is nothing to them."""
    target = "results/nuscenes_seeds.json"
    set_config(checkout, lambda config: config["baselines"]["pointclip_tp"]["tune"].update(epochs=3))
    jobs = planned(checkout, target)
    assert jobs == {"pretrain": 2, "zeroshot_alone": 3, "seeds": 1, "publish_nuscenes_seeds_json": 1}
    set_config(checkout, lambda config: config["evaluation"].update(seeds=[0, 7]))
    assert planned(checkout, target)["pretrain"] == 1


def test_boxes_on_disk_take_a_detector_s_place(checkout: Path) -> None:
    """As docs/detectors.md gives them: without a model."""
    (checkout / "my_boxes.parquet").touch()
    (checkout / "my_names.txt").write_text("car\n")

    def change(config: dict) -> None:
        config["detectors"]["mine"] = {"kind": "stored", "boxes": "my_boxes.parquet", "vocabulary": "my_names.txt"}
        config["experiment"]["detector"] = "mine"

    set_config(checkout, change)
    jobs = planned(checkout)
    assert set(jobs) >= FROM_DETECT
    assert "ingest_world" not in jobs


def test_a_setting_of_one_rival_trains_that_one(checkout: Path) -> None:
    set_config(checkout, lambda config: config["baselines"]["pointclip_tp"]["tune"].update(epochs=3))
    jobs = planned(checkout)
    assert set(jobs) == {"tune", "ensemble"} | ZEROSHOT | PUBLISH_RESULT
    assert jobs["tune"] == 1


def test_a_setting_of_a_rival_with_a_tower_of_its_own_shows_it_the_objects(checkout: Path) -> None:
    set_config(checkout, lambda config: config["baselines"]["clip2point_tp"]["tune"].update(epochs=3))
    jobs = planned(checkout)
    assert set(jobs) == FROM_TUNE | PUBLISH_RESULT
    assert jobs["tune"] == 1


def test_another_source_to_learn_from_makes_another_model(checkout: Path) -> None:
    set_config(checkout, lambda config: config["benchmarks"]["nuscenes"].update(train=["world", "streets"]))
    jobs = planned(checkout)
    assert {"world_streets", "ingest_streets", "detect", "lift", "embed", "pretrain", "zeroshot"} <= set(jobs)
    streets = yaml.safe_load((checkout / "config.yaml").read_text())["sources"]["streets"]["settings"]["train_shards"]
    assert jobs["detect"] == streets  # those of the first source are there
    assert "annotations_streets" not in jobs


def test_all_benchmarks_are_planned_at_once(checkout: Path) -> None:
    config = yaml.safe_load((checkout / "config.yaml").read_text())
    jobs = planned(checkout, "results/benchmark.md")
    for stage in ("zeroshot", "fewshot", "localization", "retrieval"):
        wanted = sum(stage in benchmark["tasks"] for benchmark in config["benchmarks"].values())
        assert jobs[stage] == wanted - (stage == "zeroshot")  # nuScenes' zero-shot is done
    mixes = {tuple(benchmark["train"]) for benchmark in config["benchmarks"].values()}
    assert jobs["pretrain"] == len(mixes) - 1


def test_what_decides_nothing_runs_nothing(checkout: Path) -> None:
    append(checkout / "README.md", "A comment.\n")
    append(checkout / "src/clip2/cli.py", "\n# edited\n")
    (checkout / "src/clip2/lift/stage.py").touch()  # touched, not changed
    assert planned(checkout) == {}


def test_human_boxes_are_no_input_of_mining(checkout: Path) -> None:
    """The whole chain up to the model is planned without a single file of annotations."""
    for folder in ("results", ".snakemake"):
        shutil.rmtree(checkout / folder)
    jobs = set(planned(checkout, "model"))
    assert jobs == {"world_world", "ingest_world", "detect", "lift", "embed", "track", "pretrain", "model"}
    assert "annotations" not in snakemake(checkout, "model", "--dry-run", "--printshellcmds")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config: config["detectors"]["tiny_owl"].update(treshold=0.1), "treshold"),
        (lambda config: config["experiment"].update(detector="none"), "experiment.detector is 'none'"),
        (lambda config: config["experiment"].update(segmenter="none"), "experiment.segmenter is 'none'"),
        (lambda config: config.update(segmenters={"disk": {"kind": "stored"}}), "kind stored needs `masks`"),
        (lambda config: config["benchmarks"]["once"].update(source="none"), "benchmarks.once.source is 'none'"),
        (lambda config: config["benchmarks"]["once"].update(train=["shapes"]), "no images to mine triplets from"),
        (lambda config: config.update(devise="cpu"), "devise"),
        (lambda config: config["benchmarks"]["modelnet40"].update(tasks=["localization"]), "holds single objects"),
        (lambda config: config["benchmarks"]["once"].update(source="shapes"), "has nothing to recognise"),
        (
            lambda config: config["benchmarks"]["scannet"].update(tasks=["retrieval"]),
            "set evaluation.retrieval.queries",
        ),
        (
            lambda config: config["evaluation"]["objects"].update(include_other=False),
            "evaluation.objects.include_other",
        ),
        (lambda config: config["detectors"].update({"owl.v2": {}}), "detectors.owl.v2"),
        (lambda config: config["detectors"]["tiny_owl"].update(score_threshold="high"), "score_threshold"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(
    checkout: Path, change: Callable[[dict], object], message: str
) -> None:
    set_config(checkout, change)
    assert message in snakemake(checkout, "--dry-run", check=False)


REAL = ("results/nuscenes_zeroshot.json", "--dry-run", "--configfile", "config/nuscenes.yaml")


def test_real_data_needs_its_root(checkout: Path, tmp_path: Path) -> None:
    assert "--config dataroot=" in snakemake(checkout, *REAL, check=False)
    missing = tmp_path / "nowhere"
    assert f"{missing}: no such folder" in snakemake(checkout, *REAL, "--config", f"dataroot={missing}", check=False)


def test_a_wrong_version_names_those_there_are(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "v1.0-mini").mkdir()
    (tmp_path / "v1.0-mini" / "sample_data.json").write_text("[]")
    output = snakemake(checkout, *REAL, "--config", f"dataroot={tmp_path}", check=False)
    assert "holds no version 'v1.0-trainval' (found: v1.0-mini)" in output


def test_a_folder_without_labels_is_refused_in_one_line_and_mined(checkout: Path, tmp_path: Path) -> None:
    for number in range(10):
        record(tmp_path / "data" / f"drive{number}", ["a", "b"])
    given = ("--configfile", "config/folder.yaml", "--config", f"dataroot={tmp_path / 'data'}")
    for targets in (["results/mine_zeroshot.json"], ["results/benchmark.md"], []):
        told = snakemake(checkout, "--dry-run", *given, "--", *targets, check=False).splitlines()
        assert [line for line in told if "nothing can be measured" in line and line.startswith("clip2: error: ")]
        assert not [line for line in told if "Traceback" in line or line.startswith("rule ")]
    jobs = planned(checkout, "triplets", "model", *given)
    assert jobs["detect"] == jobs["lift"] == jobs["embed"] == 1
    touch(tmp_path / "data" / "drive0" / "labels" / "a.json", "[]")
    assert planned(checkout, "results/mine_zeroshot.json", *given, "sources={mine: {settings: {val: 'scene:drive0', "
                   "train: 'scene:drive1'}}}")["zeroshot"] == 1  # fmt: skip


def test_one_run_at_a_time_works_in_a_checkout(checkout: Path) -> None:
    target = "results/streets/raw/world.json"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", target]
    first = subprocess.Popen(
        command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        while first.poll() is None and not (checkout / "logs/world/streets.log").exists():
            time.sleep(0.05)
        assert first.poll() is None, first.stdout.read()
        assert f"clip2: error: another snakemake is working in {checkout}" in snakemake(checkout, target, check=False)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    with (checkout / ".snakemake" / "clip2.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # free again, whatever ended the run
