"""The audit's figures, per class and in total: summed up in constant memory, as a dictionary and as a table."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from clip2.evaluate.result_file import missing, print_head
from clip2.label.words import canonical
from clip2.runtime.console import console as standard_output
from clip2.runtime.errors import InputError
from clip2.runtime.tables import print_table
from clip2.store.atomic import read_json

OTHER = "(other)"
"""Annotated things that are in none of the benchmark's classes."""


class Thing(NamedTuple):
    """What an annotation says that its object is."""

    class_name: str | None
    fine_name: str | None
    category: str

    @property
    def words(self) -> tuple[str, ...]:
        """All names that the annotation itself gives the object."""
        given = (self.fine_name, self.class_name, self.category.split(".")[-1])
        return tuple(canonical(word) for word in given if word)


def label_checker(things: Iterable[Thing], synonyms: Mapping[str, str]) -> Callable[[str, Thing], bool]:
    """Whether a detector's label is right for a thing.

    Right is any of the names in the thing's own annotation; and for a thing of a benchmark class, any name that some
    annotation of the class has ("hatchback" for a sedan: both are cars) or that ``synonyms`` (label → class) gives it.
    """
    class_of_word = {word: t.class_name for t in things if t.class_name for word in t.words}
    class_of_word |= {canonical(word): name for word, name in synonyms.items()}

    def right(label: str, thing: Thing) -> bool:
        label = canonical(label)
        same_class = thing.class_name is not None and class_of_word.get(label) == thing.class_name
        return same_class or label in thing.words

    return right


class Tally:
    """Sums over triplets and objects."""

    def __init__(self) -> None:
        self.no_box = 0
        self._sums: dict[str, Counter[str]] = defaultdict(Counter)
        self._labels: Counter[tuple[str, Thing]] = Counter()
        self._things: set[Thing] = set()

    def add_triplet(self, label: str, owner: Thing, precision: float, recall: float, iou: float) -> None:
        """A triplet of which ``owner`` holds most points; shares 0 to 1."""
        self._labels[label, owner] += 1
        self._things.add(owner)
        figures: dict[str, Any] = {"precision": precision, "recall": recall, "iou": iou, "iou_above_half": iou > 0.5}
        self._add(owner, {"triplets": 1, **figures})

    def add_object(self, thing: Thing, hit: bool) -> None:
        """An annotation with enough points in some image; ``hit``: at least one triplet is of it."""
        self._things.add(thing)
        self._add(thing, {"objects": 1, "hits": hit})

    def _add(self, thing: Thing, values: Mapping[str, Any]) -> None:
        self._sums[thing.class_name or OTHER].update(values)

    def summary(self, synonyms: Mapping[str, str]) -> dict[str, Any]:
        """``total`` and ``per_class`` {class: figures}.

        Figures: ``triplets`` matched to a box, their mean ``precision``, ``recall`` and ``iou``, the share with
        ``iou_above_half``, the share with the right label (``label_agreement``); the ``objects`` that could have been
        found and the share with a triplet (``object_recall``). None where there is nothing to average. The total also
        has ``triplets_in``, all of them, and ``no_box``, the share that hit no annotated box: these are things that
        nobody annotated as well as errors.
        """
        right = label_checker(self._things, synonyms)
        sums = {name: Counter(values) for name, values in self._sums.items()}
        for (label, thing), n in self._labels.items():
            sums[thing.class_name or OTHER]["label_agreement"] += n * right(label, thing)
        total: Counter[str] = Counter()
        for values in sums.values():
            total.update(values)
        n_in = total["triplets"] + self.no_box
        return {
            "total": {"triplets_in": n_in, "no_box": share(self.no_box, n_in), **_figures(total)},
            "per_class": {name: _figures(sums[name]) for name in sorted(sums, key=lambda name: (name == OTHER, name))},
        }


def _figures(sums: Mapping[str, float]) -> dict[str, int | float | None]:
    n, objects = int(sums["triplets"]), int(sums["objects"])
    means = {key: share(sums[key], n) for key in ("precision", "recall", "iou", "iou_above_half", "label_agreement")}
    return {"triplets": n, **means, "objects": objects, "object_recall": share(sums["hits"], objects)}


def share(part: float, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def read_audit(path: Path, kind: str = "audit") -> dict[str, Any]:
    """Read what :func:`clip2.evaluate.audit.run` wrote, or an audit of another kind.

    Raises:
        InputError: missing, not JSON, or not an audit.
    """
    try:
        result: Any = read_json(path)
    except FileNotFoundError:
        raise missing(path) from None
    except ValueError as error:
        raise InputError(f"{path}: not readable as JSON ({error}); make it again") from None
    if not isinstance(result, dict) or result.get("kind") != kind:
        raise InputError(
            f"{path}: not an audit{' of ' * (kind != 'audit')}{kind.removesuffix('audit').rstrip('_')}; make it again"
        )
    return result


def print_audit(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print an audit as a table."""
    console = console or standard_output()
    title = f"Mined triplets against human boxes, {result['split']}: {result['samples']:,} samples"
    print_head(console, title, result["source_kind"], result)
    columns = {
        "triplets": "triplets",
        "precision": "precision",
        "recall": "recall",
        "iou": "IoU",
        "iou_above_half": "IoU > ½",
        "label_agreement": "label right",
        "objects": "objects",
        "object_recall": "found",
    }
    print_figures(console, result, columns, f"{result['total']['triplets_in']:,} triplets, of which")


def print_figures(console: Console, result: Mapping[str, Any], columns: Mapping[str, str], begin: str) -> None:
    """Print some figures of an audit: a row a class, and one for all.

    Args:
        columns: key of a figure → its head.
        begin: of the line below, which ends with the share of triplets that hit no annotated box.
    """
    total = result["total"]
    rows = [
        [name, *(_cell(figures[key]) for key in columns)]
        for name, figures in {**result["per_class"], "all": total}.items()
    ]
    no_box = "–" if total["no_box"] is None else f"{total['no_box']:.1%}"
    caption = f"{begin} {no_box} hit no annotated box"
    print_table(console, ["class", *columns.values()], rows, caption=caption, bold=[len(rows) - 1])


def _cell(value: int | float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
