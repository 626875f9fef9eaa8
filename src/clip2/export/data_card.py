"""The data card of exported triplets, in Hugging Face's form: what they are, how they were mined, of what."""

import json
from typing import Any

from clip2.export.mined import MinedTriplets
from clip2.store.provenance import file_digest
from clip2.store.tables import read_header

SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
"""Hugging Face's words for the size of a data set, by the number of rows that it is below."""
COMMONEST = 40
"""Labels whose numbers the card gives."""
TEXT = """---
{front}
---

# {title}

{n:,} triplets of a name, a picture and a point crop, mined by CLIP² from unlabelled scans. No human drew a box or
chose a name: names are a 2D detector's, points are what lifting found of its boxes. Both err.{synthetic}

The licence is that of the recordings, of which these are parts: ask there before you pass them on.

```python
{opened_by}
```

| field | meaning |
|---|---|
| image | a square window around the box, JPEG |
| label, score | the detector's name of it, and how sure it was |
| box | x0 y0 x1 y1 in pixels of the frame's image |
| points | x y z in metres, z up, in the frame of the scan; intensity as recorded |
| range_m | their median distance from the camera, metres |

## Labels

| label | triplets |
|---|---|
{labels}

## How they were mined

{shards}
"""


def data_card(triplets: MinedTriplets, files: str, opened_by: str) -> str:
    """The card of triplets that were read and written.

    Args:
        files: pattern of the data files.
        opened_by: Python that opens them.
    """
    n, made_up = triplets.counts.total(), any(header["source_kind"] != "real" for header in triplets.headers)
    title = f"CLIP² triplets of {', '.join(sorted({header['source'] for header in triplets.headers}))}"
    front = {
        "pretty_name": title,
        "license": "other",
        "license_name": "that-of-the-recordings",
        "size_categories": [next((word for limit, word in SIZES.items() if n < limit), "n>10M")],
        "tags": ["point-cloud", "3d", "image", "text", "clip2", *(["synthetic"] if made_up else [])],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": files}]}],
    }
    commonest = triplets.counts.most_common(COMMONEST)
    labels = [f"| {label} | {count:,} |" for label, count in commonest]
    if (more := len(triplets.counts) - COMMONEST) > 0:
        labels.append(f"| {more:,} others | {n - sum(count for _, count in commonest):,} |")
    return TEXT.format(
        front="\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items()),
        title=title,
        n=n,
        synthetic="\n**Synthetic**: the scans are of a built-in world and were not recorded." if made_up else "",
        opened_by=opened_by,
        labels="\n".join(labels),
        shards="\n\n".join(_mining(triplets, number) for number in range(len(triplets.paths))),
    )


def _mining(triplets: MinedTriplets, number: int) -> str:
    """A shard's counts and provenance."""
    path, header = triplets.paths[number], triplets.headers[number]
    made_by = header["provenance"]
    lines = [
        f"### {header['source']}, {path.stem}\n",
        f"- scans: {header['source_kind']}, {header['sensor']}, split `{header['split']}`; {header['axes']['points']}",
        *_detector(triplets, number),
        f"- lifting: `{header['method']}`, {_json(made_by['settings'])}",
        f"- its counts: {_json(header['counts'])}",
        f"- made by: clip2 {made_by['clip2']}, {_json(made_by['packages'])}",
        f"- inputs (SHA-256): {_json(made_by['inputs'])}",
    ]
    return "\n".join(lines)


def _detector(triplets: MinedTriplets, number: int) -> list[str]:
    """Lines on the detector, where its boxes still lie where they were made and are those that were lifted."""
    path = triplets.paths[number]
    detector = path.absolute().parent.name.partition(".")[0]
    boxes = path.absolute().parents[2] / "detections" / detector / path.name
    lifted = triplets.headers[number]["provenance"]["inputs"].get("detections")
    if not boxes.is_file() or file_digest(boxes) != lifted:
        return [f"- detector: `{detector}`"]
    header = read_header(boxes)
    return [
        f"- detector: `{detector}`, {_json(header['detector'])}, {_json(header['provenance']['settings'])}",
        f"- its counts: {_json(header['counts'])}",
    ]


def _json(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False, sort_keys=True)}`"
