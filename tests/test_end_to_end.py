"""The whole chain through Snakemake, on a tiny built-in world and on the real key frame; interrupted, and not."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from conftest import copy_checkout, snakemake

import clip2
from clip2.store.provenance import file_digest
from clip2.store.ragged import RaggedReader
from clip2.store.tables import read_header

TINY = {
    "sources": {
        "world": {
            "world": {"train_scenes": 2, "val_scenes": 2, "key_frames": 2, "image_width": 512},
            "settings": {"train_shards": 2, "val_shards": 1},
        },
        "shapes": {"world": {"pairs": 1}},
    },
    "baselines": {
        name: {"tune": {"max_triplets": 60, "epochs": 1}}
        for name in ("pointclip_tp", "pointclip_v2_tp", "clip2point_tp", "clip2point")
    },
    "models": {"small": {"epochs": 2, "checkpoint_seconds": 0}},
    "evaluation": {"zeroshot": {"bootstrap": 50}, "ensemble": {"max_triplets": 60}},
}
RESULT = "results/nuscenes_zeroshot.json"
AUDITS = ("results/audit.json", "results/tracks_audit.json")
TARGETS = ("--configfile", "tiny.yaml", "--", RESULT, *AUDITS)


def tiny_checkout(folder: Path) -> Path:
    copy_checkout(folder)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which the tiny experiment ran without interruption."""
    folder = tiny_checkout(tmp_path_factory.mktemp("whole") / "checkout")
    snakemake(folder, *TARGETS)
    return folder


def answers(folder: Path) -> dict:
    """What of a result must repeat, whoever is measured beside it."""
    result = json.loads((folder / RESULT).read_text())
    return {key: result[key] for key in ("n_objects", "skipped")} | {"clip2": result["methods"]["clip2"]}


@pytest.mark.slow
def test_the_result_is_whole_and_says_what_it_is(finished: Path, repository: Path) -> None:
    result = json.loads((finished / RESULT).read_text())
    jsonschema.validate(result, json.loads((repository / "schemas" / "zeroshot.schema.json").read_text()))
    assert result["dataset"] == "nuscenes"
    assert result["source_kind"] == "built-in world"
    assert set(result["methods"]) >= {"clip2", "pointclip", "teacher_2d", "chance"}
    for method in result["methods"].values():
        assert 0 <= method["class_mean_top1"] <= 1
    counted = sum(c["n"] for c in result["methods"]["clip2"]["per_class"].values())
    assert counted == result["n_objects"] > 50


@pytest.mark.slow
def test_every_box_is_accounted_for(finished: Path) -> None:
    shards = sorted((finished / "results/world/triplets/tiny_owl.auto").glob("*.parquet"))
    assert len(shards) == 2
    total = 0
    for shard in shards:
        counts = read_header(shard)["counts"]
        lost = sum(n for reason, n in counts.items() if reason.startswith("lost_"))
        assert counts["boxes"] == counts["triplets"] + lost
        total += counts["triplets"]
    assert total > 50


@pytest.mark.slow
def test_a_second_run_does_nothing(finished: Path) -> None:
    assert "Nothing to be done" in snakemake(finished, *TARGETS)


