"""What of a nuScenes data set is there."""

from pathlib import Path

from clip2.scans.marker import source_kind
from clip2.scans.nuscenes.samples import samples_by_shard
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.nuscenes.tables import CAMERAS, LIDAR, Recordings, read_scenes, table_folder
from clip2.scans.shards import ROLES
from clip2.scans.survey import Survey, count_files


def survey(root: Path, settings: NuscenesSettings) -> Survey:
    """Count the recordings of the splits that the settings name.

    Raises:
        InputError: no tables, or a split that names nothing.
    """
    folder = table_folder(root, settings.version)
    scenes = read_scenes(folder)
    chosen = {
        role: [sample for shard in samples_by_shard(folder, scenes, settings, role).values() for sample in shard]
        for role in ROLES
    }
    tokens = (sample.token for samples in chosen.values() for sample in samples)
    recordings = Recordings(folder, tokens, (*CAMERAS, LIDAR))
    clouds: dict[str, None] = {}
    images: dict[str, None] = {}
    used = dict.fromkeys(ROLES, 0)
    for role, samples in chosen.items():
        for sample in samples:
            recorded = recordings.of_sample(sample.token)
            if LIDAR in recorded:
                clouds[recorded[LIDAR].path] = None
                seen = [recorded[camera].path for camera in CAMERAS if camera in recorded]
                images.update(dict.fromkeys(seen))
                used[role] += len(seen)
    shared = set.intersection(*({sample.scene for sample in samples} for samples in chosen.values()))
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
