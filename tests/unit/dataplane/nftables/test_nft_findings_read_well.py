"""A finding names the object as one asks nft for it, what it should be, what it is, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nft_support import OWN, compare, failed, objects, recorded

from kubewire.dataplane.core.findings import Check, Note

NODE = recorded(OWN / "every-feature-v1.37.2" / "nodes" / "node-a")
WEB = "service-SUSTUHLJ-default/web/tcp/http"
SINGLE = "service-COL4VJNJ-default/single/tcp/http"


def judged(change: Callable[[list[Any]], None]) -> tuple[list[Check], list[Note]]:
    listing: list[Any] = list(objects(NODE.dump("ipv4")))
    change(listing)
    checks, notes = compare(NODE.expected("ipv4"), json.dumps({"nftables": listing}), "ipv4")
    return [check for check in failed(checks) if check.id != "nftables.table"], notes


def named(listing: list[Any], kind: str, name: str) -> dict[str, Any]:
    body: dict[str, Any] = next(item[kind] for item in listing if item.get(kind, {}).get("name") == name)
    return body


def rules(listing: list[Any], chain: str) -> list[dict[str, Any]]:
    return [item["rule"] for item in listing if item.get("rule", {}).get("chain") == chain]


def own(**attributes: Any) -> dict[str, Any]:
    return {"family": "ip", "table": "kube-proxy", "handle": 9, **attributes}


def test_a_removed_map_element() -> None:
    def change(listing: list[Any]) -> None:
        elements = named(listing, "map", "service-ips")["elem"]
        elements[:] = [pair for pair in elements if pair[1].get("goto", {}).get("target") != WEB]

    (finding,), _ = judged(change)
    assert (finding.id, finding.service) == ("nftables.services.dispatch", "default/web:http")
    assert finding.object == "map ip kube-proxy service-ips"
    assert finding.expected.endswith(f" . tcp . 80 : goto {WEB}")
    assert finding.observed == "(missing)"
    assert "pkg/proxy/nftables/proxier.go, KEP-3866" in finding.reason


def test_a_changed_balancing_is_one_finding() -> None:
    def change(listing: list[Any]) -> None:
        dnat = rules(listing, WEB)[0]["expr"][1]["dnat"]["addr"]["map"]
        dnat["data"]["set"][1][1]["concat"][0] = "10.66.6.6"

    (finding,), _ = judged(change)
    assert (finding.id, finding.object) == ("nftables.service.balancing", f"chain ip kube-proxy {WEB}")
    assert "1 : 10.244.1.12 . 8080" in finding.expected
    assert "1 : 10.66.6.6 . 8080" in finding.observed
    assert "each of 4 endpoints gets 1/4" in finding.reason


def test_a_removed_endpoint_of_hairpin() -> None:
    def change(listing: list[Any]) -> None:
        named(listing, "set", "hairpin-connections")["elem"].pop()

    (finding,), _ = judged(change)
    assert finding.id == "nftables.hairpin"
    assert finding.service.startswith(("default/", "nnn"))


def test_a_stray_dnat_says_that_nothing_asks_for_it() -> None:
    stray = {"rule": own(chain="services", expr=[{"dnat": {"addr": "6.6.6.6", "port": 80}}])}
    (finding,), _ = judged(lambda listing: listing.append(stray))
    assert (finding.id, finding.observed) == ("nftables.extra", "dnat to 6.6.6.6:80")
    assert "nothing that the API knows asks for it" in finding.reason


def test_a_moved_base_chain() -> None:
    (finding,), _ = judged(lambda listing: named(listing, "chain", "nat-output").update(prio=-90))
    assert finding.id == "nftables.base-chain"
    assert finding.expected == "type nat hook output priority -100; policy accept;"
    assert finding.observed == "type nat hook output priority -90; policy accept;"


def test_a_missing_chain() -> None:
    def change(listing: list[Any]) -> None:
        listing[:] = [
            item
            for item in listing
            if item.get("chain", {}).get("name") != SINGLE and item.get("rule", {}).get("chain") != SINGLE
        ]

    (finding,), _ = judged(change)
    assert (finding.service, finding.observed) == ("default/single:http", f"(no chain {SINGLE})")


def test_the_table_fails_with_any_of_its_objects() -> None:
    listing = [item for item in objects(NODE.dump("ipv4")) if "rule" not in item]
    checks, _ = compare(NODE.expected("ipv4"), json.dumps({"nftables": listing}), "ipv4")
    assert checks[-1].id == "nftables.table"
    assert checks[-1].status == "failed"


def test_an_emptied_service_chain_is_a_note() -> None:
    stale = {"chain": own(name="service-AAAAAAAA-default/gone/tcp/http")}
    findings, (note,) = judged(lambda listing: listing.append(stale))
    assert findings == []
    assert "default/gone/tcp/http was emptied" in note.text


def test_what_no_packet_reaches_is_a_note() -> None:
    loose = [
        {"chain": own(name="loose")},
        {"rule": own(chain="loose", expr=[{"drop": None}])},
        {"set": own(name="loose-set", type="ipv4_addr")},
        {"counter": {**own(name="c"), "packets": 0, "bytes": 0}},
    ]
    findings, notes = judged(lambda listing: listing.extend(loose))
    assert findings == []
    assert len(notes) == 3


def test_an_extra_chain_that_a_map_leads_to_fails() -> None:
    def change(listing: list[Any]) -> None:
        listing.append({"chain": own(name="evil")})
        listing.append({"rule": own(chain="evil", expr=[{"drop": None}])})
        pair = [{"concat": ["10.96.1.2", "tcp", 80]}, {"goto": {"target": "evil"}}]
        named(listing, "map", "service-ips")["elem"].append(pair)

    findings, _ = judged(change)
    assert {finding.object for finding in findings} == {
        "map ip kube-proxy service-ips",
        "chain ip kube-proxy evil",
    }


def test_an_extra_base_chain_fails_but_a_leftover_of_another_version_is_a_note() -> None:
    stray = own(name="stray", type="filter", hook="input", prio=0, policy="accept")
    (finding,), _ = judged(lambda listing: listing.append({"chain": stray}))
    assert finding.observed == "type filter hook input priority filter; policy accept;"
    left = own(name="filter-prerouting", type="filter", hook="prerouting", prio=-110, policy="accept")
    findings, (note,) = judged(lambda listing: listing.append({"chain": left}))
    assert findings == []
    assert "left over" in note.text
    dropping = {"rule": own(chain="filter-prerouting", expr=[{"drop": None}])}
    findings, _ = judged(lambda listing: listing.extend([{"chain": left}, dropping]))
    assert [finding.object for finding in findings] == ["chain ip kube-proxy filter-prerouting"]


def test_clients_remembered_by_affinity_are_no_difference() -> None:
    def change(listing: list[Any]) -> None:
        for item in listing:
            if item.get("set", {}).get("name", "").startswith("affinity-"):
                entry = {"val": "10.244.1.9", "timeout": 10800, "expires": 10790}
                item["set"]["elem"] = [{"elem": entry}]

    assert judged(change) == ([], [])


def test_a_changed_affinity_timeout_is_found() -> None:
    def change(listing: list[Any]) -> None:
        name = next(
            n for item in listing if (n := item.get("set", {}).get("name", "")).startswith("affinity-")
        )
        named(listing, "set", name)["timeout"] = 7

    (finding,), _ = judged(change)
    assert finding.id == "nftables.set"
    assert "timeout 7s" in finding.observed


def test_a_former_port_name_is_a_note_but_no_other_comment_is() -> None:
    def comment(text: str) -> Callable[[list[Any]], None]:
        def change(listing: list[Any]) -> None:
            elements = named(listing, "map", "no-endpoint-services")["elem"]
            next(key["elem"] for key, _ in elements if "elem" in key)["comment"] = text

        return change

    found, notes = judged(comment("default/web:former"))
    assert not found
    assert any("keeps the former name default/web:former" in note.text for note in notes)
    assert [check.id for check in judged(comment("former"))[0]] == ["nftables.no-endpoints"]
