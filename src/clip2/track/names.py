"""Names from detector and teacher, for views and for whole tracks; calibrated without any label.

Detector and teacher are two witnesses, and how often they agree is about how often they are right: the teacher's
softmax gets the temperature at which it is as sure, on average, as it agrees with the detector, and the probabilities
of tracks the exponent at which they are as sure as the detector over all views agrees with the teacher over all views.
"""

from collections.abc import Callable

import numpy as np

from clip2.track.views import Floats, Ints

_LOW, _HIGH = 1e-2, 1e4
_ENOUGH = 8192
"""Views that the teacher's temperature is taken from."""


def teachers_names(cosine: Floats, label: Ints) -> Floats:
    """(n, V) probabilities that the teacher gives the names.

    Args:
        cosine: (n, V) between what it sees and the names.
        label: (n,) the detector's.
    """
    if not len(label):
        return cosine
    few = slice(None, None, len(label) // _ENOUGH + 1)
    agreed = float((cosine[few].argmax(1) == label[few]).mean())
    temperature = _as_sure_as(agreed, lambda power: float(softmax(power * cosine[few]).max(1).mean()))
    return softmax(temperature * cosine)


def left_open(score: Floats, n_names: int) -> Floats:
    """(n, V) in the teacher's place where it is not asked: what the detector is not sure of, on all names alike."""
    return np.repeat((1 - np.asarray(score, np.float64))[:, None] / n_names, n_names, axis=1)


def names_of_views(teacher: Floats, label: Ints, score: Floats) -> Floats:
    """(n, V) probabilities by detector and teacher together.

    Args:
        teacher: (n, V) the teacher's.
        label, score: (n,) the detector's.
    """
    together = teacher.copy()
    together[np.arange(len(label)), label] += score
    return together / together.sum(1, keepdims=True)


def names_of_tracks(
    teacher: Floats, label: Ints, score: Floats, weight: Floats, track: Ints, n: int, two_witnesses: bool = True
) -> Floats:
    """(n, V) probabilities of the names of n tracks by all their views.

    Args:
        teacher, label, score: as in :func:`names_of_views`.
        weight: (views,) how much each says.
        track: (views,) number of each view's track.
        two_witnesses: whether the teacher was asked, so that its agreement with the detector says how sure to be.
    """
    if not n:
        return np.zeros((0, teacher.shape[1]))
    by_teacher, by_detector = np.zeros((n, teacher.shape[1])), np.zeros((n, teacher.shape[1]))
    np.add.at(by_teacher, track, weight[:, None] * teacher)
    np.add.at(by_detector, (track, label), weight * score)
    together = by_detector + by_teacher
    together /= together.sum(1, keepdims=True)
    if not two_witnesses:
        return together
    n_views = np.bincount(track, minlength=n)
    agreed = float(np.average(by_detector.argmax(1) == by_teacher.argmax(1), weights=n_views)) if n else 1.0
    logits = np.log(np.maximum(together, 1e-12))
    power = _as_sure_as(agreed, lambda power: float(np.average(softmax(power * logits).max(1), weights=n_views)))
    return softmax(power * logits)


def softmax(logits: Floats) -> Floats:
    """Along the second axis."""
    if not logits.size:
        return logits
    exponent = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(exponent / exponent.sum(1, keepdims=True))


def _as_sure_as(target: float, sureness: Callable[[float], float]) -> float:
    """The factor at which ``sureness``, which rises with it, is ``target``."""
    low, high = _LOW, _HIGH
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        if sureness(middle) < target:
            low = middle
        else:
            high = middle
    return high
