"""Names of tracks, with the teacher and without it."""

import numpy as np
import pytest

from clip2.track.names import left_open, names_of_tracks, names_of_views


def test_without_the_teacher_names_are_the_detector_s_and_no_surer_than_it() -> None:
    label, score = np.array([0, 0, 1]), np.array([0.9, 0.7, 0.4])
    teacher = left_open(score, 4)
    views = names_of_views(teacher, label, score)
    assert views.sum(1) == pytest.approx(1)
    assert views.argmax(1).tolist() == [0, 0, 1]
    tracks = names_of_tracks(teacher, label, score, np.ones(3), np.array([0, 0, 1]), 2, two_witnesses=False)
    assert tracks[0] == pytest.approx([0.85, 0.05, 0.05, 0.05])  # sure in 0.8, the rest on all names alike
    assert tracks[1].max() == pytest.approx(0.4 + 0.6 / 4)
