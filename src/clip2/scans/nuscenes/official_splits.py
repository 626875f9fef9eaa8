"""The official splits: names of scenes."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def official_splits() -> dict[str, list[str]]:
    """Split → its scenes, as the devkit's ``nuscenes.utils.splits`` has them.

    Read from that file's text: to import it is to import the whole devkit with all that it draws with, two seconds that
    each job of the workflow would wait for.
    """
    spec = find_spec("nuscenes")
    assert spec is not None  # nuscenes-devkit is a requirement
    assert spec.origin is not None
    text = (Path(spec.origin).parent / "utils" / "splits.py").read_text(encoding="utf-8")
    splits = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.List)
    }
    splits["train"] = sorted({*splits["train_detect"], *splits["train_track"]})
    return splits
