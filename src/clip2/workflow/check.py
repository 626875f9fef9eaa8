"""``clip2 check SOURCE``: what of a data set is there, how much of it will be used, and do its numbers make sense?"""

import hashlib
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rich.text import Text
from snakemake.utils import update_config

from clip2.runtime.console import console
from clip2.runtime.errors import InputError
from clip2.runtime.tables import print_table
from clip2.scans.clouds import CloudError, load_points
from clip2.scans.images import ImageError, read_frame_image
from clip2.scans.poses import PoseCheck
from clip2.scans.presence import KINDS, Files, Tally, tally_of
from clip2.scans.sanity import complaints, doubts, figures, frame_facts
from clip2.scans.survey import Survey, print_survey
from clip2.scans.told import peculiarities
from clip2.store.tables import iterate_rows, read_header
from clip2.workflow.config import Config, check_config
from clip2.workflow.sources import MODULES, Modules, PairsSource

LOOKED_AT = 12
"""Frames whose points and pictures are read."""
MOST_UNREADABLE = 1
"""Of these: of two or more, the share of all is hardly one in a hundred."""
FLAT, CONSTANT = 3.0, 0.5
"""Standard deviations of a picture's values, 0 to 255, below which little can be seen, and below which nothing."""


def check(name: str, overlays: Sequence[Path], dataroot: Path | None) -> None:
    """Print what a source holds.

    Args:
        name: key of `sources` in config.yaml and the files laid over it.
        dataroot: as ``--config dataroot=…``.

    Raises:
        InputError: the configuration is wrong, or the data set cannot be used.
    """
    config = check_config(read_config([Path("config.yaml"), *overlays]))
    if name not in config.sources:
        raise InputError(f"no source {name!r}; the configuration has: {', '.join(config.sources)}")
    source = config.sources[name]
    modules = MODULES[source.kind]
    if modules.survey is None or isinstance(source, PairsSource):
        raise InputError(f"source {name!r} is of kind {source.kind!r}, which has nothing to check")
    root = Path(f"results/{name}/raw") if source.world else Path(source.root or dataroot or config.dataroot or "")
    if not root.is_dir() or root == Path():
        hint = f"make it with `snakemake {root}/world.json`" if source.world else "give its data root with --dataroot"
        raise InputError(f"{root}: no such folder; {hint}")
    survey: Survey = import_module(modules.survey).survey(root, source.settings)
    print_survey(survey)
    if survey.fatal:
        raise InputError(f"{root}: {survey.fatal[0]}")
    for note in _notes(modules, root, source.settings):
        console().print(Text(f"note: {note}", "yellow"))
    if modules.frames:
        _look(modules.frames, root, name, source.settings, _limits(config, name))


def _notes(modules: Modules, root: Path, settings: Any) -> Iterator[str]:
    """What can not be measured, and what should not be."""
    if modules.outline is None:
        return
    module = import_module(modules.outline)
    parts = module.outline(root, settings)
    if shared := parts["train"].scenes & parts["val"].scenes:
        yield f"train and val share {len(shared)} scenes: figures would say nothing about unseen ones"
    if missing := module.missing_labels(root, settings, "val"):
        yield f"no results: val: {missing}; mining and training need no labels"
    elif missing := module.missing_labels(root, settings, "train"):
        yield f"no audit and no few-shot results: train: {missing}"


def read_config(paths: Sequence[Path]) -> dict[str, Any]:
    """Configuration files laid over one another, as Snakemake does it."""
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            content = yaml.load(path.read_text(encoding="utf-8"), _Strict)
        except FileNotFoundError:
            raise InputError(f"{path}: no such file; run this in the checkout's folder") from None
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: is no UTF-8 text; save it as UTF-8") from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise InputError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from None
        if not isinstance(content, dict | None):
            raise InputError(f"{path}: holds no settings (`key: value`), but a {type(content).__name__}")
        update_config(merged, content or {})
    return merged


