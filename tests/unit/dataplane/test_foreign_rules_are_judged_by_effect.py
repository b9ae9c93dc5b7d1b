"""Foreign rules and policies fail where they end or divert a packet on its way to a Service, only there."""

from __future__ import annotations

import json
from functools import cache

import pytest
from msgspec import structs

from kubewire.dataplane.check import Checked, check_snapshot
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.dataplane.trace import trace
from trace_golden import LABS, RICH, RICH_NFT, ROUTES, lab, load

HTTPBIN = "-d 10.96.9.1/32 -p tcp -m tcp --dport 8000"


@cache
def healthy(name: str) -> Snapshot:
    """The recorded node with a route to each of its pods, alone."""
    snapshot = load(name)
    pods = {
        endpoint["addresses"][0]
        for item in snapshot.cluster["items"]
        if item["kind"] == "EndpointSlice"
        for endpoint in item.get("endpoints") or ()
        if endpoint.get("nodeName") == "rich-worker" and "." in endpoint["addresses"][0]
    }
    links = [{"dst": ip, "dev": f"veth{ip.rpartition('.')[2]}", "scope": "host", "flags": []} for ip in pods]
    node = next(node for node in snapshot.nodes if node.name == "rich-worker")
    return alone(snapshot, node, "ip-route.json", json.dumps([*ROUTES, *links]))


def alone(snapshot: Snapshot, node: NodeSnapshot, file: str, text: str) -> Snapshot:
    return structs.replace(snapshot, nodes=(structs.replace(node, files={**node.files, file: text}),))


def with_rules(name: str, table: str, *lines: str, first: bool = False) -> Checked:
    """The node's checks with chains, policies and rules added to a table: last, or in front of all others."""
    snapshot = healthy(name)
    [node] = snapshot.nodes
    dump = node.files.get("iptables-save.txt") or ""
    if f"*{table}\n" not in dump:
        builtin = {"raw": ("PREROUTING", "OUTPUT"), "security": ("INPUT", "FORWARD", "OUTPUT")}.get(
            table, ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
        )
        dump += "\n".join([f"*{table}", *(f":{chain} ACCEPT [0:0]" for chain in builtin), "COMMIT", ""])
    head, start, rest = dump.partition(f"*{table}\n")
    body, commit, tail = rest.partition("COMMIT\n")
    declared = [line for line in body.splitlines() if line.startswith(":")]
    rules = [line for line in body.splitlines() if not line.startswith(":")]
    for line in lines:
        if line.startswith(":"):
            declared = [old for old in declared if old.split()[0] != line.split()[0]] + [line]
    added = [line for line in lines if line.startswith("-A")]
    rules = [*added, *rules] if first else [*rules, *added]
    text = head + start + "\n".join([*declared, *rules, ""]) + commit + tail
    return check_snapshot(alone(snapshot, node, "iptables-save.txt", text))


def strays(checked: Checked) -> list[Check]:
    return [check for check in checked.checks if check.id == "iptables.stray" and check.status == "failed"]


@pytest.mark.parametrize("name", [RICH, RICH_NFT])
def test_without_foreign_rules_nothing_fails(name: str) -> None:
    assert {check.status for check in check_snapshot(healthy(name)).checks} == {"passed"}


