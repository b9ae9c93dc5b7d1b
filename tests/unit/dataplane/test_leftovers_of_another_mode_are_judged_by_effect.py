"""What a kube-proxy in another mode left: it fails where it ends or diverts packets, else it is a note."""

from __future__ import annotations

import json

import pytest
from test_foreign_rules_are_judged_by_effect import alone, healthy

from kubewire.dataplane.check import Checked, check_snapshot
from kubewire.dataplane.core.findings import Check
from trace_golden import RICH, RICH_NFT

NFT, IPTABLES = "nft-ip.json", "iptables-save.txt"
CLEANUP = "left by a kube-proxy in {} mode; `kube-proxy --cleanup` removes it"


def beside(name: str, file: str, text: str) -> Checked:
    snapshot = healthy(name)
    return check_snapshot(alone(snapshot, snapshot.nodes[0], file, text))


def failed(checked: Checked) -> list[Check]:
    return [check for check in checked.checks if check.status == "failed"]


def nft_table(*kept: str) -> str:
    """kube-proxy's table of the same node in nftables mode; of its maps only these still have elements."""
    listing = json.loads(healthy(RICH_NFT).nodes[0].files[NFT])["nftables"]
    for item in listing:
        if "map" in item and item["map"]["name"] not in kept:
            item["map"]["elem"] = []
    return json.dumps({"nftables": listing})


def test_a_table_that_takes_no_packet_is_a_note() -> None:
    checked = beside(RICH, NFT, nft_table())
    assert failed(checked) == []
    assert f"nft table ip kube-proxy: {CLEANUP.format('nftables')}" in [note.text for note in checked.notes]


def test_stale_source_ranges_fail_with_who_left_them() -> None:
    stale = nft_table("firewall-ips").replace("203.0.113.0", "198.51.100.0")
    check = failed(beside(RICH, NFT, stale))[0]
    assert (check.id, check.object) == (
        "nftables.stray",
        "nft table ip kube-proxy chain filter-prerouting-pre-dnat",
    )
    assert "a rule of kube-proxy's nftables mode drops packets from" in check.reason
    assert CLEANUP.format("nftables") in check.reason


def test_stale_nat_fails_where_kube_proxy_itself_translates_nothing() -> None:
    table = nft_table("service-ips", "service-nodeports").replace("10.244.", "10.99.")
    [check] = failed(beside(RICH, NFT, table))
    assert check.object == "nft table ip kube-proxy chain nat-output"
    assert "dnat to 10.99.2.12:80" in check.observed
    assert CLEANUP.format("nftables") in check.reason


@pytest.mark.parametrize("network", ["10.99.", "10.244."])
def test_nat_of_both_modes_is_told_where_it_differs(network: str) -> None:
    """Both sit at one priority: which comes first can't be told, so neither can the packet's end."""
    table = nft_table("service-ips", "service-nodeports").replace("10.244.", network)
    notes = [note.text for note in beside(RICH, NFT, table).notes if "sends to 10.99." in note.text]
    assert [CLEANUP.format("nftables") in text for text in notes] == [True] * len(notes)
    assert bool(notes) is (network == "10.99.")


def test_iptables_chains_beside_nftables_mode() -> None:
    rules = healthy(RICH).nodes[0].files[IPTABLES]
    stale = beside(RICH_NFT, IPTABLES, rules.replace("10.244.1.", "10.99.1."))
    for checked, diverted in ((beside(RICH_NFT, IPTABLES, rules), False), (stale, True)):
        assert failed(checked) == []
        notes = "\n".join(note.text for note in checked.notes)
        assert CLEANUP.format("iptables") in notes
        assert ("sends to 10.99.1." in notes) is diverted


def test_an_interface_left_from_ipvs_mode_is_noted() -> None:
    node = healthy(RICH).nodes[0]
    links = json.loads(node.files["ip-addr.json"])
    left = {**links[-1], "ifname": "kube-ipvs0", "addr_info": []}
    checked = beside(RICH, "ip-addr.json", json.dumps([*links, left]))
    assert [note.text for note in checked.notes] == [f"interface kube-ipvs0: {CLEANUP.format('ipvs')}"]
