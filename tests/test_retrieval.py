"""Search by name: ranking scores against hand, scikit-learn and all permutations; the stage on made objects with a
small random teacher and model. All data are made here."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from tiny_networks import write_networks, write_objects

from clip2.evaluate.retrieval.metrics import average_precision, chance_average_precision, recall_at
from clip2.evaluate.retrieval.names import choose_queries
from clip2.evaluate.retrieval.result import read_retrieval
from clip2.evaluate.retrieval.settings import RetrievalSettings
from clip2.evaluate.retrieval.stage import run
from clip2.pretrain.model import load
from clip2.runtime.errors import InputError
from clip2.store.crops import batches
from clip2.teach.pictures import picture_features
from clip2.teach.teacher import load_teacher


def test_scores_by_hand() -> None:
    scores, relevant = [0.9, 0.1, 0.8, 0.3, 0.3], [False, False, True, False, True]  # found at places 2 and 4
    assert average_precision(scores, relevant) == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert recall_at(scores, relevant, (1, 2, 4, 99)) == [0, 0.5, 1, 1]
    assert average_precision([-np.inf, 1.0], [True, False]) == 0.5  # what cannot be seen comes last


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_scikit_learns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, relevant = rng.normal(size=50), rng.random(50) < 0.2
    assert average_precision(scores, relevant) == pytest.approx(average_precision_score(relevant, scores))


@pytest.mark.parametrize(("n", "found"), [(6, 1), (6, 2), (6, 6), (1, 1)])
def test_chance_is_the_mean_over_all_orders(n: int, found: int) -> None:
    relevant = np.arange(n) < found
    values = [average_precision(order, relevant) for order in permutations(range(n))]
    assert chance_average_precision(n, found) == pytest.approx(np.mean(values))


def test_which_names_are_searched_for() -> None:
    names = [("sedan", "car"), ("tire", "debris"), ("tire", "debris"), ("animal",), ("plastic bag", "debris")]
    known = [True, False, False, False, False]
    assert choose_queries(names, known, (), 1) == ["animal", "plastic bag", "tire"]
    assert choose_queries(names, known, (), 2) == ["tire"]
    assert choose_queries(names, known, ("Debris", "car", "unicorn"), 1) == ["car", "debris"]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_networks(tmp_path_factory.mktemp("networks"))


def test_the_stage_ranks_by_cosine(model_dir: Path, tmp_path: Path) -> None:
    shards = [
        write_objects(tmp_path / "0.parquet", "val", {"box": 6, "ball": 5}, 0, unseen=1),
        write_objects(tmp_path / "1.parquet", "val", {"pole": 4}, 1),
    ]
    settings = RetrievalSettings(
        queries=("ball", "pole"), names={"pole": "tall thin pole"}, ks=(1, 4, 20), batch_size=4
    )
    run(shards, model_dir, tmp_path / "o.json", settings, "cpu")
    result = read_retrieval(tmp_path / "o.json")
    assert (result.n_objects, result.queries, result.skipped) == (15, {"ball": 5, "pole": 4}, {"x": 2})
    assert list(result.methods) == ["clip2", "teacher_2d", "chance"]

    model = load(model_dir, "cpu")
    teacher = load_teacher(model.config["teacher"]["model"], device="cpu")
    text = teacher.encode_labels(["ball", "tall thin pole"], model.config["templates"]).numpy()
    found = list(batches(shards, ["class_name", "image"], 100))
    rows = [row for batch in found for row in batch.rows]
    points = np.concatenate([model.encode_points(batch.crops) for batch in found]) @ text.T
    pictures = np.nan_to_num(picture_features(teacher, rows, 1) @ text.T, nan=-np.inf)
    for number, query in enumerate(("ball", "pole")):
        relevant = np.array([row["class_name"] == query for row in rows])
        for name, scores in (("clip2", points), ("teacher_2d", pictures)):
            score = result.methods[name].per_query[query]
            assert score.ap == pytest.approx(average_precision(scores[:, number], relevant), abs=1e-5)
            assert list(score.recall.values()) == pytest.approx(
                recall_at(scores[:, number], relevant, (1, 4, 20)), abs=1e-5
            )
    assert [method.no_image for method in result.methods.values()] == [0, 2, 0]
    chance = result.methods["chance"]
    assert chance.recall == {"1": pytest.approx(1 / 15, abs=1e-6), "4": pytest.approx(4 / 15, abs=1e-6), "20": 1.0}
    assert chance.mean_ap == pytest.approx(
        (chance_average_precision(15, 5) + chance_average_precision(15, 4)) / 2, abs=1e-6
    )


def test_wrong_input_says_what_to_do(model_dir: Path, tmp_path: Path) -> None:
    shard = write_objects(tmp_path / "0.parquet", "val", {"box": 3}, 0)
    with pytest.raises(InputError, match="include_other"):
        run([shard], model_dir, tmp_path / "o.json", RetrievalSettings(), "cpu")
    (tmp_path / "bad.json").write_text("[")
    with pytest.raises(InputError, match="not readable as JSON"):
        read_retrieval(tmp_path / "bad.json")
