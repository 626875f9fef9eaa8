"""``clip2 doctor``: whether this machine can run the configured experiment, and what to do where it cannot."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.requirements import Requirement
from rich import box
from rich.table import Table

from clip2.runtime.console import console
from clip2.runtime.errors import InputError
from clip2.scans.files import absent
from clip2.workflow.check import read_config
from clip2.workflow.config import lifted_by
from clip2.workflow.experiment import Experiment

State = Literal["ok", "warn", "fail"]
STYLES: dict[State, str | None] = {"ok": None, "warn": "yellow", "fail": "red"}
GB = 1 << 30
LEAST_DISK, SOME_DISK = 1 * GB, 20 * GB
"""Free bytes of results/ without which nothing can be made, and that a small real experiment takes."""
LEAST_MEMORY, SOME_MEMORY = 2 * GB, 4 * GB
"""Free bytes of memory without which no stage runs, and that the largest takes beside Snakemake."""
SOME_GPU_MEMORY = 4 * GB
HUB_PATIENCE = 10.0
"""Seconds that the hub may take to answer."""
CACHED = (
    *("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"),
    *("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
)
"""Names that a model's weights have on the hub."""
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth")


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        what: it is.
        found: in a few words.
        advice: what to do; "" where it is good.
    """

    state: State
    what: str
    found: str
    advice: str = ""


def doctor(overlays: Sequence[Path], dataroot: Path | None = None) -> bool:
    """Print what was found as a table; whether nothing of it stops a run.

    Args:
        overlays: files laid over config.yaml.
        dataroot: as ``--config dataroot=…``.
    """
    findings = [*_environment(), *_machine()]
    try:
        raw = read_config([Path("config.yaml"), *overlays])
        experiment = Experiment(raw | {"dataroot": str(dataroot)} if dataroot else raw)
    except InputError as error:
        findings += [_gpu("auto"), Finding("fail", "configuration", str(error), "mend it; docs/configuration.md")]
    else:
        findings += [_gpu(experiment.config.device), *_configured(experiment)]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in ("", "what", "found"):
        table.add_column(head, overflow="fold", no_wrap=head == "")
    for state, what, found, advice in findings:
        table.add_row(state, what, f"{found}\n→ {advice}" if advice else found, style=STYLES[state])
    console().print(table, highlight=False, markup=False)
    counts = {state: sum(finding.state == state for finding in findings) for state in STYLES}
    console().print(", ".join(f"{n} {state}" for state, n in counts.items() if n), highlight=False)
    return not counts["fail"]


def _environment() -> Iterator[Finding]:
    """Python, packages, and those of them that are compiled for one another."""
    version = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    yield Finding("fail" if old else "ok", "Python", version, "it takes 3.11 or later" if old else "")
    yield packages(Path("requirements.txt"))
    for name, advice in (
        ("torch", "install it anew: `make environment`"),
        ("torch_scatter", "it belongs to the torch that it was compiled with: `rm .venv/ready; make environment`"),
    ):
        # In a process of its own: what does not fit may crash.
        done = subprocess.run([sys.executable, "-c", f"import torch, {name}"], capture_output=True, text=True)
        if done.returncode == 0:
            yield Finding("ok", name, "can be imported")
        else:
            words = (done.stderr.strip().splitlines() or [f"ended by signal {-done.returncode}"])[-1]
            yield Finding("fail", name, f"cannot be imported: {words}", advice)


def packages(pinned: Path) -> Finding:
    """What is installed, against what is pinned and what cannot be missing."""
    needed = [Requirement(text) for text in (metadata.requires("clip2") if _version("clip2") else ()) or ()]
    wrong = [str(one) for one in needed if one.marker is None and not _fits(one)]
    if wrong:
        return Finding("fail", "packages", f"missing, or of another version: {', '.join(wrong)}", "`make environment`")
    if not pinned.is_file():
        return Finding(
            "warn", "packages", f"all that is needed; no {pinned} here to compare with", "run it in the checkout"
        )
    lines = [line.strip() for line in pinned.read_text(encoding="utf-8").splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    other = [
        f"{one.name} {_version(one.name) or 'not installed'}, pinned {one.specifier}" for one in pins if not _fits(one)
    ]
    if other:
        told = f"{len(other)} of {len(pins)} are not as pinned: {'; '.join(other[:3])}{' …' if other[3:] else ''}"
        return Finding("warn", "packages", told, "results may differ from those of the pinned ones: `make environment`")
    return Finding("ok", "packages", f"{len(pins)} as pinned")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _fits(requirement: Requirement) -> bool:
    version = _version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _machine() -> Iterator[Finding]:
    yield disk(Path("results"))
    free, cores = free_memory(), len(os.sched_getaffinity(0))
    state: State = "fail" if free < LEAST_MEMORY else "warn" if free < SOME_MEMORY else "ok"
    advice = "end other programs, or run with `--cores 1`" if state != "ok" else ""
    yield Finding(state, "memory", f"{free / GB:.1f} GB free, {cores} processors", advice)


def disk(folder: Path, least: int = LEAST_DISK, some: int = SOME_DISK) -> Finding:
    """Room for results, and whether they may be written."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        advice = "make room" if shutil.disk_usage(there).free < least else "make it writable, or work in another folder"
        return Finding("fail", "disk", f"{folder}/: nothing can be written ({error.strerror})", advice)
    free = shutil.disk_usage(there).free
    state: State = "fail" if free < least else "warn" if free < some else "ok"
    advice = "make room; docs/performance.md says what experiments take" if state != "ok" else ""
    return Finding(state, "disk", f"{folder}/: {free / GB:,.0f} GB free", advice)


