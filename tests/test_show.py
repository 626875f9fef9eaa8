"""What is printed as a table is there in whole, however narrow the console: each class, each method, each figure."""

import json
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clip2 import __version__
from clip2.cli import main
from clip2.evaluate.audit_summary import Tally, Thing
from clip2.evaluate.fewshot.result import FewshotResult
from clip2.evaluate.localization.result import LocalizationResult
from clip2.evaluate.metamorphic import CHANGES
from clip2.evaluate.result import Result
from clip2.evaluate.result_file import made_from
from clip2.evaluate.retrieval.result import RetrievalResult
from clip2.report import publish
from clip2.scans.sanity import FrameFacts, figures
from clip2.scans.survey import Item, Survey, print_survey
from clip2.store.atomic import write_json
from clip2_world.settings import SETTINGS, STAGES

WIDTHS = (60, 80, 100, 120, 200)
CLASSES = ("car", "truck", "construction_vehicle", "bus", "trailer", "barrier", "motorcycle", "bicycle", "pedestrian")
METHODS = ("clip2", "pointclip", "pointclip_v2", "clip2point", "pointclip_tp", "pointclip_v2_tp", "clip2point_tp")
METHODS += ("ensemble", "teacher_2d", "chance")
MODEL = "rooms+scans.tiny_owl.auto.tiny_clip.small"
MADE_FROM = "source world, trained on rooms+scans, detector tiny_owl, lifter auto, teacher tiny_clip, model small"
COMMON = {
    "dataset": "nuscenes",
    "split": "val",
    "source_kind": "built-in world",
    "protocol": {"classes": list(CLASSES), "source": "world", "model": {"name": MODEL}},
    "provenance": {},
    "skipped": {"few_points": 12345},
}


def share(*of: Any) -> float:
    """A figure that differs from the others, so that it can be looked for."""
    return 0.1 + (hash_of(of) % 800) / 1000


def hash_of(of: tuple[Any, ...]) -> int:
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(str(of)))


def zeroshot() -> dict[str, Any]:
    methods = {
        method: {
            "n": 13441, "top1": share(method), "top3": 0.801, "top5": 0.9, "class_mean_top1": share(method, "mean"),
            "ci95": [0.615, 0.669], "ci95_top1": None, "absent_classes": [], "confusion": [],
            "per_class": {name: {"n": 1000 + i, "top1": share(method, name)} for i, name in enumerate(CLASSES)},
        }
        for method in METHODS
    }  # fmt: skip
    methods["clip2"]["changed"] = {name: {"same_answer": 0.9, "class_mean_top1": 0.6} for name in CHANGES}
    return Result.model_validate(COMMON | {"n_objects": 13441, "methods": methods}).model_dump(mode="json")


def fewshot() -> dict[str, Any]:
    def method(name: str) -> dict[str, Any]:
        score = {"mean": share(name), "std": 0.012, "seeds": [0.5, 0.6]}
        shots = {str(k): {"class_mean_top1": score, "top1": score, "n_train": [k]} for k in (1, 2, 4, 8, 16)}
        return {"n": 1344, "shots": shots, "per_class": {}}

    made = {
        "n_train": 999,
        "n_val": 1344,
        "fewer": {"construction_vehicle": 3},
        "methods": {m: method(m) for m in METHODS},
    }
    return FewshotResult.model_validate(COMMON | made).model_dump(mode="json")


def localization() -> dict[str, Any]:
    def method(name: str) -> dict[str, Any]:
        boxes = {"n_found": 40, "ar25": 0.5, "ap50": 0.125, "ar50": 0.25, "ap_2m": 0.375}
        per_class = {label: {"n": 30, "ap25": share(name, label), **boxes} for label in CLASSES}
        means = {key: value for key, value in boxes.items() if key != "n_found"}
        official = {"mean_ap": 0.2, "nd_score": 0.3, "tp_errors": {}, "label_aps": {}, "label_tp_errors": {}}
        return {"ap25": share(name), **means, "per_class": per_class, "nuscenes": official}

    agnostic = {"n": 300, "n_found": 400, "ap25": 0.25, "ar25": 0.5, "ap50": 0.1, "ar50": 0.2}
    made = {"n_groups": 9, "n_proposals": 400, "n_boxes": 300, "class_agnostic": agnostic}
    made["methods"] = {m: method(m) for m in METHODS}
    return LocalizationResult.model_validate(COMMON | made).model_dump(mode="json")


