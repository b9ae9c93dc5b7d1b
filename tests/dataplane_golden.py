"""Golden snapshots, recorded from real kube-proxies by tests/golden/dataplane/record.sh."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import Check, IpFamily, Note, Place
from kubewire.dataplane.core.harm import Effects
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.snapshot import NODE_FILES, NodeSnapshot, Snapshot
from kubewire.dataplane.iptables.compare import compare_iptables
from kubewire.dataplane.iptables.expected import expected_iptables
from kubewire.dataplane.iptables.observed import parse_iptables_save
from repository import GOLDEN

RECORDED = GOLDEN / "dataplane"
FILES: dict[IpFamily, str] = {"ipv4": "iptables-save.txt", "ipv6": "ip6tables-save.txt"}


@cache
def load(name: str) -> Snapshot:
    """A golden snapshot by its folder's name; files may be gzipped."""
    root = RECORDED / name
    nodes = (
        NodeSnapshot(
            folder.name,
            {
                path.name.removesuffix(".gz"): read(path)
                for path in folder.iterdir()
                if path.name.removesuffix(".gz") in NODE_FILES
            },
        )
        for folder in sorted((root / "nodes").iterdir())
    )
    cluster = next(path for path in (root / "cluster.json", root / "cluster.json.gz") if path.exists())
    return Snapshot(json.loads(read(cluster)), tuple(nodes))


def read(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


def goldens(word: str = "") -> list[str]:
    return sorted(path.name for path in RECORDED.iterdir() if path.is_dir() and word in path.name)


@dataclass
class Bench:
    """One node and family in iptables mode: its dump, and the comparison with any other dump."""

    dump: str
    expected: Dataplane
    node: str
    family: IpFamily
    step: int = 1

    def checked(self, dump: str) -> tuple[list[Check], list[Note]]:
        observed = parse_iptables_save(dump, self.family)
        place = Place("iptables", self.node, self.family)
        return compare_iptables(self.expected, observed, Effects(), place)

    def failed(self, dump: str) -> list[Check]:
        return [check for check in self.checked(dump)[0] if check.status == "failed"]

    def edited(self, edit: Callable[[list[str]], Any]) -> list[Check]:
        """What fails after the dump's lines were edited in place."""
        lines = self.dump.splitlines()
        edit(lines)
        return self.failed("\n".join(lines) + "\n")


@cache
def bench(golden: str, node: str, family: IpFamily) -> Bench:
    snapshot = load(golden)
    files = next(entry.files for entry in snapshot.nodes if entry.name == node)
    cluster = ClusterState.from_list(snapshot.cluster)
    config = ProxyConfig.from_mapping(yaml.safe_load(files["kube-proxy.yaml"]))
    facts = NodeFacts.build(
        cluster.node(node), json.loads(files["facts.json"]), json.loads(files["ip-addr.json"])
    )
    version = Version.parse(files["kube-proxy-version"])
    return Bench(
        files[FILES[family]],
        expected_iptables(cluster, config, facts, version, family),
        node,
        family,
    )


RICH = "rich-iptables-v1.37.2"
