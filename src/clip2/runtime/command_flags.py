"""A settings model as command-line flags: one for each field, and ``--settings`` for many at once as JSON."""

import argparse
import json
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from clip2.runtime.errors import InputError
from clip2.runtime.settings import Settings


def add_settings(parser: argparse.ArgumentParser, model: type[Settings]) -> None:
    """One flag for each field of a settings model, and ``--settings`` for all."""
    group = parser.add_argument_group("settings", description="values that are not plain words are read as JSON")
    group.add_argument(
        "--settings", type=_json_object, default={}, metavar="JSON", help="several settings as one object"
    )
    for name, field in model.model_fields.items():
        help_text = f"{field.description or ''} (default: {_default(field)})".replace("%", "%%")
        group.add_argument(f"--{name.replace('_', '-')}", dest=f"setting.{name}", metavar="V", help=help_text)
    parser.set_defaults(settings_model=model)


def _default(field: FieldInfo) -> Any:
    return "required" if field.is_required() else field.get_default(call_default_factory=True)


def _json_object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("must be a JSON object")
    return value


def _read_value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def parse_settings(arguments: argparse.Namespace) -> Any:
    """The settings of a parsed command line; flags win over ``--settings``."""
    given = dict(arguments.settings)
    for key, value in vars(arguments).items():
        if key.startswith("setting.") and value is not None:
            given[key.removeprefix("setting.")] = _read_value(value)
    try:
        return arguments.settings_model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"setting {key!r}: {first['msg']} (got {first['input']!r})") from None
