"""What frames are called in a file of boxes or masks."""

from collections.abc import Collection, Mapping
from pathlib import Path

from clip2.runtime.errors import InputError


class Names:
    """Frame id or image path, or a longer path that ends in the image path."""

    def __init__(self, path: Path, frames: Mapping[str, str], known: Collection[str]) -> None:
        """Args:
        path: the file, for messages.
        frames: frame id → image path, of one shard.
        known: frame ids and image paths of other shards.
        """
        self._path = path
        self._frame_of = {**{image: frame for frame, image in frames.items()}, **{frame: frame for frame in frames}}
        self._known = known if isinstance(known, set | frozenset) else set(known)
        self._found: dict[str, str | None] = {}
        self._called: dict[str, str] = {}
        self.n_of_none = self.n_of_others = 0
        self._unknown: list[str] = []

    def frame_of(self, name: str) -> str | None:
        """The shard's frame that a name means.

        Raises:
            InputError: a longer path of another folder meant the same frame: pictures of several recordings often have
                the same names, and only one of them can be the frame's.
        """
        if name not in self._found:
            self._found[name] = self._look_up(name)
        return self._found[name]

    def _look_up(self, name: str) -> str | None:
        parts = [part for part in name.replace("\\", "/").split("/") if part != "."]
        for start in range(len(parts)):
            short = "/".join(parts[start:])
            if short in self._frame_of:
                folder = "/".join(parts[:start]).strip("/")
                before = self._called.setdefault(short, folder)
                if not before:  # the path itself: a longer one may be the same picture's
                    self._called[short] = folder
                elif folder and before != folder:
                    raise InputError(
                        f"{self._path}: “{before}/{short}” and “{folder}/{short}” both end in {short}, the name of one "
                        "frame; take out what is of another recording, or ingest from the folder above, so that image "
                        "paths tell them apart"
                    )
                return self._frame_of[short]
            if short in self._known:
                return None
        return None

    def count_other(self, name: str) -> None:
        """Count a box whose frame is not in the shard."""
        short = name.replace("\\", "/")
        while short not in self._known and "/" in short:
            short = short.partition("/")[2]
        if short in self._known:
            self.n_of_others += 1
            return
        self.n_of_none += 1
        if len(self._unknown) < 3 and name not in self._unknown:
            self._unknown.append(name)

    def examples(self) -> str:
        """Of names that mean no frame."""
        return f"; the file has {', '.join(self._unknown)}" if self._unknown else ""
