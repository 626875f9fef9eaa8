"""One scene for the page: its samples, cameras, points, boxes, the things they are of, and what was seen of each."""

import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clip2.explore.pictures import MOST_TILES, Image, sheet, smaller, write_picture
from clip2.explore.points import Packed, colours, compress, pack, thin
from clip2.explore.scripts import write_script
from clip2.explore.settings import ExplorerSettings
from clip2.scans.clouds import Cloud, CloudError, load_points
from clip2.scans.images import ImageError, read_frame_image

Row = Mapping[str, Any]
Json = dict[str, Any]
Bad = dict[str, tuple[str, str]]
"""Frame → why it could not be read, in one word and in one line; of a picture and its cloud, the picture."""
NAMES_SHOWN = 6
"""Names of a thing that the page shows with their probabilities."""


@dataclass(frozen=True)
class Scene:
    """All rows of one scene.

    Attributes:
        number: of the scene; its files are named by it.
        frames: rows of store.schemas.FRAMES, by sample and camera.
        labels: rows of store.schemas.LABELS.
        views: rows of store.schemas.TRIPLETS of the tracks that have labels, each with its ``track_id``; the best of a
            track first.
    """

    number: int
    name: str
    frames: Sequence[Row]
    labels: Sequence[Row]
    views: Sequence[Row]


@dataclass(frozen=True)
class Summary:
    """What others need of a scene.

    Attributes:
        index: its row in the index.
        things: rows of the table of things.
        bad: frames that could not be read.
    """

    index: Json
    things: list[Json]
    bad: Bad


def write_scene(
    scene: Scene,
    names: Mapping[str, int],
    data_root: Path,
    folder: Path,
    settings: ExplorerSettings,
    max_points: int,
) -> Summary:
    """Write the files of one scene: ``scenes/N.js``, the sheet of crops beside it, and ``pictures/N/…``.

    Args:
        names: number of each name that occurs.
        folder: the explorer's.
        max_points: points kept of a sample.

    Pictures and clouds that cannot be read are left out, and told in the summary.
    """
    samples = by_sample(scene.frames)
    bad: Bad = {}
    sample_rows, frame_rows, packed = _write_samples(scene, samples, data_root, folder, settings, max_points, bad)
    sample_number = {sample: number for number, sample in enumerate(samples)}
    frame_number = {f["frame_id"]: n for n, f in enumerate(f for frames in samples.values() for f in frames)}
    things: dict[str, list[Row]] = defaultdict(list)
    for row in scene.labels:
        things[row["track_id"]].append(row)
    thing_number = {track: number for number, track in enumerate(things)}
    views, crops = _views(scene.views, thing_number, frame_number, names, settings.max_views)
    if crops:
        write_picture(folder / f"scenes/{scene.number}.webp", sheet(crops), settings.picture_quality)
    thing_rows = [_thing(track, rows, names) for track, rows in things.items()]
    content = {
        "name": scene.name,
        "samples": sample_rows,
        "frames": frame_rows,
        "things": thing_rows,
        "boxes": [_box(row, thing_number[row["track_id"]], sample_number[row["sample"]]) for row in scene.labels],
        "views": views,
    }
    blob = base64.b64encode(compress(packed)).decode()
    write_script(folder / f"scenes/{scene.number}.js", f"scene/{scene.number}", content, blob)
    first_picture = next((frame["picture"] for frame in frame_rows if frame["picture"]), None)
    index = {"name": scene.name, "samples": len(samples), "things": len(things), "picture": first_picture}
    table = [_table_row(row, things[row["id"]], sample_number, views, n) for n, row in enumerate(thing_rows)]
    return Summary(index, table, bad)


def _write_samples(
    scene: Scene,
    samples: Mapping[str, Sequence[Row]],
    data_root: Path,
    folder: Path,
    settings: ExplorerSettings,
    max_points: int,
    bad: Bad,
) -> tuple[list[Json], list[Json], list[Packed]]:
    """Write the pictures; gives rows of the samples, of their frames, and the samples' points."""
    boxes_of = defaultdict(list)
    for row in scene.labels:
        boxes_of[row["sample"]].append(row)
    sample_rows: list[Json] = []
    frame_rows: list[Json] = []
    packed: list[Packed] = []
    origin = _place(next(iter(samples.values()))[0])
    (folder / f"pictures/{scene.number}").mkdir(parents=True)
    for number, (sample, frames) in enumerate(samples.items()):
        pictures = [_picture(data_root, frame, settings.picture_width, bad) for frame in frames]
        cloud = _cloud(data_root, frames, bad)
        kept = thin(cloud, boxes_of[sample], max_points)
        packed.append(pack(kept, colours(kept, frames, pictures)))
        sample_rows.append(_sample(sample, frames[0], origin, packed[-1], len(cloud)))
        for camera, (frame, picture) in enumerate(zip(frames, pictures, strict=True)):
            path = None if picture is None else f"pictures/{scene.number}/{number}-{camera}.webp"
            if path is not None and picture is not None:
                write_picture(folder / path, picture, settings.picture_quality)
            frame_rows.append(_frame(frame, number, path))
    return sample_rows, frame_rows, packed


