"""The page itself: template, style and script in one file, with the index of what there is."""

import html
import json
import re
from pathlib import Path
from typing import Any

from clip2.explore.bundle import PAGE, bundle
from clip2.explore.scripts import to_json
from clip2.runtime.errors import InputError
from clip2.store.atomic import write_text


def read_index(page: Path) -> dict[str, Any]:
    """The index that a page holds."""
    found = re.search(r'id="index">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)
    if found is None:
        raise InputError(f"{page}: is no explorer; make it with `snakemake explorer`")
    index: dict[str, Any] = json.loads(found[1])
    return index


def write_page(out: Path, index: dict[str, Any]) -> None:
    """Write ``index.html``: everything but the data of scenes, things and results, which it loads when asked."""
    parts = {
        "TITLE": html.escape(f"{index['source']} · CLIP² explorer"),
        "STYLE": (PAGE / "style.css").read_text(encoding="utf-8"),
        "INDEX": to_json(index),
        "SCRIPT": bundle(PAGE, "main.js").replace("</script", "<\\/script"),
    }
    template = (PAGE / "index.html").read_text(encoding="utf-8")
    write_text(out, re.sub(r"\[\[([A-Z]+)\]\]", lambda found: parts[found[1]], template))
