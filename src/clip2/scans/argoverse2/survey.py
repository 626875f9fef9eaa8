"""What of an Argoverse 2 data set is there (`clip2 check`)."""

from collections import Counter
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.scans.argoverse2.annotations import BOXES, log_boxes
from clip2.scans.argoverse2.files import CAMERAS, CLOUD_FORMAT, INTRINSICS, PLACES, Log, named_logs
from clip2.scans.argoverse2.settings import Argoverse2Settings
from clip2.scans.benchmark_classes import ARGOVERSE2_CLASSES
from clip2.scans.box_sense import box_remarks, spread
from clip2.scans.clouds import own_cloud
from clip2.scans.marker import source_kind
from clip2.scans.shards import ROLES
from clip2.scans.survey import Item, Survey, count_files


def survey(root: Path, settings: Argoverse2Settings) -> Survey:
    """Look for everything that both roles need: lists folders, reads the evaluation's boxes, opens a few sweeps."""
    items: list[Item] = []
    remarks: list[str] = []
    fatal: list[str] = []
    used: dict[str, int] = {}
    seen: Counter[str] = Counter()
    first: dict[str, str] = {}
    wanted = 0
    for role in ROLES:
        try:
            logs = named_logs(root, getattr(settings, role))
        except InputError as error:
            fatal.append(str(error))
            continue
        for file in (INTRINSICS, PLACES, *((BOXES,) if role == "val" else ())):
            items.append(count_files(f"{role}: {file}", [log.folder / file for log in logs]))
        used[role] = 0
        for log in logs:
            samples = log.samples(settings.every)
            wanted += len(samples)
            used[role] += sum(len(sample.pictures) for sample in samples)
            for camera in CAMERAS:
                lacking = [sample.sweep_ns for sample in samples if camera not in sample.pictures]
                seen[camera] += len(samples) - len(lacking)
                if lacking:
                    first.setdefault(camera, _example(log, camera, lacking[0]))
        if role == "val":
            try:
                remarks += _box_remarks(root, logs, settings.every)
            except InputError as error:
                fatal.append(str(error))
        if not used[role]:
            fatal.append(f"{role}: {getattr(settings, role)!r} gives no picture with a sweep")
    items += [Item(f"pictures of {camera}", seen[camera], wanted, first.get(camera)) for camera in CAMERAS]
    return Survey("argoverse2", root, source_kind(root), items, used, remarks=remarks, fatal=fatal)


def _box_remarks(root: Path, logs: list[Log], every: int) -> list[str]:
    """What looks wrong with the boxes of some logs."""
    path_of = {f"{log.name}/{sweep}": log.cloud_path(sweep) for log in logs for sweep in log.sweeps()[::every]}
    counts: Counter[str] = Counter()
    return list(
        box_remarks(
            (box for log in logs for box in sorted(log_boxes(log, every, counts), key=lambda box: str(box["sample"]))),
            counts,
            ARGOVERSE2_CLASSES,
            spread(list(path_of)),
            lambda sample: own_cloud(path_of[sample], CLOUD_FORMAT),
            root,
        )
    )


def _example(log: Log, camera: str, sweep_ns: int) -> str:
    return f"{log.folder / 'sensors' / 'cameras' / camera}: near {sweep_ns}"
