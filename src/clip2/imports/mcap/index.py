"""What a recording has: times of clouds and pictures, a message of each topic, transforms. And which clouds to take."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from clip2.imports.mcap import messages
from clip2.imports.mcap.file import McapRecording, Message, Topic
from clip2.imports.mcap.frame_tree import FrameTree
from clip2.imports.mcap.messages import CLOUD, KINDS, PICTURE, TRANSFORMS
from clip2.imports.scene_folder import SceneFolder
from clip2.imports.settings import McapSettings
from clip2.runtime.console import progress
from clip2.runtime.errors import InputError


class Index:
    """One pass over the recording: times of clouds and pictures, a message of each topic, transforms."""

    def __init__(self, recording: McapRecording, topics: list[Topic], settings: McapSettings) -> None:
        self.topics = {kind: [t for t in topics if KINDS[t.schema] == kind] for kind in set(KINDS.values())}
        self.tree = FrameTree()
        self.first: dict[str, Any] = {}
        """Topic → its first message, decoded."""
        self.clock_missing = 0
        self.wrong_transforms = 0
        self._times: dict[str, dict[int, int]] = defaultdict(dict)
        self._settings = settings
        total = sum(topic.n for topic in topics)
        for message in progress(recording.messages([topic.name for topic in topics]), "messages", total):
            self._add(message)

    def times_of(self, topic: str) -> dict[int, int]:
        """Number of a message → nanoseconds."""
        return self._times[topic]

    def _add(self, message: Message) -> None:
        kind = KINDS.get(message.schema)
        if kind == TRANSFORMS:
            always = message.topic.rpartition("/")[2] == messages.STATIC
            for one in messages.transforms_of(message.decode()):
                time_ns = message.log_time_ns if self._settings.stamps == "log" else one.time_ns
                if one.T_parent_from_child is None:
                    self.wrong_transforms += 1
                else:
                    self.tree.add(one.parent, one.child, time_ns, one.T_parent_from_child, always)
            return
        if message.topic not in self.first:
            self.first[message.topic] = message.decode()
        if kind in (PICTURE, CLOUD):
            self._times[message.topic][message.number] = self._time(message)

    def _time(self, message: Message) -> int:
        if self._settings.stamps == "log":
            return message.log_time_ns
        try:
            head = (
                messages.head_of_cdr(message.data)
                if message.encoding[0] == "cdr"
                else messages.head_of(message.decode())
            )
        except ValueError as error:
            raise InputError(f"{message.path}: {message.topic}: message {message.number}: {error}") from None
        self.clock_missing += head.time_ns == 0
        return head.time_ns or message.log_time_ns


def choose_lidar(index: Index, settings: McapSettings, where: Path, out: SceneFolder) -> str:
    """The topic that was asked for, or the one with the most points over all."""
    clouds = {topic.name: topic.n for topic in index.topics[CLOUD]}
    if not clouds:
        raise InputError(
            f"{where}: has no clouds (sensor_msgs/PointCloud2, foxglove.PointCloud); drivers' packets are not read"
        )
    if settings.lidar is not None:
        if settings.lidar not in clouds:
            raise InputError(f"{where}: has no clouds {settings.lidar!r} (--lidar); it has {', '.join(clouds)}")
        return settings.lidar
    points = {topic: n * messages.n_points(index.first[topic]) for topic, n in clouds.items()}
    best = max(points, key=lambda topic: points[topic])
    others = [topic for topic in points if topic != best]
    out.said.append(f"clouds: {best}" + (f", with more points than {', '.join(others)} (--lidar)" if others else ""))
    return best