def retrieval() -> dict[str, Any]:
    def method(name: str) -> dict[str, Any]:
        recall = dict.fromkeys(("1", "5", "10", "20", "50"), 0.5)
        queries = {label: {"n": 9, "ap": share(name, label), "recall": recall} for label in CLASSES}
        return {"mean_ap": share(name), "recall": recall, "per_query": queries}

    made = {"n_objects": 1344, "queries": dict.fromkeys(CLASSES, 9), "methods": {m: method(m) for m in METHODS}}
    return RetrievalResult.model_validate(COMMON | made).model_dump(mode="json")


def audit() -> dict[str, Any]:
    tally = Tally()
    for name in CLASSES:
        thing = Thing(name, None, f"vehicle.{name}")
        tally.add_triplet(name, thing, 0.9, 0.8, 0.7)
        tally.add_object(thing, True)
    tally.no_box = 4
    about = {"kind": "audit", "source": "world", "source_kind": "built-in world", "split": "train", "samples": 12}
    return about | {"mined_by": "tiny_owl.auto", "protocol": {}, **tally.summary({}), "provenance": {}}


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run ``clip2 …`` in a pipe of some columns in an empty folder; what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(width: int, *arguments: str) -> str:
        monkeypatch.setenv("COLUMNS", str(width))
        main([*arguments])
        text = capsys.readouterr().out
        assert all(len(line) <= width for line in text.splitlines()), text
        assert "…" not in text
        return text

    return run


RESULTS = {
    "nuscenes_zeroshot.json": zeroshot,
    "nuscenes_fewshot.json": fewshot,
    "nuscenes_localization.json": localization,
    "nuscenes_retrieval.json": retrieval,
}


@pytest.mark.parametrize("width", WIDTHS)
def test_seeds_are_shown(shown: Callable[..., str], width: int, tmp_path: Path) -> None:
    for seed in range(3):
        result = zeroshot()
        result["methods"]["clip2"]["class_mean_top1"] = 0.6 + 0.01 * seed
        write_json(tmp_path / f"{seed}.json", result)
    paths = [str(tmp_path / f"{seed}.json") for seed in range(3)]
    main(["seeds", "--results", *paths, "--seeds", "0", "1", "5", "--out", "nuscenes_seeds.json"])
    text = shown(width, "show", "nuscenes_seeds.json")
    assert "BUILT-IN WORLD" in text
    assert MADE_FROM in " ".join(text.split())
    for line in ("0 +60.0 +61.5 – 66.9", "1 +61.0", "5 +62.0", "all +61.0 ± 1.0"):
        assert re.search(rf"^{line}", text, re.M), text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda result: result.update(n_objects=13440), "was not measured as"),
        (lambda result: result["protocol"].update(names={"car": "auto"}), "was not measured as"),
        (lambda result: result["methods"].pop("clip2"), "has no figures of clip2"),
    ],
)
def test_seeds_that_were_not_measured_alike_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], Any], told: str
) -> None:
    result = zeroshot()
    write_json(tmp_path / "0.json", result)
    change(result)
    write_json(tmp_path / "1.json", result)
    paths = [str(tmp_path / name) for name in ("0.json", "1.json")]
    with pytest.raises(SystemExit):
        main(["seeds", "--results", *paths, "--seeds", "0", "1", "--out", str(tmp_path / "seeds.json")])
    assert told in capsys.readouterr().err
    assert not (tmp_path / "seeds.json").exists()


def assert_words(text: str, words: tuple[str, ...]) -> None:
    missing = [word for word in words if not re.search(rf"(?<![\w]){re.escape(word)}(?![\w])", text)]
    assert not missing, text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RESULTS)
