"""`clip2 export` as a person uses it: defaults, refusals, losses, folders that appear whole or not at all."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import copy_checkout, snakemake
from labelled_world import Labelled

from clip2.cli import main
from clip2.export import kitti
from clip2.export.formats import CORRECTED, FORMATS
from clip2.export.scans import LabelledScans
from clip2.export.settings import ExportSettings
from clip2.export.stage import HEADER, export_labels
from clip2.runtime.errors import InputError
from clip2.store.provenance import file_digest
from clip2.store.schemas import FRAMES, LABELS
from clip2.store.tables import read_header, write_table

Row = dict[str, Any]


def changed(made: Labelled, folder: Path, rows: list[Row] | None = None, **header: Any) -> Labelled:
    """The same labels with other rows or another header."""
    path = folder / "labels.parquet"
    rows = made.rows if rows is None else rows
    write_table(path, rows, LABELS, read_header(made.labels) | header)
    return made._replace(labels=path)


def export(format: str, made: Labelled, out: Path, **settings: Any) -> Row:
    return export_labels(format, made.labels, [made.frames], made.root, out, ExportSettings(**settings))


def other_frames(made: Labelled, path: Path, change: Any, **header: Any) -> Path:
    write_table(path, [change(row) for row in made.pictures], FRAMES, read_header(made.frames) | header)
    return path


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_exported_is_refused(labelled_world: Labelled, tmp_path: Path) -> None:
    out = tmp_path / "out"
    nothing = labelled_world._replace(labels=tmp_path / "no.parquet")
    with pytest.raises(InputError, match=r"no\.parquet: no such file; make it with `snakemake --cores 8 labels`"):
        export("kitti", nothing, out)
    with pytest.raises(InputError, match="holds annotations, not labels"):
        export("kitti", labelled_world._replace(labels=labelled_world.annotations), out)
    with pytest.raises(InputError, match="holds no label, so there is nothing to export"):
        export("kitti", changed(labelled_world, tmp_path, rows=[]), out)
    with pytest.raises(InputError, match="is of 'mine', but the frames are of world"):
        export("kitti", changed(labelled_world, tmp_path, source="mine"), out)
    strange = [labelled_world.rows[0] | {"sample": "elsewhere"}]
    with pytest.raises(InputError, match=r"sample elsewhere of scene .* is not in the frames; make the labels again"):
        export("kitti", changed(labelled_world, tmp_path, rows=strange), out)
    assert not out.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing half done is left"


def test_a_folder_that_holds_something_else_is_left_alone(labelled_world: Labelled, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("…")
    with pytest.raises(InputError, match="thesis: is there and was not written by `clip2 export`"):
        export("nuscenes", labelled_world, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "…"
    (tmp_path / "empty").mkdir()
    export("nuscenes", labelled_world, tmp_path / "empty")
    export("kitti", labelled_world, tmp_path / "empty")
    assert not (tmp_path / "empty" / "results_nusc.json").exists(), "an earlier export is replaced as a whole"
    assert json.loads((tmp_path / "empty" / HEADER).read_text())["format"] == "kitti"


def test_an_export_that_fails_leaves_the_one_before(
    labelled_world: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export("kitti", labelled_world, tmp_path / "out")
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    calls = 0

    def full_disk(*_: Any) -> str:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise OSError("no space left on device")
        return ""

    monkeypatch.setattr(kitti, "calibration", full_disk)
    with pytest.raises(OSError, match="no space"):
        export("kitti", labelled_world, tmp_path / "out")
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} == before


# --- losses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["kitti", "coco", "sustechpoints", "nuscenes-tables", "mcap", "ply"])
def test_recordings_that_cannot_be_read_are_counted_or_stop_it(
    labelled_world: Labelled, tmp_path: Path, format: str
) -> None:
    gone = labelled_world.pictures[0]["image_path"]
    root = tmp_path / "raw"
    shutil.copytree(labelled_world.root, root)
    (root / gone).unlink()
    made = labelled_world._replace(root=root)
    with pytest.raises(InputError, match=r"1 of 18 frames could not be read .*check the data root"):
        export(format, made, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    header = export(format, made, tmp_path / "out", max_bad_share=0.1)
    assert header["bad_frames"]["counts"] == {"image_missing": 1}
    assert gone in header["bad_frames"]["first"][0]["message"]


def test_clouds_that_cannot_be_read_are_counted(labelled_world: Labelled, tmp_path: Path) -> None:
    root = tmp_path / "raw"
    shutil.copytree(labelled_world.root, root)
    frame = labelled_world.pictures[0]
    (root / frame["clouds"][0]["path"]).write_bytes(b"123")
    made = labelled_world._replace(root=root)
    n = sum(row["sample"] == frame["sample"] for row in labelled_world.rows)
    for format in ("sustechpoints", "nuscenes-tables"):
        header = export(format, made, tmp_path / format, max_bad_share=0.1, files="copy")
        lost = header["counts"].get("left_out_of_samples_without_a_cloud", 0)
        assert lost == (n if format == "sustechpoints" else 0), "a link is not opened, so it is not missed"
    assert header["bad_frames"]["counts"] == {}
    (root / frame["clouds"][0]["path"]).unlink()
    header = export("nuscenes-tables", made, tmp_path / "out", max_bad_share=0.1)
    assert header["counts"]["left_out_of_samples_without_a_cloud"] == n


def test_without_recordings_only_labels_are_written(labelled_world: Labelled, tmp_path: Path) -> None:
    export("kitti", labelled_world, tmp_path / "out", files="none")
    assert {path.name for path in (tmp_path / "out" / "training").iterdir()} == {"label_2", "calib"}


# --- scans ------------------------------------------------------------------------------------------------------------


def test_a_scene_of_both_roles_is_exported_once_and_in_time_order(labelled_world: Labelled, tmp_path: Path) -> None:
    again = other_frames(labelled_world, tmp_path / "train.parquet", lambda row: row)
    scans = LabelledScans(labelled_world.labels, [again, labelled_world.frames], labelled_world.root, ExportSettings())
    (samples,) = scans.scenes()
    assert [len(sample.frames) for sample in samples] == [6, 6, 6]
    assert np.diff([sample.time_us for sample in samples]).tolist() == [500_000, 500_000]
    assert scans.counts["labels"] == len(labelled_world.rows)


def test_samples_without_times_or_poses_still_export(labelled_world: Labelled, tmp_path: Path) -> None:
    blind = {"timestamp_us": None, "T_scene_from_points": None}
    frames = other_frames(labelled_world, tmp_path / "frames.parquet", lambda row: row | blind)
    made = changed(labelled_world, tmp_path, [row | {"timestamp_us": None} for row in labelled_world.rows])
    made = made._replace(frames=frames)
    (samples,) = LabelledScans(made.labels, [frames], made.root, ExportSettings()).scenes()
    assert [sample.time_us for sample in samples] == [0, 100_000, 200_000]
    assert [sample.name for sample in samples] == sorted(sample.name for sample in samples)
    export("ply", made, tmp_path / "ply")
    assert len(list((tmp_path / "ply").glob("*/*.ply"))) == 3, "what has no poses is not put together"
    export("mcap", made, tmp_path / "mcap")


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_finds_what_it_needs(
    labelled_world: Labelled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    repository: Path,
) -> None:  # fmt: skip
    """In a checkout: labels, the frames that they were made of and no others, and the data root."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["export", "kitti", "--out", "kitti"])
    assert "labels.parquet: no such file; make it with `snakemake --cores 8 labels`" in capsys.readouterr().err
    source = tmp_path / "results" / "world"
    (source / "frames").mkdir(parents=True)
    (source / "raw").symlink_to(labelled_world.root)
    shutil.copyfile(labelled_world.frames, source / "frames" / labelled_world.frames.name)
    train = labelled_world.frames.with_name(labelled_world.frames.name.replace("val", "train"))
    shutil.copyfile(train, source / "frames" / train.name)
    made_of = {"inputs": {"frames/val-000of001": file_digest(labelled_world.frames)}}
    labels = changed(labelled_world, tmp_path, provenance=made_of).labels
    (tmp_path / "results" / "labels").mkdir()
    labels.rename(tmp_path / "results" / "labels" / "labels.parquet")
    shutil.copyfile(repository / "config.yaml", "config.yaml")
    main(["export", "kitti", "--out", "kitti"])
    assert capsys.readouterr().out == "kitti: kitti, 272 labels of 3 samples; left out: 1 in no picture\n"
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"sources": {"world": {"world": None, "root": "elsewhere"}}}))
    with pytest.raises(SystemExit):
        main(["export", "kitti", "--configfile", "own.yaml", "--out", "kitti"])
    assert "source 'world': elsewhere is not there; give it with --data-root" in capsys.readouterr().err
    (source / "frames" / labelled_world.frames.name).unlink()
    with pytest.raises(SystemExit):
        main(["export", "kitti", "--out", "kitti"])
    assert "holds none of the frames that" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", "huggingface", "--out", "hf"])
    assert "no triplets; make them with `snakemake --cores 8 triplets`" in capsys.readouterr().err