@pytest.mark.slow
def test_the_model_answers_in_words_from_any_folder(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = clip2.load(next((finished / "results" / "models").iterdir()), device="cpu")
    with RaggedReader(next((finished / "results" / "world" / "objects").glob("*.h5"))) as reader:
        crops = [reader[i] for i in range(3)]
    names = ["car", "a tire", "plastic bag"]
    np.testing.assert_array_equal(model.encode_text(["a tire"]), model.encode_text(["tire"]))
    assert model.encode_points(crops[0]).shape == model.encode_text(names)[0].shape
    probabilities = model.classify(crops, names)
    assert probabilities.shape == (3, 3)
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_words_find_mined_things_without_annotations(finished: Path) -> None:
    snakemake(finished, "--configfile", "tiny.yaml", "--", "results/search/traffic_cone.json")
    result = json.loads((finished / "results/search/traffic_cone.json").read_text())
    assert (result["query"], result["source_kind"]) == ("traffic cone", "built-in world")
    assert result["counts"]["triplets"] > 50
    assert result["hits"][0]["label"] == "traffic cone"
    assert (finished / "results/search/traffic_cone.png").is_file()


@pytest.mark.slow
def test_the_report_shows_tables_and_pictures_with_captions(finished: Path) -> None:
    targets = ("results/nuscenes_zeroshot.png", "results/triplets.png")
    snakemake(finished, *TARGETS, *targets)
    snakemake(finished, "--report", "results/report.html", *TARGETS, *targets)
    text = (finished / "results/report.html").read_text()
    shown = json.loads(re.search(r"var results = (\{.*?\});?$", text, re.M)[1])  # type: ignore[index]
    assert set(shown) == {
        "results/tables/nuscenes_zeroshot.html",
        "results/tables/audit.html",
        "results/tables/tracks_audit.html",
        *targets,
    }
    assert all(len(one["caption"]) > 50 and one["labels"] for one in shown.values())
    assert 'href="explorer/index.html"' in text.replace("\\", "")


NO_RIVALS = ("--configfile", "tiny.yaml", "no_rivals.yaml", "--", RESULT, *AUDITS)


def run_and_kill(folder: Path, stage: str) -> bool:
    """Start the main job, kill -9 all of it half a second after a stage has begun; False if the job ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2", *NO_RIVALS],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not any((folder / "logs" / stage).glob("*.log")):
        time.sleep(0.05)
    if process.poll() is not None:
        return False
    time.sleep(0.5 if stage != "pretrain" else 6)  # past the imports, into the training loop
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


@pytest.mark.slow
def test_killed_at_any_stage_and_run_again_it_ends_in_the_same_result(finished: Path, tmp_path: Path) -> None:
    folder = tiny_checkout(tmp_path / "checkout")
    (folder / "no_rivals.yaml").write_text(yaml.safe_dump({"baselines": dict.fromkeys(TINY["baselines"])}))
    # The world's scenes take longest and have a test of their own (tests/test_world.py): start from finished tables.
    shutil.copytree(finished / "results/world/raw", folder / "results/world/raw")
    for stage in ("ingest", "detect", "lift", "embed", "pretrain", "zeroshot"):
        shutil.rmtree(folder / "logs" / stage, ignore_errors=True)
        assert run_and_kill(folder, stage), f"the job was over before {stage} could be killed"
    snakemake(folder, *NO_RIVALS)
    for file in sorted((finished / "results/world/triplets").rglob("train-*")):
        assert file_digest(file) == file_digest(folder / file.relative_to(finished)), file.name
    assert answers(folder) == answers(finished)


@pytest.mark.slow
@pytest.mark.real
def test_real_key_frame_to_a_result(realdata: Path, tmp_path: Path) -> None:
    """The chain on real files, with the small models: that it runs, not how well these models of another world do."""
    folder = copy_checkout(tmp_path / "checkout")
    split = "sample:fd8420396768425eabec9bdddf7e64b6"
    overlay = {
        "sources": {"nuscenes_offline": {"settings": {"train": split, "val": split, "train_shards": 1}}},
        "models": {"small": {"epochs": 1}},
        "baselines": TINY["baselines"],
    }
    overlay["sources"]["shapes"] = TINY["sources"]["shapes"]  # type: ignore[index]
    (folder / "sample.yaml").write_text(yaml.safe_dump(overlay))
    snakemake(
        folder,
        "--configfile",
        "config/nuscenes_offline.yaml",
        "sample.yaml",
        "--config",
        f"dataroot={realdata / 'nuscenes'}",
        "--",
        RESULT,
        "results/audit.json",
    )
    result = json.loads((folder / RESULT).read_text())
    assert result["source_kind"] == "real"
    assert result["protocol"]["shared_scenes"] == 1  # config/nuscenes_offline.yaml asks for it
    # 37 annotated boxes: 25 cars, 9 pedestrians, 3 cones; those within the official class ranges and with a point.
    assert 20 < result["n_objects"] <= 37
    assert result["n_objects"] + sum(result["skipped"].values()) == 37
    assert {name for name, c in result["methods"]["clip2"]["per_class"].items() if c["n"]} <= {
        "car",
        "pedestrian",
        "traffic_cone",
    }