def test_each_class_and_each_method_is_shown(shown: Callable[..., str], name: str, width: int) -> None:
    write_json(Path(name), RESULTS[name]())
    text = shown(width, "show", name)
    assert_words(text, METHODS)
    if name != "nuscenes_fewshot.json":
        assert_words(text, CLASSES)
    assert MADE_FROM in " ".join(text.split())
    assert "BUILT-IN WORLD" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_each_figure_stands_in_its_class_s_line(shown: Callable[..., str], width: int) -> None:
    write_json(Path("nuscenes_zeroshot.json"), zeroshot())
    text = shown(width, "show", "nuscenes_zeroshot.json")
    table = text[text.index("Recognised of each class") :]
    lines = {line.split()[0]: line.split()[1:] for line in table.splitlines() if line.split()}
    digits = 0 if width < 80 else 1
    for number, label in enumerate(CLASSES):
        cells = [f"{100 * share(method, label):.{digits}f}" for method in METHODS]
        assert lines[label] == [f"{1000 + number:,}", *cells]
    if width < 200:
        assert lines["class"] == ["n", *"ABCDEFGHIJ"]
        assert ", ".join(f"{key}={m}" for key, m in zip("ABCDEFGHIJ", METHODS)) in " ".join(table.split())
    totals = text[: text.index("Recognised of each class")]
    for head in ("class mean", "95 %", "top-1", "top-3", "top-5", "13,441"):
        assert head in totals
    for change in CHANGES:
        assert re.search(rf"^{change} +90\.0 +60\.0", table, re.M)


@pytest.mark.parametrize("width", WIDTHS)
def test_an_audit_is_shown(shown: Callable[..., str], width: int) -> None:
    write_json(Path("audit.json"), audit())
    text = shown(width, "show", "audit.json")
    assert_words(text, CLASSES)
    assert_words(text, ("precision", "recall", "IoU", "IoU > ½", "label right", "objects", "found", "triplets"))
    assert "source world, detector tiny_owl, lifter auto" in text
    assert re.search(r"^all +9 +0\.900 +0\.800", text, re.M)
    assert "13 triplets, of which 30.8% hit no annotated box" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_the_benchmark_is_shown_as_it_was_printed(shown: Callable[..., str], width: int) -> None:
    for name, make in RESULTS.items():
        write_json(Path(name), make())
    text = shown(width, "report-benchmark", "--results", *RESULTS, "--out", "benchmark.json")
    assert shown(width, "show", "benchmark.json") == text
    assert_words(text, METHODS)
    assert_words(text, ("nuscenes", "objects", "classes", "37.8", "recall@50", "NDS", "without names", "16 shots"))
    best = max(100 * share(method, "mean") for method in METHODS)
    assert f"{best:.1f} *" in text
    made = json.loads(Path("benchmark.json").read_text())["zeroshot"]["nuscenes"]
    assert made["made_from"] == MADE_FROM


@pytest.mark.parametrize("width", WIDTHS)
def test_usage_is_shown(shown: Callable[..., str], width: int) -> None:
    for rule in ("detect", "encode_objects_by_towers"):
        path = Path("benchmarks") / rule / "a.tsv"
        path.parent.mkdir(parents=True)
        path.write_text("s\tmax_rss\n1234.5\t16000.2\n")
    text = shown(width, "usage", "benchmarks")
    assert_words(text, ("detect", "encode_objects_by_towers", "jobs", "time in all", "longest job", "peak memory"))
    assert re.search(r"^all +2 +2,469\.0 s", text, re.M)
    assert "16,000 MB" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_a_survey_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    missing = "/data/nuscenes/samples/LIDAR_TOP/" + "n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin"
    items = [Item("key-frame clouds", 34148, 34149, missing), Item("images", 204894, 204894)]
    print_survey(
        Survey("nuScenes v1.0-trainval", Path("/data/nuscenes"), "real", items, {"train": 168780, "val": 36114})
    )
    text = capsys.readouterr().out
    assert all(len(line) <= width for line in text.splitlines())
    assert_words(text, ("key-frame clouds", "34,148", "34,149", "images", "204,894", "train: 168,780 frames"))
    assert missing in text.replace("\n", "").replace(" ", "")


