"""Names, merged address sets, durations and priorities are those of kube-proxy and nft."""

from __future__ import annotations

import pytest

from kubewire.dataplane.core.config import LocalDetector
from kubewire.dataplane.nftables.names import address_set, hashed, local_match
from kubewire.dataplane.nftables.text import duration_text, priority_text
from kubewire.dataplane.nftables.words import references


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("ns1/svc1/tcp/p80", "ULMVA6XW"),
        ("ns1/svc1/tcp/p80__10.180.0.1/80", "5OJB2KTY"),
        ("default/kubernetes/tcp/https", "2QRHZV4L"),
    ],
)
def test_hashes(name: str, digest: str) -> None:
    assert hashed(name) == f"{digest}-{name}"


def test_long_names_are_cut_to_240() -> None:
    assert len(hashed("n" * 231)) == 240
    cut = hashed("n" * 232)
    assert len(cut) == 240
    assert cut.endswith("nnn...")


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        (["203.0.113.0/25"], "203.0.113.0/25"),
        (["10.1.2.3/32"], "10.1.2.3"),
        (["0.0.0.0/0"], "0.0.0.0/0"),
        (["0.0.0.0/0", "1.2.3.4/32"], "{ 0.0.0.0/0 }"),
        (["10.0.0.0/8", "10.1.0.0/16"], "{ 10.0.0.0/8 }"),
        (["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"], "{ 10.0.0.0-10.0.2.255 }"),
        (["11.0.0.0/8", "10.0.0.1/32", "10.0.0.2/32"], "{ 10.0.0.1-10.0.0.2, 11.0.0.0/8 }"),
        (["10.0.0.0/32", "10.0.0.1/32", "11.0.0.0/8"], "{ 10.0.0.0/31, 11.0.0.0/8 }"),
        (["fd00:56:0:1::/64", "fd00:56::/64"], "{ fd00:56::/63 }"),
    ],
)
def test_address_sets_as_nft_merges_them(written: list[str], printed: str) -> None:
    assert address_set(written)[0] == printed


def test_an_unmerged_set_is_as_right() -> None:
    assert "{ 10.0.0.0/24, 10.0.1.0/24 }" in address_set(["10.0.1.0/24", "10.0.0.0/24"])


def test_local_matches() -> None:
    cidr = LocalDetector("cidr", "10.244.0.0/16", implemented=True)
    assert local_match(cidr, "ip", "iifname") == "ip saddr 10.244.0.0/16"
    assert local_match(cidr, "ip", "iifname", negated=True) == "ip saddr != 10.244.0.0/16"
    bridge = LocalDetector("bridge", "br0", implemented=True)
    assert local_match(bridge, "ip6", "iif", negated=True) == 'iif != "br0"'
    prefix = LocalDetector("prefix", "veth", implemented=True)
    assert local_match(prefix, "ip", "iifname") == 'iifname "veth*"'


@pytest.mark.parametrize(
    ("seconds", "text"), [(10800, "3h"), (90, "1m30s"), (86400, "1d"), (90061, "1d1h1m1s"), (0, "0s")]
)
def test_durations(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("hook", "priority", "text"),
    [
        ("prerouting", -110, "dstnat - 10"),
        ("output", -110, "-110"),
        ("input", 0, "filter"),
        ("postrouting", 100, "srcnat"),
        ("output", 100, "100"),
        ("input", 5, "filter + 5"),
        ("input", -300, "raw"),
    ],
)
def test_priorities(hook: str, priority: int, text: str) -> None:
    assert priority_text(hook, priority) == text


def test_references_in_a_rule() -> None:
    text = "ip saddr @affinity-A-b/c goto endpoint-A-b/c"
    assert references(text).sets == ("affinity-A-b/c",)
    assert references(text).chains == ("endpoint-A-b/c",)
    assert references("numgen random mod 2 vmap { 0 : goto a/, 1 : goto b }").chains == ("a/", "b")