FATAL = [
    ("raw", f"-A PREROUTING {HTTPBIN} -j DROP", "drops packets from pods on this node to the cluster IP"),
    ("raw", f"-A OUTPUT {HTTPBIN} -j DROP", "drops packets from processes on this node to the cluster IP"),
    ("mangle", "-A FORWARD -d 10.244.2.3/32 -j DROP", "drops some of the packets from pods on this node"),
    ("mangle", "-A PREROUTING -p tcp -m tcp --dport 30080 -j DROP", "to the node port"),
    ("filter", "-A FORWARD -p tcp -m tcp --sport 80 -j DROP", "drops replies to packets"),
    ("filter", "-A FORWARD -i eth0 -m conntrack --ctstate NEW -j DROP", "drops packets from clients outside"),
    ("filter", "-A FORWARD -i veth2 -j REJECT --reject-with icmp-port-unreachable", "rejects"),
    ("filter", "-A OUTPUT -d 10.244.1.0/24 -j DROP", "from processes on this node"),
    ("filter", "-A OUTPUT -o eth0 -p udp -j DROP", "from processes on this node to the cluster IP"),
    (
        "mangle",
        "-A POSTROUTING -m statistic --mode random --probability 0.10000000009 -j DROP",
        "drops some of",
    ),
    ("security", "-A FORWARD -m conntrack --ctstate ESTABLISHED -j DROP", "drops later packets"),
    (
        "filter",
        "-A FORWARD -s 172.18.0.3/32 -p tcp -m tcp --dport 80 -j DROP",
        "from other nodes to an endpoint",
    ),
]


@pytest.mark.parametrize(("table", "rule", "said"), FATAL)
def test_a_rule_that_ends_packets_fails_with_its_text_and_the_way(table: str, rule: str, said: str) -> None:
    [stray] = strays(with_rules(RICH, table, rule, first=table == "filter"))
    assert stray.observed == rule
    assert said in stray.reason
    assert stray.object == f"iptables {table} {rule.split()[1]}"


@pytest.mark.parametrize("name", [RICH, RICH_NFT])
@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (f"-A PREROUTING {HTTPBIN} -j DNAT --to-destination 192.0.2.9:80", "sends to 192.0.2.9:80 packets"),
        (f"-A OUTPUT {HTTPBIN} -j REDIRECT --to-ports 9", "sends to 127.0.0.1:9 packets from processes"),
        (f"-A PREROUTING {HTTPBIN} -j ACCEPT", "past kube-proxy's rules"),
    ],
)
def test_a_rule_that_diverts_packets(name: str, rule: str, said: str) -> None:
    checked = with_rules(name, "nat", rule, first=True)
    if name == RICH:
        [stray] = strays(checked)
        assert (stray.service, stray.observed) == ("default/httpbin:http", rule)
        assert said in stray.reason
    elif "ACCEPT" not in rule:
        assert not strays(checked)
        assert any("registered" in note.text and rule in note.text for note in checked.notes)


def test_the_rule_that_leads_past_kube_proxys_is_named_and_not_what_then_masquerades() -> None:
    past = f"-A PREROUTING {HTTPBIN} -j ACCEPT"
    [stray] = strays(with_rules(RICH, "nat", past, "-A POSTROUTING -o eth0 -j MASQUERADE", first=True))
    assert stray.observed == past


def test_who_is_not_masqueraded_any_more_gets_no_reply() -> None:
    past = "-A POSTROUTING -s 203.0.113.77/32 -j ACCEPT"
    [stray] = strays(with_rules(RICH, "nat", past, first=True))
    assert stray.observed == past
    assert "leads past kube-proxy's rules" in stray.reason
    assert "from clients outside to" in stray.reason


HARMLESS = [
    ("filter", "-A INPUT -p tcp -m tcp --dport 8000 -j DROP"),
    ("filter", "-A FORWARD -p tcp -m tcp --dport 8000 -j DROP"),
    ("filter", "-A INPUT -p tcp -m multiport --dports 22,30000:32767 -j DROP"),
    ("filter", "-A FORWARD -d 10.96.0.0/16 -j DROP"),
    ("filter", "-A FORWARD -i docker0 -j DROP"),
    ("filter", "-A FORWARD -d 198.51.100.0/24 -j DROP"),
    ("filter", "-A FORWARD -m mark --mark 0x1/0x1 -j DROP"),
    ("filter", "-A OUTPUT -o veth2 -j DROP"),
    ("filter", "-A FORWARD -m conntrack --ctstate INVALID -j DROP"),
    ("nat", f"-A PREROUTING {HTTPBIN} -j DNAT --to-destination 192.0.2.9:80"),
    ("nat", "-A POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -j MASQUERADE"),
    ("nat", "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"),
    ("mangle", '-A FORWARD -j LOG --log-prefix "all of it "'),
    ("raw", "-A PREROUTING -d 198.51.100.1/32 -j DROP"),
    ("raw", "-A PREROUTING ! -i lo -m conntrack --ctstate NEW,ESTABLISHED -j DROP"),
    ("nat", "-A POSTROUTING -s 10.244.0.0/16 -d 10.244.1.2/32 -j ACCEPT"),
]


