"""CONTRIBUTING.md's steps, taken in a copy of the checkout: one's own source, detector, point encoder and export.

Real: the command line, lifting, the tiny teacher, training. Made: plates in front of a wall, seen by one camera.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import copy_checkout
from PIL import Image

SETTINGS = '''
"""Settings of the source `plates`."""
from clip2.scans.splits import SplitSettings


class PlatesSettings(SplitSettings):
    """What of the plates is used."""
'''
SURVEY = '''
"""What of the plates is there."""
from pathlib import Path

from clip2.scans.marker import source_kind
from clip2.scans.plates.settings import PlatesSettings
from clip2.scans.survey import Survey, count_files


def survey(root: Path, settings: PlatesSettings) -> Survey:
    """Count clouds and pictures."""
    clouds = sorted(root.glob("*.npy"))
    items = [count_files("pictures", [cloud.with_suffix(".png") for cloud in clouds])]
    return Survey("plates", root, source_kind(root), items, {"train": len(clouds), "val": 0})
'''
FRAMES = '''
"""Stage `ingest` for plates: a cloud and a picture of the same name are a frame."""
from pathlib import Path

from clip2.scans.plates.settings import PlatesSettings
from clip2.scans.tables import source_facts, write_shard
from clip2.store.provenance import provenance

AXES = {"points": "x right, y forward, z up", "up": "z"}
ONE = [1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def run(root: Path, out: Path, source: str, settings: PlatesSettings) -> None:
    """Write one shard."""
    facts = source_facts(source, root, "plates", "lidar", AXES) | {"split": settings.train}
    clouds = sorted(root.glob("*.npy"))
    made_by = provenance("ingest", settings.model_dump(mode="json"), {path.stem: path for path in clouds}, ())
    rows = (
        {
            "frame_id": path.stem, "scene": path.stem, "sample": path.stem, "camera": "front", "timestamp_us": None,
            "image_path": f"{path.stem}.png", "width": 400, "height": 200, "lens": None,
            "K": [200.0, 0, 200, 0, 200, 100, 0, 0, 1],
            "T_cam_from_points": [1.0, 0, 0, 0, 0, 0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1],
            "clouds": [
                {"path": path.name, "format": "npy", "T_points_from_cloud": ONE, "time_lag_s": 0.0, "depth": None}
            ],
        }
        for path in clouds
    )
    write_shard(out / "train-000of001.parquet", "frames", rows, facts, made_by)
'''
DETECTOR = '''
"""Sees a thing in the middle of every picture: the first name of the vocabulary in even rows, else the second."""
import numpy as np

from clip2.detect.detector import Found


class MiddleDetector:
    def __init__(self, network, processor, device, dtype):
        self.seen = 0

    def encode_vocabulary(self, vocabulary, prompt):
        self.names = vocabulary.names

    def __call__(self, images):
        found = []
        for image in images:
            height, width = image.shape[1:]
            box = np.array([[width / 2 - 15, height / 2 - 15, width / 2 + 15, height / 2 + 15]], np.float32)
            found.append(Found(box, np.array([0.9], np.float32), np.array([self.seen % 2])))
            self.seen += 1
        return lambda: found
'''
EXPORT = '''
"""A line a label."""
from pathlib import Path

from clip2.export.recordings import Recordings
from clip2.export.scans import LabelledScans


def write(scans: LabelledScans, recordings: Recordings, out: Path) -> None:
    """Write ``labels.txt``."""
    rows = [row for samples in scans.scenes() for sample in samples for row in sample.labels]
    (out / "labels.txt").write_text("".join(f"{row['sample']} {row['label']}\\n" for row in rows))
'''
CHAIN = """
import json, sys
from pathlib import Path
from clip2.cli import main
import clip2, numpy as np

data, frames, made = sys.argv[1], "made/frames/train-000of001.parquet", "made/train"
main(["check", "mine", "--configfile", "mine.yaml", "--dataroot", data])
main(["ingest", "plates", "--root", data, "--source", "mine", "--out", "made/frames"])
main(["detect", "--frames", frames, "--data-root", data, "--model", "resources/models/tiny_owl",
      "--vocabulary", "names.txt", "--out", "made/boxes.parquet", "--device", "cpu"])
main(["lift", "--frames", frames, "--detections", "made/boxes.parquet", "--data-root", data,
      "--out", made + ".parquet"])
main(["embed", "--triplets", made + ".parquet", "--model", "resources/models/tiny_clip", "--out", made + "_e.h5",
      "--device", "cpu"])
main(["pretrain", "--triplets", made + ".parquet", "--embeddings", made + "_e.h5", "--encoder", "pointnet2-nano",
      "--n-points", "32", "--max-points", "64", "--min-points", "2", "--epochs", "1", "--batch-size", "4",
      "--holdout", "0", "--agreement", "off", "--out", "made/model", "--device", "cpu"])
main(["track", "--frames", frames, "--triplets", made + ".parquet", "--embeddings", made + "_e.h5",
      "--out", "made/tracks.parquet"])
main(["label", "--frames", frames, "--triplets", made + ".parquet", "--tracks", "made/tracks.parquet",
      "--data-root", data, "--model", "made/model", "--min-score", "0", "--out", "made/labels.parquet",
      "--device", "cpu"])
