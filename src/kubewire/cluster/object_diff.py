"""How a live object differs from the definition. Pure: API objects to text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

IGNORED = frozenset(
    {
        ("status",),
        *(
            ("metadata", key)
            for key in ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")
        ),
    }
)
CONTROLLERS = frozenset({"kube-controller-manager", "kube-apiserver", "kube-scheduler"})
LONGEST = 60
"""Characters of a value that is shown whole."""

Path = tuple[str, ...]


def differences(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """`spec.replicas: 2 → 4` for each value that would change, without those that the cluster manages."""
    return [f"{'.'.join(path)}: {show(old)} → {show(new)}" for path, old, new in _walk(live, wanted, ())]


def _walk(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    if path in IGNORED or old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _walk(old.get(key), new.get(key), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _walk(before, after, (*path, str(index)))
    else:
        yield path, old, new


def show(value: Any) -> str:
    """A value as JSON on one line, `nothing` for an absent one, a long one cut."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def title(obj: Mapping[str, Any]) -> str:
    """`Deployment default/httpbin`."""
    namespace = obj["metadata"].get("namespace")
    name = obj["metadata"]["name"]
    return f"{obj['kind']} {namespace}/{name}" if namespace else f"{obj['kind']} {name}"


def with_ownership(live: Mapping[str, Any], manager: str) -> list[dict[str, Any]] | None:
    """The object's managedFields with the fields of people's tools assigned to `manager`.

    A server-side apply by `manager` then removes what its manifest doesn't hold: a port added by
    `kubectl edit` is removed. None if there is nothing to take over. Like client-go's csaupgrade.
    """
    entries: list[dict[str, Any]] = live["metadata"].get("managedFields") or []
    mine = [entry for entry in entries if _is(entry, manager)]
    foreign = [entry for entry in entries if not _is(entry, manager) and _by_people(entry)]
    if not foreign or not mine:
        return None
    fields: dict[str, Any] = {}
    for entry in (*mine, *foreign):
        fields = _union(fields, entry.get("fieldsV1") or {})
    if fields == mine[0].get("fieldsV1"):
        return None
    rest = [entry for entry in entries if not any(entry is taken for taken in (*mine, *foreign))]
    return [*rest, mine[0] | {"fieldsV1": fields}]


def taken_back(live: Mapping[str, Any], wanted: Mapping[str, Any], manager: str) -> dict[str, Any]:
    """The fields, as a fieldsV1 set, that go once `manager` owns those of people's tools: neither its
    manifest, of which `wanted` is the result, nor a controller has them.
    """
    owned = with_ownership(live, manager)
    if not owned:
        return {}
    rest = [entry for entry in owned if not _is(entry, manager)]
    mine = [entry for entry in wanted["metadata"].get("managedFields") or () if _is(entry, manager)]
    kept: dict[str, Any] = {}
    for entry in (*rest, *mine):
        kept = _union(kept, entry.get("fieldsV1") or {})
    return _minus(next(entry for entry in owned if _is(entry, manager))["fieldsV1"], kept)


def without(value: Any, fields: Mapping[str, Any]) -> Any:
    """An object, or a part of it, without these fields (a fieldsV1 set)."""
    if isinstance(value, Mapping):
        left = {}
        for key, item in value.items():
            inner = fields.get(f"f:{key}")
            rest = item if inner is None else without(item, inner) if inner else None
            if rest is not None and (rest or not item or inner is None):
                left[key] = rest
        return left
    if isinstance(value, list):
        kept = []
        for item in value:
            inner = _entry_of(item, fields)
            if inner is None:
                kept.append(item)
            elif inner and "." not in inner:
                kept.append(without(item, inner))
        return kept
    return value


def _entry_of(item: Any, fields: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A fieldsV1 set's entry for one list item, which it names by its keys (`k:`) or its value (`v:`)."""
    for name, inner in fields.items():
        mark, _, text = name.partition(":")
        if mark == "v" and json.loads(text) == item:
            return {}
        if mark == "k" and isinstance(item, Mapping) and json.loads(text).items() <= item.items():
            return dict(inner)
    return None


def _minus(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves of one fieldsV1 set that another lacks."""
    found: dict[str, Any] = {}
    for key, inner in left.items():
        if key not in right:
            found[key] = inner
        elif inner and right[key] and (rest := _minus(inner, right[key])):
            found[key] = {name: value for name, value in rest.items() if name != "."}
    return {key: inner for key, inner in found.items() if inner or not left[key]}


def as_text(obj: Mapping[str, Any]) -> str:
    """An object for people, without fields that the cluster manages."""
    kept = {key: value for key, value in obj.items() if (key,) not in IGNORED}
    kept["metadata"] = {key: v for key, v in obj["metadata"].items() if ("metadata", key) not in IGNORED}
    return yaml.safe_dump(kept, sort_keys=True, allow_unicode=True, width=1000)


def hidden(obj: Mapping[str, Any]) -> dict[str, Any]:
    """A Secret with its values hidden, as kubectl diff hides them; any other object as it is."""
    if obj.get("kind") != "Secret":
        return dict(obj)
    hide = {key: dict.fromkeys(obj[key], "***") for key in ("data", "stringData") if obj.get(key)}
    return {**obj, **hide}


def _is(entry: Mapping[str, Any], manager: str) -> bool:
    return entry.get("manager") == manager and entry.get("operation") == "Apply"


def _by_people(entry: Mapping[str, Any]) -> bool:
    return not entry.get("subresource") and entry.get("manager") not in CONTROLLERS


def _union(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """The union of two fieldsV1 sets, which are nested dicts with empty leaves."""
    return {key: _union(left.get(key, {}), right.get(key, {})) for key in left.keys() | right.keys()}
