"""Every explained line is the node's own text; all of the Service's objects are told and nobody else's."""

from __future__ import annotations

import re
from functools import cache

import pytest
from explain_golden import LABS, everything, in_ipvs_mode, load, recorded

from kubewire.core.errors import DefinitionError
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.explain_service import Explanation, explain_service
from kubewire.dataplane.iptables.observed import rule_line
from kubewire.dataplane.iptables.spec import words
from kubewire.dataplane.nftables.observed import parse_nft_json

FILES: dict[tuple[str, IpFamily], str] = {
    ("iptables", "ipv4"): "iptables-save.txt",
    ("iptables", "ipv6"): "ip6tables-save.txt",
    ("nftables", "ipv4"): "nft-ip.json",
    ("nftables", "ipv6"): "nft-ip6.json",
}


@cache
def nft(text: str, family: IpFamily) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """The dump's rules by chain, and its keys by set or map."""
    real = parse_nft_json(text, family)
    rules = {(f"chain {chain.name}", rule.text) for chain in real.chains for rule in chain.rules()}
    sets = [(f"{'map' if item.value_type else 'set'} {item.name}", item.elements) for item in real.sets]
    return rules, {(place, element.key) for place, elements in sets for element in elements}


@pytest.mark.parametrize("name", [name for name in recorded() if "-iptables-" in name])
def test_every_iptables_line_is_in_the_dump(name: str) -> None:
    for told in everything(name):
        dump = told.node.snapshot.files[FILES["iptables", told.family]].splitlines()
        real = {re.sub(r"^\[\d+:\d+\] ", "", line) for line in dump}
        assert [line.text for line in told.lines if line.text not in real] == []


@pytest.mark.parametrize("name", [name for name in recorded() if "nft" in name])
def test_every_nft_line_is_in_the_dump(name: str) -> None:
    for told in everything(name):
        rules, keys = nft(told.node.snapshot.files[FILES["nftables", told.family]], told.family)
        for line in told.lines:
            key = re.split(" : | comment ", line.text)[0]
            assert (line.place, line.text) in rules or (line.place, key) in keys, line


@pytest.mark.parametrize("name", recorded())
def test_all_of_the_service_is_told_and_no_rule_of_others(name: str) -> None:
    for told in everything(name):
        mine = {port.name for port in told.ports}
        lines = {(line.place, line.text) for line in told.lines}
        for chain in told.expected.chains:
            for rule in chain.rules():
                if chain.table == "kube-proxy":
                    line = (f"chain {chain.name}", rule.text)
                else:
                    line = (f"{chain.table} {chain.name}", rule_line(chain, rule))
                if rule.origin and rule.origin.service:
                    assert (line in lines) == (rule.origin.service in mine), line
        texts = [line.text for line in told.lines]
        for item in told.expected.sets:
            for element in item.elements:
                if element.origin and element.origin.service in mine:
                    assert any(text.startswith(element.key) for text in texts), element


@pytest.mark.parametrize("name", [*recorded(), *LABS.values()])
def test_each_line_has_its_reason_and_each_place_is_told_once(name: str) -> None:
    for told in everything(name):
        assert told.lines
        assert all(line.why and line.source for line in told.lines)
        order = [line.place for line in told.lines]
        runs = [place for i, place in enumerate(order) if i == 0 or order[i - 1] != place]
        assert len(runs) == len(set(runs))


def told(mode: str) -> Explanation:
    if mode == "ipvs":
        return explain_service(in_ipvs_mode(load(LABS["iptables"])), "default/httpbin", "worker")
    return explain_service(load(LABS[mode]), "default/httpbin", "worker")


def test_the_iptables_path_reads_like_the_walk_through() -> None:
    ((_, lines),) = told("iptables").families
    ways = list(dict.fromkeys(line.place for line in lines))
    assert ways[:3] == ["nat PREROUTING", "nat KUBE-SERVICES", "nat KUBE-SVC-FREKB6WNWYJLKTHC"]
    assert sum(place.startswith("nat KUBE-SEP-") for place in ways) == 4
    assert ways[-2:] == ["nat POSTROUTING", "nat KUBE-POSTROUTING"]
    chain = [line.text for line in lines if line.place == "nat KUBE-SVC-FREKB6WNWYJLKTHC"]
    assert words(chain[0])[-1] == "KUBE-MARK-MASQ"
    assert [p for text in chain for p in re.findall(r"--probability (\S+)", text)] == [
        "0.25000000000",
        "0.33333333349",
        "0.50000000000",
    ]


def test_the_nftables_path_goes_by_the_maps() -> None:
    ((_, lines),) = told("nftables").families
    ways = list(dict.fromkeys(line.place for line in lines))
    start = ways.index("chain services")
    assert ways[start + 1 : start + 4] == [
        "set cluster-ips",
        "map service-ips",
        "chain service-5WI3VASQ-default/httpbin/tcp/http",
    ]
    assert "set hairpin-connections" in ways


def test_the_ipvs_path_ends_at_the_virtual_server() -> None:
    ((_, lines),) = told("ipvs").families
    ways = list(dict.fromkeys(line.place for line in lines))
    assert {"set KUBE-CLUSTER-IP", "virtual server", "interface kube-ipvs0"} <= set(ways)
    servers = [line.text for line in lines if line.place == "virtual server"]
    assert len(servers) == 5
    assert servers[0].endswith(":8000 -s rr")
    assert all(text.endswith(":80 -m -w 1") for text in servers[1:])


def test_only_the_wanted_port_is_told() -> None:
    snapshot = load("dataplane/rich-iptables-v1.37.2")
    both = explain_service(snapshot, "default/dual", "rich-worker")
    one = explain_service(snapshot, "default/dual:dns", "rich-worker")
    assert {port.port_name for port in both.ports} == {"dns", "dns-tcp"}
    assert {port.port_name for port in one.ports} == {"dns"}
    assert not any("dns-tcp" in line.text for _, lines in one.families for line in lines)


@pytest.mark.parametrize(
    ("service", "words"), [("default/headless", "headless"), ("default/elsewhere", "ExternalName")]
)
def test_a_service_without_rules_says_why(service: str, words: str) -> None:
    found = explain_service(load("dataplane/rich-iptables-v1.37.2"), service)
    assert (found.families, found.ports) == ((), ())
    assert words in found.nothing


@pytest.mark.parametrize(
    ("service", "node", "said"),
    [
        ("default/htpbin", "", "did you mean default/httpbin?"),
        ("httpbn", "", "did you mean default/httpbin?"),
        ("kube-system/httpbin", "", "did you mean default/httpbin?"),
        ("default/httpbin:htp", "", "has no port 'htp'"),
        ("default/httpbin", "worker3", "there is no node 'worker3'"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(service: str, node: str, said: str) -> None:
    with pytest.raises(DefinitionError) as error:
        explain_service(load(LABS["iptables"]), service, node)
    assert said in error.value.what
    assert error.value.hint