def free_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory that are free: of the machine, or of what this container may have."""
    found = re.search(r"MemAvailable:\s+(\d+) kB", (proc / "meminfo").read_text())
    free = int(found[1]) << 10 if found else 0
    for most, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            free = min(free, int((groups / most).read_text()) - int((groups / used).read_text()))
        except (OSError, ValueError):  # another version of control groups, or no limit
            continue
    return free


def _gpu(device: str) -> Finding:
    try:
        import torch

        there = torch.cuda.is_available()
    except (ImportError, OSError):
        return Finding("warn", "GPU", "unknown without torch")
    if there:
        try:
            torch.ones(1, device="cuda")
            free, total = torch.cuda.mem_get_info()
        except RuntimeError as error:
            words = str(error).strip().splitlines()[0]
            return Finding(
                "fail" if device != "cpu" else "warn",
                "GPU",
                f"cannot be used: {words}",
                "free it, or set `device: cpu`",
            )
        told = (
            f"{torch.cuda.device_count()}: {torch.cuda.get_device_name()}, {free / GB:.0f} of {total / GB:.0f} GB free"
        )
        if device == "cpu":
            return Finding(
                "warn", "GPU", f"{told}, but the configuration says `device: cpu`", "set `device: auto` to use it"
            )
        few = free < SOME_GPU_MEMORY
        return Finding("warn" if few else "ok", "GPU", told, "end what else runs on it" if few else "")
    if device == "cuda":
        return Finding(
            "fail", "GPU", "none that torch can use, and the configuration asks for one", "set `device: auto`"
        )
    if Path("/dev/nvidia0").exists():
        return Finding(
            "warn", "GPU", "there is one that torch cannot use", "see whether its driver fits torch: `nvidia-smi`"
        )
    state: State = "warn" if device == "auto" else "ok"
    return Finding(state, "GPU", "none", "large models are slow without" if state == "warn" else "")


def _configured(experiment: Experiment) -> Iterator[Finding]:
    """What the configured experiment takes from elsewhere."""
    config, parts = experiment.config, experiment.parts
    told = ", ".join(f"{key} {parts[key]}" for key in ("benchmark", "detector", "lifter", "teacher", "model"))
    yield Finding("ok", "configuration", told)
    detector, teacher = config.detectors[parts["detector"]], config.teachers[parts["teacher"]]
    yield _file("vocabulary", Path(detector.vocabulary), f"set detectors.{parts['detector']}.vocabulary")
    if detector.kind == "stored":
        yield _file("stored boxes", Path(str(detector.boxes)), f"set detectors.{parts['detector']}.boxes")
    else:
        yield model("detector", detector.model, "config.json", detector.revision)
    segmenter, _ = lifted_by(parts["lifter"])
    if segmenter:
        settings = config.segmenters[segmenter]
        if settings.kind == "stored":
            yield _file("stored masks", Path(str(settings.masks)), f"set segmenters.{segmenter}.masks")
        else:
            yield model("segmenter", settings.model, "config.json", settings.revision)
    yield _teacher(teacher.model, teacher.pretrained)
    for name, rival in experiment.rivals.items():
        if rival.checkpoint:
            yield _file(f"rival {name}", Path(rival.checkpoint), f"set baselines.{name}.checkpoint")
    if config.labels.model:
        yield model("labels.model", config.labels.model, "config.json")
    for name in dict.fromkeys((*experiment.mined_sources, parts["source"])):
        yield _source(experiment, name)


def _file(what: str, path: Path, advice: str) -> Finding:
    there = path.is_file()
    return Finding(
        "ok" if there else "fail", what, str(path) if there else f"{path}: no such file", "" if there else advice
    )


def model(what: str, name: str, config: str, revision: str | None = None) -> Finding:
    """A model folder, or a repository of the hub: whether it is here, or can be had."""
    folder = Path(name)
    if folder.is_dir():
        return _model_folder(what, folder, config)
    if folder.is_absolute() or name.startswith(".") or name.count("/") > 1:
        return Finding("fail", what, f"{name}: no such folder", "give a folder or a hub id (org/name)")
    from huggingface_hub import HfApi, try_to_load_from_cache

    if any(isinstance(try_to_load_from_cache(name, file, revision=revision), str) for file in CACHED):
        return Finding("ok", what, f"{name}: in the cache of the hub")
    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=HUB_PATIENCE)
    except Exception as error:  # of network, hub and its client
        words = " ".join(str(error).split())[:120] or type(error).__name__
        return Finding("fail", what, f"{name}: not here, and not to be had: {words}", "give a folder, or a network")
    size = sum(one.size or 0 for one in info.siblings or () if one.rfilename.endswith((".safetensors", ".bin")))
    return Finding("warn", what, f"{name}: not here yet", f"the first run downloads it, {size / GB:.1f} GB at most")


def _model_folder(what: str, folder: Path, config: str) -> Finding:
    from safetensors import SafetensorError, safe_open

    weights = sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))
    if not (folder / config).is_file() or not weights:
        missing = config if weights else "weights"
        return Finding("fail", what, f"{folder}: holds no {missing}", "get it again, with all of its files")
    for path in weights:
        if not path.is_file():
            return Finding("fail", what, absent(path), "get it again, as files and not as links")
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
        except (SafetensorError, OSError) as error:
            pointer = path.stat().st_size < 1000 and b"git-lfs" in path.read_bytes()
            why = "a Git LFS pointer, not the file" if pointer else f"not readable: {error}"
            advice = "`git lfs pull`" if pointer else "get it again"
            return Finding("fail", what, f"{path}: {why}", advice)
    return Finding("ok", what, f"{folder}, {sum(path.stat().st_size for path in weights) / 1e6:,.0f} MB")


def _teacher(name: str, pretrained: str | None) -> Finding:
    """As clip2.teach.teacher takes it: a folder, a hub id, or an open_clip architecture with weights."""
    if Path(name).is_dir():
        return model("teacher", name, "open_clip_config.json")
    if name.startswith("hf-hub:"):
        return model("teacher", name.removeprefix("hf-hub:"), "open_clip_config.json")
    import open_clip

    if name not in open_clip.list_models():
        advice = "give a folder, a hub id (hf-hub:org/name), or an open_clip architecture"
        return Finding("fail", "teacher", f"{name}: neither here nor known to open_clip", advice)
    if pretrained and Path(pretrained).is_file():
        return Finding("ok", "teacher", f"{name}, weights {pretrained}")
    known = open_clip.get_pretrained_cfg(name, pretrained or "")
    if not known:
        names = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        return Finding(
            "fail", "teacher", f"{name}: no weights {pretrained!r}", f"set `pretrained` to a file or one of: {names}"
        )
    if repository := str(known.get("hf_hub") or "").strip("/"):
        return model("teacher", repository, "open_clip_config.json")
    return Finding(
        "warn", "teacher", f"{name}, weights {pretrained}", "the first run downloads them if they are not here"
    )


def _source(experiment: Experiment, name: str) -> Finding:
    what = f"source {name}"
    if experiment.config.sources[name].world is not None:
        return Finding("ok", what, "built-in world, made by the run")
    try:
        root, index = experiment.data_root(name), experiment.raw_index(name)
    except InputError as error:
        found, _, advice = str(error).rpartition("; ")
        return Finding("fail", what, found or str(error), advice if found else "")
    missing = [path for path in index if not Path(path).is_file()]
    if missing or not index:
        first = (
            f"{missing[0]}: no such file"
            if missing
            else f"{root}: holds no {experiment.config.sources[name].kind} data"
        )
        return Finding("fail", what, first, f"`clip2 check {name}` says what is there")
    return Finding("ok", what, f"{root}: {len(index)} index files; `clip2 check {name}` looks into them")