@pytest.mark.parametrize(("table", "rule"), HARMLESS)
def test_a_rule_that_no_packet_meets_is_a_note(table: str, rule: str) -> None:
    checked = with_rules(RICH, table, rule)
    assert [check for check in checked.checks if check.status != "passed"] == []
    assert any(rule in note.text or "rule of" in note.text for note in checked.notes)


@pytest.mark.parametrize("owner", ["DOCKER-USER", "ufw-user-forward", "MINE"])
def test_no_owners_name_exempts(owner: str) -> None:
    [stray] = strays(
        with_rules(
            RICH, "filter", f":{owner} - [0:0]", f"-A FORWARD -j {owner}", f"-A {owner} -j DROP", first=True
        )
    )
    assert stray.observed == f"-A {owner} -j DROP"
    assert stray.object == "iptables filter FORWARD"


def test_a_policy_of_drop_fails_where_nobody_accepts() -> None:
    [stray] = strays(with_rules(RICH, "filter", ":FORWARD DROP [0:0]"))
    assert stray.observed == ":FORWARD DROP [0:0]"
    assert "the policy drops" in stray.reason


def test_a_policy_of_drop_is_a_note_where_all_that_comes_is_accepted() -> None:
    checked = with_rules(RICH, "filter", ":FORWARD DROP [0:0]", "-A FORWARD -j ACCEPT")
    assert not strays(checked)
    assert any("policy DROP" in note.text for note in checked.notes)


def test_a_rule_that_asks_an_ipset_is_judged_alike_by_verify_and_trace() -> None:
    snapshot = healthy(RICH)
    [node] = snapshot.nodes
    rule = "-A OUTPUT -m set --match-set banned dst -j DROP"
    head, nat, rest = node.files["iptables-save.txt"].partition("*nat\n")
    filter_, commit, remark = head.rpartition("COMMIT\n")
    sets = "create banned hash:net family inet hashsize 1024 maxelem 65536\nadd banned 10.0.0.0/8\n"
    rules = f"{filter_}{rule}\n{commit}{remark}{nat}{rest}"
    files = {**node.files, "iptables-save.txt": rules, "ipset-save.txt": sets}
    asked = structs.replace(snapshot, nodes=(structs.replace(node, files=files),))
    [check] = [check for check in strays(check_snapshot(asked)) if rule in check.observed]
    assert check.status == "failed"
    paths = trace(asked, "node/rich-worker", "10.96.9.1:8000").paths
    assert {path.outcome.fate for path in paths if path.outcome} == {"dropped"}


def test_what_cannot_be_evaluated_is_said_and_not_guessed() -> None:
    checked = with_rules(RICH, "filter", "-A FORWARD -m u32 --u32 0x0=0x0 -j DROP", first=True)
    assert not strays(checked)
    assert any("may drop packets" in note.text and "u32" in note.text for note in checked.notes)
    rescued = with_rules(
        RICH, "filter", "-A FORWARD -m u32 --u32 0x0=0x0 -j ACCEPT", "-A FORWARD -j DROP", first=True
    )
    assert not strays(rescued)


def test_without_routes_the_check_is_skipped_with_the_reason() -> None:
    snapshot = healthy(RICH)
    [node] = snapshot.nodes
    dump = node.files["iptables-save.txt"].replace(":FORWARD ACCEPT", ":FORWARD DROP", 1)
    files = {**node.files, "iptables-save.txt": dump}
    del files["ip-route.json"]
    checked = check_snapshot(structs.replace(snapshot, nodes=(structs.replace(node, files=files),)))
    skipped = [check for check in checked.checks if check.status == "skipped"]
    assert {check.id for check in skipped} == {"iptables.stray"}
    assert "ip-route.json" in skipped[0].reason


