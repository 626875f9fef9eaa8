"""`clip2 import mcap`: recordings of ROS 2, or of Foxglove, → folders with clouds, pictures, calibration and poses.

A recording is read twice: first its times, calibrations and transforms, then the clouds and pictures that are taken.
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.geometry import invert, transform_points
from clip2.imports.mcap import messages
from clip2.imports.mcap.cameras import Camera, choose_cameras
from clip2.imports.mcap.file import ENCODINGS, McapRecording, Message, Topic
from clip2.imports.mcap.index import Index, choose_lidar
from clip2.imports.mcap.messages import KINDS
from clip2.imports.mcap.pairs import nearest_pairs
from clip2.imports.mcap.places import Places
from clip2.imports.scene_folder import SceneFolder
from clip2.imports.settings import McapSettings
from clip2.imports.stage import Recording
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError

Matrix = NDArray[np.float64]


def recordings(source: Path, settings: McapSettings) -> list[Recording]:
    """The recordings of a file, of a bag's folder (all its parts are one), or of a folder of files (each is one).

    Raises:
        InputError: there are none.
    """
    if source.is_file():
        return [_recording(source.stem, [source], settings)]
    if not source.is_dir():
        raise InputError(f"{source}: no such file or folder")
    files = sorted(source.glob("*.mcap"), key=_natural)
    if not files:
        others = " (it has .db3: `ros2 bag convert` writes it as mcap)" if list(source.glob("*.db3")) else ""
        raise InputError(f"{source}: holds no .mcap file{others}")
    if (source / "metadata.yaml").is_file():
        return [_recording(source.resolve().name, files, settings)]
    return [_recording(file.stem, [file], settings) for file in files]


def _natural(path: Path) -> list[Any]:
    """Parts are numbered from 0, without leading zeros."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name) if part]


def _recording(name: str, files: list[Path], settings: McapSettings) -> Recording:
    return Recording(name, partial(_write, McapRecording(files), settings))


def _write(recording: McapRecording, settings: McapSettings, out: SceneFolder) -> None:
    where = recording.paths[0]
    topics = _readable(recording.topics(), where, out)
    index = Index(recording, topics, settings)
    lidar = choose_lidar(index, settings, where, out)
    cameras = choose_cameras(index, settings, where, out)
    places = Places(index, lidar, cameras, settings, where)
    clouds = _chosen_clouds(index.times_of(lidar), settings.every, out)
    pairs = _pair(index, clouds, cameras, settings, where, out)
    _declare_cameras(cameras, clouds, pairs, places, out)
    _write_samples(recording, clouds, pairs, lidar, cameras, places, out)


def _readable(topics: list[Topic], where: Path, out: SceneFolder) -> list[Topic]:
    """Topics of messages that are read here; of those with their schemas in another encoding, the screen is told."""
    found = [topic for topic in topics if topic.schema in KINDS and topic.n]
    strange = [topic for topic in found if topic.encoding not in ENCODINGS]
    if strange:
        names = ", ".join(f"{topic.name} ({topic.encoding[0]} by {topic.encoding[1]})" for topic in strange)
        out.said.append(f"note: not read, as only ROS 2's CDR by ros2msg and Protobuf are: {names}")
    found = [topic for topic in found if topic.encoding in ENCODINGS]
    if not found:
        there = ", ".join(sorted({topic.schema for topic in topics})) or "nothing"
        raise InputError(
            f"{where}: has no pictures, clouds, calibrations or transforms of ROS 2 or Foxglove, but {there}"
        )
    return found


