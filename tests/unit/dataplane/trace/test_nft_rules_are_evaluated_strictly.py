"""One nft rule at a time: what it does to a packet, and that what isn't modelled is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_address

import pytest
from test_iptables_rules_are_evaluated_strictly import ADDR, ROUTE

from kubewire.dataplane.core.model import Element
from kubewire.dataplane.core.packet import SURE, Action, NotModelled, Packet, Result
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.nftables.conditions import Sets
from kubewire.dataplane.nftables.lookups import Lookup
from kubewire.dataplane.nftables.statements import results

ROUTING = Routing.parse(ADDR, ROUTE)
PACKET = Packet(ip_address("10.244.1.2"), ip_address("10.96.0.9"), "tcp", 8000, in_interface="veth1")
SETS = Sets(
    {
        "cluster-ips": Lookup([Element("10.96.0.1"), Element("10.96.0.9")]),
        "service-ips": Lookup([Element("10.96.0.9 . tcp . 8000", "goto service-A/b")]),
        "no-endpoint-services": Lookup([Element("10.96.0.9 . udp . 8000", "drop")]),
        "firewall-allow": Lookup([Element("10.96.0.9 . tcp . 8000 . 10.244.0.0/16")]),
        "ranges": Lookup([Element("10.96.0.5-10.96.0.9"), Element("::1-::5")]),
        "affinity-A/b__10.0.0.1/80": Lookup(()),
        "strange": Lookup([Element("10.96.0.9 . tcp . 8000", "queue to 3")]),
    }
)


def run(text: str, packet: Packet = PACKET) -> list[Result]:
    return results(text, packet, ROUTING, SETS)


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ("ip daddr 10.96.0.9", True),
        ("ip daddr != 10.96.0.9", False),
        ("ip saddr 10.244.0.0/16", True),
        ("ip saddr != { 10.0.0.0/9, 10.244.1.0-10.244.1.9 }", False),
        ("ip6 daddr ::1", False),
        ("ip6 daddr != ::1", False),
        ("ip daddr @cluster-ips", True),
        ("ip daddr @ranges", True),
        ("ip daddr != @cluster-ips", False),
        ("ip saddr @affinity-A/b__10.0.0.1/80", False),
        ("ip daddr . meta l4proto . th dport . ip saddr @firewall-allow", True),
        ("ip saddr . ip daddr @firewall-allow", False),
        ("meta l4proto tcp", True),
        ("meta l4proto != udp", True),
        ("tcp dport 8000", True),
        ("udp dport != 53", False),
        ("th dport 7000-9000", True),
        ("th dport { 80, 8000 }", True),
        ("ct state new", True),
        ("ct state established,related", False),
        ("ct state invalid", False),
        ("ct status dnat", False),
        ("fib daddr type local", False),
        ("fib saddr type != local", True),
        ('iifname "veth*"', True),
        ('iifname != "veth*"', False),
        ('iif "eth0"', False),
        ("meta mark & 0x00004000 != 0x00000000", False),
        ("meta mark & 0x00004000 == 0x00000000", True),
        ("meta mark 0x00000000", True),
        ("meta mark 0x00000000/1", True),
        ("meta mark != 0x00000000/1", False),
    ],
)
def test_matches(match: str, holds: bool) -> None:
    (found,) = run(f"{match} drop")
    assert found.action is (Action.DROP if holds else Action.MISS)


def test_a_verdict_map_leads_on_and_says_by_which_element() -> None:
    (found,) = run("ip daddr . meta l4proto . th dport vmap @service-ips")
    assert (found.action, found.chain) == (Action.GOTO, "service-A/b")
    assert found.said == "service-ips: 10.96.0.9 . tcp . 8000 : goto service-A/b"
    (found,) = run("ip daddr . meta l4proto . th dport vmap @no-endpoint-services")
    assert found.action is Action.MISS


def test_random_verdicts_share_equally() -> None:
    found = run("numgen random mod 3 vmap { 0 : goto a, 1 : goto b, 2 : drop }")
    assert [(r.chance, r.action, r.chain) for r in found] == [
        (Fraction(1, 3), Action.GOTO, "a"),
        (Fraction(1, 3), Action.GOTO, "b"),
        (Fraction(1, 3), Action.DROP, ""),
    ]


def test_a_number_without_an_element_is_a_miss() -> None:
    found = run(
        "meta l4proto tcp dnat ip to numgen random mod 4 map { 0 : 10.0.0.1 . 80, 1 : 10.0.0.2 . 80 }"
    )
    assert [(r.chance, r.action, r.packet.to) for r in found] == [
        (Fraction(1, 4), Action.ACCEPT, "10.0.0.1:80"),
        (Fraction(1, 4), Action.ACCEPT, "10.0.0.2:80"),
        (Fraction(1, 2), Action.MISS, "10.96.0.9:8000"),
    ]


def test_translations() -> None:
    (found,) = run("meta l4proto tcp dnat to 10.244.2.2:80")
    assert (found.packet.to, found.packet.dnat, found.action) == ("10.244.2.2:80", True, Action.ACCEPT)
    six = replace(PACKET, source=ip_address("fd00::2"), destination=ip_address("fd00::1"))
    (found,) = run("meta l4proto tcp dnat to [fd00::5]:80", six)
    assert found.packet.to == "[fd00::5]:80"
    (found,) = run("masquerade fully-random", replace(PACKET, out_interface="eth0"))
    assert str(found.packet.source) == "172.18.0.3"


def test_statements_run_from_left_to_right_and_keep_what_they_did() -> None:
    text = "meta mark set meta mark | 0x00004000 ct state established drop"
    assert [(r.action, r.packet.mark) for r in run(text)] == [(Action.MISS, 0x4000)]
    text = "meta mark & 0x4000 != 0x0 meta mark set meta mark ^ 0x4000 masquerade fully-random"
    (found,) = run(text, replace(PACKET, mark=0x4000, out_interface="eth0"))
    assert (found.packet.mark, found.action) == (0, Action.ACCEPT)


@pytest.mark.parametrize(
    "text",
    [
        'jump services comment "anything { goes } : @here"',
        "counter packets 5 bytes 300 jump services",
        'counter name "x" log prefix "y" jump services',
        "update @affinity-A/b__10.0.0.1/80 { ip saddr timeout 10m } jump services",
    ],
)
def test_what_changes_nothing_is_passed(text: str) -> None:
    assert run(text) == [Result(SURE, PACKET, Action.JUMP, "services")]


@pytest.mark.parametrize(
    "text",
    [
        "ip ttl 64 drop",
        "ip daddr @unknown drop",
        "ip daddr . meta l4proto . th dport vmap @strange",
        "th sport 80 drop",
        "limit rate 5/second drop",
        "queue to 3",
        "tproxy to :80",
        "redirect to :80-90",
        "numgen inc mod 2 vmap { 0 : drop, 1 : accept }",
        "ct mark 0x1 drop",
        "ct state bogus drop",
        "meta skuid 0 drop",
        "dnat to 10.0.0.1-10.0.0.5",
        "masquerade to :1024-2048",
        "ip daddr somewhere drop",
        "fib daddr . iif type local drop",
        "goto",
        "ip daddr { 10.0.0.1",
    ],
)
def test_what_is_not_modelled_is_refused(text: str) -> None:
    with pytest.raises(NotModelled):
        run(text)


def test_what_is_not_modelled_does_not_matter_behind_a_match_that_fails() -> None:
    (found,) = run("ip daddr 10.0.0.1 queue to 3")
    assert found.action is Action.MISS
