"""Data as scripts: a page that is opened from disk may load those, and no other files that it could read."""

import json
from pathlib import Path
from typing import Any


def to_json(value: Any) -> str:
    """Compact JSON that may stand in a script, in a file or in a page."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def write_script(path: Path, key: str, content: Any, blob: str = "") -> None:
    """Write a script that hands content, and bytes in base64, to the page (``page/data.js``)."""
    parts = [json.dumps(key), to_json(content), *([f'"{blob}"'] if blob else [])]
    path.write_text(f"CLIP2.arrive({', '.join(parts)});\n", encoding="utf-8")
