"""One iptables rule at a time: what it does to a packet, and that what isn't modelled is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_address

import pytest

from kubewire.dataplane.core.packet import SURE, Action, NotModelled, Packet, Result
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.iptables.statements import results

ADDR = """[{"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
 {"ifname": "eth0", "addr_info": [{"local": "172.18.0.3", "prefixlen": 16, "scope": "global"}]},
 {"ifname": "veth1", "addr_info": [{"local": "10.244.1.1", "prefixlen": 32, "scope": "global"}]}]"""
ROUTE = """[{"dst": "default", "gateway": "172.18.0.1", "dev": "eth0"},
 {"dst": "172.18.0.0/16", "dev": "eth0", "prefsrc": "172.18.0.3"},
 {"dst": "10.244.1.2", "dev": "veth1", "scope": "host"}]"""
ROUTING = Routing.parse(ADDR, ROUTE)
PACKET = Packet(ip_address("10.244.1.2"), ip_address("10.96.0.9"), "tcp", 8000, in_interface="veth1")


def run(text: str, packet: Packet = PACKET) -> list[Result]:
    return results(text, packet, ROUTING, {"KUBE-SVC-A", "MINE"})


def chance(text: str, packet: Packet = PACKET) -> Fraction:
    """How likely the rule matches."""
    return sum((r.chance for r in run(text, packet) if r.action is not Action.MISS), Fraction(0))


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ("", True),
        ("-s 10.244.0.0/16", True),
        ("! -s 10.244.0.0/16", False),
        ("-s 10.244.0.0/255.255.0.0", True),
        ("-d 10.96.0.9/32 -p tcp -m tcp --dport 8000", True),
        ("-d 10.96.0.9/32 -p tcp -m tcp --dport 8001", False),
        ("-d 10.96.0.9/32 -p udp -m udp --dport 8000", False),
        ("-p tcp -m tcp ! --dport 8000", False),
        ("-p tcp -m tcp --dport 7999:8001", True),
        ("-p tcp -m tcp --dport :7999", False),
        ("-p 6", True),
        ("! -p udp", True),
        ("-p tcp -m tcp --sport 1024:65535", True),
        ("-p tcp -m tcp --sport 80", False),
        ("-p tcp -m multiport --dports 80,443,7000:9000", True),
        ("-p tcp -m multiport ! --dports 80,443", True),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", True),
        ("-p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK", False),
        ("-i veth1", True),
        ("-i veth+", True),
        ("! -i eth0", True),
        ("-o eth0", False),
        ("-m addrtype --dst-type LOCAL", False),
        ("-m addrtype ! --dst-type LOCAL", True),
        ("-m addrtype --src-type UNICAST", True),
        ("-m addrtype --dst-type LOCAL,UNICAST", True),
        ("-m mark --mark 0x4000/0x4000", False),
        ("-m mark ! --mark 0x4000/0x4000", True),
        ("-m conntrack --ctstate NEW", True),
        ("-m conntrack --ctstate RELATED,ESTABLISHED", False),
        ("-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT", True),
        ("-m conntrack --ctstate INVALID -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts", False),
        ("-m state --state NEW", True),
        ("-m comment --comment plain -m nfacct --nfacct-name  localhost_nps_accepted_pkts", True),
        ('-m comment --comment "-j DROP -d 1.2.3.4/32"', True),
        ('-m comment --comment "a \\"quoted\\" word"', True),
        ("-m recent --rcheck --seconds 600 --reap --name A --mask 255.255.255.255 --rsource", False),
        ("-m recent --set --name A --mask 255.255.255.255 --rsource", True),
    ],
)
def test_matches(match: str, holds: bool) -> None:
    assert chance(f"{match} -j ACCEPT".strip()) == holds


def test_conntrack_knows_a_translated_destination() -> None:
    translated = replace(PACKET, dnat=True)
    assert chance("-m conntrack --ctstate DNAT -j ACCEPT", translated) == 1
    assert chance("-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP", translated) == 0


@pytest.mark.parametrize(
    ("text", "share"), [("0.25000000000", 0.25), ("0.33333333349", 1 / 3), ("1.00000000000", 1)]
)
def test_a_random_match_splits(text: str, share: float) -> None:
    found = run(f"-m statistic --mode random --probability {text} -j KUBE-SVC-A")
    assert sum(r.chance for r in found) == 1
    assert float(found[0].chance) == pytest.approx(share, abs=1e-9)
    assert found[0].chance.denominator <= 2**31
    assert chance(f"-m statistic --mode random ! --probability {text} -j DROP") == 1 - found[0].chance


def test_a_random_match_behind_one_that_fails_does_not_split() -> None:
    rule = "-d 10.96.0.1/32 -m statistic --mode random --probability 0.50000000000 -j DROP"
    assert run(rule) == [Result(SURE, PACKET, Action.MISS)]


@pytest.mark.parametrize(
    ("target", "action", "chain"),
    [
        ("-j KUBE-SVC-A", Action.JUMP, "KUBE-SVC-A"),
        ("-g MINE", Action.GOTO, "MINE"),
        ("-j RETURN", Action.RETURN, ""),
        ("-j ACCEPT", Action.ACCEPT, ""),
        ("-j DROP", Action.DROP, ""),
        ("-j REJECT --reject-with icmp-port-unreachable", Action.REJECT, ""),
        ("-j LOG --log-prefix x", Action.NEXT, ""),
        ("", Action.NEXT, ""),
    ],
)
def test_verdicts(target: str, action: Action, chain: str) -> None:
    assert run(target) == [Result(SURE, PACKET, action, chain)]


@pytest.mark.parametrize(
    ("value", "before", "after"),
    [("0x4000/0x4000", 1, 0x4001), ("0x4000/0x0", 0x4001, 1), ("0x8000/0xffffffff", 0x4001, 0x8000)],
)
def test_marks(value: str, before: int, after: int) -> None:
    (found,) = run(f"-j MARK --set-xmark {value}", replace(PACKET, mark=before))
    assert (found.packet.mark, found.action) == (after, Action.NEXT)


def test_dnat_and_snat() -> None:
    (found,) = run("-p tcp -m tcp -j DNAT --to-destination 10.244.2.2:80")
    assert (found.packet.to, found.packet.dnat, found.action) == ("10.244.2.2:80", True, Action.ACCEPT)
    (found,) = run("-j DNAT --to-destination 10.244.2.2")
    assert found.packet.to == "10.244.2.2:8000"
    (found,) = run("-j SNAT --to-source 192.0.2.1 --random-fully")
    assert (str(found.packet.source), found.packet.snat) == ("192.0.2.1", True)


@pytest.mark.parametrize(
    ("destination", "out", "source"),
    [
        ("8.8.8.8", "eth0", "172.18.0.3"),
        ("10.244.1.2", "veth1", "10.244.1.1"),
        ("10.9.9.9", "tun0", "172.18.0.3"),
    ],
)
def test_masquerade_takes_an_address_of_the_way_out(destination: str, out: str, source: str) -> None:
    packet = replace(PACKET, destination=ip_address(destination), out_interface=out)
    (found,) = run("-j MASQUERADE --random-fully", packet)
    assert str(found.packet.source) == source


@pytest.mark.parametrize(
    "rule",
    [
        "-m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
        "-m limit --limit 5/min -j DROP",
        "-m physdev ! --physdev-is-in -j ACCEPT",
        "-m statistic --mode nth --every 3 --packet 0 -j KUBE-SVC-A",
        "-m socket -j ACCEPT",
        "-m recent --remove --name A -j DROP",
        "-m addrtype --limit-iface-in --dst-type LOCAL -j DROP",
        "-p tcp -m tcp --sport 40000 -j DROP",
        "-s 10.244.0.0/255.0.255.0 -j DROP",
        "-f -j DROP",
        "-j NETMAP --to 10.0.0.0/8",
        "-j TPROXY --on-port 1 --on-ip 0.0.0.0 --tproxy-mark 0x0/0x0",
        "-j CONNMARK --restore-mark",
        "-j NFQUEUE --queue-num 101",
        "-j DNAT --to-destination 10.0.0.1-10.0.0.9",
        "-j SNAT --to-source 10.0.0.1-10.0.0.9",
        "-j MASQUERADE --to-ports 1024-2048",
        "-j KUBE-SVC-GONE",
        "-j DNAT [unsupported revision]",
    ],
)
def test_what_is_not_modelled_is_refused(rule: str) -> None:
    with pytest.raises(NotModelled, match=r"not modelled|may be any"):
        run(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "-d 10.0.0.1/32 -m set --match-set A dst -j ACCEPT",
        "-m set --match-set A dst -m mark --mark 0x1/0x1 -j ACCEPT",
        "-p udp -m socket --transparent -j DROP",
        "-m limit --limit 5/min -j LOG --log-prefix dropped",
    ],
)
def test_what_is_not_modelled_does_not_matter_where_something_else_decides(rule: str) -> None:
    assert chance(rule) == 0
