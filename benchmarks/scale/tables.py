"""A data set in nuScenes' format with as many rows as the real one: the frames of a small built-in world, repeated.

Tokens are fresh, files are shared: every row of ``sample_data`` names one of a few dozen pictures and sweeps.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TextIO

Row = dict[str, Any]
LIDAR = "LIDAR_TOP"
RADARS = ("RADAR_FRONT", "RADAR_FRONT_LEFT", "RADAR_FRONT_RIGHT", "RADAR_BACK_LEFT", "RADAR_BACK_RIGHT")
SHARED = ("attribute", "category", "visibility")
STREAMED = (
    *("calibrated_sensor", "ego_pose", "instance", "log", "sample", "sample_annotation", "sample_data", "scene"),
)
KEPT = ("fileformat", "height", "width", "filename")
"""Of a recording, for all that repeat it."""
MICROSECONDS = 500_000
"""Between key frames."""


@dataclass(frozen=True)
class Size:
    """Rows of the tables; the defaults are v1.0-trainval's."""

    train_scenes: int = 700
    val_scenes: int = 150
    samples: int = 34_149
    sample_data: int = 2_631_083
    boxes: int = 1_166_187

    def part(self, share: float) -> "Size":
        """A share of the scenes with the same number of rows each."""
        train, val = max(1, round(self.train_scenes * share)), max(1, round(self.val_scenes * share))
        share = (train + val) / (self.train_scenes + self.val_scenes)
        return Size(train, val, *(round(n * share) for n in (self.samples, self.sample_data, self.boxes)))


def dealt(total: int, n: int, i: int) -> int:
    """Of ``total`` things dealt out evenly to ``n``, how many the i-th gets."""
    return total // n + (i < total % n)


def fields(row: Row, *without: str) -> str:
    """Fields of a row but for some, as the inside of a JSON object."""
    return json.dumps({key: value for key, value in row.items() if key not in without})[1:-1]


def token(kind: int, scene: int, channel: int = 0, index: int = 0) -> str:
    """32 hexadecimal digits."""
    return f"{kind:04x}{scene:08x}{channel:08x}{index:012x}"


class KeyFrame(NamedTuple):
    """What rows made of one key frame share, as text: of each channel's ego pose and recording, and of each box."""

    poses: dict[str, str]
    recordings: dict[str, str]
    boxes: list[tuple[str, str]]  # (token of its instance, the rest)


class Base:
    """The small world's tables; ``scenes`` are its scenes' key frames."""

    def __init__(self, folder: Path) -> None:
        self.tables = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
        channel_of = {row["token"]: row["channel"] for row in self.tables["sensor"]}
        mounts = {row["token"]: row for row in self.tables["calibrated_sensor"]}
        poses = {row["token"]: fields(row, "token", "timestamp") for row in self.tables["ego_pose"]}
        self.mounts = {channel_of[row["sensor_token"]]: fields(row, "token", "sensor_token") for row in mounts.values()}
        self.instances = {row["token"]: fields(row, "token") for row in self.tables["instance"]}
        frames = {row["token"]: KeyFrame({}, {}, []) for row in self.tables["sample"]}
        for row in self.tables["sample_data"]:
            if row["is_key_frame"]:
                frame = frames[row["sample_token"]]
                channel = channel_of[mounts[row["calibrated_sensor_token"]]["sensor_token"]]
                frame.poses[channel] = poses[row["ego_pose_token"]]
                frame.recordings[channel] = fields({key: row[key] for key in KEPT})
        links = ("token", "sample_token", "instance_token", "prev", "next")
        for row in self.tables["sample_annotation"]:
            frames[row["sample_token"]].boxes.append((row["instance_token"], fields(row, *links)))
        self.scenes = [
            [frames[row["token"]] for row in self.tables["sample"] if row["scene_token"] == scene["token"]]
            for scene in self.tables["scene"]
        ]


def write_tables(base: Base, folder: Path, size: Size) -> None:
    """Write the version's tables into ``folder``; memory does not grow with their size.

    Args:
        base: a world of one train and one val scene.
    """
    from nuscenes.utils.splits import create_splits_scenes

    splits = create_splits_scenes()
    roles = [(name, 0) for name in splits["train"][: size.train_scenes]]
    roles += [(name, 1) for name in splits["val"][: size.val_scenes]]
    channels = [*base.mounts, *RADARS]
    folder.mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        (folder / f"{name}.json").write_text(json.dumps(base.tables[name], indent=0))
    sensors = [{"token": token(1, 0, i), "channel": name, "modality": "any"} for i, name in enumerate(channels)]
    (folder / "sensor.json").write_text(json.dumps(sensors, indent=0))
    with ExitStack() as stack:
        out = {name: stack.enter_context(Table(folder / f"{name}.json")) for name in STREAMED}
        done = 0
        for number, (name, role) in enumerate(roles):
            n = dealt(size.samples, len(roles), number)
            _write_scene(out, base, base.scenes[role], size, channels, number, name, range(done, done + n))
            done += n
    logs = [token(2, number) for number in range(len(roles))]
    maps = [row | {"log_tokens": logs} for row in base.tables["map"][:1]]
    (folder / "map.json").write_text(json.dumps(maps, indent=0))


