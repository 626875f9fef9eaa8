"""A headless Chromium, driven by the W3C WebDriver protocol: plain HTTP, so that tests need no further package."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PATIENCE_S = 60.0
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The protocol's name for a reference to an element."""
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "ArrowRight": "\ue014", "ArrowLeft": "\ue012", "ArrowDown": "\ue015"}


class Browser:
    """One window. Made by :func:`browser`."""

    def __init__(self, port: int, session: str) -> None:
        self._base = f"http://127.0.0.1:{port}/session/{session}"

    def _call(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        return _request(f"{self._base}/{path}".rstrip("/"), body, method)

    def open(self, address: str) -> None:
        """Load an address; pages with nothing but another fragment are loaded anew, too."""
        self._call("url", {"url": "about:blank"})
        self._call("url", {"url": address})

    def reload(self) -> None:
        """Load the page again."""
        self._call("refresh", {})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function body returns in the page."""
        return self._call("execute/sync", {"script": script, "args": list(arguments)})

    def until(self, expression: str) -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + PATIENCE_S
        while not self.run(f"return Boolean({expression})"):
            if time.monotonic() > end:
                raise AssertionError(f"not within {PATIENCE_S:g} s: {expression}")
            time.sleep(0.05)

    def click(self, selector: str) -> None:
        """Click an element as a person would: where it is, if nothing covers it.

        An element that the page replaces between the search and the click is searched again.
        """
        end = time.monotonic() + PATIENCE_S
        while True:
            found = self._call("element", {"using": "css selector", "value": selector})
            try:
                self._call(f"element/{found[ELEMENT]}/click", {})
            except AssertionError as error:
                if "stale element" not in str(error) or time.monotonic() > end:
                    raise
            else:
                return

    def press(self, *keys: str) -> None:
        """Press keys, one after the other: characters, or names of ``KEYS``; ``ctrl+s`` together."""
        for key in keys:
            *held, last = key.split("+") if len(key) > 1 else [key]
            down = [{"type": "keyDown", "value": "\ue009"} for _ in held]
            up = [{"type": "keyUp", "value": "\ue009"} for _ in held]
            own = KEYS.get(last, last)
            strokes = [*down, {"type": "keyDown", "value": own}, {"type": "keyUp", "value": own}, *up]
            self._call("actions", {"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]})

    def type(self, text: str) -> None:
        """Press the keys of a text."""
        self.press(*text)

    def size(self, width: int, height: int) -> None:
        """Set the size of what is seen of the page."""
        self._call("chromium/send_command_and_get_result", _metrics(width, height))

    def errors(self) -> list[str]:
        """What the page told its console as an error, since this was asked last."""
        return [entry["message"] for entry in self._call("se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]

    def picture(self, path: Path) -> None:
        """Save what is seen as PNG."""
        path.write_bytes(base64.b64decode(self._call("screenshot", method="GET")))


def _metrics(width: int, height: int) -> dict[str, Any]:
    sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    return {"cmd": "Emulation.setDeviceMetricsOverride", "params": sizes}


def _request(address: str, body: dict[str, Any] | None, method: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        value = json.load(error)["value"]
        raise AssertionError(f"{value['error']}: {value['message'].splitlines()[0]}") from None


@contextlib.contextmanager
def browser(downloads: Path, width: int = 1280, height: int = 720, light: bool = False) -> Iterator[Browser]:
    """A window of a browser that is ended afterwards. Without Chromium and its driver: a loud skip.

    Args:
        downloads: folder that files are saved in.
    """
    if CHROMIUM is None or DRIVER is None:
        message = "BROWSER NOT TESTED: no chromium and chromedriver (Debian: apt-get install chromium chromium-driver)"
        warnings.warn(message, stacklevel=3)
        pytest.skip(message)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen([DRIVER, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        window = Browser(port, _session(port, downloads, light))
        window.size(width, height)
        yield window
        window._call("", method="DELETE")
    finally:
        driver.terminate()
        driver.wait()


def _session(port: int, downloads: Path, light: bool) -> str:
    arguments = ["--headless=new", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage"]
    arguments += ["--hide-scrollbars", "--force-prefers-reduced-motion"]
    if not light:
        arguments.append("--force-dark-mode")
    if os.getuid() == 0:
        arguments.append("--no-sandbox")
    options = {
        "binary": CHROMIUM,
        "args": arguments,
        "prefs": {"download.default_directory": str(downloads)},
    }
    capabilities = {"alwaysMatch": {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            address = f"http://127.0.0.1:{port}/session"
            return str(_request(address, {"capabilities": capabilities}, "POST")["sessionId"])
        except urllib.error.URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
