"""Recorded nodes to trace packets through, with routes of their own where none were recorded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from msgspec import structs

from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.snapshot import NODE_FILES, NodeSnapshot, Snapshot
from kubewire.dataplane.iptables.expected import expected_iptables
from kubewire.dataplane.nftables.expected import expected_nftables
from kubewire.dataplane.node import read_inputs
from kubewire.dataplane.trace import Start, Trace, network_of, trace_from
from kubewire.dataplane.trace.hooks import IptablesRules, NftRules
from kubewire.dataplane.trace.journey import Network
from kubewire.dataplane.trace.tracing import Target
from kubewire.snapshot.folder import read_snapshot
from repository import GOLDEN

RICH, RICH_NFT = "dataplane/rich-iptables-v1.37.2", "dataplane/rich-nftables-v1.37.2"
LABS = ("verify/iptables-v1.37.2", "verify/nftables-v1.37.2")
POD_INTERFACE = {"bridge": "cni0"}
ROUTES = [
    {"dst": "default", "gateway": "172.18.0.1", "dev": "eth0", "flags": []},
    {"dst": "172.18.0.0/16", "dev": "eth0", "protocol": "kernel", "scope": "link", "flags": []},
    {"dst": "default", "gateway": "fc00:f853:ccd:e793::1", "dev": "eth0", "flags": [], "pref": "medium"},
]


def recorded() -> list[tuple[str, str]]:
    """Every recorded node as folder and node name."""
    return sorted(
        (f"{group}/{path.parent.parent.name}", path.name)
        for group in ("dataplane", "dataplane_nft", "versions")
        for path in (GOLDEN / group).glob("*/nodes/*")
        if "ipvs" not in path.parts[-3]
    )


@cache
def load(name: str) -> Snapshot:
    """A recorded snapshot, its nodes made such that they forward: with routes, and no sysctls that say no."""
    root = GOLDEN / name
    cluster = next(path for path in (root / "cluster.json", root / "cluster.json.gz") if path.exists())
    return Snapshot(json.loads(_read(cluster)), tuple(map(_node, sorted((root / "nodes").iterdir()))))


@cache
def lab(name: str) -> Snapshot:
    """A snapshot of a whole running lab, as it is."""
    return read_snapshot(GOLDEN / name)


def _node(folder: Path) -> NodeSnapshot:
    names = {path.name.removesuffix(".gz"): path for path in folder.iterdir()}
    files = {name: _read(path) for name, path in names.items() if name in NODE_FILES}
    facts = {**json.loads(files.get("facts.json", "{}")), "sysctls": {}}
    return NodeSnapshot(
        folder.name, {**files, "ip-route.json": json.dumps(ROUTES), "facts.json": json.dumps(facts)}
    )


def _read(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


@dataclass(frozen=True)
class Bench:
    """One recorded node of one family, with what its rules follow from."""

    name: str
    cluster: ClusterState
    config: ProxyConfig
    facts: NodeFacts
    version: Version
    network: Network
    family: IpFamily

    def trace(self, start: Start, target: str, port: int, protocol: str = "tcp") -> Trace:
        return trace_from(self.network, start, Target(ip_address(target), port, protocol))

    def pod(self, address: str) -> Start:
        return Start("a pod", self.name, ip_address(address), POD_INTERFACE.get(self.name, "veth7"))

    def process(self, address: str = "") -> Start:
        return Start(
            "a process", self.name, ip_address(address or self.facts.node_ip(self.family, self.config))
        )

    def outside(self, address: str) -> Start:
        return Start("outside", self.name, ip_address(address), "eth0")


@cache
def bench(name: str, node: str, family: IpFamily) -> Bench:
    return bench_of(load(name), node, family)


def bench_of(snapshot: Snapshot, node: str, family: IpFamily) -> Bench:
    cluster = ClusterState.from_list(snapshot.cluster)
    inputs = read_inputs(next(entry for entry in snapshot.nodes if entry.name == node), cluster)
    network = network_of(snapshot, (), family)
    return Bench(node, cluster, inputs.config, inputs.facts, inputs.version, network, family)


def as_expected(tracer: Bench, version: Version) -> Bench:
    """The node with just what the engine says that this version writes."""
    nft = tracer.config.mode == "nftables"
    expected = (expected_nftables if nft else expected_iptables)(
        tracer.cluster, tracer.config, tracer.facts, version, tracer.family
    )
    rules = (NftRules(expected) if nft else IptablesRules(expected),)
    view = replace(tracer.network.nodes[tracer.name], rules=lambda: rules)
    return replace(tracer, version=version, network=Network({tracer.name: view}))


def files_of(snapshot: Snapshot, node: str) -> Mapping[str, str]:
    return next(entry.files for entry in snapshot.nodes if entry.name == node)


def edited(snapshot: Snapshot, node: str, file: str, edit: Callable[[str], str]) -> Snapshot:
    """The snapshot with one file of a node changed; the edit must change something."""
    before = files_of(snapshot, node)[file]
    after = edit(before)
    assert after != before
    nodes = tuple(
        structs.replace(entry, files={**entry.files, file: after}) if entry.name == node else entry
        for entry in snapshot.nodes
    )
    return structs.replace(snapshot, nodes=nodes)


def ends(trace: Trace) -> dict[str, float]:
    """How likely each end is: `10.244.1.2:80` for what gets out or arrives, else the fate."""
    found: dict[str, float] = {}
    for path in trace.paths:
        assert path.outcome is not None
        open_end = path.outcome.fate in ("delivered", "left")
        key = path.outcome.packet.to if open_end else path.outcome.fate
        found[key] = found.get(key, 0.0) + float(path.chance)
    return found
