"""MCAP with Foxglove's schemas: a recording a scene with clouds, pictures, boxes over time and where everything is."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from clip2.export.recordings import Recordings
from clip2.export.scans import LabelledScans, Matrix, Row, Sample
from clip2.geometry import invert
from clip2.runtime.errors import InputError

try:
    import foxglove
    from foxglove import channels

    from clip2.export import foxglove_messages as fox
except ImportError:
    foxglove = None  # type: ignore[assignment]


def write(scans: LabelledScans, recordings: Recordings, out: Path) -> None:
    """Write ``SCENE.mcap`` of each scene.

    Raises:
        InputError: Foxglove's package is not installed.
    """
    if foxglove is None:
        raise InputError("mcap needs Foxglove's package: pip install foxglove-sdk")
    about = {key: str(scans.header[key]) for key in ("source", "source_kind", "sensor", "units")}
    for samples in scans.scenes():
        context = foxglove.Context()
        with foxglove.open_mcap(out / f"{quote(samples[0].scene, safe='')}.mcap", context=context) as file:
            file.write_metadata("clip2", about)
            recording = _Recording(context, recordings)
            for sample in samples:
                recording.add(sample)


class _Recording:
    """The channels of one file."""

    def __init__(self, context: Any, recordings: Recordings) -> None:
        self._context, self._recordings = context, recordings
        self._tf = channels.FrameTransformChannel("/tf", context=context)
        self._cloud = channels.PointCloudChannel("/points", context=context)
        self._boxes = channels.SceneUpdateChannel("/labels", context=context)
        self._edges = channels.PointCloudChannel("/label_edges", context=context)
        self._cameras: dict[str, tuple[Any, Any]] = {}

    def add(self, sample: Sample) -> None:
        """Write a sample's cloud, boxes and pictures; a cloud or picture that cannot be read is missing."""
        time_us, T = sample.time_us, sample.T_scene_from_points
        self._tf.log(fox.place(fox.POINTS, T, time_us), log_time=1000 * time_us)
        cloud = self._recordings.cloud(sample.frames[0])
        if cloud is not None:
            self._cloud.log(fox.point_cloud(cloud, time_us), log_time=1000 * time_us)
        self._boxes.log(fox.scene_update(sample), log_time=1000 * time_us)
        self._edges.log(fox.label_edges(sample), log_time=1000 * time_us)
        for frame in sample.frames:
            self._picture(frame, T, time_us if frame["timestamp_us"] is None else frame["timestamp_us"])

    def _picture(self, frame: Row, T_scene_from_points: Matrix, time_us: int) -> None:
        content = self._recordings.picture_bytes(frame)
        if content is None:
            return
        name = frame["camera"]
        if name not in self._cameras:
            self._cameras[name] = (
                channels.CompressedImageChannel(f"/{name}/image", context=self._context),
                channels.CameraCalibrationChannel(f"/{name}/calibration", context=self._context),
            )
        image, calibration = self._cameras[name]
        # From the scene and not from the points, which are elsewhere by the time of the picture.
        T = T_scene_from_points @ invert(np.reshape(frame["T_cam_from_points"], (4, 4)))
        self._tf.log(fox.place(name, T, time_us), log_time=1000 * time_us)
        image.log(fox.compressed_image(content, name, time_us), log_time=1000 * time_us)
        calibration.log(fox.camera_calibration(frame, time_us), log_time=1000 * time_us)
