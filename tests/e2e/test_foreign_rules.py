"""Other owners' rules: real packets meet what the cases say, what `trace` says and what `verify` says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import pytest
from harness import Kubewire
from msgspec.structs import replace
from packets import Way, network_of, send

from foreign_cases import Fate, ForeignCase, Mode, read_cases
from kubewire.cluster.api import Api
from kubewire.core.processes import run
from kubewire.dataplane.core.pods import read_pods
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.trace import Outcome, trace_from
from kubewire.dataplane.trace import network_of as traced_network
from kubewire.dataplane.trace.tracing import find_start, parse_target
from kubewire.lab.record import read_record
from kubewire.providers.base import Provider
from kubewire.providers.registry import get_provider
from kubewire.snapshot.collect import read_node, take_snapshot
from kubewire.verify.evaluate import evaluate_snapshot

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="enters network namespaces, which needs root"),
]
LAB = "foreign"
SERVICES = Path(__file__).with_name("foreign_services.yaml")
SECONDS = 1.0
FATES: Mapping[str, Fate] = {
    "rejected": "refused",
    "unreachable": "refused",
    "dropped": "dropped",
    "delivered": "delivered",
}
TABLES = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
UNSURE = (
    "may drop",
    "unless they are spared",
    "was registered after",
    "from the client",
    "effect is not known",
)
PUBLIC = "203.0.113.77"
"""An address that no private network holds, of a client outside."""


def verdict(snapshot: Snapshot) -> tuple[set[str], set[str]]:
    """What `verify` finds wrong with the rules, not with what they left in conntrack; and what may be."""
    found = evaluate_snapshot(snapshot, ["dataplane"])
    failed = {f"{check.id}: {check.object}" for check in found.failed if check.id != "conntrack.stale"}
    return failed, {note.text for note in found.notes if any(words in note.text for words in UNSURE)}


@dataclass(frozen=True)
class Running:
    """A healthy lab with the Services of foreign_services.yaml, and the namespaces of its clients."""

    mode: Mode
    provider: Provider
    snapshot: Snapshot
    networks: Mapping[str, int]

    @property
    def prefixes(self) -> dict[str, tuple[str, ...]]:
        return {handle.name: handle.prefix for handle in self.provider.nodes(LAB)}

    def observed(self, node: str) -> Snapshot:
        """The snapshot with that node as it is now."""
        [handle] = [handle for handle in self.provider.nodes(LAB) if handle.name == node]
        now = read_node(handle, str(self.snapshot.meta["kubernetes"]))
        nodes = tuple(now if each.name == node else each for each in self.snapshot.nodes)
        return replace(self.snapshot, nodes=nodes)


def running_lab(mode: Mode, folder: Path) -> Iterator[Running]:
    command = Kubewire(folder / "state")
    lab = folder / f"{LAB}.yml"
    lab.write_text(
        f"mode: {mode}\ndns: true\nhttpbin: {{replicas: 0}}\nmanifests: [{SERVICES}]\nchecks: [dataplane]\n"
    )
    networks: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(command.state))
        try:
            command.ok("up", str(lab), "--verify")
            record = read_record(LAB)
            assert record is not None
            provider = get_provider(record.provider)
            with Api(provider.kubeconfig(LAB)) as api:
                snapshot = take_snapshot(provider, record.lab, api, kubernetes=record.kubernetes)
            networks["outside"] = network_of(provider.external_prefix(LAB))
            # What leaves the nodes for the address of a Service is lost, and not refused.
            for route in (
                ("addr", "add", PUBLIC, "dev", "lo"),
                ("route", "add", "blackhole", "10.96.0.0/16"),
            ):
                run([*provider.external_prefix(LAB), "ip", *route], timeout=10)
            for handle in provider.nodes(LAB):
                networks[f"node/{handle.name}"] = network_of(handle.prefix)
                # An ICMP refusal is not held back for lack of tokens.
                run([*handle.prefix, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0"], timeout=10)
                pod = f"client-{handle.name.removeprefix(f'{LAB}-')}"
                networks[f"pod/{pod}"] = network_of(provider.pod_prefix(LAB, "default", pod))
            yield Running(mode, provider, snapshot, networks)
        finally:
            for network in networks.values():
                os.close(network)
            command.run("down", LAB)


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Mode], Running]]:
    """The lab in a mode; it is up until one in another mode is asked for."""
    with ExitStack() as stack:
        there: dict[Mode, Running] = {}

        def get(mode: Mode) -> Running:
            if mode == "ipvs" and not Path("/proc/net/ip_vs").exists():
                pytest.skip("this kernel has no ip_vs")
            if mode not in there:
                stack.close()
                there.clear()
                made = contextmanager(running_lab)(mode, tmp_path_factory.mktemp("lab"))
                there[mode] = stack.enter_context(made)
            return there[mode]

        yield get


def addresses(snapshot: Snapshot) -> dict[str, str]:
    """What cases name: the cluster IP of each Service as `NEAR_VIP`, the address of each pod as `NEAR` and of
    each node as `WORKER`.
    """
    found = {"KUBERNETES_VIP": "", "OUTSIDE": "172.18.0.1"}
    for item in snapshot.cluster["items"]:
        name = item["metadata"]["name"].removeprefix(f"{LAB}-").upper().replace("-", "_")
        if item["kind"] == "Service":
            found[f"{name}_VIP"] = item["spec"]["clusterIP"]
        elif item["kind"] == "Pod":
            found[name] = item["status"].get("podIP", "")
        elif item["kind"] == "Node":
            found[name] = next(a["address"] for a in item["status"]["addresses"] if a["type"] == "InternalIP")
    return found


def ways(at: Mapping[str, str], where: str) -> dict[str, Way]:
    """The ways to Services that cross the node `where`, and some that only start or end there."""
    other = "worker2" if where == "worker" else "worker"
    node, pod, far_pod = f"node/{LAB}-{where}", f"pod/client-{where}", f"pod/client-{other}"
    own = at[where.upper().replace("-", "_")]
    found = {
        "pod-near": Way(pod, at["NEAR_VIP"], 80),
        "pod-far": Way(pod, at["FAR_VIP"], 80),
        "pod-external": Way(pod, "192.0.2.20", 80),
        "pod-nodeport": Way(pod, own, 30081),
        "pod-endpoint": Way(pod, at["FAR"], 8080),
        "pod-kubernetes": Way(pod, at["KUBERNETES_VIP"], 443),
        "pod-none": Way(pod, at["NONE_VIP"], 80),
        "pod-near-udp": Way(pod, at["NEAR_DNS_VIP"], 53, "udp"),
        "pod-far-udp": Way(pod, at["FAR_DNS_VIP"], 53, "udp"),
        "node-near": Way(node, at["NEAR_VIP"], 80),
        "node-far": Way(node, at["FAR_VIP"], 80),
        "node-nodeport": Way(node, own, 30080),
        "node-endpoint": Way(node, at["FAR"], 8080),
        "node-kubernetes": Way(node, at["KUBERNETES_VIP"], 443),
        "node-none": Way(node, at["NONE_VIP"], 80),
        "node-alt": Way(node, at["ALT_VIP"], 8000),
        "node-near-udp": Way(node, at["NEAR_DNS_VIP"], 53, "udp"),
        "outside-nodeport": Way("outside", own, 30080),
        "outside-nodeport-far": Way("outside", own, 30081),
        "outside-nodeport-udp": Way("outside", own, 30053, "udp"),
        "outside-public": Way("outside", own, 30080, source=PUBLIC),
    }
    if where == "worker":
        found["other-pod-near"] = Way(far_pod, at["NEAR_VIP"], 80)
        found["other-pod-endpoint"] = Way(far_pod, at["NEAR"], 8080)
        found["other-node-near"] = Way(f"node/{LAB}-{other}", at["NEAR_VIP"], 80)
    else:
        found["other-pod-kubernetes"] = Way(far_pod, at["KUBERNETES_VIP"], 443)
        found["other-node-kubernetes"] = Way(f"node/{LAB}-{other}", at["KUBERNETES_VIP"], 443)
    return found


@contextmanager
def changed(prefix: tuple[str, ...], iptables: str, nft: str) -> Iterator[None]:
    """A node with these rules in it; afterwards all of its rules are as they were."""
    saved = _ran(prefix, "iptables-save")
    before = _ran(prefix, "nft", "list", "tables").splitlines()
    empty = [
        "\n".join([f"*{table}", *(f":{chain} ACCEPT [0:0]" for chain in chains), "COMMIT\n"])
        for table, chains in TABLES.items()
        if f"*{table}\n" not in saved
    ]
    try:
        if iptables:
            _ran(prefix, "iptables-restore", "--noflush", data=iptables)
        if nft:
            _ran(prefix, "nft", "-f", "-", data=nft)
        yield
    finally:
        _ran(prefix, "iptables-restore", data=saved + "".join(empty))
        for line in _ran(prefix, "nft", "list", "tables").splitlines():
            _, family, name = line.split()
            if line not in before and not (family == "ip" and name in TABLES):
                _ran(prefix, "nft", "delete", "table", family, name)


def _ran(prefix: tuple[str, ...], *argv: str, data: str = "") -> str:
    outcome = run([*prefix, *argv], timeout=30, data=data.encode())
    assert outcome.code == 0, f"{argv}: {outcome.err}"
    return outcome.out


def sent(running: Running, wanted: Mapping[str, Way], expected: Mapping[str, Fate]) -> dict[str, Fate]:
    """How packets ended; those that did not end as expected are sent twice more, as a machine may be busy."""
    fates = send(running.networks, wanted, SECONDS)
    for seconds in (2 * SECONDS, 4 * SECONDS):
        again = {name: way for name, way in wanted.items() if fates[name] != expected[name]}
        if again:
            fates |= send(running.networks, again, seconds)
    return fates


def traced(snapshot: Snapshot, wanted: Mapping[str, Way], node: str) -> dict[str, list[set[str]]]:
    """The fates that a trace gives each way: one of each set, none where it says that it can't tell."""
    pods = [pod for pod in read_pods(snapshot.cluster) if pod.addresses and pod.node]
    network = traced_network(snapshot, pods, "ipv4")
    found = {}
    for name, way in wanted.items():
        goal = parse_target(f"{way.address}:{way.port}/{way.protocol}")
        outside = way.client == "outside"
        source = f"external/{way.source or addresses(snapshot)['OUTSIDE']}" if outside else way.client
        start = find_start(network, pods, source, goal, node if outside else "")
        told = trace_from(network, start, goal)
        ends = [] if told.remarks else [path.outcome for path in told.paths if path.outcome]
        found[name] = [_fates(end) for end in ends if end.fate in FATES]
    return found


