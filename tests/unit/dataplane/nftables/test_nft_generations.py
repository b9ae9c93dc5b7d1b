"""Each generation of kube-proxy writes its own form, and the exact patch decides which."""

from __future__ import annotations

import pytest
from nft_support import OWN, elements_of, recorded, rules_of

from kubewire.dataplane.core.model import Dataplane

NODE = recorded(OWN / "every-feature-v1.37.2" / "nodes" / "node-a")
ALL_ADDRESSES = recorded(OWN / "all-addresses-mark-20-v1.37.2" / "nodes" / "node-a")
WEB = "service-SUSTUHLJ-default/web/tcp/http"
SINGLE = "service-COL4VJNJ-default/single/tcp/http"
STICKY = "service-H6U4RGLG-default/sticky/tcp/http"


def ipv4(version: str) -> Dataplane:
    return NODE.expected("ipv4", version)


def bases(dataplane: Dataplane) -> dict[str, tuple[str, int | None]]:
    return {chain.name: (chain.hook.name, chain.hook.priority) for chain in dataplane.chains if chain.hook}


def cluster_ip(chain: str) -> str:
    entries = elements_of(ipv4("v1.37.2"))["service-ips"].items()
    return next(key.split(" . ")[0] for key, value in entries if value == f"goto {chain}")


def test_the_oldest_keeps_its_checks_before_dnat_at_101() -> None:
    table = ipv4("v1.29.6")
    assert bases(table) == {
        "filter-input": ("input", -101),
        "filter-forward": ("forward", -101),
        "filter-output": ("output", -101),
        "nat-prerouting": ("prerouting", -100),
        "nat-output": ("output", -100),
        "nat-postrouting": ("postrouting", 100),
    }
    rules, elements = rules_of(table), elements_of(table)
    assert rules["filter-forward"] == [
        "ct state new jump endpoints-check",
        "jump forward",
        "ct state new jump firewall-check",
    ]
    assert rules["forward"] == ["ct state invalid drop"]
    assert rules["endpoints-check"][1].startswith("fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto")
    assert rules["firewall-check"] == [
        "ip daddr . meta l4proto . th dport @firewall jump firewall-allow-check"
    ]
    assert rules["firewall-allow-check"][-1] == "drop"
    assert "198.18.0.3 . tcp . 80 . 203.0.113.0/25" in elements["firewall-allow"]
    assert "198.18.0.4 . tcp . 80 . 198.18.0.4" in elements["firewall-allow"]
    assert not {"cluster-ips", "firewall-ips", "hairpin-connections"} & elements.keys()


@pytest.mark.parametrize("version", ["v1.30.0", "v1.31.0", "v1.32.13", "v1.33.5"])
def test_then_all_filters_stand_before_dnat(version: str) -> None:
    table = ipv4(version)
    assert bases(table)["filter-prerouting"] == ("prerouting", -110)
    assert bases(table)["filter-input"] == ("input", -110)
    assert bases(table)["filter-output-post-dnat"] == ("output", -90)
    assert rules_of(table)["filter-output"] == [
        "ct state new jump service-endpoints-check",
        "ct state new jump firewall-check",
    ]
    assert elements_of(table)["nodeport-ips"].keys() == {"172.18.0.11"}


@pytest.mark.parametrize("version", ["v1.33.6", "v1.33.13", "v1.34.0", "v1.35.4", "v1.36.3", "v1.37.2"])
def test_from_a_patch_of_1_33_on_endpoints_are_checked_behind_dnat(version: str) -> None:
    found = bases(ipv4(version))
    assert found["filter-prerouting-pre-dnat"] == ("prerouting", -110)
    assert found["filter-input"] == ("input", 0)
    assert "filter-output-post-dnat" not in found


def test_unallocated_cluster_ips_are_dropped_from_1_33_on() -> None:
    assert len(rules_of(ipv4("v1.32.13"))["cluster-ips-check"]) == 1
    assert rules_of(ipv4("v1.33.0"))["cluster-ips-check"][1] == (
        'ip daddr 10.96.0.0/16 drop comment "Drop traffic to unallocated ClusterIPs"'
    )


