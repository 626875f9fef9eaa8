"""What of a data set of single objects is there, for ``clip2 check``."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from clip2.runtime.errors import InputError
from clip2.scans.marker import REAL, source_kind
from clip2.scans.object_sets import ObjectSet, check_files, read_labels
from clip2.scans.survey import Item, Survey, count_files


def count_objects(
    found: ObjectSet, root: Path, official: Mapping[str, int], how_to_get: str, remarks: Sequence[str] = ()
) -> Survey:
    """What of a set is there.

    Args:
        official: role → how many objects the release has; a built-in world has as many as it likes.
        how_to_get: what to do where files are missing.
        remarks: what looks wrong with the set already.
    """
    kind = source_kind(root)
    items, used, seen, fatal = [], {}, set(), []
    try:
        check_files(found)
    except InputError as error:
        fatal.append(str(error))
    for role, paths in found.files.items():
        files = count_files(f"{role} files", paths)
        items.append(files)
        used[role] = 0
        if files.found < files.wanted:
            fatal.append(f"{files.first_missing} is missing; {how_to_get}")
            continue
        try:
            labels = [label for path in paths for label in read_labels(path, len(found.classes)).tolist()]
        except InputError as error:
            fatal.append(str(error))
            continue
        used[role] = len(labels)
        if not labels:
            fatal.append(f"{paths[0]}: holds no object; {how_to_get}")
        seen.update(labels)
        items.append(Item(f"{role} objects", len(labels), official[role] if kind == REAL else len(labels)))
    items.append(Item("classes with objects", len(seen), len(found.classes)))
    return Survey(found.dataset, root, kind, items, used, unit="objects", remarks=remarks, fatal=fatal)
