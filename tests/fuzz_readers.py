"""A file of unknown bytes to the reader that it once broke, whichever place of that reader it was for.

Each function takes the bytes and an empty folder. It may raise what users are meant to read, and nothing else.
"""

import contextlib
import faulthandler
import json
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from tiny_nuscenes import VERSION, make_tables, write_tables

import clip2
from clip2.detect.stored import read_boxes
from clip2.detect.vocabulary import Vocabulary, read_vocabulary
from clip2.evaluate.encoded_objects import open_encoded
from clip2.evaluate.result import read_result
from clip2.evaluate.rivals.towers import read_checkpoint, read_tower
from clip2.pretrain.checkpoint import load_checkpoint
from clip2.pretrain.encoder import EncoderConfig, PointEncoder
from clip2.report.show import show_result
from clip2.runtime.errors import InputError
from clip2.scans.clouds import READERS, CloudError, read_cloud
from clip2.scans.depth import READERS as DEPTHS
from clip2.scans.depth import read_depth
from clip2.scans.folder import annotations as folder_annotations
from clip2.scans.folder import frames as folder_frames
from clip2.scans.folder.settings import FolderSettings
from clip2.scans.images import ImageError, read_image
from clip2.scans.nuscenes import annotations as nuscenes_annotations
from clip2.scans.nuscenes import frames as nuscenes_frames
from clip2.scans.nuscenes.rows import rows
from clip2.scans.nuscenes.settings import NuscenesSettings
from clip2.scans.object_sets import _points, read_labels
from clip2.scans.once import annotations as once_annotations
from clip2.scans.once import frames as once_frames
from clip2.scans.once.settings import OnceSettings
from clip2.scans.scannet import frames as scannet_frames
from clip2.scans.scannet.files import LABELS, axis_alignment
from clip2.scans.scannet.mesh import AGGREGATION, MESH, SEGMENTS, read_classes, read_marked_scene
from clip2.scans.scannet.ply import read_ply_vertices
from clip2.scans.scannet.settings import ScannetSettings
from clip2.scans.sunrgbd.boxes import read_boxes as read_sunrgbd_boxes
from clip2.scans.sunrgbd.matlab import MatlabError, load
from clip2.scans.sunrgbd.official import METADATA, SPLIT_FILE, read_official
from clip2.scans.texts import read_json, read_names
from clip2.store.ragged import RaggedReader
from clip2.store.tables import iterate_rows, read_header, read_table
from clip2.teach.embeddings import read_embeddings

EXPECTED = (InputError, CloudError, ImageError, MatlabError)
"""What users are meant to read."""
ONE = {"train": "all", "val": "all", "train_shards": 1, "val_shards": 1}
DEPTH = {"K": [90.0, 0, 48, 0, 90, 36, 0, 0, 1], "width": 96, "height": 72, "metres_per_unit": 0.001}
CALIBRATION: dict[str, Any] = {
    "sensor": "rgbd",
    "up": "z",
    "units": "m",
    "cameras": {
        "front": {
            "image_folder": "images",
            "width": 32,
            "height": 24,
            "K": [[30, 0, 16], [0, 30, 12], [0, 0, 1]],
            "T_points_from_cam": np.eye(4).tolist(),
            "depth": {"folder": "depth", "metres_per_unit": 0.001},
        }
    },
}


def _each(*reads: Callable[[], Any]) -> None:
    """Run all of them; each may refuse."""
    for read in reads:
        with contextlib.suppress(*EXPECTED):
            read()


def _put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def boxes(data: bytes, folder: Path) -> None:
    frames, words = {"f1": "images/1.jpg", "f2": "images/2.jpg"}, Vocabulary(("car", "cone"), ("car", "cone"), (0, 1))
    sizes = dict.fromkeys(frames, (320, 240))
    for ending in ("parquet", "json"):
        path = _put(folder / f"b.{ending}", data)
        _each(lambda path=path: read_boxes(path, frames, words, sizes))


def checkpoint(data: bytes, folder: Path) -> None:
    for name in ("c.pt", "c.pth", "c.safetensors"):
        _put(folder / name, data)
    load_checkpoint(folder / "c.pt", "dig", torch.device("cpu"))
    _each(lambda: read_checkpoint(folder / "c.pth"), lambda: read_tower(folder / "c.safetensors"))