@pytest.mark.parametrize("name", LABS)
def test_recorded_labs_have_nothing_in_the_way(name: str) -> None:
    assert {check.status for check in check_snapshot(lab(name)).checks} == {"passed"}


def nft_table(*items: dict[str, object]) -> str:
    """A listing of the table `inet fw` as nft -j prints it."""
    table = {"family": "inet", "table": "fw"}
    named = [{kind: {**table, **body} for kind, body in item.items()} for item in items]  # type: ignore[dict-item]
    return json.dumps({"nftables": [{"table": {"family": "inet", "name": "fw"}}, *named]})


def base(hook: str, priority: int, policy: str = "accept") -> dict[str, object]:
    return {"chain": {"name": hook, "type": "filter", "hook": hook, "prio": priority, "policy": policy}}


def rule(chain: str, *expressions: dict[str, object]) -> dict[str, object]:
    return {"rule": {"chain": chain, "expr": list(expressions)}}


def match(protocol: str, name: str, value: object) -> dict[str, object]:
    return {"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": name}}, "right": value}}


TO_HTTPBIN = (match("ip", "daddr", "10.96.9.1"), match("tcp", "dport", 8000))
DROP: dict[str, object] = {"drop": None}


@pytest.mark.parametrize("name", [RICH, RICH_NFT])
@pytest.mark.parametrize(
    ("text", "objects"),
    [
        (nft_table(base("output", -400), rule("output", *TO_HTTPBIN, DROP)), ["output"]),
        (nft_table(base("output", 0), rule("output", *TO_HTTPBIN, DROP)), []),
        (nft_table(base("prerouting", -150), rule("prerouting", *TO_HTTPBIN, DROP)), ["prerouting"]),
        (nft_table(base("forward", 0), rule("forward", match("tcp", "dport", 8000), DROP)), []),
        (nft_table(base("forward", 10, "drop")), ["forward"]),
        (nft_table(base("forward", 10, "drop"), rule("forward", {"accept": None})), []),
    ],
)
def test_other_owners_nft_tables_are_judged_in_the_order_of_their_hooks(
    name: str, text: str, objects: list[str]
) -> None:
    snapshot = healthy(name)
    checked = check_snapshot(alone(snapshot, snapshot.nodes[0], "nft-foreign.json", text))
    failed = [check for check in checked.checks if check.status == "failed" and check.family == "ipv4"]
    assert [(check.id, check.object) for check in failed] == [
        ("nftables.stray", f"nft table inet fw chain {chain}") for chain in objects
    ]
    assert any(note.text == "nft table inet fw: another owner's, left alone" for note in checked.notes)


def test_what_nft_shows_and_is_not_understood_is_said() -> None:
    text = nft_table(base("forward", 0), rule("forward", {"xt": {"type": "match", "name": "u32"}}, DROP))
    snapshot = healthy(RICH)
    checked = check_snapshot(alone(snapshot, snapshot.nodes[0], "nft-foreign.json", text))
    assert {check.status for check in checked.checks} == {"passed"}
    assert any("may drop packets" in note.text for note in checked.notes)