def by_sample(frames: Sequence[Row]) -> dict[str, list[Row]]:
    """Frames by sample, in time order; in the order given where there are no times."""
    samples: dict[str, list[Row]] = defaultdict(list)
    for frame in frames:
        samples[frame["sample"]].append(frame)
    return dict(sorted(samples.items(), key=lambda item: min(frame["timestamp_us"] or 0 for frame in item[1])))


def _place(frame: Row) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """(4, 4) T_scene_from_points of a frame's sample, None without a pose."""
    pose = frame["T_scene_from_points"]
    return None if pose is None else np.reshape(pose, (4, 4))


def _picture(root: Path, frame: Row, width: int, bad: Bad) -> Image | None:
    try:
        return smaller(read_frame_image(root, frame), width)
    except ImageError as error:
        bad.setdefault(frame["frame_id"], (error.reason, str(error)))
        return None


def _cloud(root: Path, frames: Sequence[Row], bad: Bad) -> Cloud:
    """(N, 4) the key frame's own points of a sample: of cameras that have clouds of their own, all of them."""
    own = {frame["clouds"][0]["path"]: frame for frame in frames if frame["clouds"]}
    clouds = [np.zeros((0, 4), np.float32)]
    for frame in own.values():
        try:
            clouds.append(load_points(frame["clouds"][:1], root))
        except CloudError as error:
            bad.setdefault(frame["frame_id"], (error.reason, str(error)))
    return np.concatenate(clouds)


def _sample(sample: str, frame: Row, origin: Any, points: Packed, n_all: int) -> Json:
    place = _place(frame)
    if place is not None and origin is not None:
        place = place.copy()
        place[:3, 3] -= origin[:3, 3]  # near zero: the page computes in single precision
    return {
        "id": sample,
        "time_us": frame["timestamp_us"],
        "T_scene_from_points": None if place is None else _rounded(place.ravel(), 6),
        "points": points.n,
        "all_points": n_all,
        "low": points.low,
        "step": points.step,
    }


def _frame(frame: Row, sample: int, picture: str | None) -> Json:
    return {
        "sample": sample,
        "camera": frame["camera"],
        "picture": picture,
        "width": frame["width"],
        "height": frame["height"],
        "K": _rounded(frame["K"], 3),
        "T_cam_from_points": _rounded(frame["T_cam_from_points"], 6),
    }


def _thing(track: str, rows: Sequence[Row], names: Mapping[str, int]) -> Json:
    best = max(rows, key=lambda row: row["score"])
    return {
        "id": track,
        "label": names[best["label"]],
        "score": round(best["score"], 4),
        "names": [[names[n["name"]], round(n["probability"], 4)] for n in (best["names"] or [])[:NAMES_SHOWN]],
    }


def _box(row: Row, thing: int, sample: int) -> list[Any]:
    """[thing, sample, x, y, z, length, width, height, yaw, points, range, speed or null, 1 where a side is guessed]."""
    T = np.reshape(row["T_points_from_box"], (4, 4))
    yaw = float(np.arctan2(T[1, 0], T[0, 0]))
    speed = _speed(row)
    return [
        *(thing, sample, *_rounded(T[:3, 3], 3), *_rounded(row["size_lwh"], 3), round(yaw, 4)),
        *(row["n_points"], round(row["range_m"], 2), speed, int(row["size_from"] == "word")),
    ]


def _speed(row: Row) -> float | None:
    """Metres a second, None where unknown."""
    speed = np.nan if row["velocity"] is None else float(np.linalg.norm(row["velocity"]))
    return round(speed, 2) if np.isfinite(speed) else None


def _views(
    rows: Sequence[Row], things: Mapping[str, int], frames: Mapping[str, int], names: Mapping[str, int], most: int
) -> tuple[list[list[Any]], list[bytes]]:
    """Rows of the views (thing, frame, box, label, score, points, range, tile, teacher's name) and the tiles' crops."""
    views: list[list[Any]] = []
    crops: list[bytes] = []
    shown = [0] * len(things)
    most = min(most, MOST_TILES // max(1, len(things)))
    for row in rows:
        thing, tile = things[row["track_id"]], None
        if shown[thing] < most:
            tile = len(crops)
            crops.append(row["image"])
            shown[thing] += 1
        views.append(
            [
                *(thing, frames[row["frame_id"]], *_rounded(row["box"], 1), names[row["label"]]),
                *(round(row["score"], 3), row["n_points"], round(row["range_m"], 1), tile, names.get(row["teacher"])),
            ]
        )
    return views, crops


def _table_row(
    thing: Json, rows: Sequence[Row], samples: Mapping[str, int], views: Sequence[Sequence[Any]], number: int
) -> Json:
    """A thing in the table of all scenes; ``at`` is the sample to look at it in."""
    speeds = [speed for row in rows if (speed := _speed(row)) is not None]
    own = [view for view in views if view[0] == number]
    return {
        **{key: thing[key] for key in ("id", "label", "score", "names")},
        "range": round(min(row["range_m"] for row in rows), 1),
        "points": max(row["n_points"] for row in rows),
        "samples": len(rows),
        "views": len(own),
        "speed": max(speeds) if speeds else None,
        "at": samples[max(rows, key=lambda row: row["n_points"])["sample"]],
        "tile": own[0][-2] if own else None,
    }


def _rounded(values: Any, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
