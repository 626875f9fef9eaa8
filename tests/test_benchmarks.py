"""The benchmarks: that they run, and write what they say. How fast anything is, is not asserted.

Real: every stage, the tiny models, processes of their own for growth. Made: pictures, crops, words; networks with
random weights that stand for the large ones, a few layers deep here. No GPU: what runs there runs here on the CPU, but
for the device.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
OWL = {
    "projection_dim": 16,
    "text_config": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
    "vision_config": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 64, "patch_size": 16,
    },
}  # fmt: skip
CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def options(folder: Path, **more: Any) -> Any:
    from benchmarks.options import Options

    return Options(CPU, True, folder, 1, **more)


def check(comparison: Any) -> None:
    told = comparison.to_json()
    json.dumps(told, allow_nan=False)
    assert told["ratio"] > 0
    assert all(len(times) == told["repeats"] and min(times) > 0 for times in told["seconds"].values())


@pytest.mark.slow
def test_quick_run_writes_json_and_a_picture(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--device", "cpu", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT MEASURED at full size: detect" in done.stdout
    told = json.loads((tmp_path / "benchmarks.json").read_text())
    assert {c["part"] for c in told["comparisons"]} == {"detect", "embed", "lift", "pretrain"}
    assert all(c["ratio"] > 0 for c in told["comparisons"])
    assert set(told["skipped"]) == {"detect", "embed", "pretrain"}
    assert (told["machine"]["gpu"] is None) == (not torch.cuda.is_available())
    assert torch.__version__.startswith(told["machine"]["packages"]["torch"])
    for grown in told["growth"]:
        assert [size / grown["sizes"][0] for size in grown["sizes"]] == [1, 4, 16]
        assert np.isfinite(grown["exponent"])
        assert min(grown["peak_mb"]) > 0
    with Image.open(tmp_path / "benchmarks.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("L").resize((64, 64)).getcolors()) > 8


def test_detect_with_a_network_of_random_weights(tmp_path: Path) -> None:
    from benchmarks.detect import compare
    from benchmarks.made import write_frames, write_owl

    frames, counts = write_frames(tmp_path / "pictures", 3, 160, 90), dict.fromkeys(("ours", "usual", "limit"), 2)
    check(compare(write_owl(tmp_path / "owl", OWL), "made", frames, counts, 20, options(tmp_path), {"per_second": 1}))


def test_the_large_networks_are_as_large_as_they_should_be() -> None:
    """Millions of parameters of what is built on a GPU; OWLv2's table of tokens is smaller than the real one."""
    import open_clip
    from transformers import Owlv2ForObjectDetection

    from benchmarks.made import OWLV2_B16, owl_config

    with torch.device("meta"):
        owl = Owlv2ForObjectDetection(owl_config(OWLV2_B16))
        clip = open_clip.CLIP(**open_clip.get_model_config("ViT-L-14"))
    tower = sum(p.numel() for p in owl.base_model.vision_model.parameters())
    assert tower / 1e6 == pytest.approx(88, abs=1)
    assert owl.config.vision_config.image_size == 960
    assert sum(p.numel() for p in clip.visual.parameters()) / 1e6 == pytest.approx(304, abs=1)


def test_both_detectors_find_the_same_boxes(tmp_path: Path) -> None:
    """The usual way and ours do the same work: the best box of a picture is the same."""
    from benchmarks.made import TINY_OWL, words, write_frames
    from benchmarks.usual import UsualDetector
    from clip2.detect.models import load_detector
    from clip2.detect.runner import detect_on_cpu
    from clip2.store.bad_frames import BadFrames
    from clip2.store.tables import iterate_rows

    frames, names = write_frames(tmp_path, 1, 320, 180), words(10)
    detector, _ = load_detector(str(TINY_OWL), None, CPU)
    detector.encode_vocabulary(names, None)
    ((_, ours),) = detect_on_cpu(iterate_rows(frames), tmp_path, detector, 1, BadFrames(0))
    usual = UsualDetector(TINY_OWL, CPU)(tmp_path / "0.jpg", names.names, 0.0)
    best = int(usual["scores"].argmax())
    assert float(usual["scores"][best]) == pytest.approx(float(ours.scores.max()), abs=1e-3)
    assert usual["boxes"][best].tolist() == pytest.approx(ours.boxes[ours.scores.argmax()].tolist(), abs=1)


def test_embed_with_a_network_of_random_weights(tmp_path: Path) -> None:
    from benchmarks.embed import compare
    from benchmarks.made import write_clip

    counts = {"ours": 6, "usual": 3, "limit": 4}
    check(compare(write_clip(tmp_path / "clip", CLIP), "made", counts, options(tmp_path), {}))


