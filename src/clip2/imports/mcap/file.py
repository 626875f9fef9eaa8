"""Messages of an MCAP recording, of one file or of several parts, in the order of the files."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from clip2.runtime.errors import InputError

try:
    from mcap.reader import make_reader
    from mcap_protobuf.decoder import DecoderFactory as ProtobufDecoders
    from mcap_ros2.decoder import DecoderFactory as Ros2Decoders
except ImportError:
    make_reader = None  # type: ignore[assignment]

ENCODINGS = {("cdr", "ros2msg"): "ROS 2", ("protobuf", "protobuf"): "Protobuf"}
"""(message encoding, schema encoding) → its name."""


class Message(NamedTuple):
    """One message as stored.

    Attributes:
        path: the file that it is in.
        number: of its topic, from 0: the same whenever the recording is read.
        decode: the message, decoded; raises InputError where it is damaged.
    """

    path: Path
    topic: str
    schema: str
    encoding: tuple[str, str]
    number: int
    log_time_ns: int
    data: bytes
    decode: Callable[[], Any]


class Topic(NamedTuple):
    """A topic, what its messages are, and how many there are."""

    name: str
    schema: str
    encoding: tuple[str, str]
    n: int


class McapRecording:
    """Reads the files of one recording, as often as it is asked to."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """
        Raises:
            InputError: the packages that read MCAP are not there.
        """
        if make_reader is None:
            raise InputError("mcap needs its readers: pip install mcap-ros2-support mcap-protobuf-support")
        self.paths = list(paths)
        # One of each: they remember schemas by number, which files count for themselves.
        self._decoders: dict[tuple[Path, int, str], Callable[[bytes], Any] | None] = {}
        self._factories = {path: (Ros2Decoders(), ProtobufDecoders()) for path in paths}

    def topics(self) -> list[Topic]:
        """All topics, by name.

        Raises:
            InputError: a file is no MCAP recording, or cut short.
        """
        counts: dict[tuple[str, str, tuple[str, str]], int] = {}
        for path in self.paths:
            with path.open("rb") as file, _told(path):
                summary = make_reader(file, validate_crcs=True).get_summary()
                if summary is None or summary.statistics is None:
                    raise InputError(f"{path}: has no index, as a recording that ended badly; `mcap recover` makes one")
                for number, channel in summary.channels.items():
                    schema = summary.schemas.get(channel.schema_id)
                    encoding = (channel.message_encoding, schema.encoding if schema else "")
                    key = (channel.topic, schema.name if schema else "", encoding)
                    counts[key] = counts.get(key, 0) + summary.statistics.channel_message_counts.get(number, 0)
        return [Topic(*key, n) for key, n in sorted(counts.items())]

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Messages of some topics.

        Raises:
            InputError: a file is damaged.
        """
        numbers = dict.fromkeys(topics, 0)
        for path in self.paths:
            with path.open("rb") as file:
                found = make_reader(file, validate_crcs=True).iter_messages(list(topics), log_time_order=False)
                while True:
                    with _told(path):
                        try:
                            schema, channel, message = next(found)
                        except StopIteration:
                            break
                    number = numbers[channel.topic]
                    numbers[channel.topic] += 1
                    name, encoding = (schema.name, schema.encoding) if schema else ("", "")
                    decode = self._decoding(path, schema, channel, message)
                    encodings = (channel.message_encoding, encoding)
                    yield Message(path, channel.topic, name, encodings, number, message.log_time, message.data, decode)

    def _decoding(self, path: Path, schema: Any, channel: Any, message: Any) -> Callable[[], Any]:
        def decode() -> Any:
            with _told(path, f"a message of {channel.topic} ({schema.name}) cannot be read"):
                key = (path, schema.id, channel.message_encoding)
                if key not in self._decoders:
                    found = (factory.decoder_for(channel.message_encoding, schema) for factory in self._factories[path])
                    self._decoders[key] = next((decoder for decoder in found if decoder), None)
                decoder = self._decoders[key]
                if decoder is None:
                    raise ValueError(f"encoding {channel.message_encoding}")
                return decoder(message.data)

        return decode


class _told:
    """Whatever the libraries raise of bytes that they cannot read is one line; they name no errors of their own."""

    def __init__(self, path: Path, what: str = "") -> None:
        self._path, self._what = path, what

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception) or isinstance(error, InputError | FileNotFoundError | PermissionError):
            return
        if self._what:
            raise InputError(f"{self._path}: {self._what} ({error})") from None
        if _head(self._path) != MAGIC:
            raise InputError(f"{self._path}: is no MCAP recording{_instead(self._path)}") from None
        raise InputError(
            f"{self._path}: is damaged or cut short ({str(error) or type(error).__name__}); copy it again, or take "
            f"what is left of it with `mcap recover {self._path.name} -o recovered.mcap`"
        ) from None


MAGIC = b"\x89MCAP0\r\n"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(MAGIC))


def _instead(path: Path) -> str:
    head = _head(path)
    if head.startswith(b"#ROSBAG"):
        return f" but a ROS 1 bag: `rosbags-convert --src {path.name} --dst ros2_bag --dst-storage mcap`"
    if head.startswith(b"SQLite"):
        return " but a bag in SQLite (.db3): `ros2 bag convert` writes it as mcap"
    return ""