def clouds(data: bytes, folder: Path) -> None:
    path = _put(folder / "a", data)
    for format in READERS:
        _each(lambda format=format: read_cloud(path, format))


def depth(data: bytes, folder: Path) -> None:
    path = _put(folder / "a.png", data)
    for format in DEPTHS:
        _each(lambda format=format: read_depth(path, format, DEPTH), lambda: read_image(path, (96, 72)))
    _each(lambda: read_image(path))


def folder(data: bytes, folder: Path) -> None:
    _put(folder / "images" / "a.png", bytes(cv2.imencode(".png", np.zeros((24, 32, 3), np.uint8))[1]))
    _put(folder / "depth" / "a.png", bytes(cv2.imencode(".png", np.ones((24, 32), np.uint16))[1]))
    settings = FolderSettings(**ONE)
    for name in ("calibration.json", "labels/a.json", "splits/all.txt"):
        _put(folder / "calibration.json", json.dumps(CALIBRATION))
        _put(folder / name, data)
        for stage in (folder_frames, folder_annotations):
            _each(lambda stage=stage: stage.run(folder, folder / "out", "x", settings))
        (folder / name).unlink()


def hdf5(data: bytes, folder: Path) -> None:
    path = _put(folder / "a.h5", data)

    def points() -> None:
        with RaggedReader(path) as reader:
            for _ in reader.chunks(4):
                pass

    def encoded() -> None:
        with open_encoded([path], {"model": "m", "pretrained": None}, {}):
            pass

    def objects() -> None:
        for _ in _points(path, len(read_labels(path, 40)), True):
            pass

    _each(points, encoded, objects, lambda: read_embeddings(path))


def meshjson(data: bytes, folder: Path) -> None:
    scene = folder / "scans" / "s"
    head = "ply\nformat binary_little_endian 1.0\nelement vertex 6\n"
    mesh = (head + "".join(f"property float {axis}\n" for axis in "xyz") + "end_header\n").encode() + bytes(72)
    table = "id\traw_category\tcategory\tcount\tnyu40id\n1\tchair\tchair\t9\t5\n"
    good = {
        scene / f"s{MESH}": mesh,
        scene / f"s{SEGMENTS}": b'{"segIndices": [0, 0, 1, 1, 2, 2]}',
        scene / f"s{AGGREGATION}": b'{"segGroups": [{"objectId": 0, "label": "chair", "segments": [0]}]}',
        scene / "s.txt": b"axisAlignment = 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1\n",
        folder / LABELS: table.encode(),
    }
    for broken in good:
        for path, content in good.items():
            _put(path, data if path == broken else content)
        _each(lambda: read_marked_scene(folder, "s", read_classes(folder)), lambda: axis_alignment(folder, "s"))


def model(data: bytes, folder: Path) -> None:
    """With weights of the sizes that the configuration asks for, where they can be had."""
    _put(folder / "config.json", data)
    _put(folder / "model.safetensors", bytes(16))
    try:
        clip2.load(folder, device="cpu")
    except InputError as error:
        if "config.json" in str(error):
            return
    encoder = PointEncoder(EncoderConfig.from_json(json.loads(data)["encoder"]))
    save_file(encoder.state_dict(), folder / "model.safetensors")
    with contextlib.suppress(InputError):
        vectors = clip2.load(folder, device="cpu").encode_points([np.random.default_rng(0).normal(size=(40, 3))])
        assert np.isfinite(vectors).all()


def nuscenes(data: bytes, folder: Path) -> None:
    names = ("scene", "sample", "sample_data", "calibrated_sensor", "ego_pose", "sensor", "sample_annotation")
    settings = NuscenesSettings(version=VERSION, n_sweeps=3, **ONE)
    for name in (*names, "instance", "category", "visibility"):
        write_tables(folder, make_tables())
        _put(folder / VERSION / f"{name}.json", data)
        for stage in (nuscenes_frames, nuscenes_annotations):
            _each(lambda stage=stage: stage.run(folder, folder / "out", "x", settings))


