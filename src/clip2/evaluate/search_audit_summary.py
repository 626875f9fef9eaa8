"""The figures of an audit of search, for each name and over all, as a dictionary and as tables."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from clip2.evaluate.audit_summary import share
from clip2.evaluate.metrics import DIGITS
from clip2.evaluate.result_file import print_head
from clip2.evaluate.retrieval.metrics import ranked_precision, ranked_recall
from clip2.evaluate.settings import SearchAuditSettings
from clip2.runtime.console import console as standard_output
from clip2.runtime.tables import print_table

KIND = "search_audit"


class Sought(NamedTuple):
    """One name that was searched for.

    Attributes:
        ranked: of each thing, best first, the object that it is of; None where it hit no annotated box.
        relevant: the objects to find, at least one; unseen: objects of that name that are neither right nor wrong.
    """

    name: str
    ranked: Sequence[str | None]
    relevant: set[str]
    unseen: set[str]


class Found(NamedTuple):
    """Average precision, and recall after each k."""

    ap: float
    recall: list[float]


def judge(ranked: Sequence[str | None], relevant: set[str], unseen: set[str]) -> NDArray[np.bool_]:
    """Of each thing in turn whether it is the first of a relevant object; those of unseen objects are left out."""
    found: set[str | None] = set()
    right = []
    for instance in ranked:
        if instance in unseen:
            continue
        right.append(instance in relevant and instance not in found)
        found.add(instance)
    return np.array(right, bool)


def measure(right: NDArray[np.bool_], n_relevant: int, ks: Sequence[int]) -> Found:
    """Scores of a ranking of which :func:`judge` says ``right``, with ``n_relevant`` objects to find."""
    return Found(ranked_precision(right, n_relevant), ranked_recall(right, n_relevant, ks))


def summary(sought: Sequence[Sought], things: Sequence[str | None], settings: SearchAuditSettings) -> dict[str, Any]:
    """``objects`` {name: how many to find}, ``mined`` {name: how many of them some thing is of}, and ``methods``.

    Of each method ``mean_ap`` and ``recall`` {k: share}, unweighted means over the names, and ``per_query`` {name: {ap,
    recall}}. ``search`` also has ``mean_ap_of_mined``, over the mined objects alone: what ranking can be blamed for.
    ``chance`` is the mean of random orders of all things.

    Args:
        things: of each mined thing the object that it is of.
    """
    all_mined = set(things)
    objects = {one.name: len(one.relevant) for one in sought}
    mined = {one.name: len(one.relevant & all_mined) for one in sought}
    rng = np.random.default_rng(settings.seed)
    by_search, by_chance = {}, {}
    for one in sought:
        n = objects[one.name]
        by_search[one.name] = measure(judge(one.ranked, one.relevant, one.unseen), n, settings.ks)
        ranked = [thing for thing in things if thing not in one.unseen]
        own = [thing for thing in ranked if thing in one.relevant]
        orders = [
            measure(_in_random_order(own, len(ranked), rng), n, settings.ks) for _ in range(settings.chance_orders)
        ]
        recall = np.mean([order.recall for order in orders], axis=0).tolist()
        by_chance[one.name] = Found(float(np.mean([order.ap for order in orders])), recall)
    of_mined = [by_search[name].ap * objects[name] / n for name, n in mined.items() if n]
    search = _method(by_search, settings.ks)
    return {
        "objects": objects,
        "mined": mined,
        "methods": {
            "search": search | {"mean_ap_of_mined": round(float(np.mean(of_mined)), DIGITS) if of_mined else None},
            "chance": _method(by_chance, settings.ks) | {"mean_ap_of_mined": None},
        },
    }


def _in_random_order(own: Sequence[str | None], n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """What :func:`judge` says of n things in random order, among them those of the relevant objects."""
    places = np.sort(rng.choice(n, len(own), replace=False))
    _, first = np.unique(rng.permutation(np.array(own, str)), return_index=True)
    right = np.zeros(n, bool)
    right[places[first]] = True
    return right


def _method(found: Mapping[str, Found], ks: Sequence[int]) -> dict[str, Any]:
    def by_k(values: Sequence[float]) -> dict[str, float]:
        return {str(k): round(value, DIGITS) for k, value in zip(ks, values, strict=True)}

    return {
        "mean_ap": round(float(np.mean([one.ap for one in found.values()])), DIGITS),
        "recall": by_k(np.mean([one.recall for one in found.values()], axis=0).tolist()),
        "per_query": {name: {"ap": round(one.ap, DIGITS), "recall": by_k(one.recall)} for name, one in found.items()},
    }


def print_search_audit(result: Mapping[str, Any], console: Console | None = None) -> None:
    """Print an audit of search: the means, then each name."""
    console = console or standard_output()
    objects, mined, methods = result["objects"], result["mined"], result["methods"]
    n, n_mined = sum(objects.values()), sum(mined.values())
    size = f"{len(objects)} names, {n:,} objects, {result['things']:,} things"
    title = f"Search by name among mined things, {result['split']}: {size}, %"
    print_head(console, title, result["source_kind"], result)
    ks = list(methods["search"]["recall"])

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.1f}"

    rows = [
        [name, *map(percent, (method["mean_ap"], method["mean_ap_of_mined"], *method["recall"].values()))]
        for name, method in methods.items()
    ]
    caption = (
        f"{percent(share(n_mined, n))} % of the objects were mined; {result['no_box']:,} things hit no annotated box; "
        f"{result['not_seen']:,} objects have too few points in every picture"
    )
    head = ["method", "mean AP", "of the mined", *(f"recall @ {k}" for k in ks)]
    print_table(console, head, rows, caption=caption)
    rows = [
        [name, f"{objects[name]:,}", f"{mined[name]:,}", percent(one["ap"]), *map(percent, one["recall"].values())]
        for name, one in methods["search"]["per_query"].items()
    ]
    head = ["name", "objects", "mined", "AP", *(f"recall @ {k}" for k in ks)]
    print_table(console, head, rows, title="Each name, %")