def _fates(end: Outcome) -> set[str]:
    return {"delivered", "refused"} if "if one listens" in end.text else {FATES[end.fate]}


def healthy(wanted: Mapping[str, Way]) -> dict[str, Fate]:
    return {name: "refused" if name.endswith("-none") else "delivered" for name in wanted}


def parameters() -> list[Any]:
    """Every case in each of its modes; the quick ones in the mode that speaks the same language."""
    own = {"iptables": lambda case: bool(case.iptables), "nftables": lambda case: not case.iptables}
    return [
        pytest.param(
            mode,
            case,
            id=f"{mode}-{case.name}",
            marks=[] if case.quick and mode in own and own[mode](case) else pytest.mark.slow,
        )
        for mode in ("iptables", "nftables", "ipvs")
        for case in read_cases()
        if mode in case.modes
    ]


@pytest.mark.parametrize(("mode", "case"), parameters())
def test_packets_trace_and_verdict_agree(
    labs: Callable[[Mode], Running], mode: Mode, case: ForeignCase
) -> None:
    running = labs(mode)
    node, at = f"{LAB}-{case.where}", addresses(running.snapshot)
    wanted = ways(at, case.where)
    expected = case.fates(running.mode, healthy(wanted))
    rules = (Template(case.iptables).substitute(at), Template(case.nft).substitute(at))
    with changed(running.prefixes[node], *rules):
        met = sent(running, wanted, expected)
        snapshot = running.observed(node)
    assert met == expected
    judge(case, snapshot, wanted, met, node)


def judge(
    case: ForeignCase,
    snapshot: Snapshot,
    wanted: Mapping[str, Way],
    met: Mapping[str, Fate],
    node: str,
) -> None:
    """What a trace and verify say of the snapshot, against what packets met."""
    told = traced(snapshot, wanted, node)
    wrong = {
        way: (told[way], fate)
        for way, fate in met.items()
        if way not in case.untraced and any(fate not in fates for fates in told[way])
    }
    found, doubts = verdict(snapshot)
    harmed = {way: fate for way, fate in met.items() if fate != healthy(wanted)[way]}
    assert bool(found) == bool(harmed) or (harmed and doubts), (case.name, found, doubts, harmed)
    assert not wrong