def once(data: bytes, folder: Path) -> None:
    scene = folder / "data" / "000001"
    _put(scene / "000001.json", data)
    for frame in ("1", "2"):
        _put(scene / "lidar_roof" / f"{frame}.bin", bytes(16))
        _put(scene / "cam01" / f"{frame}.jpg", bytes(cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))[1]))
    for stage in (once_frames, once_annotations):
        _each(lambda stage=stage: stage.run(folder, folder / "out", "x", OnceSettings(**ONE)))


def parquet(data: bytes, folder: Path) -> None:
    path = _put(folder / "t.parquet", data)
    _each(lambda: read_header(path), lambda: read_table(path), lambda: list(iterate_rows(path)))


def ply(data: bytes, folder: Path) -> None:
    path = _put(folder / "a.ply", data)
    _each(lambda: read_ply_vertices(path), lambda: read_cloud(path, "ply"))


def results(data: bytes, folder: Path) -> None:
    path = _put(folder / "nuscenes_zeroshot.json", data)
    with contextlib.redirect_stdout(None):
        _each(lambda: read_result(path), lambda: show_result(path))


def table_rows(data: bytes, folder: Path) -> None:
    path = _put(folder / "t.json", data)
    for keys in (("token",), ("token", "name"), ("token", "translation", "rotation")):
        _each(lambda keys=keys: list(rows(path, *keys)))


def sens(data: bytes, folder: Path) -> None:
    _put(folder / "scans" / "s" / "s.sens", data)
    settings = ScannetSettings(**ONE, frame_skip=1, max_bad_share=1)
    _each(lambda: scannet_frames.run(folder, folder / "out", "x", settings))


def sunmat(data: bytes, folder: Path) -> None:
    _each(lambda: load(_put(folder / "a.mat", data), "instance"))
    (folder / "SUNRGBD").mkdir()
    for name in (*METADATA.values(), f"SUNRGBDtoolbox/{SPLIT_FILE}"):
        path = _put(folder / name, data)
        for labels in METADATA:
            _each(lambda labels=labels: official(folder, labels))
        path.unlink()


def official(root: Path, labels: str) -> None:
    for recording in read_official(root, root, labels).recordings.values():
        read_sunrgbd_boxes(recording.labels)


def texts(data: bytes, folder: Path) -> None:
    path = _put(folder / "t.txt", data)
    _each(lambda: read_names(path), lambda: read_json(path), lambda: read_vocabulary(path))


FUZZED: dict[str, Callable[[bytes, Path], None]] = {
    **{read.__name__: read for read in (boxes, checkpoint, clouds, depth, folder, hdf5, meshjson, model, nuscenes)},
    **{read.__name__: read for read in (once, parquet, ply, results, sens, sunmat)},
    "rows": table_rows,
}
"""Folder of inputs that once broke a reader → that reader."""

SECONDS, MEMORY = 10, 1 << 30
"""Processor time, and bytes beside what this process has, that reading any input may take."""


def quiet_child() -> None:
    """After a fork: the parent's threads are not there, and who waits for them waits for ever (PyTorch's OpenMP)."""
    faulthandler.disable()
    torch.set_num_threads(1)


def outcome(read: Callable[[bytes, Path], None], data: bytes, folder: Path) -> str:
    """What became of reading some bytes in a child process: "" where it was read or refused as it should be."""
    told = folder / "told"
    child = os.fork()
    if child == 0:
        try:
            quiet_child()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
            with open("/proc/self/statm", encoding="ascii") as file:
                size = int(file.read().split()[0]) * resource.getpagesize() + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
            (folder / "read").mkdir()
            read(data, folder / "read")
        except EXPECTED:
            pass
        except BaseException:
            told.write_text(traceback.format_exc()[-800:])
        finally:
            os._exit(0)
    end = time.monotonic() + 30 * SECONDS  # the machine may be busy with something else
    done, status = os.waitpid(child, os.WNOHANG)
    while not done and time.monotonic() < end:
        time.sleep(0.002)
        done, status = os.waitpid(child, os.WNOHANG)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "does not come to an end"
    if os.WIFSIGNALED(status):
        return f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return told.read_text() if told.exists() else ""
