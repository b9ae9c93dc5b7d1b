"""Validate plain data: the result is a definition (a Lab, or another Model), or all its errors."""

from __future__ import annotations

import copy
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from kubewire.lab.rules import Path
from kubewire.lab.schema import IpFamily, Lab, Mode, Model
from kubewire.lab.values import PATTERNS, nearest

Definition = TypeVar("Definition", bound=Model)
STAND_INS: Mapping[str, Any] = {"mode": "iptables", "name": "lab"}
"""Values for missing required keys of a lab, so that its other keys are still validated."""


@dataclass(frozen=True)
class Issue:
    """One error; `paths` are the fields that cause it; with `at_key` the key is wrong, not the value."""

    message: str
    paths: tuple[Path, ...]
    at_key: bool = False


def validate(
    data: Mapping[str, Any], model: type[Definition], stand_ins: Mapping[str, Any]
) -> tuple[Definition | None, list[Issue]]:
    """The definition in `data` (camelCase keys), or None and all issues. `stand_ins` has all required keys.

    A second pass without the invalid fields finds the errors that don't depend on them.
    """
    try:
        return _defined(data, model), []
    except ValidationError as error:
        issues = list(_issues(error, model))
    broken = [path for issue in issues for path in issue.paths]
    try:
        _defined({**stand_ins, **_without(data, broken)}, model)
    except ValidationError as error:
        issues += [
            issue
            for issue in _issues(error, model)
            if issue not in issues and not any(_related(path, bad) for path in issue.paths for bad in broken)
        ]
    return None, issues


def _defined(data: Mapping[str, Any], model: type[Definition]) -> Definition:
    return model.model_validate(data, by_alias=True, by_name=False)


def _related(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _without(data: Mapping[str, Any], broken: list[Path]) -> dict[str, Any]:
    kept: dict[str, Any] = copy.deepcopy(dict(data))
    for path in broken:
        container: Any = kept
        keys = [key for key in path if isinstance(key, str)]
        for key in keys[:-1]:
            container = container.get(key) if isinstance(container, dict) else None
        if isinstance(container, dict):
            container.pop(keys[-1], None)
    return kept


def _issues(error: ValidationError, model: type[Model]) -> Iterator[Issue]:
    errors = error.errors(include_url=False)
    meant = {
        nearest(str(each["loc"][-1]), _keys(model)) for each in errors if each["type"] == "extra_forbidden"
    }
    for each in errors:
        path = tuple(each["loc"])
        misspelt = each["type"] == "missing" and path[-1] in meant
        if misspelt or each["type"] == "default_factory_not_called":
            continue
        context = each.get("ctx", {})
        if each["type"] == "lab_rule":
            yield Issue(context["message"], context["paths"])
        elif path[-1:] == ("[key]",):
            yield Issue(_message(each, path[:-1], model), (path[:-1],), at_key=True)
        else:
            yield Issue(_message(each, path, model), (path,), at_key=each["type"] == "extra_forbidden")


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path if isinstance(part, str))


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return f"“{value if len(value) <= 60 else value[:60] + '…'}”"
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value), repr(value))


def _message(error: ErrorDetails, path: Path, model: type[Model]) -> str:  # noqa: PLR0911, PLR0912
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    key = _dotted(path)
    if value is None:
        return f"{key} has no value: set one, or remove the line to use the default"
    match kind:
        case "missing":
            return f"{key} is missing{_choices(key)}"
        case "extra_forbidden":
            return _unknown_key(path, model)
        case "lab_value":
            return f"{key}: {context['message']}"
        case "enum" | "literal_error":
            allowed = _allowed(context)
            guess = nearest(value, allowed) if isinstance(value, str) else ""
            return (
                f"{key}: {_shown(value)} is not known{_guess(guess) or ';'} allowed are {', '.join(allowed)}"
            )
        case "greater_than_equal" | "less_than_equal":
            bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
            return f"{key}: {_shown(value)} is out of range, it must be {bound}"
        case "int_type" | "int_from_float":
            quoted = isinstance(value, str) and value.lstrip("-").isdigit()
            hint = f": write {value} without quotes" if quoted else ""
            return f"{key}: {_shown(value)} is not a whole number{hint}"
        case "bool_type":
            return f"{key}: {_shown(value)} is neither true nor false"
        case "string_type":
            hint = ": write it in quotes" if isinstance(value, int | float) else ""
            return f"{key}: {_shown(value)} is not text{hint}"
        case "string_pattern_mismatch":
            return f"{key}: {_shown(value)} is not {PATTERNS.get(context['pattern'], 'as it must be')}"
        case "string_too_short":
            return f"{key} is empty"
        case "date_type" | "date_parsing" | "date_from_datetime_parsing" | "date_from_datetime_inexact":
            return f"{key}: {_shown(value)} is not a date: write it as 2026-12-31"
        case "string_too_long":
            return f"{key}: {_shown(value)} has more than {context['max_length']} characters"
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"{key}: {_shown(value)} is not a mapping{_keys_of(path, model)}"
        case "tuple_type":
            hint = f": write [{value}]" if isinstance(value, str | int) else ""
            return f"{key}: {_shown(value)} is not a list{hint}"
        case _:
            return f"{key}: {error['msg']}"


def _guess(word: str) -> str:
    return f": did you mean “{word}”?" if word else ""


def _choices(key: str) -> str:
    return f": write iptables, ipvs or nftables, such as “{key}: iptables”" if key == "mode" else ""


def _allowed(context: Mapping[str, Any]) -> list[str]:
    """The values in pydantic's `expected` ('a', 'b' or 'c')."""
    return [part for part in str(context["expected"]).split("'")[1::2] if part]


def _keys(model: type[Model]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(path: Path, model: type[Model]) -> type[Model] | None:
    """The model of the mapping at `path` below `model`; None if there is no such mapping."""
    found: Any = model
    for key in path:
        if isinstance(key, int):
            found = next(iter(get_args(found)), None)
            continue
        fields = {field.alias or name: field for name, field in _fields(found)}
        found = fields[str(key)].annotation if key in fields else None
        if isinstance(found, types.UnionType):
            found = next(iter(get_args(found)))
    return found if isinstance(found, type) and issubclass(found, Model) else None


def _fields(found: Any) -> Iterable[tuple[str, FieldInfo]]:
    return found.model_fields.items() if isinstance(found, type) and issubclass(found, Model) else ()


def _keys_of(path: Path, model: type[Model]) -> str:
    inner = _model_at(path, model)
    return f" of {', '.join(_keys(inner))}" if inner else ""


def _unknown_key(path: Path, model: type[Model]) -> str:
    *parents, key = path
    inner = _model_at(tuple(parents), model) or model
    within = f" in {_dotted(tuple(parents))}" if parents else ""
    guess = nearest(str(key), _keys(inner))
    if guess:
        return f"unknown key “{key}”{within}: did you mean “{guess}”?"
    home = next((home for home in _homes(str(key), model) if home != _dotted(path)), "")
    if home:
        return f"unknown key “{key}”{within}: it is written {home}"
    return f"unknown key “{key}”{within}; known are {', '.join(_keys(inner))}"


def _homes(key: str, model: type[Model]) -> Iterator[str]:
    """Other places in the definition for a key of this name; in a lab, a mode or IP family used as a key."""
    if key in _keys(model):
        yield f"{key}, at the top of the file"
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Model) and key in _keys(inner):
            yield f"{field.alias or name}.{key}"
    if model is Lab and key in (*Mode, *IpFamily):
        yield f"mode: {key}" if key in tuple(Mode) else f"ipFamily: {key}"
