"""`clip2 export onnx`: onnxruntime against PyTorch, on any number of points and crops; and docs/python.md, run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from labelled_world import Labelled
from shape_triplets import SHAPES, surface
from small_hub import TOKEN, small_hub
from taken_home import train_tiny
from test_hub import python_in

import clip2
from clip2.cli import main
from clip2.export import onnx as export
from clip2.pretrain.encoder import PointEncoder
from clip2.pretrain.model import Clip2Model
from clip2.pretrain.presets import LEVELS, encoder_config
from clip2.pretrain.sampling import sample_rows
from clip2.pretrain.settings import PretrainSettings
from clip2.store.crops import points_by_place


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny(tmp_path_factory.mktemp("checkout"))


def model_of(settings: PretrainSettings) -> Clip2Model:
    torch.manual_seed(1)
    encoder = PointEncoder(encoder_config(settings, 24)).eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.BatchNorm1d):  # as if trained
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return Clip2Model(encoder, {"logit_scale": 10.0}, torch.device("cpu"), Path("made"), None)


def run(path: Path, crops: list[np.ndarray], n: int) -> np.ndarray:
    """Vectors of crops without doubles, by onnxruntime."""
    lengths = torch.tensor([len(crop) for crop in crops])
    placed, _ = points_by_place(np.concatenate(crops), np.concatenate([[0], lengths.cumsum(0)]))
    index, count = sample_rows(lengths.cumsum(0) - lengths, lengths, n)
    points = placed[index.numpy()].astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (vectors,) = session.run(None, {"points": points, "count": count.numpy()})
    return np.asarray(vectors)


SIZES = {
    "pointnet2-tiny": PretrainSettings(encoder="pointnet2-tiny", n_points=48),
    "pointnet2-small": PretrainSettings(encoder="pointnet2-small", n_points=128, centroids="strided", size_input=False),
    "pointnet2-base": PretrainSettings(encoder="pointnet2-base", n_points=512),
}


@pytest.mark.slow
@pytest.mark.parametrize("settings", SIZES.values(), ids=SIZES)
def test_onnxruntime_gives_the_vectors_of_pytorch(settings: PretrainSettings, tmp_path: Path) -> None:
    model, out = model_of(settings), tmp_path / "model.onnx"
    said = export.write(model, out)
    assert said == f"{out}: onnx, {settings.n_points} points a crop → 24 numbers"
    rng = np.random.default_rng(0)
    for n_crops in (1, 2, 7):
        crops = [surface(SHAPES[i % 3], rng) for i in range(n_crops)]
        crops[-1] = rng.normal(size=(3 * settings.n_points + 5, 3)) * [4, 2, 1.5] + [900, -900, 3]  # more than it sees
        crops[0] = crops[0][: rng.integers(1, 4)]
        found = run(out, [crop[:, :3].astype(np.float32) for crop in crops], settings.n_points)
        np.testing.assert_allclose(found, model.encode_points(crops), atol=1e-6)
    stored = onnx.load(out)
    assert [opset.version for opset in stored.opset_import if opset.domain == ""] == [export.OPSET]
    assert out.stat().st_size == sum(path.stat().st_size for path in tmp_path.iterdir())  # one file


def test_each_encoder_is_tried() -> None:
    assert set(SIZES) == set(LEVELS)


class Undecided(PointEncoder):
    """What it computes depends on the points in a way that no graph has."""

    def forward(self, points: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        return super().forward(points if float(points.sum()) > 0 else -points, count)


class Unlike(PointEncoder):
    """Does something else when it is exported."""

    def forward(self, points: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        return super().forward(points + points.square() if torch.compiler.is_exporting() else points, count)


@pytest.mark.parametrize(
    ("kind", "said"), [(Undecided, "Undecided cannot be exported"), (Unlike, "differ from the encoder's by")]
)
def test_what_cannot_be_exported_is_refused_in_one_line(kind: type[PointEncoder], said: str, tmp_path: Path) -> None:
    model = model_of(SIZES["pointnet2-tiny"])
    model.encoder = kind(model.encoder.config).eval()
    with pytest.raises(clip2.InputError, match=said) as error:
        export.write(model, tmp_path / "model.onnx")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_without_its_packages_the_export_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(export, "onnx", None)
    with pytest.raises(clip2.InputError, match="pip install onnx onnxscript onnxruntime"):
        export.write(model_of(SIZES["pointnet2-tiny"]), tmp_path / "model.onnx")


# ---- docs/python.md


def blocks(page: Path) -> list[tuple[str, str]]:
    """Kind and text of what the page shows to run."""
    return re.findall(r"^```(python|)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def lay_out(folder: Path, trained: Path, made: Labelled) -> list[np.ndarray]:
    """The files that the page names; gives the two crops."""
    shutil.copytree(trained / "results/models/shapes", folder / "my_model")
    shutil.copytree(trained / "resources/teacher", folder / "resources/teacher")  # where config.json says
    shutil.copytree(trained / "resources/teacher", folder / "my_teacher")
    shutil.copytree(trained / "results/made/triplets/hand.none", folder / "results/mine/triplets/owl.auto")
    (folder / "results/labels").mkdir()
    shutil.copy(made.labels, folder / "results/labels/labels.parquet")
    rng = np.random.default_rng(4)
    crops = [surface("pole", rng)[:, :3], np.repeat(surface("ball", rng)[:, :3], 2, axis=0)]
    for name, crop in zip(("crop", "other"), crops, strict=True):
        np.save(folder / f"{name}.npy", crop)
    plate = np.column_stack([rng.uniform(-1, 1, 400), np.full(400, 10.0), rng.uniform(-1, 1, 400)])
    wall = np.column_stack([rng.uniform(-9, 9, 900), np.full(900, 16.0), rng.uniform(-1.5, 4, 900)])
    camera = [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    K, box = [[400, 0, 320], [0, 400, 240], [0, 0, 1]], [[278, 198, 362, 282]]
    np.savez(folder / "frame.npz", points=np.concatenate([plate, wall]), T_cam_from_points=camera, K=K, boxes=box)
    return crops


def test_the_page_on_python_runs_as_it_stands(
    trained: Path, labelled_world: Labelled, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crops = lay_out(tmp_path, trained, labelled_world)
    *first, (command, line), (robot, lines) = blocks(repository / "docs/python.md")
    assert ([kind for kind, _ in first], command, robot) == (["python"] * 5, "", "python")
    code = "\n".join(text for _, text in first)
    end = "\nprint('END', clip2.fit_box(frame['points'][crops[0]]).tolist())"
    with small_hub() as hub:
        done = python_in(tmp_path, code + end, hub, tmp_path / "home", HF_TOKEN=TOKEN)
    assert done.returncode == 0, done.stderr
    x, y, z, *_ = json.loads(done.stdout.rpartition("END ")[2])
    assert np.hypot(x, z) < 0.2
    assert abs(y - 10) < 0.2  # the plate
    assert done.stdout.count("pole (") == 33  # a third of the triplets
    assert (tmp_path / "a_copy/config.json").is_file()
    monkeypatch.chdir(tmp_path)
    main(line.split()[1:])
    alone = lines + "\nimport sys; print('torch' in sys.modules, 'clip2' in sys.modules, odds.tolist())"
    done = subprocess.run([sys.executable, "-c", alone], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *_, last = done.stdout.splitlines()
    assert last.startswith("False False [")
    expected = clip2.load("my_model", "cpu").classify(crops, ["box", "ball", "pole"])
    np.testing.assert_allclose(json.loads(last.removeprefix("False False ")), expected, atol=1e-5)


def test_the_command_says_what_it_wrote_and_what_is_wrong(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained / "results/models/shapes", "model")
    for more, said in (
        (["--model", "nothing"], "nothing/model.safetensors: no such file, so this is no model folder"),
        (["--model", "model", "--names", "car"], "say where it is now: clip2.load(…, teacher=FOLDER)"),
    ):
        with pytest.raises(SystemExit):
            main(["export", "onnx", "--out", "a.onnx", *more])
        assert said in capsys.readouterr().err
        assert not Path("a.onnx").exists()
