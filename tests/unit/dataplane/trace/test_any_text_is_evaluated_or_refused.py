"""Whatever words a rule is made of: its results add up to 1, or it is refused; never another error."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_iptables_rules_are_evaluated_strictly import PACKET, ROUTING
from test_nft_rules_are_evaluated_strictly import SETS

from kubewire.dataplane.core.model import Element
from kubewire.dataplane.core.packet import NotModelled
from kubewire.dataplane.iptables import statements as iptables_rules
from kubewire.dataplane.nftables import statements as nft_rules
from kubewire.dataplane.nftables.lookups import Lookup

VALUES = (
    "10.0.0.0/8 10.96.0.9 10.96.0.9/32 ::1 fd00::/8 tcp 80 8000 1:2 0x4000/0x4000 0.5 1/0 x NEW LOCAL random"
)
IPTABLES = (
    "! -s -d -i -o -p -m -j -g comment tcp udp addrtype mark conntrack statistic recent multiport owner "
    "--comment --dport --sport --dports --dst-type --mark --ctstate --mode --probability --rcheck --set "
    "--tcp-flags --name DNAT SNAT MASQUERADE MARK ACCEPT DROP RETURN REJECT LOG A --to-destination "
    f"--to-source --set-xmark --random-fully {VALUES}"
).split()
NFT = (
    "ip ip6 saddr daddr meta mark l4proto th tcp dport ct state status new dnat fib type local iifname set . "
    "& | ^ == != { } , : vmap map @service-ips @cluster-ips @no numgen random mod 2 0 1 goto jump a drop "
    "accept return reject with to masquerade fully-random counter packets bytes name log prefix update "
    f'comment "x" {VALUES}'
).split()


@settings(max_examples=400, deadline=None)
@example(["-m"])
@example(["!"])
@example(["-m", "statistic", "--mode", "random", "--probability", "2.0", "-j", "DROP"])
@example(["-m", "statistic", "--mode", "random", "--probability", "1/0", "-j", "DROP"])
@given(st.lists(st.sampled_from(IPTABLES), max_size=9))
def test_iptables(words: list[str]) -> None:
    try:
        found = iptables_rules.results(" ".join(words), PACKET, ROUTING, {"A"})
    except NotModelled:
        return
    assert sum(result.chance for result in found) == 1
    assert all(result.chance > 0 for result in found)


@settings(max_examples=400, deadline=None)
@example(["dnat", "to", "numgen", "random", "mod", "0", "map", "{", "0", ":", "1.2.3.4", "}"])
@example(["ip", "daddr", "{", "10.0.0.1", ",", "}"])
@given(st.lists(st.sampled_from(NFT), max_size=12))
def test_nft(words: list[str]) -> None:
    try:
        found = nft_rules.results(" ".join(words), PACKET, ROUTING, SETS)
    except NotModelled:
        return
    assert sum(result.chance for result in found) == 1
    assert all(result.chance > 0 for result in found)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=4))
def test_elements(keys: list[str]) -> None:
    values = (ip_address("10.96.0.9"), "tcp", 8000)
    try:
        found = Lookup([Element(key) for key in [*keys, "10.96.0.9 . tcp . 8000"]]).find(values)
    except NotModelled:
        return
    assert found is not None
