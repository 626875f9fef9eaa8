"""The explorer, served on this machine: the same page, which then searches by any words and saves corrections."""

import json
import logging
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
from pydantic import ValidationError

from clip2.explore.corrections import Corrections
from clip2.explore.document import read_index
from clip2.runtime.errors import InputError
from clip2.search.mined import Mined
from clip2.search.query import make_query
from clip2.search.stage import background_of, search
from clip2.search.stage import like as like_examples
from clip2.store.atomic import write_text
from clip2.teach.teacher import Teacher, load_teacher

log = logging.getLogger(__name__)

HITS = 2000
MOST_BYTES = 64 << 20
"""Of a file of corrections."""
HOST = "127.0.0.1"


def make_server(folder: Path, port: int, device: str = "auto") -> ThreadingHTTPServer:
    """A server of the explorer in a folder, only for this machine; ``serve_forever`` starts it.

    Raises:
        InputError: there is no explorer, or the port is taken.
    """
    if not (folder / "index.html").is_file():
        raise InputError(f"{folder / 'index.html'}: no such file; make it with `snakemake explorer`")
    search = Search([Path(path) for path in read_index(folder / "index.html")["mined"]], device)
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder), search=search))
    except OSError as error:
        raise InputError(f"port {port} cannot be used ({error.strerror}); choose another with --port") from None


class Search:
    """Words, or an example, among what the page was made of; the teacher is loaded when it is first asked.

    Args:
        embeddings: files to search in; triplets and tracks lie where the workflow puts them.
    """

    def __init__(self, embeddings: Sequence[Path], device: str) -> None:
        self._embeddings, self._device, self._lock = embeddings, device, Lock()
        self._loaded: tuple[Mined, Teacher] | None = None

    def __call__(self, words: str, like: str) -> dict[str, float]:
        """The things that fit best, the best first, with their scores.

        Raises:
            InputError: nothing to search for or in.
        """
        query = make_query([words] if words else [], [], [like] if like else [])
        with self._lock:  # one question at a time
            mined, teacher = self._loaded = self._loaded or self._load()
            if query.like and mined.thing_named(like) is None:
                raise InputError(f"there is no thing {like} among what was mined")
            if query.like:
                things, scores, _ = like_examples(mined, query, teacher, threads=1)
            else:
                things, scores, _ = search(mined, query, teacher, background_of(mined, query, teacher), HITS)
            best = np.argsort(-scores, kind="stable")[:HITS]
            return {mined.name(int(things[k])): round(float(scores[k]), 4) for k in best}

    def _load(self) -> tuple[Mined, Teacher]:
        if not self._embeddings:
            raise InputError("this explorer was made without embeddings, so that words cannot be searched for")
        mined = Mined(self._embeddings, threads=1)
        return mined, load_teacher(mined.teacher["model"], mined.teacher["pretrained"], self._device)


class _Handler(SimpleHTTPRequestHandler):
    """Files of the folder; ``api/search?words=…`` or ``?like=TRACK``; corrections to keep."""

    def __init__(self, *args: Any, directory: str, search: Search) -> None:
        self._search = search
        super().__init__(*args, directory=directory)

    def do_GET(self) -> None:
        """A file, or what was searched for."""
        if not self._asked_here():
            return
        address = urlsplit(self.path)
        if address.path != "/api/search":
            return super().do_GET()
        asked = parse_qs(address.query)
        try:
            scores = self._search(*(asked.get(key, [""])[0].strip() for key in ("words", "like")))
        except InputError as error:
            return self._answer(HTTPStatus.BAD_REQUEST, str(error))
        self._answer(HTTPStatus.OK, json.dumps({"scores": scores}), "application/json")

    def do_POST(self) -> None:
        """Keep corrections as ``corrections.json`` beside the page."""
        if not self._asked_here():
            return
        if self.path != "/api/corrections" or self.headers.get_content_type() != "application/json":
            return self._answer(HTTPStatus.NOT_FOUND, "only corrections can be sent here, as JSON")
        size = int(self.headers.get("Content-Length") or 0)
        if size > MOST_BYTES:
            return self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too large for corrections")
        text = self.rfile.read(size).decode("utf-8", "replace")
        try:
            Corrections.model_validate_json(text)
        except ValidationError as error:
            return self._answer(HTTPStatus.BAD_REQUEST, f"not kept: {error.errors()[0]['msg']}")
        path = Path(self.directory) / "corrections.json"
        write_text(path, text)
        self._answer(HTTPStatus.OK, f"Saved as {path}; clip2 explore --apply {path} corrects the labels")

    def _asked_here(self) -> bool:
        """Refuse what a page from elsewhere asks through the browser of this machine."""
        own = {f"{name}:{self.connection.getsockname()[1]}" for name in (HOST, "localhost")}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") in own and (origin is None or urlsplit(origin).netloc in own):
            return True
        self._answer(HTTPStatus.FORBIDDEN, "this explorer answers to its own page only")
        return False

    def _answer(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def end_headers(self) -> None:
        """A page that was made again is loaded again."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a scene is dozens of files."""
        log.debug(format, *args)
