"""nuScenes' devkit on some scenes: its evaluation wants its own object, which holds every table that it is shown."""

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from nuscenes.nuscenes import NuScenes

from clip2.runtime.errors import InputError
from clip2.scans.nuscenes.rows import Record, records
from clip2.scans.nuscenes.tables import LIDAR, Matrix, pose_matrix, table_folder

WHOLE = ("attribute", "calibrated_sensor", "category", "log", "sensor", "visibility")
"""Tables that are small, or that the devkit wants whole."""


def open_scenes(root: Path, version: str, scenes: set[str]) -> NuScenes:
    """The devkit's object over some scenes: their samples, boxes and LiDAR key frames, as if there were no others.

    Args:
        scenes: names; those that the data set lacks are left out.

    Raises:
        InputError: the tables are not there or not readable.
    """
    tables = table_folder(root, version)
    with tempfile.TemporaryDirectory() as folder:
        try:
            _write_scenes(tables, Path(folder) / version, scenes)
            return NuScenes(version=version, dataroot=folder, verbose=False)
        except (AssertionError, KeyError, TypeError) as error:
            raise InputError(f"{tables}: the devkit cannot open it ({error!r}); unpack it again") from None


def T_global_from_sensor(nusc: NuScenes, sample_data: Record) -> Matrix:
    """Sensor → ego → global, both at the time of this very recording."""
    ego = nusc.get("ego_pose", sample_data["ego_pose_token"])
    sensor = nusc.get("calibrated_sensor", sample_data["calibrated_sensor_token"])
    T_global_from_ego, T_ego_from_sensor = (pose_matrix(row["rotation"], row["translation"]) for row in (ego, sensor))
    return T_global_from_ego @ T_ego_from_sensor


def _write_scenes(tables: Path, out: Path, names: set[str]) -> None:
    """A version's tables with the rows of some scenes only, row by row."""
    out.mkdir(parents=True)

    def keep(table: str, wanted: Callable[[Record], bool], *keys: str) -> list[set[str]]:
        """Write the wanted rows of a table; the values that they have of each key."""
        found: list[set[str]] = [set() for _ in keys]

        def chosen() -> Iterable[Record]:
            for row in records(tables / f"{table}.json"):
                if wanted(row):
                    for values, key in zip(found, keys, strict=True):
                        values.add(row[key])
                    yield row

        _write(out / f"{table}.json", chosen())
        return found

    for table in WHOLE:
        keep(table, lambda row: True)
    # The devkit wants a file for each map, and never opens it here: this folder's table will do where maps are not.
    maps = ({**row, "filename": str((out / "map.json").resolve())} for row in records(tables / "map.json"))
    _write(out / "map.json", maps)
    (scenes,) = keep("scene", lambda row: row["name"] in names, "token")
    (samples,) = keep("sample", lambda row: row["scene_token"] in scenes, "token")
    (instances,) = keep("sample_annotation", lambda row: row["sample_token"] in samples, "instance_token")
    keep("instance", lambda row: row["token"] in instances)
    sensors = {row["token"] for row in records(tables / "sensor.json") if row["channel"] == LIDAR}
    lidars = {row["token"] for row in records(tables / "calibrated_sensor.json") if row["sensor_token"] in sensors}
    (poses,) = keep(
        "sample_data",
        lambda row: row["is_key_frame"] and row["calibrated_sensor_token"] in lidars and row["sample_token"] in samples,
        "ego_pose_token",
    )
    keep("ego_pose", lambda row: row["token"] in poses)


def _write(path: Path, table: Iterable[Record]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(table):
            file.write(",\n" if number else "[\n")
            file.write(json.dumps(row))
        file.write("[]" if file.tell() == 0 else "\n]")