PLAIN: dict[type, Callable[[Any], str]] = {str: '"{}"'.format, int: str, bool: lambda value: str(value).lower()}


class Table:
    """A JSON array, written row by row."""

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("w")
        self._rows = 0

    def add(self, same: str = "", **row: str | int) -> None:
        """Append a row: plain words and numbers, and what :func:`fields` made of what it shares with others.

        (Encoding whole rows anew would take ten times as long.)
        """
        named = [f'"{key}": {PLAIN[type(value)](value)}' for key, value in row.items()]
        self._file.write((",\n{" if self._rows else "[\n{") + ", ".join([*named, same] if same else named) + "}")
        self._rows += 1

    def __enter__(self) -> "Table":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.write("\n]" if self._rows else "[]")
        self._file.close()


def _write_scene(
    out: dict[str, Table],
    base: Base,
    frames: list[KeyFrame],
    size: Size,
    channels: list[str],
    scene: int,
    name: str,
    samples: range,
) -> None:
    """One scene, whose samples have the numbers ``samples`` of the data set."""
    first, last = token(4, scene, 0, 0), token(4, scene, 0, len(samples) - 1)
    out["log"].add(token=token(2, scene), logfile=name, vehicle="none", date_captured="2018-07-24", location="made")
    out["scene"].add(token=token(3, scene), log_token=token(2, scene), nbr_samples=len(samples), name=name,
                     first_sample_token=first, last_sample_token=last, description="repeated frames")  # fmt: skip
    for i, channel in enumerate(channels):
        mount = base.mounts.get(channel, base.mounts[LIDAR])
        out["calibrated_sensor"].add(mount, token=token(5, scene, i), sensor_token=token(1, 0, i))
    number_of = {channel: i for i, channel in enumerate(channels)}
    written = dict.fromkeys(channels, 0)
    tracks: dict[str, str] = {}
    for index, number in enumerate(samples):
        frame = frames[index % len(frames)]
        key = token(4, scene, 0, index)
        out["sample"].add(token=key, timestamp=index * MICROSECONDS, scene_token=token(3, scene),
                          prev=token(4, scene, 0, index - 1) if index else "",
                          next=token(4, scene, 0, index + 1) if key != last else "")  # fmt: skip
        for order, channel in enumerate(recordings(channels, dealt(size.sample_data, size.samples, number))):
            shown, i, at = (
                channel if channel in frame.poses else LIDAR,
                number_of[channel],
                index * MICROSECONDS + order,
            )
            this = token(6, scene, i, written[channel])
            out["ego_pose"].add(frame.poses[shown], token=this, timestamp=at)
            out["sample_data"].add(
                frame.recordings[shown], token=this, sample_token=key, ego_pose_token=this,
                calibrated_sensor_token=token(5, scene, i), timestamp=at, is_key_frame=order < len(channels),
                prev=token(6, scene, i, written[channel] - 1) if written[channel] else "", next="",
            )  # fmt: skip
            written[channel] += 1
        for i in range(dealt(size.boxes, size.samples, number)):
            instance, box = frame.boxes[i % len(frame.boxes)]
            track = f"{instance}/{i // len(frame.boxes)}"
            if track not in tracks:
                tracks[track] = token(7, scene, 0, len(tracks))
                out["instance"].add(base.instances[instance], token=tracks[track])
            out["sample_annotation"].add(
                box, token=token(8, scene, i, index), sample_token=key, instance_token=tracks[track], prev="", next=""
            )


def recordings(channels: list[str], n: int) -> Iterator[str]:
    """Channels of a sample's ``n`` recordings: each key frame, then sweeps at about nuScenes' rates."""
    yield from channels
    rates = [LIDAR] * 9 + [name for name in channels if name.startswith("CAM") for _ in range(5)]
    rates += [name for name in RADARS for _ in range(5)]
    for i in range(n - len(channels)):
        yield rates[i % len(rates)]