main(["export", "lines", "--labels", "made/labels.parquet", "--frames", frames, "--data-root", data,
      "--out", "made/lines"])
vector = clip2.load("made/model").encode_points(np.random.default_rng(0).normal(size=(50, 3)))
config = json.loads(Path("made/model/config.json").read_text())
print("RESULT", json.dumps({"length": float(np.linalg.norm(vector)), "widths": config["encoder"]["global_widths"],
                            "triplets": config["counts"]["triplets"],
                            "exported": Path("made/lines/labels.txt").read_text().splitlines()}))
"""


def _edit(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in changes:
        assert text.count(old) == 1, f"{path}: {old!r}"
        text = text.replace(old, new)
    path.write_text(text)


def _plates(folder: Path, n: int) -> None:
    """Clouds and pictures: a plate 10 m ahead, a wall behind it, and the ground 1.5 m below the camera."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(n):
        plate = np.column_stack([rng.uniform(-0.7, 0.7, 300), np.full(300, 10.0), rng.uniform(-0.7, 0.7, 300)])
        wall = np.column_stack([rng.uniform(-9, 9, 900), np.full(900, 14.0), rng.uniform(-1.5, 4, 900)])
        ground = np.column_stack([rng.uniform(-5, 5, 600), rng.uniform(4, 14, 600), np.full(600, -1.5)])
        np.save(folder / f"{index:03d}.npy", np.concatenate([plate, wall, ground]).astype(np.float32))
        Image.fromarray(rng.integers(0, 255, (200, 400, 3), np.uint8)).save(folder / f"{index:03d}.png")


@pytest.mark.slow
def test_a_source_a_detector_an_encoder_and_an_export_are_added_as_contributing_says(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    source = checkout / "src" / "clip2"
    package = source / "scans" / "plates"
    package.mkdir()
    for name, text in {"__init__": "", "settings": SETTINGS, "survey": SURVEY, "frames": FRAMES}.items():
        (package / f"{name}.py").write_text(text)
    _edit(
        source / "workflow" / "sources.py",
        (
            "\nclass PairsSource(_Source):",
            "\nfrom clip2.scans.plates.settings import PlatesSettings\n\n\nclass PlatesSource(_Source):\n"
            '    kind: Literal["plates"]\n    settings: PlatesSettings = PlatesSettings()\n\n\n'
            "class PairsSource(_Source):",
        ),
        ("    | PairsSource,\n", "    | PairsSource\n    | PlatesSource,\n"),
        ('    "pairs": PairsSource,\n', '    "pairs": PairsSource,\n    "plates": PlatesSource,\n'),
        (
            '    "pairs": Modules(),\n',
            '    "pairs": Modules(),\n'
            '    "plates": Modules(survey="clip2.scans.plates.survey", frames="clip2.scans.plates.frames"),\n',
        ),
        ('    "pairs": ("*.parquet",),\n', '    "pairs": ("*.parquet",),\n    "plates": ("*.npy",),\n'),
    )
    (source / "detect" / "middle.py").write_text(DETECTOR)
    _edit(
        source / "detect" / "models.py",
        ("\nFAMILIES:", "\nfrom clip2.detect.middle import MiddleDetector\n\nFAMILIES:"),
        ('"owlv2": OwlDetector', '"owlv2": MiddleDetector'),
    )
    _edit(
        source / "pretrain" / "presets.py",
        ("LEVELS = {\n", 'LEVELS = {\n    "pointnet2-nano": (Level(8, 8, 0.5, (16, 24)),),\n'),
        ("GLOBAL_WIDTHS = {", 'GLOBAL_WIDTHS = {"pointnet2-nano": (24, 40), '),
        ("HEAD_WIDTH = {", 'HEAD_WIDTH = {"pointnet2-nano": 32, '),
    )
    _edit(
        source / "pretrain" / "settings.py",
        ('Literal["pointnet2-tiny",', 'Literal["pointnet2-nano", "pointnet2-tiny",'),
    )
    (source / "export" / "lines.py").write_text(EXPORT)
    _edit(
        source / "export" / "formats.py",
        ("FORMATS = {\n", 'FORMATS = {\n    "lines": Format("clip2.export.lines", "labels", "a line a label"),\n'),
    )
    (checkout / "names.txt").write_text("plate\nboard\n")
    (checkout / "mine.yaml").write_text(json.dumps({"sources": {"mine": {"kind": "plates"}}}))
    _plates(tmp_path / "data", 12)

    command = [sys.executable, "-c", CHAIN, str(tmp_path / "data")]
    done = subprocess.run(command, cwd=checkout, env={"PYTHONPATH": "src", "PATH": ""}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "plates" in done.stdout
    result = json.loads(done.stdout.split("RESULT ")[1])
    assert result["triplets"] == 12
    assert result["widths"] == [24, 40]
    assert abs(result["length"] - 1) < 1e-5
    assert [line.split()[0] for line in result["exported"]] == [f"{index:03d}" for index in range(12)]
    assert {line.split()[1] for line in result["exported"]} <= {"plate", "board"}
