"""The record of a lab in its state folder: its definition, and what `up` chose."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from kubewire.core import paths
from kubewire.core.errors import DefinitionError, LabError
from kubewire.core.files import UnsafeFileError, read_own, write_atomically
from kubewire.lab.rendering import lab_data
from kubewire.lab.schema import Lab, Model

HINT = "remove the lab with “kubewire down {name}”, or all leftovers with “kubewire gc”"
WORKLOAD_KEYS = frozenset({"httpbin", "manifests", "tools", "checks"})
UNMARKED_KEYS = frozenset({"description", "provider"})
"""Keys that need no action when they change: the provider of a lab is chosen once, and recorded."""


class Record(Model):
    """One lab's record. `kubernetes` is the exact version; `overrides` are the options of the command."""

    schema_number: Literal[1] = Field(default=1, alias="schema")
    source: Path
    lab: Lab
    provider: str
    provider_why: str
    kubernetes: str
    overrides: dict[str, Any] = Field(default_factory=dict)
    created: datetime


def record_path(name: str) -> Path:
    """Where the record of a lab is kept."""
    return paths.lab_dir(name) / paths.RECORD


def read_record(name: str) -> Record | None:
    """The record of a lab; None if there is none; LabError if it is invalid."""
    path = record_path(name)
    if not path.parent.is_dir():
        return None
    try:
        return Record.model_validate_json(read_own(path))
    except FileNotFoundError:
        return None
    except (UnsafeFileError, ValidationError) as error:
        raise LabError(
            f"the record of lab {name} can't be read: {_first_line(error)}",
            where=str(path),
            hint=HINT.format(name=name),
        ) from error


def write_record(record: Record) -> None:
    """Write a lab's record atomically; DefinitionError if the name belongs to another file's lab."""
    require_same_source(record.lab.name, record.source)
    write_atomically(record_path(record.lab.name), record.model_dump_json(by_alias=True, indent=2) + "\n")


def require_same_source(name: str, source: Path) -> None:
    """Raise DefinitionError if a lab of this name was created from another file than `source`."""
    known = read_record(name)
    if known and not _same_file(known.source, source):
        raise DefinitionError(
            f"the lab {name} already exists, created from {known.source}",
            where=str(source),
            hint=f"give one of the two another “name:”, or remove the first with “kubewire down {name}”",
        )


def changes_between(old: Lab, new: Lab) -> tuple[list[str], list[str]]:
    """The changes, as `key: old → new`: those that need a new cluster, and those of the workload only."""
    before, after = lab_data(old), lab_data(new)
    cluster: list[str] = []
    workload: list[str] = []
    for key in dict.fromkeys((*before, *after)):
        if key not in UNMARKED_KEYS:
            changed = workload if key in WORKLOAD_KEYS else cluster
            changed.extend(_changes(key, before.get(key), after.get(key)))
    return cluster, workload


def _changes(key: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for inner in dict.fromkeys((*old, *new)):
            yield from _changes(f"{key}.{inner}", old.get(inner), new.get(inner))
    elif old != new:
        yield f"{key}: {_shown(old)} → {_shown(new)}"


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _same_file(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _first_line(error: UnsafeFileError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    return error.what
