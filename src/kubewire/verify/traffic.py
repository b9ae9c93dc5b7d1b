"""Real traffic: run the planned probes through the exec prefixes and check the replies."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from kubewire.core.errors import KubewireError, LabError
from kubewire.core.processes import run
from kubewire.core.timeouts import scaled
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import Check, Place
from kubewire.dataplane.core.iproute import ADDRESSES, local_addresses
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.lab.schema import Lab
from kubewire.providers.base import Provider
from kubewire.verify.ipvs_traffic import STATS, Counts, check_stats, parse_stats
from kubewire.verify.plan import Proxied, Scene, is_random, plan, ready_pods
from kubewire.verify.probes import Probe, Reply, Vantage, argv, parse, plain
from kubewire.verify.replies import check_probe

PARALLEL = 4
SECONDS_PER_REQUEST = 0.1
SECONDS_ANYWAY = 15.0
COUNTED_WITHIN = 5.0
"""ip_vs adds its counters up every two seconds, one server after another (net/netfilter/ipvs/ip_vs_est.c)."""
POLL = 0.2

_Counters = dict[str, Counts]


def check_traffic(provider: Provider, lab: Lab, snapshot: Snapshot) -> list[Check]:
    """Send the lab's requests and check the replies; a probe fails where its exec prefix fails."""
    scene = scene_of(snapshot)
    probes = plan(scene, lab.httpbin)
    prefixes = {handle.name: handle.prefix for handle in provider.nodes(lab.name)}
    addresses = {node.name: node_addresses(node) for node in snapshot.nodes}
    claims = sum(is_random(probe) for probe in probes)
    before = _counters(scene, prefixes)
    replies: dict[Probe, Reply] = {}

    def send(lane: Sequence[Probe]) -> None:
        for probe in lane:
            replies[probe] = ask(provider, lab.name, prefixes, probe)

    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        list(pool.map(send, _lanes(scene, probes)))
    service = f"{lab.httpbin.namespace}/httpbin"
    known = any(
        (s.namespace, s.name) == (lab.httpbin.namespace, "httpbin") and s.cluster_ips
        for s in scene.cluster.services
    )
    why, wanted = "the lab's definition has it", "a Service with a cluster IP"
    actual = wanted if known else "no such Service"
    present = Place("traffic", "", "").check(
        "traffic.service", f"Service {service}", why, wanted, actual, service=service
    )
    judged = [c for probe in probes for c in check_probe(probe, replies[probe], addresses, claims)]
    return [present, *judged, *_counted(scene, prefixes, replies, before)]


def _lanes(scene: Scene, probes: Sequence[Probe]) -> list[list[Probe]]:
    """Which probes run one after another: those of one node's virtual server, since round robin needs it."""
    ipvs = {node.name for node in scene.nodes if node.config.mode == "ipvs"}
    lanes: dict[object, list[Probe]] = {}
    for probe in probes:
        lanes.setdefault(probe.node if probe.node in ipvs else probe, []).append(probe)
    return list(lanes.values())


def _counted(
    scene: Scene, prefixes: Mapping[str, tuple[str, ...]], replies: Mapping[Probe, Reply], before: _Counters
) -> list[Check]:
    """Checks of ip_vs's connection counters, once they have caught up."""
    pods = {address: name for address, (_, name, _) in scene.pods.items()}
    deadline = time.monotonic() + scaled(COUNTED_WITHIN)
    while True:
        checks: list[Check] = []
        for node, counts in _counters(scene, prefixes).items():
            asked = [(probe, reply) for probe, reply in replies.items() if _is_counted(probe, node)]
            checks += check_stats(asked, before[node], counts, pods)
        if time.monotonic() > deadline or all(check.status != "failed" for check in checks):
            return checks
        time.sleep(scaled(POLL))


def _counters(scene: Scene, prefixes: Mapping[str, tuple[str, ...]]) -> _Counters:
    """The ip_vs connection counters of every node in mode ipvs."""
    return {
        node.name: parse_stats(run([*prefixes[node.name], *STATS], timeout=SECONDS_ANYWAY).out)
        for node in scene.nodes
        if node.config.mode == "ipvs" and node.name in prefixes
    }


def _is_counted(probe: Probe, node: str) -> bool:
    """Whether this node's virtual server for the cluster IP scheduled the requests."""
    return probe.vantage.node == node and probe.check == "traffic.clusterip"


def ask(provider: Provider, lab: str, prefixes: Mapping[str, tuple[str, ...]], probe: Probe) -> Reply:
    """Send one probe's requests from its source."""
    try:
        prefix = _prefix(provider, lab, prefixes, probe.vantage)
    except (KubewireError, KeyError) as error:
        return Reply((), -1, f"{probe.vantage} can't be entered: {error}")
    deadline = scaled(SECONDS_ANYWAY + SECONDS_PER_REQUEST * probe.count)
    outcome = run([*prefix, *argv(probe)], timeout=deadline)
    return parse(probe, outcome.out, outcome.code, outcome.err)


def _prefix(
    provider: Provider, lab: str, prefixes: Mapping[str, tuple[str, ...]], vantage: Vantage
) -> tuple[str, ...]:
    if vantage.place == "pod":
        return provider.pod_prefix(lab, vantage.namespace, vantage.pod)
    return prefixes[vantage.node] if vantage.place == "node" else provider.external_prefix(lab)


def scene_of(snapshot: Snapshot) -> Scene:
    """The snapshot's data that planning needs; nodes whose configuration can't be read are left out."""
    nodes = [proxied for proxied in map(_proxied, snapshot.nodes) if proxied is not None]
    return Scene(snapshot.state, tuple(nodes), ready_pods(snapshot.cluster))


def _proxied(node: NodeSnapshot) -> Proxied | None:
    try:
        config = ProxyConfig.parse(node.files["kube-proxy.yaml"])
        version = Version.parse(node.files["kube-proxy-version"]).gated(config.feature_gates)
        return Proxied(node.name, config, version)
    except (KeyError, KubewireError):
        return None


def node_addresses(node: NodeSnapshot) -> frozenset[str]:
    """Every address of the node, from ip-addr.json."""
    try:
        links = node.json(ADDRESSES, list) or ()
    except LabError:
        return frozenset()
    return frozenset(plain(info["local"]) for link in links for info in local_addresses(link))