def banned(*members: object) -> str:
    ban = rule("forward", match("ip", "saddr", "@bad"), match("tcp", "dport", "@ports"), DROP)
    bad = {
        "set": {"name": "bad", "type": "ipv4_addr", "flags": ["interval", "timeout"], "elem": list(members)}
    }
    ports = {"set": {"name": "ports", "type": "inet_service", "elem": [22, 80]}}
    return nft_table(bad, ports, base("forward", -1), ban)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (["198.51.100.7"], "drops packets from the client 198.51.100.7 to"),
        ([{"elem": {"val": "198.51.100.7", "timeout": 600, "expires": 9}}], "the client 198.51.100.7 to"),
        ([{"range": ["198.51.100.7", "198.51.100.9"]}], "the client 198.51.100.7 to"),
        ([], ""),
        (["192.168.0.1"] * 2 + ["172.18.0.99"], "drops packets from the client"),
    ],
)
def test_a_set_of_clients_that_are_shut_out_is_a_note(members: list[object], said: str) -> None:
    snapshot = healthy(RICH)
    checked = check_snapshot(alone(snapshot, snapshot.nodes[0], "nft-foreign.json", banned(*members)))
    assert {check.status for check in checked.checks} == {"passed"}
    notes = [note.text for note in checked.notes if "table inet fw chain forward" in note.text]
    assert [said in note for note in notes] == [True] * bool(said)


def test_a_set_that_holds_a_pod_fails() -> None:
    snapshot = healthy(RICH)
    checked = check_snapshot(
        alone(
            snapshot,
            snapshot.nodes[0],
            "nft-foreign.json",
            banned({"prefix": {"addr": "10.244.0.0", "len": 16}}),
        )
    )
    assert [check.object for check in checked.checks if check.status == "failed"] == [
        "nft table inet fw chain forward"
    ]


@pytest.mark.parametrize(
    ("redirect", "to"),
    [({"port": 3128}, "172.18.0.2:3128"), (None, "172.18.0.2:8000"), ({"port": {"range": [1, 9]}}, "")],
)
def test_nfts_redirect_is_followed(redirect: object, to: str) -> None:
    nat = base("prerouting", -110)
    nat["chain"] |= {"type": "nat"}  # type: ignore[operator]
    text = nft_table(nat, rule("prerouting", match("tcp", "dport", 8000), {"redirect": redirect}))
    snapshot = healthy(RICH)
    checked = check_snapshot(alone(snapshot, snapshot.nodes[0], "nft-foreign.json", text))
    failed = [check for check in checked.checks if check.status == "failed"]
    assert [f"sends to {to} packets from" in check.reason for check in failed] == [True] * bool(to)
    assert to or any("may drop packets" in note.text for note in checked.notes)


@pytest.mark.parametrize(("state", "fails"), [("invalid", True), ("established", False)])
def test_conntrack_has_seen_no_packet_at_priority_raw(state: str, fails: bool) -> None:
    is_so = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": state}}
    snapshot = healthy(RICH)
    text = nft_table(base("prerouting", -300), rule("prerouting", is_so, DROP))
    checked = check_snapshot(alone(snapshot, snapshot.nodes[0], "nft-foreign.json", text))
    assert any(check.status == "failed" for check in checked.checks) == fails


@pytest.mark.parametrize("hook", ["ingress", "egress"])
def test_a_chain_at_a_device_is_said_not_to_be_evaluated(hook: str) -> None:
    text = nft_table(base(hook, 0), rule(hook, *TO_HTTPBIN, DROP))
    snapshot = healthy(RICH)
    checked = check_snapshot(alone(snapshot, snapshot.nodes[0], "nft-foreign.json", text))
    assert {check.status for check in checked.checks} == {"passed"}
    said = f"nft table inet fw: chain {hook} (hook {hook}, priority 0) is not evaluated"
    assert any(note.text == f"{said}, so its effect is not known" for note in checked.notes)


def test_a_key_of_several_fields_is_no_address() -> None:
    key = {"concat": [{"payload": {"protocol": "ip", "field": each}} for each in ("daddr", "saddr")]}
    both = {"match": {"op": "==", "left": key, "right": {"set": [{"concat": ["10.96.9.1", "10.9.9.9"]}]}}}
    snapshot = healthy(RICH)
    text = nft_table(base("forward", 0), rule("forward", both, DROP))
    checked = check_snapshot(alone(snapshot, snapshot.nodes[0], "nft-foreign.json", text))
    assert {check.status for check in checked.checks} == {"passed"}
