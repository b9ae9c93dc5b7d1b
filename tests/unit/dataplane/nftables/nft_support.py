"""Recorded nodes in nftables mode, and what the engine says about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.nftables.compare import compare_nft
from kubewire.dataplane.nftables.expected import expected_nftables
from kubewire.dataplane.nftables.observed import parse_nft_json
from repository import GOLDEN

OWN = GOLDEN / "dataplane_nft"
PRINTING = OWN / "printing-nft-1.0.6"
WORDS: dict[IpFamily, str] = {"ipv4": "ip", "ipv6": "ip6"}
NODES = sorted(
    {
        path.parent
        for folder in ("dataplane", "dataplane_nft")
        for path in (GOLDEN / folder).rglob("nft-ip.json")
    }
    - {PRINTING}
)
DUMPS = [(node, family) for node in NODES for family in WORDS]
DUMP_IDS = [f"{node.parents[1].name}-{node.name}-{family}" for node, family in DUMPS]


@dataclass(frozen=True, eq=False)
class Recorded:
    """One recorded node: everything that its table follows from."""

    folder: Path
    cluster: ClusterState
    config: ProxyConfig
    facts: NodeFacts
    version: Version

    def expected(self, family: IpFamily, version: str = "") -> Dataplane:
        chosen = Version.parse(version).gated(self.config.feature_gates) if version else self.version
        return expected_nftables(self.cluster, self.config, self.facts, chosen, family)

    def dump(self, family: IpFamily) -> str:
        return (self.folder / f"nft-{WORDS[family]}.json").read_text()

    def text(self, family: IpFamily) -> str:
        return (self.folder / f"nft-{WORDS[family]}.txt").read_text()


@cache
def recorded(folder: Path) -> Recorded:
    cluster = ClusterState.from_list(json.loads((folder.parents[1] / "cluster.json").read_text()))
    config = ProxyConfig.from_mapping(yaml.safe_load((folder / "kube-proxy.yaml").read_text()))
    facts = folder / "facts.json"
    return Recorded(
        folder,
        cluster,
        config,
        NodeFacts.build(
            cluster.node(folder.name),
            json.loads(facts.read_text()) if facts.exists() else {},
            json.loads((folder / "ip-addr.json").read_text()),
        ),
        Version.parse((folder / "kube-proxy-version").read_text()).gated(config.feature_gates),
    )


def compare(expected: Dataplane, dump: str, family: IpFamily) -> tuple[list[Check], list[Note]]:
    return compare_nft(expected, parse_nft_json(dump, family), Place("nftables", "n", family))


def failed(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.status == "failed"]


def objects(dump: str) -> list[Mapping[str, Any]]:
    listing: list[Mapping[str, Any]] = json.loads(dump)["nftables"]
    return listing


def rules_of(dataplane: Dataplane) -> dict[str, list[str]]:
    return {chain.name: [rule.text for rule in chain.rules()] for chain in dataplane.chains}


def elements_of(dataplane: Dataplane) -> dict[str, dict[str, str]]:
    return {item.name: {e.key: e.value for e in item.elements} for item in dataplane.sets}
