"""A dump that is empty, cut off or strange is refused or shown; nothing in it is dropped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nft_support import GOLDEN, compare, failed, objects, recorded

from kubewire.dataplane.nftables.observed import ParseError, parse_nft_json

NODE = recorded(GOLDEN / "dataplane" / "rich-nftables-v1.37.2" / "nodes" / "rich-worker")
DUMP = NODE.dump("ipv4")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def with_objects(*extra: Any) -> str:
    return json.dumps({"nftables": [*objects(DUMP), *extra]})


def own(**attributes: Any) -> dict[str, Any]:
    return {"family": "ip", "table": "kube-proxy", "handle": 1, **attributes}


@pytest.mark.parametrize("text", ["", "  \n", "{", "[]", "{}", '{"nftables": 1}', '{"nftables": []}', "null"])
def test_what_is_no_listing_is_refused(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_nft_json(text, "ipv4")
    assert caught.value.exit_code == 4
    assert "nft-ip.json" in caught.value.where


def test_another_tables_listing_is_refused() -> None:
    with pytest.raises(ParseError, match="no table ip6 kube-proxy"):
        parse_nft_json(DUMP, "ipv6")


@settings(deadline=None)
@given(st.integers(min_value=0, max_value=len(DUMP.rstrip()) - 1))
def test_every_cut_is_refused_with_its_position(length: int) -> None:
    with pytest.raises(ParseError) as caught:
        parse_nft_json(DUMP[:length], "ipv4")
    assert 0 <= caught.value.position <= length


@settings(deadline=None)
@given(JSON)
def test_any_statement_is_shown_or_understood_never_dropped(statement: Any) -> None:
    dump = with_objects({"rule": own(chain="services", expr=[statement])})
    chain = next(chain for chain in parse_nft_json(dump, "ipv4").chains if chain.name == "services")
    assert len(list(chain.rules())) == 4


@settings(deadline=None)
@given(JSON)
def test_any_object_is_refused_or_fails_or_is_foreign(item: Any) -> None:
    parse_nft_json(with_objects(item, {"set": own(name="x", type=item)}, {"chain": own(name=item)}), "ipv4")


def test_an_unknown_statement_keeps_its_json_and_fails() -> None:
    dump = with_objects({"rule": own(chain="services", expr=[{"tproxy": {"port": 50080}}])})
    rule = list(next(c for c in parse_nft_json(dump, "ipv4").chains if c.name == "services").rules())[-1]
    assert not rule.understood
    assert json.loads(rule.text) == [{"tproxy": {"port": 50080}}]
    checks = failed(compare(NODE.expected("ipv4"), dump, "ipv4")[0])
    assert [(check.id, check.object) for check in checks if check.id != "nftables.table"] == [
        ("nftables.extra", "chain ip kube-proxy services")
    ]
    assert "tproxy" in checks[0].observed


@pytest.mark.parametrize(
    "item",
    [
        {"flowtable": own(name="f", hook="ingress", prio=0, dev="eth0")},
        {"rule": own(chain="nowhere", expr=[{"accept": None}])},
        {"set": own(name="s", type="ipv4_addr", surprise=True)},
        {"set": own(name="cluster-ips", type="ipv4_addr")},
        {"chain": own(name="c", type="filter", hook="input", prio="high", policy="accept")},
    ],
)
def test_strange_objects_fail_by_name(item: dict[str, Any]) -> None:
    checks = failed(compare(NODE.expected("ipv4"), with_objects(item), "ipv4")[0])
    assert [check.id for check in checks] == ["nftables.extra", "nftables.table"]


def test_other_tables_are_not_judged() -> None:
    foreign = {"family": "inet", "table": "kindnet-network-policies", "name": "x", "handle": 3}
    checks, notes = compare(NODE.expected("ipv4"), with_objects({"chain": foreign}), "ipv4")
    assert not failed(checks)
    assert notes == []
