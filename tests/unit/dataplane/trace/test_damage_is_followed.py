"""Real labs with one thing wrong: a trace goes where the packets would go, and refuses what it can't tell."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from kubewire.core.errors import DefinitionError, KubewireError, LabError
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.trace import Trace, trace
from trace_golden import LABS, edited, ends, lab

IPTABLES, NFT = LABS
SAVE, JSON = "iptables-save.txt", "nft-ip.json"


def service(snapshot: Snapshot, name: str = "httpbin") -> str:
    """The Service's address and port."""
    spec = next(
        item["spec"]
        for item in snapshot.cluster["items"]
        if item["kind"] == "Service" and item["metadata"]["name"] == name
    )
    return f"{spec['clusterIP']}:{spec['ports'][0]['port']}"


def pods(snapshot: Snapshot) -> set[str]:
    return {
        f"{item['status']['podIPs'][0]['ip']}:80"
        for item in snapshot.cluster["items"]
        if item["kind"] == "Pod"
    }


def worker(snapshot: Snapshot) -> str:
    return next(node.name for node in snapshot.nodes if node.name.endswith("-worker"))


def before(table: str, chain: str, rule: str) -> Callable[[str], str]:
    """Put a rule in front of a chain's rules in a table of an iptables dump."""

    def edit(text: str) -> str:
        head, start, rest = text.partition(f"*{table}\n")
        body, commit, tail = rest.partition("COMMIT\n")
        declared = [line for line in body.splitlines() if line.startswith(":")]
        rules = [line for line in body.splitlines() if not line.startswith(":")]
        if not any(line.startswith(f":{chain} ") for line in declared):
            declared.append(f":{chain} - [0:0]")
        lines = [*declared, f"-A {chain} {rule}", *rules, ""]
        return head + start + "\n".join(lines) + commit + tail

    return edit


def on_worker(name: str, table: str, chain: str, rule: str, source: str = "node/worker") -> Trace:
    """A trace to httpbin with a stray rule on the worker."""
    snapshot = lab(name)
    changed = edited(snapshot, worker(snapshot), SAVE, before(table, chain, rule))
    return trace(changed, source, service(snapshot), "worker" if source == "external" else "")


def only_end(found: Trace) -> tuple[str, str]:
    outcomes = {(p.outcome.fate, p.outcome.text) for p in found.paths if p.outcome is not None}
    assert len(outcomes) == 1, outcomes
    return outcomes.pop()


@pytest.mark.parametrize("name", LABS)
@pytest.mark.parametrize(
    "source", ["node/control-plane", "node/worker2", "external", "external/198.51.100.7"]
)
def test_a_healthy_lab_reaches_every_pod_alike(name: str, source: str) -> None:
    snapshot = lab(name)
    found = trace(snapshot, source, service(snapshot))
    assert ends(found) == pytest.approx(dict.fromkeys(pods(snapshot), 0.25), abs=1e-8)
    assert {path.outcome.fate for path in found.paths if path.outcome} == {"delivered"}
    assert not found.refused
    assert found.remarks == ()


@pytest.mark.parametrize("name", LABS)
def test_a_pod_that_reaches_itself_is_masqueraded_and_no_other(name: str) -> None:
    snapshot = lab(name)
    found = trace(snapshot, "pod/httpbin", service(snapshot))
    assert ends(found) == pytest.approx(dict.fromkeys(pods(snapshot), 0.25), abs=1e-8)
    for path in found.paths:
        hairpin = path.packet.destination == found.start.address
        assert (path.packet.source != found.start.address) == hairpin


@pytest.mark.parametrize("name", LABS)
def test_a_way_goes_on_at_the_node_where_the_pod_is(name: str) -> None:
    snapshot = lab(name)
    found = trace(snapshot, "node/control-plane", service(snapshot))
    for path in found.paths:
        assert path.outcome is not None
        nodes = list(dict.fromkeys(step.node for step in path.steps))
        assert nodes == [found.start.node, path.outcome.node]


@pytest.mark.parametrize("name", LABS)
def test_a_stray_dnat_is_followed(name: str) -> None:
    address, _, port = service(lab(name)).partition(":")
    rule = f"-d {address}/32 -p tcp -m tcp --dport {port} -j DNAT --to-destination 192.0.2.99:9"
    found = on_worker(name, "nat", "OUTPUT", rule)
    if name == NFT:
        assert "registered" in found.remarks[0]
        return
    fate, text = only_end(found)
    assert (fate, ends(found)) == ("left", {"192.0.2.99:9": 1.0})
    assert text.endswith("by eth0 to 172.18.0.1")
    assert any(rule in step.text for step in found.paths[0].steps)


