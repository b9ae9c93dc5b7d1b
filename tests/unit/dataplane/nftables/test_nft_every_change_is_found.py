"""Each single change to a table that holds is found: nothing in a dump is looked past."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from nft_support import GOLDEN, NODES, WORDS, Recorded, compare, failed, objects, recorded

from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.nftables.observed import ParseError

RICH = GOLDEN / "dataplane" / "rich-nftables-v1.37.2" / "nodes" / "rich-worker"
EVERY = GOLDEN / "dataplane_nft" / "every-feature-v1.37.2" / "nodes" / "node-a"
SUBJECTS: list[Any] = [
    (RICH, "ipv4", 5),
    (EVERY, "ipv6", 23),
    pytest.param(RICH, "ipv4", 1, marks=pytest.mark.slow),
    pytest.param(EVERY, "ipv6", 1, marks=pytest.mark.slow),
]
# What the kernel numbers or sizes by itself, and the listing's own head.
UNJUDGED = {"handle", "size", "metainfo"}

Path = tuple[str | int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every value that holds no other."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if key not in UNJUDGED:
                yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    elif value != []:
        yield path


def altered(value: Any, path: Path) -> Any:
    if not path:
        return value + 1 if isinstance(value, int) else "x" if value is None else f"{value}x"
    copied = copy.copy(value)
    copied[path[0]] = altered(value[path[0]], path[1:])
    return copied


@cache
def expected(node: Recorded, family: IpFamily) -> Dataplane:
    return node.expected(family)


def found(node: Recorded, family: IpFamily, listing: list[Any]) -> bool:
    try:
        checks, _ = compare(expected(node, family), json.dumps({"nftables": listing}), family)
    except ParseError:
        return True
    return any(check.id != "nftables.table" for check in failed(checks))


@pytest.mark.parametrize(("folder", "family", "step"), SUBJECTS)
def test_a_removed_object(folder: Any, family: IpFamily, step: int) -> None:
    node = recorded(folder)
    listing = objects(node.dump(family))
    for index in range(1, len(listing), step):
        assert found(node, family, listing[:index] + listing[index + 1 :]), listing[index]


@pytest.mark.parametrize(("folder", "family", "step"), SUBJECTS)
def test_a_doubled_object(folder: Any, family: IpFamily, step: int) -> None:
    node = recorded(folder)
    listing = objects(node.dump(family))
    for index in range(2, len(listing), step):
        assert found(node, family, listing[: index + 1] + listing[index:]), listing[index]


@pytest.mark.parametrize(("folder", "family", "step"), SUBJECTS)
def test_a_changed_value(folder: Any, family: IpFamily, step: int) -> None:
    node = recorded(folder)
    listing = objects(node.dump(family))
    paths = list(leaves(listing))
    assert len(paths) > 1000
    for path in paths[:: 3 * step]:
        if path[-2:] != ("elem", "comment"):  # kube-proxy itself leaves a renamed port's former name there
            assert found(node, family, altered(listing, path)), path


@pytest.mark.parametrize(("folder", "family", "step"), SUBJECTS)
def test_a_removed_or_doubled_element(folder: Any, family: IpFamily, step: int) -> None:
    node = recorded(folder)
    listing = objects(node.dump(family))
    places = [
        (index, kind, number)
        for index, item in enumerate(listing)
        for kind in ("set", "map")
        for number in range(len(item.get(kind, {}).get("elem", ())))
    ]
    assert places
    for index, kind, number in places[::step]:
        elements = listing[index][kind]["elem"]
        for changed in (
            elements[:number] + elements[number + 1 :],
            elements[: number + 1] + elements[number:],
        ):
            other = {kind: {**listing[index][kind], "elem": changed}}
            assert found(node, family, [*listing[:index], other, *listing[index + 1 :]]), elements[number]


@pytest.mark.parametrize("family", list(WORDS))
def test_a_stray_rule_in_every_chain(family: IpFamily) -> None:
    node = recorded(NODES[0])
    listing = objects(node.dump(family))
    for item in listing:
        if "chain" in item:
            stray = {
                "family": WORDS[family],
                "table": "kube-proxy",
                "chain": item["chain"]["name"],
                "handle": 9999,
            }
            assert found(node, family, [*listing, {"rule": {**stray, "expr": [{"accept": None}]}}]), stray


@pytest.mark.parametrize("family", list(WORDS))
def test_swapped_rules(family: IpFamily) -> None:
    node = recorded(EVERY)
    listing = objects(node.dump(family))
    rules = [index for index, item in enumerate(listing) if "rule" in item]
    pairs = [(a, b) for a, b in pairwise(rules) if listing[a]["rule"]["chain"] == listing[b]["rule"]["chain"]]
    assert len(pairs) > 20
    for a, b in pairs:
        swapped = list(listing)
        swapped[a], swapped[b] = listing[b], listing[a]
        assert found(node, family, swapped), (listing[a], listing[b])
