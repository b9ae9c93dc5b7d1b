"""Records goldens: what each version's kube-proxy wrote, in each mode, for one rich cluster state."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from oracle import Oracle, keep_snapshot
from testbed import Node, Testbed
from variants import Variant, variants

from kubewire.snapshot.cluster import read_cluster
from kubewire.snapshot.model import NodeSnapshot

RECORDED = ("default", "masqueradeAll, bit 15", "loopback node ports", "one family")
INGRESS: dict[str, list[dict[str, str]]] = {
    "lb": [{"ip": "192.0.2.10"}, {"ip": "192.0.2.11", "ipMode": "VIP"}],
    "lb-local": [{"ip": "192.0.2.12"}],
    "lb-proxy": [{"ip": "192.0.2.13", "ipMode": "Proxy"}],
    "empty": [{"ip": "192.0.2.14"}, {"ip": "2001:db8::14"}],
}
UNUSED = ("ip-route.json", "ipset-save.txt", "ipvsadm-save.txt")


def rich_state(golden: Path) -> Iterator[dict[str, Any]]:
    """The objects of tests/golden/dataplane, on this bed's nodes, and those of tests/golden/versions."""
    text = (golden / "dataplane" / "objects.yaml").read_text()
    text = text.replace("rich-worker2", "node-b").replace("rich-worker", "node-a")
    for item in yaml.safe_load_all(text + "---\n" + (golden / "versions" / "more.yaml").read_text()):
        meta = {"namespace": "default", **item["metadata"]}
        ingress = INGRESS.get(meta["name"]) if item["kind"] == "Service" else None
        status = {"status": {"loadBalancer": {"ingress": ingress}}} if ingress else {}
        yield {**item, "metadata": meta, **status}


def record(bed: Testbed, nodes: Sequence[Node], golden: Path) -> None:
    """Write a folder for each version and mode; raises where a kube-proxy differs from the engine."""
    oracle = Oracle(bed, nodes)
    state = {0: list(rich_state(golden))}
    taken: dict[str, list[NodeSnapshot]] = {node.name: [] for node in nodes}
    for name in RECORDED:
        oracle.start(lambda node, name=name: _named(node, name))
        oracle.check(state)
        for node, snapshot in zip(nodes, oracle.run(Node.snapshot), strict=True):
            files = {file: text for file, text in snapshot.files.items() if file not in UNUSED}
            taken[node.name].append(NodeSnapshot(re.sub(r"[^a-z0-9]+", "-", name.lower()), files))
    listed = read_cluster(bed.api)
    for node in nodes:
        node.stop()
        folder = golden / "versions" / f"{node.version}-{node.mode}"
        shutil.rmtree(folder, ignore_errors=True)
        keep_snapshot(listed, taken[node.name], folder)
        print(f"recorded {folder.name}")


def _named(node: Node, name: str) -> Variant:
    return next(variant for variant in variants(node.version, node.mode) if variant.name == name)