@pytest.mark.parametrize(
    ("table", "chain", "rule", "fate"),
    [
        ("filter", "OUTPUT", "-p tcp -j DROP", "dropped"),
        ("filter", "OUTPUT", "-p tcp -j REJECT --reject-with icmp-port-unreachable", "rejected"),
        ("mangle", "OUTPUT", "-j DROP", "dropped"),
        ("filter", "OUTPUT", "-m set --match-set X dst -j DROP", "refused"),
        ("nat", "PREROUTING", "-j NETMAP --to 10.0.0.0/8", "refused"),
        ("filter", "OUTPUT", "-g CIRCLE", "refused"),
    ],
)
def test_a_stray_rule_decides(table: str, chain: str, rule: str, fate: str) -> None:
    source = "external" if chain == "PREROUTING" else "node/worker"
    if "CIRCLE" in rule:
        snapshot = lab(IPTABLES)
        circle = before(table, "CIRCLE", "-j CIRCLE")
        changed = edited(snapshot, worker(snapshot), SAVE, lambda t: before(table, chain, rule)(circle(t)))
        found = trace(changed, "node/worker", service(snapshot))
        rule = "-j CIRCLE"
    else:
        found = on_worker(IPTABLES, table, chain, rule, source)
    got, text = only_end(found)
    assert got == fate
    assert rule in text
    assert found.refused == (fate == "refused")


def test_a_refusal_says_the_rule_and_what_is_not_modelled() -> None:
    found = on_worker(IPTABLES, "nat", "KUBE-MARK-MASQ", "-m owner --uid-owner 0 -j RETURN")
    _, text = only_end(found)
    assert text == (
        "-A KUBE-MARK-MASQ -m owner --uid-owner 0 -j RETURN\n"
        "its match '-m owner --uid-owner 0' is not modelled"
    )


def test_a_policy_of_drop_is_named() -> None:
    snapshot = lab(IPTABLES)

    def drop(text: str) -> str:
        head, start, rest = text.partition("*filter\n")
        return head + start + rest.replace(":FORWARD ACCEPT", ":FORWARD DROP", 1)

    changed = edited(snapshot, worker(snapshot), SAVE, drop)
    found = trace(changed, "external", service(snapshot), node="worker")
    reached = [path.outcome.fate for path in found.paths if path.outcome]
    assert reached == ["delivered"] * 4, "what kube-proxy marked is let through"
    found = trace(changed, "pod/httpbin", service(snapshot))
    fates = [(path.outcome.fate, path.outcome.text) for path in found.paths if path.outcome]
    assert fates[0][0] == "delivered", "hairpin traffic is marked"
    assert fates[1:] == [("dropped", "the policy of FORWARD filter is DROP")] * 3


@pytest.mark.parametrize("name", LABS)
def test_a_missing_pod_route_leads_astray(name: str) -> None:
    snapshot = lab(name)
    route = "ip-route.json"

    def without_pod_routes(text: str) -> str:
        return json.dumps(
            [entry for entry in json.loads(text) if not entry.get("dev", "").startswith("veth")]
        )

    changed = edited(snapshot, worker(snapshot), route, without_pod_routes)
    found = trace(changed, "node/worker", service(snapshot))
    lost = [p.outcome.text for p in found.paths if p.outcome and p.outcome.fate == "left"]
    assert len(lost) == 2
    assert all("though pod default/httpbin-" in text for text in lost)
    assert worker(snapshot) in lost[0]


def test_routes_that_lead_in_a_circle_end() -> None:
    snapshot = lab(IPTABLES)
    gateways = {"iptables-worker": "172.18.0.4", "iptables-worker2": "172.18.0.3"}
    for node, gateway in gateways.items():
        route = {"dst": "10.244.9.0/24", "gateway": gateway, "dev": "eth0"}
        snapshot = edited(snapshot, node, "ip-route.json", lambda t, r=route: json.dumps([*json.loads(t), r]))
    found = trace(snapshot, "node/worker", "10.244.9.9:80")
    fate, text = only_end(found)
    assert fate == "unreachable"
    assert "in a circle: iptables-worker → iptables-worker2 → iptables-worker" in text


def test_without_a_route_nothing_leaves() -> None:
    snapshot = lab(IPTABLES)
    keep = lambda text: json.dumps([e for e in json.loads(text) if e["dst"] != "default"])  # noqa: E731
    found = trace(edited(snapshot, worker(snapshot), "ip-route.json", keep), "node/worker", "8.8.8.8:53/udp")
    assert only_end(found) == ("unreachable", "iptables-worker has no route to 8.8.8.8")


