"""docs/configuration.md, written from the configuration's own models so that it cannot go stale."""

import types
import typing
from typing import Any

from pydantic.fields import FieldInfo

from clip2.runtime.settings import Settings
from clip2.workflow.config import Config

INTRODUCTION = """# Configuration

Written by `clip2 schema` from the models in `src/clip2/workflow/config.py`; do not edit it here.

`config.yaml` is the default experiment; `--configfile config/nuscenes.yaml` lies over it, `--config dataroot=…` over
both, key by key: what a file does not name stays as it was, and `null` takes a detector, a rival or a benchmark away. A
key that is not listed here is refused by name. `<name>` is a name of your own: it becomes part of the names of the
files that this part makes.
"""


def configuration_page() -> str:
    """The whole page, one table a section."""
    return "\n".join([INTRODUCTION, *_section("", Config)]) + "\n"


def _section(prefix: str, model: type[Settings], of: str = "") -> list[str]:
    """A table of the model's plain fields, then a section for each nested model; ``of`` tells variants apart."""
    rows: list[str] = []
    nested: list[str] = []
    for name, field in model.model_fields.items():
        inner = _models_of(field.annotation)
        if not inner:
            rows.append(f"| `{name}` | {_default(field)} | {field.description} |")
        named = typing.get_origin(field.annotation) is dict
        for variant in inner:
            which = f" of kind {typing.get_args(variant.model_fields['kind'].annotation)[0]}" if len(inner) > 1 else of
            nested += _section(f"{prefix}{name}.{'<name>.' if named else ''}", variant, which)
    lines = [f"\n## `{prefix.rstrip('.')}`{of}" if prefix else "", (model.__doc__ or "").split("\n")[0]]
    if rows:
        lines += ["", "| key | default | meaning |", "|---|---|---|", *rows]
    return lines + nested


def _models_of(annotation: Any) -> list[type[Settings]]:
    """The settings models inside an annotation: itself, the values of a dict, the members of a union."""
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, Settings)
    ):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_of(part)]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = list(value)
    text = {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else value
    return f"`{text}`"
