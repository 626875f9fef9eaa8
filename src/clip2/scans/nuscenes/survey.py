"""What of a nuScenes data set is there."""

from pathlib import Path

from clip2.scans.marker import source_kind
from clip2.scans.nuscenes.frames import CAMERAS
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.nuscenes.tables import LIDAR, open_nuscenes, samples_by_shard
from clip2.scans.shards import ROLES
from clip2.scans.survey import Survey, count_files


def survey(root: Path, settings: NuscenesSettings) -> Survey:
    """Count the recordings of the splits that the settings name.

    Raises:
        InputError: no tables, or a split that names nothing.
    """
    nusc = open_nuscenes(root, settings.version)
    clouds: dict[str, None] = {}
    images: dict[str, None] = {}
    used: dict[str, int] = {}
    scenes: dict[str, set[str]] = {}
    for role in ROLES:
        samples = [sample for shard in samples_by_shard(nusc, settings, role).values() for sample in shard]
        scenes[role] = {sample["scene_token"] for sample in samples}
        used[role] = 0
        for sample in samples:
            files = {channel: nusc.get("sample_data", token)["filename"] for channel, token in sample["data"].items()}
            if LIDAR in files:
                clouds[files[LIDAR]] = None
                seen = [files[camera] for camera in CAMERAS if camera in files]
                images.update(dict.fromkeys(seen))
                used[role] += len(seen)
    shared = scenes["train"] & scenes["val"]
    remarks = [f"train and val share {len(shared)} scenes: figures say nothing about unseen ones"] if shared else []
    items = [
        count_files("key-frame clouds", [root / path for path in clouds]),
        count_files("images", [root / path for path in images]),
    ]
    missing = [item.name for item in items if item.found == 0]
    return Survey(
        dataset=f"nuScenes {settings.version}",
        root=root,
        source_kind=source_kind(root),
        items=items,
        used=used,
        remarks=remarks,
        fatal=[f"no {name} at all; unpack them beside the tables" for name in missing],
    )