@pytest.mark.parametrize(
    ("sysctl", "source", "target", "words"),
    [
        ("net.ipv4.ip_forward", "external", "", "does not forward packets"),
        ("net.ipv4.conf.all.route_localnet", "external", "127.0.0.1:30080", "route_localnet is 0"),
    ],
)
def test_a_sysctl_decides(sysctl: str, source: str, target: str, words: str) -> None:
    snapshot = lab(IPTABLES)

    def off(text: str) -> str:
        facts = json.loads(text)
        facts["sysctls"][sysctl] = "0"
        facts["route_localnet"] = 0
        return json.dumps(facts)

    changed = edited(snapshot, worker(snapshot), "facts.json", off)
    fate, text = only_end(trace(changed, source, target or service(snapshot), node="worker"))
    assert fate == "dropped"
    assert words in text


def test_what_nobody_claims_reaches_the_node_itself() -> None:
    found = trace(lab(IPTABLES), "external", "172.18.0.3:12345")
    fate, text = only_end(found)
    assert (fate, found.start.node) == ("delivered", "iptables-worker")
    assert text == "a process on iptables-worker, if one listens on 172.18.0.3:12345"


@pytest.mark.parametrize(
    ("source", "target", "node", "error", "words"),
    [
        ("pod/nope", "10.96.0.1:443", "", DefinitionError, "no pod 'nope'"),
        ("node/wrker", "10.96.0.1:443", "", DefinitionError, "did you mean iptables-worker"),
        ("node/worker", "10.96.0.1", "", DefinitionError, "not an address and port"),
        ("node/worker", "10.96.0.1:443/icmp", "", DefinitionError, "not an address and port"),
        ("node/worker", "10.96.0.1:99999", "", DefinitionError, "not an address and port"),
        ("somewhere", "10.96.0.1:443", "", DefinitionError, "not a client"),
        ("external/fd00::1", "10.96.0.1:443", "", DefinitionError, "different address families"),
        ("external/nowhere", "10.96.0.1:443", "", DefinitionError, "external/nowhere"),
        ("pod/httpbin", "10.96.0.1:443", "worker", DefinitionError, "--node is for --from external"),
        ("pod/httpbin", "[fd00::1]:443", "", DefinitionError, "has no ipv6 address"),
    ],
)
def test_a_call_that_makes_no_sense_says_so(
    source: str, target: str, node: str, error: type[KubewireError], words: str
) -> None:
    with pytest.raises(error, match=words.replace("(", r"\(")) as raised:
        trace(lab(IPTABLES), source, target, node)
    assert raised.value.hint or words in (
        "different address families",
        "external/nowhere",
        "has no ipv6 address",
    )


@pytest.mark.parametrize(
    ("name", "file", "edit", "error"),
    [
        (IPTABLES, SAVE, lambda _: "", LabError),
        (IPTABLES, SAVE, lambda text: text[: len(text) // 2], LabError),
        (IPTABLES, SAVE, lambda text: text.replace("COMMIT", "KOMMIT", 1), LabError),
        (NFT, JSON, lambda _: "", LabError),
        (NFT, JSON, lambda text: text[: len(text) // 2], LabError),
        (
            NFT,
            JSON,
            lambda text: text.replace('"type": "verdict"', '"tipe": 5', 1).replace("prio", "pryo"),
            LabError,
        ),
        (IPTABLES, "ip-route.json", lambda _: "{", LabError),
        (IPTABLES, "ip-addr.json", lambda _: "[{}]", LabError),
        (IPTABLES, "ip-route.json", lambda _: "", LabError),
        (IPTABLES, "facts.json", lambda _: "[1]", LabError),
        (IPTABLES, "kube-proxy.yaml", lambda _: "", LabError),
        (IPTABLES, "kube-proxy.yaml", lambda text: text.replace('"iptables"', '"ipvs"', 1), LabError),
    ],
)
def test_a_dump_of_no_use_is_an_error(
    name: str, file: str, edit: Callable[[str], str], error: type[KubewireError]
) -> None:
    snapshot = lab(name)
    with pytest.raises(error):
        trace(edited(snapshot, worker(snapshot), file, edit), "node/worker", service(snapshot))


def test_a_dump_of_no_use_on_the_next_node_ends_only_the_ways_there() -> None:
    snapshot = lab(IPTABLES)
    changed = edited(snapshot, "iptables-worker2", SAVE, lambda _: "")
    found = trace(changed, "node/worker", service(snapshot))
    assert [path.outcome.fate for path in found.paths if path.outcome] == ["delivered"] * 2 + ["refused"] * 2
