"""Load untrusted YAML as plain data, within bounds of size, nesting and values (aliases followed)."""

from __future__ import annotations

from typing import Any

import yaml

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_DEPTH = 64
LONGEST_NUMBER = 64
"""Characters: the time to parse a long sexagesimal number (`1:20:30`) grows with its square."""

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
"""The types that a plain scalar may have: a date stays text."""

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    yaml_implicit_resolvers = RESOLVERS

    def number(self, node: yaml.ScalarNode) -> int | float:
        if len(node.value) > LONGEST_NUMBER:
            raise ValueError(f"a number of {len(node.value)} characters")
        build = self.construct_yaml_int if node.tag.endswith(":int") else self.construct_yaml_float
        number: int | float = build(node)
        return number


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.number)


def read_yaml(text: str) -> Any:
    """The value of one YAML document; ValueError for anything else and for what exceeds the bounds."""
    if len(text) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
    try:
        _check_bounds(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def _check_bounds(text: str) -> None:
    """ValueError for too much, before any value is built: libyaml's composer crashes on deep nesting."""
    total = 0
    open_nodes: list[tuple[str | None, int]] = []  # the anchor of each open collection, `total` before it
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, Loader=_Base):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"the alias *{event.anchor} refers to no complete node")
            total += sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            tag = getattr(event, "tag", None)
            if tag is not None:
                raise ValueError(f"the tag {tag} is not supported")
            total += 1
            if not isinstance(event, yaml.ScalarEvent):
                open_nodes.append((event.anchor, total - 1))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        if total > MAX_NODES:
            raise ValueError(f"more than {MAX_NODES} values (aliases followed)")
        if len(open_nodes) > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
