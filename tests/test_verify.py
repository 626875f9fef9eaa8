"""``clip2 verify`` on a small chain of real stages, from a street's tables to a result, and with files changed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import REPOSITORY
from labelled_world import SETTINGS, Labelled
from test_object_sets import small_scanobjectnn

from clip2.cli import main
from clip2.scans.nuscenes import annotations, frames
from clip2.scans.shards import shard_names

TRAIN, VAL = (shard_names(role, 1)[0] for role in ("train", "val"))
MODEL = Path("results/models/world.tiny_owl.auto.tiny_clip.small")
MINED = Path("results/world/triplets/tiny_owl.auto")
TRACKED = Path("results/world/tracks/tiny_owl.auto.tiny_clip")
SMALL = "--n-points 128 --max-points 256 --min-points 2 --epochs 1 --batch-size 16 --holdout 0 --agreement off"


@pytest.fixture(scope="module")
def finished(labelled_world: Labelled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like a checkout's, with a result that went through all stages."""
    folder = tmp_path_factory.mktemp("verified")
    world = folder / "results" / "world"
    world.mkdir(parents=True)
    shutil.copytree(labelled_world.root, world / "raw")
    (folder / "resources").symlink_to(REPOSITORY / "resources")
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    config["sources"]["world"]["settings"] |= {"train_shards": 1, "val_shards": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage in (frames, annotations):
            stage.run(world / "raw", world / stage.__name__.rpartition(".")[2], "world", SETTINGS)
        embedded = Path(f"results/world/embeddings/tiny_owl.auto.tiny_clip/{TRAIN}.h5")
        boxes = Path(f"results/world/detections/tiny_owl/{TRAIN}.parquet")
        objects = Path(f"results/world/objects/{VAL}.parquet")
        raw, triplets, of = "--data-root results/world/raw", f"{MINED}/{TRAIN}.parquet", "results/world/frames"
        for line in (
            f"detect --frames {of}/{TRAIN}.parquet {raw} --out {boxes} --model resources/models/tiny_owl "
            "--vocabulary resources/vocabularies/world.txt --score-threshold 0.4 --device cpu",
            f"lift --frames {of}/{TRAIN}.parquet --detections {boxes} {raw} --out {triplets} --min-points 2",
            f"embed --triplets {triplets} --out {embedded} --model resources/models/tiny_clip --device cpu",
            f"track --frames {of}/{TRAIN}.parquet --triplets {triplets} --embeddings {embedded} "
            f"--out {TRACKED}/{TRAIN}.parquet",
            f"pretrain --triplets {triplets} --embeddings {embedded} --tracks {TRACKED}/{TRAIN}.parquet "
            f"--out {MODEL} --encoder pointnet2-tiny --names-from tracks {SMALL}",
            f"objects --frames {of}/{VAL}.parquet --annotations results/world/annotations/{VAL}.parquet {raw} "
            f"--out {objects}",
            f"zeroshot --objects {objects} --model {MODEL} --out {MODEL}/nuscenes_zeroshot.json "
            '--methods ["clip2","chance"]',
            f"report-result --result {MODEL}/nuscenes_zeroshot.json --out {MODEL}/nuscenes_zeroshot.png",
            f"publish --made {MODEL}/nuscenes_zeroshot.json --out results/nuscenes_zeroshot.json",
            f"publish --made {MODEL}/nuscenes_zeroshot.png --out results/nuscenes_zeroshot.png",
        ):
            main(line.split())
    return folder


@pytest.fixture
def checkout(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy for one test, and the place where it runs."""
    shutil.copytree(finished, tmp_path / "checkout", symlinks=True)
    monkeypatch.chdir(tmp_path / "checkout")
    return tmp_path / "checkout"


def verify(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines."""
    capsys.readouterr()
    try:
        main(["verify", *arguments])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    told = capsys.readouterr()
    return code, (told.out + told.err).splitlines()


def test_a_chain_that_nobody_touched_is_good(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, (line,) = verify(capsys)
    assert (code, line.partition(":")[2]) == (0, " all match")
    # Result, model, its weights, triplets and points, objects and points, embeddings, boxes, frames (2), annotations,
    # thirteen tables at most, vocabulary and detector.
    assert int(line.split()[0]) > 25
    again = verify(capsys, f"{MODEL}/config.json", str(checkout / "results/nuscenes_zeroshot.json"))
    assert again[0] == 0


def flip(path: Path) -> None:
    """One bit of the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def spaced(path: Path) -> None:
    """Other bytes that say the same."""
    path.write_text(path.read_text() + "\n")


def of_another_run(path: Path) -> None:
    """Made by other settings, in full order."""
    other = path.with_name("other.parquet")
    frames_of = path.parent.parent.parent / "frames" / path.name
    main(
        f"detect --frames {frames_of} --data-root results/world/raw --out {other} --device cpu --score-threshold 0.9 "
        "--model resources/models/tiny_owl --vocabulary resources/vocabularies/world.txt".split()
    )
    other.replace(path)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("results/world/raw/v1.0-trainval/ego_pose.json", spaced),
        (f"results/world/frames/{VAL}.parquet", flip),
        (f"results/world/annotations/{VAL}.parquet", flip),
        (f"results/world/detections/tiny_owl/{TRAIN}.parquet", of_another_run),
        (f"{MINED}/{TRAIN}.parquet", flip),
        (f"{MINED}/{TRAIN}.h5", flip),
        (f"{TRACKED}/{TRAIN}.parquet", flip),
        (f"{TRACKED}/{TRAIN}.members.parquet", flip),
        (f"results/world/embeddings/tiny_owl.auto.tiny_clip/{TRAIN}.h5", flip),
        (f"results/world/objects/{VAL}.h5", flip),
        (f"{MODEL}/model.safetensors", flip),
        (f"{MODEL}/config.json", spaced),
        ("results/nuscenes_zeroshot.json", spaced),
        ("results/nuscenes_zeroshot.png", flip),
    ],
)
def test_what_changed_is_named(
    checkout: Path, capsys: pytest.CaptureFixture[str], file: str, change: Callable[[Path], None]
) -> None:
    change(Path(file))
    code, lines = verify(capsys, "results/nuscenes_zeroshot.json", "results/nuscenes_zeroshot.png")
    assert code == 1
    assert len(lines) == 2, lines
    assert lines[0].startswith(f"{file}: is n")
    assert ("restore it" if "/raw/" in file else f"delete it and run `snakemake --cores all {file}`") in lines[0]
    assert lines[1].endswith("files compared: 1 does not match")


def test_what_is_gone_is_told_and_how_to_make_it(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (MINED / f"{TRAIN}.h5").unlink()
    code, lines = verify(capsys, f"{MODEL}/config.json")
    assert code == 1
    made = f"{MODEL}/config.json"
    assert lines[0] == (
        f"{made}: what it was made from is not there any more (points/0); run `snakemake --cores all --force {made}`"
    )


def test_without_the_data_set_the_rest_is_compared(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("results/world/raw")
    code, lines = verify(capsys)
    assert code == 0
    assert all("raw index is not compared" in line for line in lines[:-1])
    assert len(lines) == 4  # frames of both roles, and annotations
    flip(MINED / f"{TRAIN}.h5")
    assert verify(capsys)[0] == 1


def test_a_data_set_of_hdf5_files_is_compared_and_asked_for_no_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "config.yaml", tmp_path)
    small_scanobjectnn(raw := Path("results/scanned_objects/raw"))
    objects = "results/scanned_objects/objects"
    main(f"object-set scanobjectnn --root {raw} --source scanned_objects --out {objects}".split())
    (made,) = Path(objects).glob("val-*.parquet")
    code, lines = verify(capsys, str(made))
    assert (code, lines) == (0, ["2 files compared: all match"])
    for file in raw.rglob("test_*.h5"):
        flip(file)
        code, lines = verify(capsys, str(made))
        assert code == 1
        assert lines[0].startswith(f"{file}: is not what {made} was made from; restore it")


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("results/none.json", "no such file; make it"),
        ("results/world/raw/world.json", "says nothing of what it was made from"),
        ("config.yaml", "lies in no folder `results`"),
        (f"{MODEL}/README.md", "holds no digests"),
    ],
)
def test_what_has_no_digests_is_refused(
    checkout: Path, capsys: pytest.CaptureFixture[str], file: str, reason: str
) -> None:
    code, (line,) = verify(capsys, file)
    assert code == 2
    assert reason in line
