"""Metrics against scikit-learn and against plain loops."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, top_k_accuracy_score

from clip2.evaluate.metrics import bootstrap_intervals, chance_metrics, recognition_metrics, true_ranks

CLASSES = tuple("abcdef")


def example(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are right about half of the time, and labels with one class (f) missing."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(5, n, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    scores = rng.normal(size=(n, 6))
    scores[np.arange(n), labels] += 1.0
    return scores, labels


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_against_scikit_learn() -> None:
    scores, labels = example()
    measured = recognition_metrics(scores, labels, CLASSES)
    for k in (1, 3, 5):
        expected = top_k_accuracy_score(labels, scores, k=k, labels=range(6))
        assert measured[f"top{k}"] == pytest.approx(expected, abs=1e-6)
    predicted = scores.argmax(1)
    np.testing.assert_array_equal(measured["confusion"], confusion_matrix(labels, predicted, labels=range(6)))
    # scikit-learn's balanced accuracy is the mean of the recalls of the classes that occur
    assert measured["class_mean_top1"] == pytest.approx(balanced_accuracy_score(labels, predicted), abs=1e-6)
    assert measured["absent_classes"] == ["f"]
    assert measured["per_class"]["f"] == {"n": 0, "top1": None}
    for index, name in enumerate("abcde"):
        mine = labels == index
        assert measured["per_class"][name]["n"] == mine.sum()
        assert measured["per_class"][name]["top1"] == pytest.approx((predicted[mine] == index).mean(), abs=1e-6)


def test_ties_go_to_the_class_that_comes_first() -> None:
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(true_ranks(scores, [0, 1, 2]), [0, 1, 2])
    assert recognition_metrics(scores, [0, 1, 2], "abc", bootstrap=0)["top1"] == pytest.approx(1 / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([[0.0, float("nan")]], [0], "NaN"),
        ([[0.0, 1.0]], [2], "outside"),
        ([[0.0, 1.0]], [0, 1], "do not fit"),
        (np.empty((0, 2)), [], "no object"),
    ],
)
def test_malformed_input_is_refused(scores: list, labels: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recognition_metrics(scores, labels, "ab")


def naive_bootstrap(right: np.ndarray, labels: np.ndarray, units: np.ndarray, n: int) -> np.ndarray:
    """Class-mean accuracy of n resamples, unit by unit and class by class."""
    rng = np.random.default_rng(1)
    names, values = np.unique(units), []
    for _ in range(n):
        drawn = np.concatenate([np.flatnonzero(units == name) for name in rng.choice(names, len(names))])
        values.append(np.mean([right[drawn][labels[drawn] == c].mean() for c in np.unique(labels[drawn])]))
    return np.percentile(values, [2.5, 97.5])


@pytest.mark.parametrize("by_scene", [True, False])
def test_bootstrap_against_a_loop(by_scene: bool) -> None:
    scores, labels = example(300)
    right = scores.argmax(1) == labels
    scene = np.random.default_rng(2).integers(0, 12, 300)
    scenes = [f"scene-{s}" for s in scene] if by_scene else None
    found = bootstrap_intervals(right, labels, 6, scenes, 4000, seed=0)
    expected = naive_bootstrap(right, labels, scene if by_scene else np.arange(300), 1000)
    np.testing.assert_allclose(found["class_mean_top1"], expected, atol=0.02)
    assert found == bootstrap_intervals(right, labels, 6, scenes, 4000, seed=0)
    assert found["top1"][0] < right.mean() < found["top1"][1]


def test_scenes_that_differ_widen_the_interval() -> None:
    labels = np.tile([0, 1], 100)
    scene = np.repeat(np.arange(10), 20)
    right = scene < 5  # everything right in half of the scenes, nothing in the others
    by_scene = bootstrap_intervals(right, labels, 2, [str(s) for s in scene], 1000, 0)["top1"]
    by_object = bootstrap_intervals(right, labels, 2, None, 1000, 0)["top1"]
    assert by_scene[1] - by_scene[0] > 3 * (by_object[1] - by_object[0])


def test_chance_is_what_guessing_gives() -> None:
    labels = np.random.default_rng(0).choice(4, 4000, p=[0.7, 0.1, 0.1, 0.1])
    guessed = recognition_metrics(np.random.default_rng(1).random((4000, 4)), labels, "abcd", bootstrap=0)
    chance = chance_metrics(labels, "abcd")
    for key in ("top1", "top3", "top5", "class_mean_top1"):
        assert chance[key] == pytest.approx(guessed[key], abs=0.04)
    assert chance.keys() == guessed.keys()
    np.testing.assert_allclose(np.sum(chance["confusion"], 1), np.bincount(labels))