class _Strict(yaml.SafeLoader):
    """Of two equal keys, YAML's loader drops the first and says nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.YAMLError(f"key {twice[0]!r} stands twice{node.start_mark}; remove one of them")
        return super().construct_mapping(node, deep)


def _look(frames_module: str, root: Path, name: str, settings: Any, limits: Mapping[str, float]) -> None:
    """Make the frames in a temporary folder, and say of them what of their files is there, what the stages will do
    about the rest, and what the numbers in some of them mean.

    Args:
        limits: stage → the share of frames that it may pass over.
    """
    logging.getLogger("clip2.scans").setLevel(logging.WARNING)  # not a line for each shard that is made to be looked at
    with tempfile.TemporaryDirectory() as folder:
        import_module(frames_module).run(root, Path(folder), name, settings)
        shards = sorted(Path(folder).glob("*.parquet"))
        sensor = read_header(shards[0])["sensor"]
        rows = {shard.stem: list(iterate_rows(shard)) for shard in shards}
    stops = _count_files(rows, root, limits)
    all_rows = [row for of_shard in rows.values() for row in of_shard]
    chosen = np.unique(np.linspace(0, len(all_rows) - 1, LOOKED_AT).astype(int)) if all_rows else []
    logging.getLogger("clip2.scans.told").setLevel(logging.ERROR)  # it is told below
    facts, unreadable = [], []
    clouds: dict[str, bytes] = {}
    pictures: dict[str, bytes] = {}
    contrast: dict[str, float] = {}
    for number in chosen:
        row = all_rows[number]
        try:
            points = load_points(row["clouds"], root)
            clouds[row["clouds"][0]["path"]] = _digest(points)
            name, picture = row["image_path"], read_frame_image(root, row)
            pictures[name], contrast[name] = _digest(picture), float(picture.std())
            facts.append(frame_facts(row, points))
        except (CloudError, ImageError) as error:
            unreadable.append(str(error))
    repeated = [*_repeated("clouds", clouds), *_repeated("pictures", pictures)]
    dull = [name for name, spread in contrast.items() if spread < FLAT]
    flat = [
        f"{len(dull)} of {len(contrast)} pictures looked at have hardly any contrast, {name} first" for name in dull
    ]
    for words in [*unreadable[:1], *peculiarities(), *repeated, *flat[:1], *doubts(facts, sensor)]:
        console().print(Text(f"note: {words}", "yellow"))
    if facts:
        head = ("of each frame (points: their median)", "least", "median", "most", "plausible")
        print_table(console(), head, figures(facts, sensor), title=f"{len(facts)} frames looked at")
    if len(unreadable) > MOST_UNREADABLE or not facts:
        stops.append(
            f"{len(unreadable)} of {len(chosen)} frames looked at cannot be read, the first: {unreadable[0]}"
            if unreadable
            else "there is no frame at all"
        )
    for reason in stops:
        console().print(Text(f"the run will stop: {reason}", "red"))
    empty = ["all pictures looked at are of one grey; save them as a camera shows them"]
    nothing = empty if contrast and max(contrast.values()) < CONSTANT else []
    found = [*stops[:1], *nothing, *complaints(facts, sensor), *_look_at_poses(all_rows, root, sensor)]
    if found:
        raise InputError(f"{root}: {'; '.join(found)}")
    console().print("axes, units, calibration and poses make sense", style="green")


def _digest(array: NDArray[Any]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()


def _repeated(kind: str, digests: Mapping[str, bytes]) -> list[str]:
    """What to say of files (name → digest) that hold the same as others, as a recorder that hangs writes them."""
    first: dict[bytes, str] = {}
    again = [(name, other) for name, digest in digests.items() if (other := first.setdefault(digest, name)) != name]
    return [
        f"{len(again)} of {len(digests)} {kind} looked at repeat another one; {name} holds what {other} does"
        for name, other in again[:1]
    ]


def _look_at_poses(rows: Sequence[dict[str, Any]], root: Path, sensor: str) -> list[str]:
    """Read the points of some neighbouring samples, print how well their structure meets; what is wrong with them."""
    posed = [row for row in rows if row["T_scene_from_points"] is not None]
    if not posed:
        console().print("poses: none; each sample is a scene of its own for tracks")
        return []
    samples = [next(group) for _, group in groupby(posed, key=lambda row: row["sample"])]
    pairs = [pair for pair in pairwise(samples) if pair[0]["scene"] == pair[1]["scene"]]
    look = PoseCheck(sensor)
    for number in dict.fromkeys(np.linspace(0, len(pairs) - 1, len(pairs) and LOOKED_AT).astype(int)):
        try:
            look.add_pair(*((row, load_points(row["clouds"][:1], root)) for row in pairs[number]))
        except CloudError as error:
            console().print(Text(f"note: {error}", "yellow"))
    if not look.meetings:
        console().print("poses: there, but no two neighbouring samples between which the sensor moved to check them on")
        return look.complaints()
    moved, together, without, _ = np.median(look.meetings, axis=0)
    console().print(
        f"poses: static structure meets within {together:.3g} m, {without:.3g} m without poses "
        f"(medians of {len(look.meetings)} pairs of neighbouring samples, {moved:.2g} m apart)"
    )
    return look.complaints()


def _count_files(rows: Mapping[str, Sequence[Any]], root: Path, limits: Mapping[str, float]) -> list[str]:
    """Print which of the frames' files are missing or wrong; what stages will stop on, with the worst shard of each."""
    files, total, worst = Files(root), {kind: Tally() for kind in KINDS}, dict.fromkeys(limits, (0.0, ""))
    for shard, frames in rows.items():
        n, tallies = tally_of(frames, files)
        for kind, tally in tallies.items():
            total[kind].wanted |= tally.wanted
            total[kind].missing |= tally.missing
        for stage, kinds in ((stage, NEEDED[stage]) for stage in limits):
            share, kind = max((tallies[kind].bad_frames / max(n, 1), kind) for kind in kinds)
            if share > max(worst[stage][0], limits[stage]):
                told = f"{stage} cannot read the {kind} of {share:.1%} of the frames of {shard}, and may pass over "
                told += f"{limits[stage]:.1%} (max_bad_share); the first: {next(iter(tallies[kind].missing.values()))}"
                worst[stage] = share, told
    for kind, tally in total.items():
        if tally.missing:
            missing = f"{len(tally.missing):,} of {len(tally.wanted):,} {kind} are missing or wrong"
            console().print(Text(f"note: {missing}: {next(iter(tally.missing.values()))}", "yellow"))
    return [reason for _, reason in worst.values() if reason]


NEEDED = {"detect": ("pictures",), "segment": ("pictures",), "lift": ("clouds", "earlier sweeps")}
"""Stage → files of a frame without which it passes over it, before any other stage does."""


def _limits(config: Config, name: str) -> dict[str, float]:
    """Stage → max_bad_share of what a source's experiment uses."""
    used = [spec for spec in config.benchmarks.values() if spec and name in (spec.source, *spec.train)]
    detector = next((spec.detector for spec in used if spec.detector), config.experiment.detector)
    lifter = next((spec.lifter for spec in used if spec.lifter), config.experiment.lifter)
    limits = {"detect": config.detectors[detector].max_bad_share, "lift": config.lifters[lifter].max_bad_share}
    segmenter = next((spec.segmenter for spec in used if spec.segmenter), config.experiment.segmenter)
    return limits | ({"segment": config.segmenters[segmenter].max_bad_share} if segmenter else {})