@pytest.mark.parametrize(
    ("version", "port_match"), [("v1.29.6", " tcp dport 80"), ("v1.33.13", " tcp dport 80"), ("v1.34.4", "")]
)
def test_up_to_1_35_each_service_chain_marks_and_picks_an_endpoint_chain(
    version: str, port_match: str
) -> None:
    rules = rules_of(ipv4(version))
    mark, balance = rules[WEB]
    assert mark == (
        f"ip daddr {cluster_ip(WEB)}{port_match} ip saddr != 10.244.0.0/16 jump mark-for-masquerade"
    )
    assert balance.startswith("numgen random mod 4 vmap { 0 : goto endpoint-")
    endpoint = balance.split("goto ")[1].split(",")[0]
    assert rules[endpoint] == [
        "ip saddr 10.244.1.10 jump mark-for-masquerade",
        "meta l4proto tcp dnat to 10.244.1.10:8080",
    ]
    assert rules["mark-for-masquerade"] == ["meta mark set meta mark | 0x00004000"]
    assert rules["masquerading"] == [
        "meta mark & 0x00004000 == 0x00000000 return",
        "meta mark set meta mark ^ 0x00004000",
        "masquerade fully-random",
    ]
    assert rules["external-D2RGPZ6L-default/lb/tcp/http"][0] == "jump mark-for-masquerade"


def test_masquerade_all_needs_no_detector() -> None:
    mark = rules_of(ALL_ADDRESSES.expected("ipv6", "v1.34.4"))[WEB][0]
    assert mark.endswith(" jump mark-for-masquerade")
    assert "saddr" not in mark


@pytest.mark.parametrize("version", ["v1.36.0", "v1.36.3"])
def test_1_36_maps_to_addresses_even_for_a_single_endpoint(version: str) -> None:
    rules = rules_of(ipv4(version))
    assert rules[SINGLE] == ["meta l4proto tcp dnat ip to numgen random mod 1 map { 0 : 10.244.2.14 . 8080 }"]
    assert "mark-for-masquerade" not in rules
    assert rules[STICKY][-1].startswith("numgen random mod 3 vmap { 0 : goto endpoint-")
    assert "10.244.1.10 . 10.244.1.10 . tcp . 8080" in elements_of(ipv4(version))["hairpin-connections"]
    assert "10.244.2.11 . 10.244.2.11 . tcp . 8080" not in elements_of(ipv4(version))["hairpin-connections"]


def test_1_37_names_a_single_endpoint_plainly() -> None:
    assert rules_of(ipv4("v1.37.0"))[SINGLE] == ["meta l4proto tcp dnat to 10.244.2.14:8080"]


def test_comments_are_cut_from_1_37_on_and_firewalls_had_some_in_1_30() -> None:
    def comments(version: str, name: str) -> set[str]:
        return {e.comment for item in ipv4(version).sets if item.name == name for e in item.elements}

    assert max(map(len, comments("v1.36.3", "no-endpoint-services"))) > 128
    assert max(map(len, comments("v1.37.2", "no-endpoint-services"))) == 128
    assert "default/lb-ranges:http" in comments("v1.30.14", "firewall-ips")
    assert comments("v1.31.0", "firewall-ips") == {""}


def test_localhost_node_ports_are_refused_only_behind_their_gate() -> None:
    gated = recorded(OWN / "localhost-refused-v1.37.2" / "nodes" / "node-a")
    served = recorded(OWN / "localhost-served-v1.37.2" / "nodes" / "node-a")
    name = "localhost-nodeport-reject-ports"
    assert elements_of(gated.expected("ipv4"))[name]["tcp . 30080"] == "goto localhost-nodeport-reject-tcp"
    assert elements_of(served.expected("ipv4"))[name].keys() == {"udp . 30053", "sctp . 30090"}
    assert name not in elements_of(gated.expected("ipv4", "v1.36.3"))
    assert name not in elements_of(ipv4("v1.37.2"))
