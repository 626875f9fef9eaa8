"""The figures of an audit of tracks, per class and in total, as a dictionary and as a table."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from rich.console import Console

from clip2.evaluate.audit_summary import OTHER, Thing, label_checker, print_figures, share
from clip2.evaluate.result_file import print_head
from clip2.runtime.console import console as standard_output

KIND = "tracks_audit"
T = TypeVar("T")
I = TypeVar("I")


class Owned(NamedTuple):
    """A triplet of which an annotated object holds the most points.

    Attributes:
        track: its track.
        label: the detector's; track_label, score: the track's, and its probability.
        thing: what people call the object.
        instance: the object over the samples; None where people did not follow it.
    """

    track: str
    label: str
    track_label: str
    score: float
    thing: Thing
    instance: str | None


def summary(owned: Sequence[Owned], no_box: int, synonyms: Mapping[str, str]) -> dict[str, Any]:
    """``total`` and ``per_class`` {class: figures}.

    Figures: ``triplets`` matched to an object; the shares whose own label is right (``label_right_view``), whose
    track's is (``label_right_track``), and whose track's majority is the same object (``purity``); the mean ``score``
    of their tracks, which calibrated probabilities have equal to ``label_right_track``; the ``objects`` that they are
    of and how many tracks an object has triplets in (``tracks_per_object``). None where there is nothing to average,
    or where people did not follow objects through the samples. The total also has ``triplets_in``, all of them, and
    ``no_box``, the share that hit no annotated box.
    """
    right = label_checker({one.thing for one in owned}, synonyms)
    followed = all(one.instance is not None for one in owned)
    major = majorities((one.track, one.instance) for one in owned)
    tracks_of: dict[str | None, set[str]] = defaultdict(set)
    class_of: dict[str | None, str] = {}
    for one in owned:
        tracks_of[one.instance].add(one.track)
        class_of.setdefault(one.instance, one.thing.class_name or OTHER)
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for one in owned:
        figures: dict[str, Any] = {
            "triplets": 1,
            "label_right_view": right(one.label, one.thing),
            "label_right_track": right(one.track_label, one.thing),
            "score": one.score,
            "purity": major[one.track] == one.instance,
        }
        sums[one.thing.class_name or OTHER].update(figures)
    for instance, tracks in tracks_of.items():
        sums[class_of[instance]].update({"objects": 1, "tracks": len(tracks)})
    total: Counter[str] = Counter()
    for values in sums.values():
        total.update(values)
    n_in = len(owned) + no_box
    return {
        "total": {"triplets_in": n_in, "no_box": share(no_box, n_in), **_figures(total, followed)},
        "per_class": {
            name: _figures(sums[name], followed) for name in sorted(sums, key=lambda name: (name == OTHER, name))
        },
    }


def majorities(owned: Iterable[tuple[T, I]]) -> dict[T, I]:
    """The object that most of a track's triplets are of; of as many, the first by name.

    Args:
        owned: of each triplet that an object owns, its track and the object.
    """
    votes: dict[T, Counter[I]] = defaultdict(Counter)
    for track, instance in owned:
        votes[track][instance] += 1
    return {track: min(own, key=lambda name: (-own[name], str(name))) for track, own in votes.items()}


def _figures(sums: Mapping[str, float], followed: bool) -> dict[str, int | float | None]:
    n, objects = int(sums["triplets"]), int(sums["objects"])
    means = {key: share(sums[key], n) for key in ("label_right_view", "label_right_track", "score", "purity")}
    if not followed:
        return {"triplets": n, **means, "purity": None, "objects": None, "tracks_per_object": None}
    return {"triplets": n, **means, "objects": objects, "tracks_per_object": share(sums["tracks"], objects)}


def print_track_audit(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print an audit of tracks as a table."""
    console = console or standard_output()
    print_head(console, f"Tracks against human boxes, {result['split']}", result["source_kind"], result)
    columns = {
        "triplets": "triplets",
        "label_right_view": "label right, view",
        "label_right_track": "track",
        "score": "score",
        "purity": "purity",
        "objects": "objects",
        "tracks_per_object": "tracks an object",
    }
    n = result["total"]["triplets_in"]
    print_figures(console, result, columns, f"{n:,} triplets in {result['tracks']:,} tracks;")
