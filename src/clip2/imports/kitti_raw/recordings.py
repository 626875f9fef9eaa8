"""`clip2 import kitti-raw`: drives of KITTI's raw data → folders with poses and, where there are tracklets, labels.

Layout and meaning of the files: readme.txt of the raw development kit. Synchronised drives have a cloud, pictures and a
packet of the inertial unit of the same number, taken when the velodyne looked ahead and the cameras were triggered.
"""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from clip2.geometry import invert
from clip2.imports.kitti_raw.calibration import IMU, Camera, Matrix, read_camera, read_rigid
from clip2.imports.kitti_raw.oxts import read_poses
from clip2.imports.kitti_raw.tracklets import read_tracklets
from clip2.imports.scene_folder import SceneFolder
from clip2.imports.settings import KittiRawSettings
from clip2.imports.stage import Recording
from clip2.runtime.errors import InputError
from clip2.scans.images import ImageError, picture_size
from clip2.scans.texts import read_text

CLOUDS, PACKETS, TRACKLETS = "velodyne_points", "oxts", "tracklet_labels.xml"
COLOUR, GREY = ("image_02", "image_03"), ("image_00", "image_01")


def recordings(source: Path, settings: KittiRawSettings) -> list[Recording]:
    """A drive, or all synchronised drives of a day's folder.

    Raises:
        InputError: there are none.
    """
    if source.name.endswith("_extract"):
        raise InputError(f"{source}: is neither rectified nor synchronised; download the drive's `sync` archive")
    drives = [source] if (source / CLOUDS).is_dir() else sorted(p.parent for p in source.glob(f"*_sync/{CLOUDS}"))
    if not drives:
        raise InputError(
            f"{source}: holds no {CLOUDS} and no drive *_sync with it; give a drive, or the folder of its day "
            "(2011_09_26), which has the calibration, too"
        )
    return [Recording(drive.resolve().name, partial(_write, drive, settings)) for drive in drives]


def _write(drive: Path, settings: KittiRawSettings, out: SceneFolder) -> None:
    day = drive.resolve().parent
    clouds = _files(drive / CLOUDS, ".bin")
    names = _camera_names(drive, settings)
    pictures = {name: _files(drive / name, ".png", ".jpg") for name in names}
    for name in names:
        _declare(read_camera(day, name), name, pictures[name], drive, out)
    times, poses = _times(drive / CLOUDS / "timestamps.txt"), _poses(drive, day, out)
    tracklets = read_tracklets(drive / TRACKLETS) if (drive / TRACKLETS).is_file() else None
    chosen = list(clouds)[:: settings.every]
    out.left_out["clouds by --every"] = len(clouds) - len(chosen)
    for stem in chosen:
        seen = {name: pictures[name][stem] for name in names if stem in pictures[name]}
        if int(stem) not in times:
            out.left_out["clouds without a time"] += 1
            continue
        if not seen:
            out.left_out["clouds without a picture"] += 1
            continue
        out.files(stem, times[int(stem)], clouds[stem], seen, settings.files == "link")
        if stem in poses:
            out.pose(stem, poses[stem])
        if tracklets is not None:
            out.labels(stem, tracklets.get(int(stem), []))
    if not out.counts["clouds"]:
        raise InputError(f"{drive}: no cloud has a picture and a time of the same number; unpack the drive again")
    for name in names:
        without = len(pictures[name].keys() - clouds.keys())
        out.left_out[f"pictures of {name} without a cloud"] = without
    if poses and (missing := out.counts["clouds"] - out.counts["poses"]):
        out.said.append(f"note: {missing:,} clouds have no pose: their packet of {PACKETS} is missing")


def _files(folder: Path, *endings: str) -> dict[str, Path]:
    """Stem → file of a sensor, in order; its frames are numbered."""
    files = sorted(path for path in (folder / "data").glob("*") if path.suffix in endings and path.stem.isdecimal())
    return {path.stem: path for path in files}


def _camera_names(drive: Path, settings: KittiRawSettings) -> list[str]:
    if settings.cameras:
        asked = [name.strip() for name in settings.cameras.split(",")]
        for name in asked:
            if not (drive / name / "data").is_dir():
                raise InputError(
                    f"{drive / name / 'data'}: no such folder; --cameras takes {', '.join((*GREY, *COLOUR))}"
                )
        return asked
    for names in (COLOUR, GREY):
        if found := [name for name in names if (drive / name / "data").is_dir()]:
            return found
    raise InputError(f"{drive}: has no pictures (image_02/data …); unpack the drive again")


def _declare(camera: Camera, name: str, pictures: dict[str, Path], drive: Path, out: SceneFolder) -> None:
    try:
        size = next((picture_size(path) for path in pictures.values()), camera.size)
    except ImageError as error:
        raise InputError(str(error)) from None
    if size != camera.size:
        raise InputError(
            f"{drive / name}: pictures are {size[0]}×{size[1]}, the calibration's (S_rect) {camera.size[0]}×"
            f"{camera.size[1]}: give the calibration of the same day, and a `sync` drive"
        )
    out.camera(name, camera.size, camera.K, camera.T_cam_from_points)


def _times(path: Path) -> dict[int, int]:
    """Number of a frame → nanoseconds since 1970; a line a frame, an empty one where the sensor gave none."""
    try:
        lines = read_text(path).splitlines()
        return {number: _nanoseconds(line) for number, line in enumerate(lines) if line.strip()}
    except FileNotFoundError as error:
        raise InputError(f"{error}; unpack the drive again") from None
    except ValueError as error:
        raise InputError(f"{path}: a line is no date and time ({error}); unpack the drive again") from None


def _nanoseconds(line: str) -> int:
    whole, _, part = line.strip().partition(".")
    seconds = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    return round(seconds) * 10**9 + int((part or "0").ljust(9, "0")[:9])


def _poses(drive: Path, day: Path, out: SceneFolder) -> dict[str, Matrix]:
    """Stem → (4, 4) ``T_scene_from_points``; none where there are no packets, or no calibration of the unit."""
    packets = _files(drive / PACKETS, ".txt")
    if not packets or not (day / IMU).is_file():
        missing = day / IMU if packets else drive / PACKETS / "data"
        out.said.append(f"no poses: {missing} is not there; each cloud stands alone")
        return {}
    T_imu_from_points = invert(read_rigid(day / IMU))
    return {stem: T_scene_from_imu @ T_imu_from_points for stem, T_scene_from_imu in read_poses(packets).items()}
