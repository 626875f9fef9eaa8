"""Tables and figures of results: what a person must be able to read off them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from clip2.evaluate.fewshot.result import FewshotResult
from clip2.evaluate.localization.result import LocalizationResult
from clip2.evaluate.metrics import chance_metrics, recognition_metrics
from clip2.evaluate.result import write_result
from clip2.evaluate.retrieval.result import RetrievalResult
from clip2.report import benchmark
from clip2.report.memory import print_usage, read_usage
from clip2.report.named import write_page
from clip2.report.sheet import choose
from clip2.report.show import show_result
from clip2.report.stage import run_triplets, run_zeroshot
from clip2.report.table import print_result
from clip2.runtime.errors import InputError
from clip2.store.atomic import read_json, write_sealed
from clip2.store.ragged import ragged_writer
from clip2.store.schemas import TRIPLETS
from clip2.store.tables import write_table

CLASSES = ("car", "traffic_cone", "barrier", "bus")


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A result of the built-in world, with an absent class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    methods: dict[str, Any] = {}
    for name, skill in (("clip2", 2.0), ("pointclip", 0.1)):
        scores = rng.normal(size=(200, 4))
        scores[np.arange(200), labels] += skill
        methods[name] = recognition_metrics(scores, labels, CLASSES, bootstrap=100)
    methods["chance"] = chance_metrics(labels, CLASSES)
    path = tmp_path / "nuscenes_zeroshot.json"
    write_result(
        path,
        {
            "dataset": "nuscenes",
            "split": "val",
            "source_kind": "built-in world",
            "protocol": {"classes": list(CLASSES)},
            "n_objects": 200,
            "skipped": {"few_points": 1234},
            "methods": methods,
            "provenance": {},
        },
    )
    return path


def printed(path: Path, width: int) -> str:
    out = io.StringIO()
    print_result(path, Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 200])
def test_the_table_says_what_matters(result: Path, width: int) -> None:
    text = printed(result, width)
    value = json.loads(result.read_text())["methods"]["clip2"]
    assert "BUILT-IN WORLD: not nuScenes figures" in text
    assert "200 objects" in text
    assert "val" in text
    assert f"{100 * value['class_mean_top1']:.1f}" in text
    assert f"{100 * value['ci95'][0]:.1f} – {100 * value['ci95'][1]:.1f}" in text
    assert "few_points 1,234" in text
    assert "traffic_cone" in text
    assert "…" not in text  # nothing was cut off


def test_a_result_is_a_page_for_reports_too(result: Path, tmp_path: Path) -> None:
    content = read_json(result) | {"skipped": {"<b>few</b>": 3}}
    write_sealed(result, content)
    write_page(result, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "BUILT-IN WORLD: not nuScenes figures" in page
    assert f"{100 * content['methods']['clip2']['class_mean_top1']:.1f}" in page
    assert "&lt;b&gt;few" in page
    assert "<b>few" not in page


def test_real_results_carry_no_warning(result: Path) -> None:
    write_sealed(result, read_json(result) | {"source_kind": "real"})
    text = printed(result, 80)
    assert "BUILT-IN" not in text
    assert "nuScenes, val" in text


def test_result_figure(result: Path, tmp_path: Path) -> None:
    run_zeroshot(result, tmp_path / "a.png")
    run_zeroshot(result, tmp_path / "b.png")
    picture = Image.open(tmp_path / "a.png")
    assert picture.width > 1000
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def triplets(folder: Path, n: int) -> tuple[Path, Path]:
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 0, 0)).save(picture, "JPEG")
    rows = [
        {
            "triplet_id": str(i),
            "frame_id": "f",
            "scene": "s",
            "sample": "s",
            "box": [0.0, 0.0, 9.0, 9.0],
            "label": ["car", "a plastic bag"][i % 2],
            "score": 0.5,
            "n_points": 1 + i,
            "range_m": 10.0,
            "extent": [1.0, 1.0, 1.0],
            "image": picture.getvalue(),
        }
        for i in range(n)
    ]
    write_table(folder / "t.parquet", rows, TRIPLETS, {"source": "test", "source_kind": "built-in world"})
    with ragged_writer(folder / "t.h5") as writer:
        for i in range(n):  # the first is a single point, exactly above the sensor
            writer.append(np.random.default_rng(i).normal(size=(1 + i, 4)) * (i > 0))
    return folder / "t.parquet", folder / "t.h5"


@pytest.mark.parametrize("n", [1, 6])
def test_triplets_sheet(tmp_path: Path, n: int) -> None:
    run_triplets([triplets(tmp_path, n)[0]], tmp_path / "sheet.png")
    picture = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    red = (picture[..., 0] > 180) & (picture[..., 1] < 30)
    assert red.mean() > 0.01  # the image crops are there


def test_an_empty_shard_says_so(tmp_path: Path) -> None:
    run_triplets([triplets(tmp_path, 0)[0]], tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").height < 300


def test_the_sheet_shows_as_many_labels_as_possible() -> None:
    labels = ["car"] * 500 + ["deer", "tire"]
    shown = [labels[i] for i in choose(labels, 4, seed=3)]
    assert shown == ["car", "car", "deer", "tire"]
    assert choose(labels, 4, seed=3) == choose(labels, 4, seed=3)


def test_usage_by_rule(tmp_path: Path) -> None:
    head = "s\th:m:s\tmax_rss\tmax_vms\n"
    for name, seconds, peak in (("lift/a", 10.0, 100.0), ("lift/b", 30.0, 250.5), ("pretrain", 5.0, 900.0)):
        path = tmp_path / f"{name}.tsv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{head}{seconds}\t0:00:01\t{peak}\t1\n")
    (tmp_path / "lift" / "c.tsv").write_text(f"{head}0.1\t0:00:00\t-\t-\n")  # over before it was measured
    usage = read_usage(tmp_path)
    assert usage["lift"].jobs == 3
    assert usage["lift"].seconds == pytest.approx(40.1)
    assert (usage["lift"].longest_s, usage["lift"].peak_mb) == (30.0, 250.5)
    assert usage["pretrain"].peak_mb == 900
    out = io.StringIO()
    print_usage(tmp_path, Console(file=out, width=100))
    assert out.getvalue().index("lift") < out.getvalue().index("pretrain")
    assert "900 MB" in out.getvalue()

    (tmp_path / "bad.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(InputError, match=r"bad\.tsv"):
        read_usage(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no benchmark file"):
        read_usage(tmp_path / "empty")


def test_benchmark_table_gathers_results_and_marks_what_is_published(result: Path, tmp_path: Path) -> None:
    out = tmp_path / "benchmark.json"
    benchmark.run([result], out, Console(file=io.StringIO()))
    table = json.loads(out.read_text())
    measured = json.loads(result.read_text())["methods"]["clip2"]["class_mean_top1"]
    assert table["zeroshot"]["nuscenes"]["methods"]["clip2"]["class_mean_top1"] == measured
    assert table["zeroshot"]["nuscenes"]["source_kind"] == "built-in world"
    text = out.with_suffix(".md").read_text()
    assert "Made on the built-in world: nuscenes." in text
    assert f"| clip2 | **{100 * measured:.1f}** |" in text
    ours, published = text.split("## Published figures: not measured here")
    assert "37.8" in published  # the paper's figure on nuScenes …
    assert "37.8" not in ours
    assert "ScanNet" not in published  # … and none of data sets that are not in the table
    assert {p["benchmark"] for p in table["published"]} == {"nuscenes"}


def test_benchmark_table_of_a_file_that_is_no_result(result: Path, tmp_path: Path) -> None:
    other = result.rename(tmp_path / "something.json")
    with pytest.raises(InputError, match=r"something\.json: a result is named BENCHMARK_TASK\.json"):
        benchmark.run([other], tmp_path / "benchmark.json")
    with pytest.raises(InputError, match=r"results are named audit\.json"):
        show_result(other)
    with pytest.raises(InputError, match="no such file"):
        show_result(tmp_path / "sunrgbd_fewshot.json")


def test_benchmark_table_shows_every_task(result: Path, tmp_path: Path) -> None:
    """Each task's section is made from its own result model, so that a renamed key cannot pass."""
    common = {"dataset": "nuscenes", "split": "val", "source_kind": "built-in world", "protocol": {}, "provenance": {}}
    spread = {"mean": 0.5, "std": 0.1, "seeds": [0.4, 0.6]}
    shots = {"4": {"class_mean_top1": spread, "top1": spread, "n_train": [4, 4]}}
    few = FewshotResult.model_validate(
        common | {"n_train": 9, "n_val": 9, "fewer": {}, "skipped": {}}
        | {"methods": {"clip2_linear": {"n": 9, "shots": shots, "per_class": {}}}}
    )  # fmt: skip
    boxes = {"n": 3, "n_found": 4, "ap25": 0.25, "ar25": 0.5, "ap50": 0.125, "ar50": 0.25, "ap_2m": 0.375}
    score = {key: boxes[key] for key in ("ap25", "ar25", "ap50", "ar50", "ap_2m")} | {"per_class": {"car": boxes}}
    found = LocalizationResult.model_validate(
        common | {"n_groups": 1, "n_proposals": 4, "n_boxes": 3, "skipped": {}, "class_agnostic": boxes}
        | {"methods": {"clip2": score}}
    )  # fmt: skip
    query = {"n": 2, "ap": 0.75, "recall": {"1": 0.5}}
    searched = RetrievalResult.model_validate(
        common | {"n_objects": 9, "queries": {"tire": 2}, "skipped": {}}
        | {"methods": {"clip2": {"mean_ap": 0.75, "recall": {"1": 0.5}, "per_query": {"tire": query}}}}
    )  # fmt: skip
    paths = [result]
    for task, made in (("fewshot", few), ("localization", found), ("retrieval", searched)):
        paths.append(tmp_path / f"nuscenes_{task}.json")
        paths[-1].write_text(made.model_dump_json())
    out = tmp_path / "benchmark.json"
    benchmark.run(paths, out, Console(file=io.StringIO()))
    text = out.with_suffix(".md").read_text()
    assert "| nuscenes | clip2_linear | 50.0 ± 10.0 |" in text
    assert "| nuscenes | clip2 | 25.0 | 50.0 | 12.5 | 37.5 | – | – |" in text
    assert "| nuscenes | clip2 | 50.0 | – | – | – | – | 75.0 |" in text