def test_the_page_names_every_format(repository: Path) -> None:
    page = (repository / "docs" / "export.md").read_text()
    for name in FORMATS:
        assert f"| `{name}` |" in page
    for name in CORRECTED:
        assert f"clip2 import-labels {name} " in page


@pytest.mark.slow
def test_snakemake_exports_labels_and_takes_settings_from_the_configuration(
    labelled_world: Labelled, tmp_path: Path
) -> None:
    folder = copy_checkout(tmp_path / "checkout")
    source = folder / "results" / "world"
    source.mkdir(parents=True)
    (source / "raw").symlink_to(labelled_world.root)
    (source / "frames").symlink_to(labelled_world.frames.parent)
    made_of = {"inputs": {"frames": file_digest(labelled_world.frames)}}
    (folder / "results" / "labels").mkdir()
    changed(labelled_world, folder / "results" / "labels", provenance=made_of)
    (folder / "own.yaml").write_text(yaml.safe_dump({"export": {"names": {"vegetation": "tree"}, "files": "none"}}))
    target = "results/labels/coco"
    snakemake(folder, "--configfile", "own.yaml", "--", target)
    content = json.loads((folder / target / "annotations" / "instances.json").read_text())
    assert "tree" in {row["name"] for row in content["categories"]}
    assert "Nothing to be done" in snakemake(folder, "--configfile", "own.yaml", "--", target)
    log = (folder / "logs" / "export" / "coco.log").read_text()
    assert f"{target}: coco, {len(labelled_world.rows)} labels of 3 samples" in log
    # A format's own code is what its folder depends on, and no other's.
    with (folder / "src" / "clip2" / "export" / "kitti.py").open("a") as file:
        file.write("\n# edited\n")
    assert "Nothing to be done" in snakemake(folder, "--configfile", "own.yaml", "-n", "--", target)
    with (folder / "src" / "clip2" / "export" / "coco.py").open("a") as file:
        file.write("\n# edited\n")
    assert "export" in snakemake(folder, "--configfile", "own.yaml", "-n", "--", target)