def test_a_search_over_made_shards(tmp_path: Path) -> None:
    from benchmarks.search_scale import make, search_once

    make(tmp_path, shards=2, each=300)
    for with_labels in (False, True):
        told = search_once(tmp_path, "plastic bag", 2, with_labels)
        assert told["hits"] == 50
        assert told["search_s"] > 0
        assert told["peak_own_mb"] >= told["before_own_mb"] > 0


def test_the_recipe_box_by_box_is_the_recipe() -> None:
    from benchmarks.keyframe import SIZE, boxes_like_real, key_frame
    from benchmarks.usual import lift_box
    from clip2.lift import lift_boxes

    frame = key_frame(None)
    (T, K), boxes = frame.cameras[0], boxes_like_real(20, 0)
    ours = lift_boxes(frame.points, T, K, boxes, SIZE, "frustum-dbscan")
    assert sum(map(len, ours)) > 100
    for crop, box in zip(ours, boxes):
        # Of equally large clusters either may win.
        assert len(crop) == len(lift_box(frame.points, T, K, box))


def test_lift_of_a_real_key_frame(realdata: Path) -> None:
    from benchmarks.keyframe import key_frame
    from benchmarks.lift import compare

    frame = key_frame(realdata)
    assert (len(frame.points), len(frame.cameras)) == (34720, 6)
    check(compare(frame, 2, 2, 1, {"ratio": 10}))


def test_pretrain_compares_our_loop_with_the_usual_network(tmp_path: Path) -> None:
    from benchmarks.pretrain import compare

    comparison = compare(64, 4, 2, "pointnet2-tiny", options(tmp_path), {})
    check(comparison)
    assert comparison.sizes["batch"] == 4


def test_the_usual_network_sees_the_points_and_learns() -> None:
    from benchmarks.usual_pointnet import UsualPointNet2, ball, farthest_points

    points = torch.rand(2, 40, 3)
    assert all(len(set(rows.tolist())) == 40 for rows in farthest_points(points, 40))
    group = ball(points[:, :5], points, 8, 0.3)
    distance = (points[0][group[0]] - points[0, :5, None]).norm(dim=2)
    assert (distance < 0.3 + 1e-4).all()
    network = UsualPointNet2(16, (8, 4), (4, 4))
    network(points).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_ways_take_turns() -> None:
    from benchmarks.timing import Comparison, in_turns

    seen: list[str] = []
    seconds = in_turns({"ours": lambda: seen.append("a"), "usual": lambda: seen.append("b")}, 2, CPU)
    assert seen == ["a", "b"] * 3
    assert len(seconds["usual"]) == 2
    made = Comparison(
        "p", "n", {}, {"ours": 10, "usual": 5}, "u", "cpu", {"ours": [1.0, 2], "usual": [2.0, 8]}, {"ratio": 9}
    )
    assert made.ratios() == [4.0, 8.0]
    assert made.goal_reached() is False


def test_exponents() -> None:
    from benchmarks.growth import Growth

    sizes = [10, 40, 160]
    grown = Growth("n", "u", sizes, [[3 + 0.1 * n**1.5] for n in sizes], [1.0] * 3, None)
    assert grown.exponent_beyond_start() == pytest.approx(1.5)
    assert grown.exponent() < 1.5
    assert Growth("n", "u", sizes, [[2.0], [1.0], [3.0]], [1.0] * 3, None).exponent_beyond_start() is None


def test_idle_time_of_a_run(tmp_path: Path) -> None:
    import os

    from benchmarks.overhead import run

    for name, seconds, end in (("a", 10, 1010), ("b", 5, 1012), ("c", 4, 1020)):
        path = tmp_path / "benchmarks" / name / "x.tsv"
        path.parent.mkdir(parents=True)
        path.write_text(f"s\tmax_rss\n{seconds}\t1\n")
        os.utime(path, (end, end))
    assert run(tmp_path) == {"jobs": 3, "wall_s": 20.0, "idle_s": 4.0, "idle_share": 0.2}


def test_wrong_input_is_told(tmp_path: Path) -> None:
    from benchmarks import __main__, accuracy, keyframe
    from clip2.runtime.errors import InputError

    for wrong in (["accuracy"], ["lift", "what"]):
        with pytest.raises(SystemExit):
            __main__.main(wrong)
    with pytest.raises(InputError, match="holds no embeddings"):
        accuracy.run(options(tmp_path, results=tmp_path))
    with pytest.raises(InputError, match=r"frames\.json"):
        keyframe.key_frame(tmp_path)
