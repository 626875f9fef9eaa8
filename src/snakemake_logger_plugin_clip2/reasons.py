"""Why Snakemake runs jobs, in short: from the reasons that it gives for each job to a few words for a stage."""

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

NAMED = 3
"""Changed files, or changed settings, that are named; the others are counted."""
VALUE_LENGTH = 24
"""Characters of a setting's value."""

PARAMS = re.compile(r"before: (?P<before>.*?) now: (?P<now>.*?)\s*$", re.S)
CONTENTS = "contents."
"""How the parameters begin that are digests of inputs (clip2.workflow.listing)."""
NOTHING = "<nothing exclusive>"


def why(reasons: Iterable[str], maker: Mapping[str, str]) -> str:
    """The reasons of a stage's jobs in one line.

    Args:
        reasons: one a job, as Snakemake words them.
        maker: file → stage that makes it in this run.
    """
    jobs = [_causes(reason) for reason in reasons]
    parts = []
    for start in [*WORDS, *dict.fromkeys(cause for job in jobs for cause in job if cause not in WORDS)]:
        told = [job[start] for job in jobs if start in job]
        if not told or (start == FOLLOWS and all(MISSING in job for job in jobs)):
            continue
        words = WORDS[start](told, maker) if start in WORDS else start
        parts.append(words + (f" ({len(told)} of {len(jobs)})" if len(told) < len(jobs) else ""))
    return "; ".join(parts)


def _causes(reason: str) -> dict[str, str]:
    """A job's reason in parts: how each begins → what follows its colon.

    Inputs that changed by their content are told as those that did by their date.
    """
    causes = {}
    for part in SPLIT.split(reason):
        start = next((start for start in WORDS if part.startswith(start)), part)
        causes[start] = part.partition(": ")[2]
    changes = _changes(causes.get(PARAMS_CHANGED, ""))
    edited = {
        key.removeprefix(CONTENTS)
        for key, (before, now) in changes.items()
        if key.startswith(CONTENTS) and before and now
    }
    if edited:
        causes[UPDATED] = ", ".join(sorted(edited | ({causes[UPDATED]} if UPDATED in causes else set())))
    if changes and all(key.startswith(CONTENTS) for key in changes) and len(causes) > 1:
        del causes[PARAMS_CHANGED]
    return causes


def _named(things: Iterable[str]) -> str:
    """The first few of some things, and how many more there are."""
    names = sorted(set(things))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _files(lists: Sequence[str]) -> set[str]:
    return {name.partition(" (")[0] for files in lists for name in files.split(", ")}


def _changed_files(told: Sequence[str], maker: Mapping[str, str]) -> str:
    return f"{_named(_files(told))} changed"


def _follows(told: Sequence[str], maker: Mapping[str, str]) -> str:
    stages = {maker[file] for file in _files(told) if file in maker}
    in_order = [stage for stage in dict.fromkeys(maker.values()) if stage in stages]
    return f"follows {', '.join(in_order)}" if in_order else "its inputs are made anew"


def _changed_settings(told: Sequence[str], maker: Mapping[str, str]) -> str:
    """``score_threshold 0.4 → 0.41`` where one can see it, else that they changed."""
    changes = {
        f"{key or 'value'} {_short(before)} → {_short(now)}"
        for text in told
        for key, (before, now) in _changes(text).items()
        if not key.startswith(CONTENTS)
    }
    return f"settings changed: {_named(changes)}" if changes else "settings changed"


def _changes(text: str) -> dict[str, tuple[Any, Any]]:
    """Parameter → its value before and now, of those that changed."""
    found = PARAMS.search(text)
    before, now = (_read_params(found[key]) for key in ("before", "now")) if found else (None, None)
    if before is None or now is None:
        return {}
    return {
        key: (before.get(key), now.get(key))
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key)
    }


def _read_params(text: str) -> dict[str, Any] | None:
    """Params as Snakemake lists them: Python literals joined by commas, JSON objects among them by key; else None."""
    if text == NOTHING:
        return {}
    try:
        values = ast.literal_eval(f"[{text}]")
    except (SyntaxError, ValueError):
        return None
    read: dict[str, Any] = {}
    for value in values:
        try:
            given = json.loads(value)
        except (TypeError, ValueError):
            given = value
        read |= _flat(given) if isinstance(given, dict) else {"": given}
    return read


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _short(value: Any) -> str:
    if value is None:
        return "default"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_LENGTH else text[: VALUE_LENGTH - 1] + "…"


def _say(words: str) -> Callable[[Sequence[str], Mapping[str, str]], str]:
    return lambda told, maker: words


UPDATED, PARAMS_CHANGED = "Updated input files", "Params have changed"
MISSING, FOLLOWS = "Missing output files", "Input files updated by another job"
WORDS: dict[str, Callable[[Sequence[str], Mapping[str, str]], str]] = {
    UPDATED: _changed_files,
    PARAMS_CHANGED: _changed_settings,
    "Code has changed": _say("its rule changed"),
    "Software environment": _say("its environment changed"),
    "Set of input files has changed": _say("other input files than last time"),
    MISSING: _say("not made yet"),
    "Incomplete output files": _say("half made"),
    FOLLOWS: _follows,
    "Forced execution": _say("forced"),
}
"""How a reason of Snakemake's begins → what is said instead, in the order in which it is said."""
SPLIT = re.compile(rf"; (?={'|'.join(map(re.escape, WORDS))})")