def _chosen_clouds(times: dict[int, int], every: int, out: SceneFolder) -> dict[int, int]:
    """Number of a cloud → nanoseconds, in time order: each n-th of those with a time of their own."""
    order = {time // 1000: number for number, time in sorted(times.items(), key=lambda item: item[1], reverse=True)}
    chosen = [order[time] for time in sorted(order)][::every]
    out.left_out["clouds of another's time"] = len(times) - len(order)
    out.left_out["clouds by --every"] = len(order) - len(chosen)
    return {number: times[number] for number in chosen}


def _pair(
    index: Index, clouds: dict[int, int], cameras: list[Camera], settings: McapSettings, where: Path, out: SceneFolder
) -> dict[str, dict[int, int]]:
    """Camera → number of a picture → number of its cloud; what is left out is counted."""
    pairs: dict[str, dict[int, int]] = {}
    tolerance = round(1e9 * settings.tolerance_s)
    nearest = np.inf
    for camera in cameras:
        found, apart = nearest_pairs(camera.times, clouds, tolerance)
        nearest = min(nearest, apart)
        pairs[camera.name] = found
        out.left_out[f"pictures of {camera.name} that are no cloud's nearest within {settings.tolerance_s:g} s"] = len(
            camera.times
        ) - len(found)
    with_picture = {cloud for found in pairs.values() for cloud in found.values()}
    if not with_picture:
        raise InputError(
            f"{where}: no picture is within {settings.tolerance_s:g} s of a cloud, the nearest are "
            f"{nearest / 1e9:.3g} s apart: do the sensors' clocks differ (--stamps log)? Else give a "
            "larger --tolerance-s"
        )
    out.left_out["clouds without a picture"] = len(clouds) - len(with_picture)
    if index.clock_missing:
        out.said.append(
            f"note: {index.clock_missing:,} messages have no time of their own; when they were recorded is taken"
        )
    out.left_out["transforms that are no rotation with a shift"] = index.wrong_transforms
    for doubt in index.tree.doubtful:
        out.said.append(
            f"note: frame {doubt.frame!r} hangs from several: {doubt.taken!r} is taken, "
            f"{', '.join(map(repr, doubt.others))} not"
        )
    return pairs


def _write_samples(
    recording: McapRecording,
    clouds: dict[int, int],
    pairs: dict[str, dict[int, int]],
    lidar: str,
    cameras: list[Camera],
    places: Places,
    out: SceneFolder,
) -> None:
    wanted = {cloud for found in pairs.values() for cloud in found.values()}
    order = sorted(wanted, key=lambda number: clouds[number])
    stems = {number: f"{place:06d}" for place, number in enumerate(order)}
    by_topic = {camera.topic: camera for camera in cameras}
    total = sum(len(camera.times) for camera in cameras) + len(clouds)
    for message in progress(recording.messages([lidar, *by_topic]), "clouds and pictures", total):
        if message.topic == lidar:
            if message.number in stems:
                _write_cloud(message, stems[message.number], clouds[message.number], places, out)
            continue
        camera = by_topic[message.topic]
        cloud = pairs[camera.name].get(message.number)
        if cloud is not None:
            _write_picture(message, camera, stems[cloud], out)
            T = places.of_camera(camera, camera.times[message.number])
            if T is not None:
                out.camera_pose(camera.name, stems[cloud], T)
    if places.scene is None:
        out.said.append("no poses: nothing says how the sensors move; each cloud stands alone")
    else:
        out.said.append(f"poses: {places.frame} in {places.scene}")
        if missing := out.counts["clouds"] - out.counts["poses"]:
            out.said.append(f"note: {missing:,} clouds have no pose: no transforms within a second of them")


def _declare_cameras(
    cameras: list[Camera], clouds: dict[int, int], pairs: dict[str, dict[int, int]], places: Places, out: SceneFolder
) -> None:
    """Cameras with their place; where it is not always the same, pictures without a pose of both are left out."""
    for camera in cameras:
        T = places.fixed(camera)
        if T is None:
            T = _by_poses(camera, clouds, pairs[camera.name], places, out)
        K, distortion = camera.declared
        out.camera(camera.name, camera.lens.size, K, T, distortion)


def _by_poses(
    camera: Camera, clouds: dict[int, int], pairs: dict[int, int], places: Places, out: SceneFolder
) -> Matrix:
    """(4, 4) ``T_cam_from_points`` of the first picture, by the places of both; pictures without are left out."""
    first: Matrix | None = None
    for picture, cloud in list(pairs.items()):
        T_points, T_cam = places.of_points(clouds[cloud]), places.of_camera(camera, camera.times[picture])
        if T_points is None or T_cam is None:
            del pairs[picture]
            out.left_out[f"pictures of {camera.name} without transforms"] += 1
        elif first is None:
            first = invert(T_cam) @ T_points
    if first is None:
        raise InputError(f"{camera.topic}: no picture has transforms of its own time; record all of /tf")
    return first


def _write_cloud(message: Message, stem: str, time_ns: int, places: Places, out: SceneFolder) -> None:
    points = _read(message, messages.points_of)
    if not np.array_equal(places.T_points_from_stored, np.eye(4)):
        points[:, :3] = transform_points(points, places.T_points_from_stored)
    out.cloud(stem, points, time_ns)
    T = places.of_points(time_ns)
    if T is not None:
        out.pose(stem, T)


def _write_picture(message: Message, camera: Camera, stem: str, out: SceneFolder) -> None:
    content, ending = _read(message, lambda decoded: camera.stored(*messages.picture_file(decoded)))
    out.picture(camera.name, stem, content, ending)


def _read(message: Message, reader: Callable[[Any], Any]) -> Any:
    try:
        return reader(message.decode())
    except ValueError as error:
        raise InputError(f"{message.path}: {message.topic}: message {message.number}: {error}") from None
