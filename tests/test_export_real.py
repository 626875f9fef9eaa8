"""Exports of real KITTI frames, held against KITTI's own files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_world import folder_labels
from test_folder import kitti, kitti_frames  # noqa: F401  (fixtures)

from clip2.export.index import read_index
from clip2.export.settings import ExportSettings
from clip2.export.stage import export_labels


def lines(path: Path) -> list[tuple[str, np.ndarray]]:
    """Type and numbers of each line of label_2."""
    fields = [line.split() for line in path.read_text().splitlines()]
    return [(first, np.array(rest, float)) for first, *rest in fields if first != "DontCare"]


@pytest.mark.real
def test_kittis_labels_exported_are_kittis_labels(kitti: Path, realdata: Path, tmp_path: Path) -> None:  # noqa: F811
    made = folder_labels(kitti, tmp_path / "labels")
    export_labels("kitti", made.labels, [made.frames], kitti, tmp_path / "out", ExportSettings())
    checked: list[Any] = []
    for name, entry in read_index(tmp_path / "out").items():
        stem = entry.sample.split("/")[-1]
        assert entry.turns == 0
        ours = lines(tmp_path / "out" / "training" / "label_2" / f"{name}.txt")
        for kind, theirs in lines(realdata / "kitti" / "training" / "label_2" / f"{stem}.txt"):
            other, own = min(ours, key=lambda line: np.linalg.norm(line[1][7:13] - theirs[7:13]))
            assert other == kind
            np.testing.assert_allclose(own[7:10], theirs[7:10], atol=0.005)  # h w l
            # Ours is the left colour camera's frame, theirs the left grey one's, 6 cm beside it.
            np.testing.assert_allclose(own[10:13] - theirs[10:13], [0.06, 0, 0], atol=0.006)
            assert own[13] == pytest.approx(theirs[13], abs=0.005)  # rotation_y
            assert own[2] == pytest.approx(theirs[2], abs=0.04)  # alpha
            checked.append(np.abs(own[3:7] - theirs[3:7]).max())  # of what stands; a walking one's box is drawn by hand
        for file in ("velodyne", "image_2"):
            (link,) = (tmp_path / "out" / "training" / file).glob(f"{name}.*")
            (original,) = (realdata / "kitti" / "training" / file).glob(f"{stem}.*")
            assert link.read_bytes() == original.read_bytes()
    assert len(checked) == 20
    assert np.median(checked) < 0.5