def test_figures_of_frames_have_names_and_units() -> None:
    facts = [FrameFacts(1.0, 5.0, -1.0, 0.1), FrameFacts(0.97, 12.0, 0.25, 0.2), FrameFacts(0.99, 8.0, -0.5, 0.3)]
    assert figures(facts, "lidar") == [
        ("camera's tilt", "0°", "8°", "14°", "under 60°"),
        ("points' distance from the camera", "5.0 m", "8.0 m", "12.0 m", "0.8 to 150 m"),
        ("points' height over the camera", "-1.0 m", "-0.5 m", "0.2 m", "under 1.5 m"),
        ("points that the camera sees", "10.0%", "20.0%", "30.0%", "over 0.5%"),
    ]


def test_check_prints_figures_of_a_data_set(
    shown: Callable[..., str], repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"train_scenes": 1, "val_scenes": 1, "key_frames": 2, "image_width": 128, "sweeps_per_key_frame": 0}
    write_world = import_module(STAGES["nuscenes"]).run
    write_world(Path("results/world/raw"), SETTINGS["nuscenes"].model_validate(small), 1)
    Path("config.yaml").write_text((repository / "config.yaml").read_text())
    capsys.readouterr()
    text = shown(80, "check", "world")
    assert re.search(r"^camera's tilt +\d+° +\d+° +\d+° +under 60°$", text, re.M)
    assert "axes, units, calibration and poses make sense" in text
    assert capsys.readouterr().err == ""  # no line for each of the shards, most of which are empty


def test_what_is_missing_is_said_to_be_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("missing", "nuscenes_zeroshot", "audit", "benchmark"):
        with pytest.raises(SystemExit):
            main(["show", str(tmp_path / f"{name}.json")])
        told = capsys.readouterr().err
        assert f"{name}.json: no such file; " in told
        assert "snakemake --cores all" in told
    other = tmp_path / "audit.json"
    other.write_text("{}")
    with pytest.raises(SystemExit):
        main(["show", str(other)])
    assert "not an audit" in capsys.readouterr().err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out == f"clip2 {__version__}\n"


# What fixed names hold


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"protocol": COMMON["protocol"]}, MADE_FROM),
        (
            {"protocol": {"source": "world", "model": {"name": "world.owl.auto.clip.big"}}},
            "source world, detector owl, lifter auto, teacher clip, model big",
        ),
        ({"protocol": {"source": "world", "model": {"name": "my_model"}}}, "source world, model my_model"),
        ({"source": "world", "mined_by": "owl.auto"}, "source world, detector owl, lifter auto"),
        ({"source": "world"}, "source world"),
        ({}, ""),
    ],
)
def test_what_a_result_was_made_from(result: dict[str, Any], told: str) -> None:
    assert made_from(result) == told


def test_a_result_that_replaces_another_experiment_s_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results" / "nuscenes_zeroshot.json"
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    write_json(first, zeroshot())
    second.write_text(first.read_text().replace("tiny_owl", "other_owl"))
    publish.run(first, out)
    publish.run(first, out)  # again, as after a change of a setting
    assert capsys.readouterr().err == ""
    publish.run(second, out)
    assert out.read_bytes() == second.read_bytes()
    told = capsys.readouterr().err
    assert told == f"clip2: note: {out}: detector other_owl in place of detector tiny_owl\n"


def test_a_picture_that_replaces_another_experiment_s_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from clip2.report.style import new_figure, save

    for detector in ("owl", "dino"):
        save(new_figure(1, 1), tmp_path / f"{detector}.png", f"source world, detector {detector}")
        publish.run(tmp_path / f"{detector}.png", tmp_path / "triplets.png")
    assert "triplets.png: detector dino in place of detector owl" in capsys.readouterr().err
    assert Image.open(tmp_path / "triplets.png").info["Description"] == "source world, detector dino"
    (tmp_path / "triplets.png").write_bytes(b"")  # half a file of a crash: nothing is known of it
    publish.run(tmp_path / "owl.png", tmp_path / "triplets.png")
    assert capsys.readouterr().err == ""
