"""The tutorials as a new user goes through them: each command is run, on recordings of the built-in world."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import copy_checkout
from labelled_world import WORLD, Labelled, Row, world_as_folder
from test_end_to_end import TINY

from clip2.export.views import view_of
from clip2.store.provenance import file_digest
from clip2.store.tables import iterate_rows, read_header
from clip2_world.streets import nuscenes_stage

SERVES = {"clip2 explore"}
"""Commands that do not end."""


def steps(page: Path) -> list[str]:
    """Commands of a tutorial in order; files that it shows are steps that write them."""
    found = []
    for kind, block in re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
        if kind == "":
            found += [line for line in block.splitlines() if line and line not in SERVES]
        elif kind == "yaml" and (name := re.match(r"# (\w+\.yaml)\n", block)):
            found.append(f"printf %s {shlex.quote(block)} > {name[1]}")
        elif kind == "python":
            found.append(f"python -c {shlex.quote(block)}")
    return found


def run(checkout: Path, commands: list[str]) -> str:
    """Run commands in a copy of the checkout, whose own package they use; what they printed."""
    tools = checkout / "tools_of_this_test"
    tools.mkdir(exist_ok=True)
    for name in ("clip2", "snakemake"):
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n')
        (tools / name).chmod(0o755)
    path = f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(checkout / "src")}
    printed = ""
    for command in commands:
        for _ in range(6):
            done = subprocess.run(
                ["bash", "-c", command], cwd=checkout, env=environment, capture_output=True, text=True, check=False
            )
            # pyarrow's threads: on a busy machine a Python that has done its work may end so.
            if "terminate called without an active exception" not in done.stderr:
                break
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    return printed


def outlines_as_coco(made: Labelled, out: Path) -> None:
    """Outlines of human boxes as the COCO file of a detector that finds all of them."""
    images: list[Row] = []
    annotations: list[Row] = []
    names = sorted({row["label"] for row in made.rows})
    for frame in made.pictures:
        images.append({"id": len(images), "file_name": frame["image_path"].removeprefix("street/")})
        for row in (row for row in made.rows if row["sample"] == frame["sample"]):
            if (view := view_of(np.reshape(row["T_points_from_box"], (4, 4)), row["size_lwh"], frame)) is not None:
                x0, y0, x1, y1 = view.rectangle.tolist()
                own = {"image_id": images[-1]["id"], "category_id": names.index(row["label"]), "score": 0.9}
                annotations.append(own | {"id": len(annotations), "bbox": [x0, y0, x1 - x0, y1 - y0]})
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    out.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def save_corrections(checkout: Path) -> str:
    """What a person does in the page: accept one thing, reject another; gives the one that was rejected."""
    labels = checkout / "results/labels/labels.parquet"
    one, other = sorted({row["track_id"] for row in iterate_rows(labels)})[:2]
    tracks = {one: {"status": "accepted"}, other: {"status": "rejected"}}
    content = {"kind": "corrections", "source": "mine", "labels": file_digest(labels), "tracks": tracks}
    (checkout / "corrections.json").write_text(json.dumps(content))
    return other


@pytest.mark.slow
def test_an_own_recording_becomes_labels_as_the_tutorial_says(
    labelled_world: Labelled, repository: Path, tmp_path: Path
) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    made = world_as_folder(labelled_world, tmp_path)
    shutil.copytree(made.root / "street", checkout / "my_recording", ignore=shutil.ignore_patterns("labels"))
    outlines_as_coco(made, checkout / "my_boxes.json")
    commands = steps(repository / "docs" / "tutorial_own_recording.md")
    at = next(number for number, command in enumerate(commands) if "--apply" in command)
    run(checkout, commands[:at])
    rejected = save_corrections(checkout)
    run(checkout, commands[at:])
    rows = list(iterate_rows(checkout / "results/labels/labels.parquet"))
    # Whoever finds a name for each thing gets nearly all of those back that have points, one track each.
    assert len({row["track_id"] for row in rows}) > 10
    assert {row["label"] for row in rows} <= {row["label"].replace("_", " ") for row in made.rows}
    assert not [
        row for row in iterate_rows(checkout / "results/labels/corrected.parquet") if row["track_id"] == rejected
    ]
    assert (checkout / "results/explorer/index.html").is_file()
    assert len(list((checkout / "my_labels/training/label_2").iterdir())) == len(made.pictures)
    assert (checkout / "my_corrected_labels/clip2_export.json").is_file()
    assert json.loads((checkout / "results/search/traffic_cone.json").read_text())["query"] == "traffic cone"


@pytest.mark.slow
def test_nuscenes_mini_becomes_an_explorer_as_the_tutorial_says(repository: Path, tmp_path: Path) -> None:
    """On a street of the built-in world in place of mini, with less training than the tutorial's settings ask for."""
    checkout = copy_checkout(tmp_path / "checkout")
    nuscenes_stage.run(tmp_path / "nuscenes", WORLD.model_copy(update={"version": "v1.0-mini"}))
    less = {key: TINY[key] for key in ("baselines", "models", "evaluation")}
    less["sources"] = {"shapes": TINY["sources"]["shapes"]}  # type: ignore[index]
    (checkout / "less.yaml").write_text(yaml.safe_dump(less))
    commands = [
        command.replace("/data/nuscenes", str(tmp_path / "nuscenes")).replace(
            "_offline.yaml", "_offline.yaml less.yaml"
        )
        for command in steps(repository / "docs" / "tutorial_nuscenes.md")
        if "config/nuscenes.yaml" not in command  # names mini's own splits, and public models
    ]
    run(checkout, commands)
    assert (checkout / "results/explorer/index.html").is_file()
    assert "results/tables/nuscenes_zeroshot.html" in (checkout / "results/report.html").read_text()
    header = read_header(checkout / "results/labels/labels.parquet")
    assert header["split"] == "all"  # each scene once, though it is both mined and asked about
