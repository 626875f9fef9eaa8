"""Camera matrices that cannot be those of their pictures; those of real cameras are left alone."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from clip2.runtime.errors import InputError
from clip2.scans.folder import frames
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.intrinsics import intrinsics_complaint
from clip2.scans.tables import _check_camera
from clip2.scans.undistort import lens_complaint

K = np.array([[200.0, 0, 160], [0, 205.0, 118], [0, 0, 1]])
SIZE = (320, 240)


def scaled(factor: float) -> np.ndarray:
    return np.diag([factor, factor, 1.0]) @ K


WRONG = {
    "transposed": (K.T, "K is transposed"),
    "of twice the size": (scaled(2), r"K is for pictures of about 640×472 .*, but these are 320×240"),
    "of half the size": (scaled(0.5), "K is for pictures of about 160×118"),
    "of one and a half times the size": (scaled(1.5), "K is for pictures of about 480×354"),
    "of a picture a fifth larger": (scaled(1.2), "K is for pictures of about 384×283"),
    "with cx and cy swapped": (np.array([[200.0, 0, 118], [0, 205, 160], [0, 0, 1]]), "swap cx and cy"),
    "of millimetres": (np.array([[35.0, 0, 160], [0, 35, 118], [0, 0, 1]]), "focal length of 35 pixels is impossible"),
    "in shares": (np.diag([1 / 320, 1 / 240, 1]) @ K, "in shares of the picture"),
    "of a picture that stands": (np.array([[200.0, 0, 118], [0, 205, 300], [0, 0, 1]]), "lies outside of the picture"),
    "negative": (np.diag([-1.0, 1, 1]) @ K, "focal lengths -200 and 205"),
    "stretched": (np.diag([3.0, 1, 1]) @ K, "focal lengths 600 and 205"),
    "scaled as a whole": (2 * K, r"has to be \[\[fx"),
    "not a number": (np.full((3, 3), np.nan), "not nine finite numbers"),
    "zero": (np.zeros((3, 3)), r"has to be \[\[fx"),
    "of a telescope": (np.array([[1e6, 0, 160], [0, 1e6, 118], [0, 0, 1]]), "impossible for a picture 320 wide"),
}


@pytest.mark.parametrize(("wrong", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(wrong: np.ndarray, said: str) -> None:
    complaint = intrinsics_complaint(tuple(wrong.ravel().tolist()), SIZE)
    assert complaint is not None
    assert re.search(said, complaint)


@pytest.mark.parametrize("size", [(0, 240), (320, -1), (2**40, 2)])
def test_pictures_without_a_size_are_refused(size: tuple[int, int]) -> None:
    assert "a picture of" in str(intrinsics_complaint(tuple(K.ravel().tolist()), size))


REAL = {
    "KITTI": ([721.54, 721.54, 609.56, 172.85], (1242, 375)),
    "nuScenes CAM_BACK": ([809.22, 809.22, 829.22, 481.78], (1600, 900)),
    "nuScenes CAM_FRONT": ([1266.42, 1266.42, 816.27, 491.51], (1600, 900)),
    "SUN RGB-D kv2": ([529.5, 529.5, 365.0, 265.0], (730, 530)),
    "SUN RGB-D realsense": ([691.58, 691.58, 362.78, 264.75], (681, 531)),
    "ScanNet": ([1170.19, 1170.19, 647.75, 483.75], (1296, 968)),
    "a fisheye": ([350.0, 350.0, 640.0, 480.0], (1280, 960)),
    "a crop at the top": ([700.0, 700.0, 320.0, 60.0], (640, 300)),
}
"""fx fy cx cy."""


@pytest.mark.parametrize(
    ("distortion", "folds"),
    [
        ([-1.5, 0, 0, 0], True),
        ([0, 0, 0, 0, -60.0], True),
        ([-0.3, 0.1, 0, 0, -0.5], False),  # turns shortly before the side, as wide lenses may
        ([-0.37, 0.2, 0, 0, -0.07], False),  # KITTI
        ([-0.3, 0.1, 0, 0, -0.01, 0, 0, 0], False),
        ([0.9, -0.5, 0, 0, 0.03, 1.2, -0.3, 0.1], False),  # of eight numbers, a narrow lens
        ([0.05, 0, 0, 0], False),
    ],
)
def test_a_lens_that_folds_the_picture_is_refused(distortion: list[float], folds: bool) -> None:
    complaint = lens_complaint(tuple(K.ravel().tolist()), tuple(distortion), SIZE)
    assert (complaint is not None and "folds the picture over" in complaint) == folds


@pytest.mark.parametrize(("numbers", "size"), REAL.values(), ids=REAL)
def test_real_cameras_are_left_alone(numbers: list[float], size: tuple[int, int]) -> None:
    fx, fy, cx, cy = numbers
    assert intrinsics_complaint((fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0), size) is None


def test_those_of_depth_images_and_lenses_are_looked_at_too() -> None:
    flat = K.ravel().tolist()
    row = {"frame_id": "a", "camera": "front", "K": flat, "width": 320, "height": 240, "lens": None, "clouds": []}
    _check_camera(row)
    depth = {"K": K.T.ravel().tolist(), "width": 320, "height": 240}
    with pytest.raises(InputError, match="a: camera front: depth: K is transposed"):
        _check_camera(row | {"clouds": [{"depth": depth}]})
    with pytest.raises(InputError, match="a: camera front: its distortion folds the picture over"):
        _check_camera(row | {"lens": {"K": flat, "distortion": [-1.5, 0, 0, 0]}})


def test_ingest_stops_on_it(tmp_path: Path) -> None:
    for folder in ("clouds", "images"):
        (tmp_path / folder).mkdir()
    np.ones((9, 4), np.float32).tofile(tmp_path / "clouds" / "a.bin")
    (tmp_path / "images" / "a.png").write_bytes(b"")
    camera = {"image_folder": "images", "width": 320, "height": 240, "K": K.T.tolist()}
    camera["T_cam_from_points"] = np.eye(4).tolist()
    declared = {"sensor": "lidar", "up": "z", "units": "m", "clouds": {"format": "float32x4"}}
    (tmp_path / "calibration.json").write_text(json.dumps(declared | {"cameras": {"front": camera}}))
    settings = FolderSettings(train="all", val="all")
    with pytest.raises(InputError, match="a/front: camera front: K is transposed"):
        frames.run(tmp_path, tmp_path / "out", "mine", settings)
