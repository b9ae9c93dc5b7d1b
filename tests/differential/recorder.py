"""Records goldens: what each version's kube-proxy wrote, in each mode, for one rich cluster state."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from cluster_objects import Cluster
from difference import keep_snapshot
from oracle import Oracle
from proxies import Node
from variants import Variant, variants

from kubewire.dataplane.core.snapshot import NodeSnapshot
from kubewire.snapshot.cluster import read_cluster

RECORDED = ("default", "masqueradeAll, bit 15", "loopback node ports", "one family")
RECORDED_IPVS = ("strictARP, sh", "mh", "excludeCIDRs, lc")
INGRESS: dict[str, list[dict[str, str]]] = {
    "lb": [{"ip": "192.0.2.10"}, {"ip": "192.0.2.11", "ipMode": "VIP"}],
    "lb-local": [{"ip": "192.0.2.12"}],
    "lb-proxy": [{"ip": "192.0.2.13", "ipMode": "Proxy"}],
    "empty": [{"ip": "192.0.2.14"}, {"ip": "2001:db8::14"}],
}
UNUSED = ("ip-route.json",)
UNUSED_WITHOUT_IPVS = (*UNUSED, "ipset-save.txt", "ipvsadm-save.txt")


def rich_state(golden: Path) -> Iterator[dict[str, Any]]:
    """The objects of tests/golden/dataplane, on this bed's nodes, and those of tests/golden/versions."""
    text = (golden / "dataplane" / "objects.yaml").read_text()
    text = text.replace("rich-worker2", "node-b").replace("rich-worker", "node-a")
    for item in yaml.safe_load_all(text + "---\n" + (golden / "versions" / "more.yaml").read_text()):
        meta = {"namespace": "default", **item["metadata"]}
        ingress = INGRESS.get(meta["name"]) if item["kind"] == "Service" else None
        status = {"status": {"loadBalancer": {"ingress": ingress}}} if ingress else {}
        yield {**item, "metadata": meta, **status}


def record(cluster: Cluster, nodes: Sequence[Node], patience: float, golden: Path) -> None:
    """Write a folder for each version and mode; raises Difference where a kube-proxy is not as expected."""
    for mode in sorted({node.mode for node in nodes}):
        _record(Oracle(cluster, [node for node in nodes if node.mode == mode], patience), mode, golden)


def _record(oracle: Oracle, mode: str, golden: Path) -> None:
    state = {0: list(rich_state(golden))}
    taken: dict[str, list[NodeSnapshot]] = {node.name: [] for node in oracle.nodes}
    unused = UNUSED if mode == "ipvs" else UNUSED_WITHOUT_IPVS
    for name in (*RECORDED, *(RECORDED_IPVS if mode == "ipvs" else ())):
        oracle.start(lambda node, name=name: _named(node, name))
        oracle.check(state)
        for node, snapshot in zip(oracle.nodes, oracle.run(Node.snapshot), strict=True):
            files = {file: text for file, text in snapshot.files.items() if file not in unused}
            taken[node.name].append(NodeSnapshot(re.sub(r"[^a-z0-9]+", "-", name.lower()), files))
    listed = read_cluster(oracle.bed.api)
    for node in oracle.nodes:
        node.stop()
        folder = golden / "versions" / f"{node.version}-{node.mode}"
        shutil.rmtree(folder, ignore_errors=True)
        keep_snapshot(listed, taken[node.name], folder)
        print(f"recorded {folder.name}")


def _named(node: Node, name: str) -> Variant:
    return next(variant for variant in variants(node.version, node.mode) if variant.name == name)
