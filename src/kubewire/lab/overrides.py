"""Options that override the lab file: `--set httpbin.replicas=7`, `--mode nftables`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kubewire.lab.rules import Path
from kubewire.lab.yaml_positions import Document, read_documents

SHORTHANDS = {
    "mode": "--mode",
    "kubernetes": "--kubernetes",
    "httpbin.replicas": "--replicas",
    "provider": "--provider",
}
"""Keys with an option of their own."""
VERSIONS = ("kubernetes", "controlPlane")
"""Keys with a version, which YAML may parse as a number."""


@dataclass(frozen=True)
class Override:
    """One override: the `option` as written on the command line, the field's path, the value."""

    option: str
    path: Path
    value: Any
    error: str = ""


def parse_overrides(settings: Mapping[str, object]) -> list[Override]:
    """Overrides from dotted camelCase keys; text values are parsed as YAML."""
    return [_parse(key, value) for key, value in settings.items()]


def apply_overrides(
    data: Mapping[str, Any], overrides: Iterable[Override]
) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """The data with every override applied, and the rejected overrides (by index) with the reason."""
    changed = copy.deepcopy(dict(data))
    refused = []
    for index, override in enumerate(overrides):
        if error := override.error or _put(changed, override):
            refused.append((index, error))
    return changed, refused


def as_written(document: Document) -> Any:
    """The document's data; versions stay as written, so that `kubernetes: 1.30` isn't the number 1.3."""
    data = document.data
    if not isinstance(data, dict):
        return data
    written = {key: document.source.get((key,)) for key in VERSIONS if isinstance(data.get(key), int | float)}
    return {**data, **{key: text for key, text in written.items() if text}}


def _parse(key: str, value: object) -> Override:
    path: Path = tuple(key.split("."))
    option = f"{SHORTHANDS[key]} {value}" if key in SHORTHANDS else f"--set {key}={value}"
    if not all(path):
        return Override(option, path, value, "a key is words separated by dots, such as httpbin.replicas")
    if not isinstance(value, str) or key in VERSIONS:
        return Override(option, path, str(value) if key in VERSIONS else value)
    documents = read_documents(value)
    error = next((message for document in documents for _, message in document.errors), "")
    if not error and len(documents) != 1:
        error = "the value is missing" if not documents else "the value has several YAML documents"
    return Override(option, path, None if error else documents[0].data, error)


def _put(data: dict[str, Any], override: Override) -> str:
    """Set the value in `data`; the reason if that is impossible, else ""."""
    container: Any = data
    *parents, last = override.path
    for depth, key in enumerate(parents, 1):
        container = container.setdefault(key, {})
        if isinstance(container, list):
            whole = ".".join(map(str, override.path[:depth]))
            return f"{whole} is a list: set it as a whole, such as --set '{whole}=[a, b]'"
        if not isinstance(container, dict):
            return f"{'.'.join(map(str, override.path[:depth]))} has no keys of its own"
    container[last] = override.value
    return ""
