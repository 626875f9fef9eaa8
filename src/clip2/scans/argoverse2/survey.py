"""What of an Argoverse 2 data set is there (`clip2 check`)."""

from collections import Counter
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.scans.argoverse2.annotations import BOXES
from clip2.scans.argoverse2.files import CAMERAS, INTRINSICS, PLACES, Log, named_logs
from clip2.scans.argoverse2.settings import Argoverse2Settings
from clip2.scans.marker import source_kind
from clip2.scans.shards import ROLES
from clip2.scans.survey import Item, Survey, count_files


def survey(root: Path, settings: Argoverse2Settings) -> Survey:
    """Look for everything that both roles need; lists folders, opens no recording."""
    items: list[Item] = []
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
        if not used[role]:
            fatal.append(f"{role}: {getattr(settings, role)!r} gives no picture with a sweep")
    items += [Item(f"pictures of {camera}", seen[camera], wanted, first.get(camera)) for camera in CAMERAS]
    return Survey("argoverse2", root, source_kind(root), items, used, fatal=fatal)


def _example(log: Log, camera: str, sweep_ns: int) -> str:
    return f"{log.folder / 'sensors' / 'cameras' / camera}: near {sweep_ns}"
