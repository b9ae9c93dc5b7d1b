"""The recorded dumps, each with the engine's word on any other dump in its place."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "differential"))

import iptables_mutants
import nft_mutants
from mutants import Score
from recorded import FOLDERS, load

from kubewire.dataplane.judge import judge
from kubewire.snapshot.model import NodeSnapshot, Snapshot

RECORDED = [folder for folder in FOLDERS if folder.parent.name == "versions"]
DUMPS = {
    "iptables": (("iptables-save.txt", "ip6tables-save.txt"), iptables_mutants.mutants),
    "nftables": (("nft-ip.json", "nft-ip6.json"), nft_mutants.mutants),
}


def score(folder: Path, nodes: Iterable[str], share: float, seed: int) -> Score:
    """Judge that share of all mutants of these nodes' dumps, chosen by the seed."""
    total = Score()
    snapshot = load(folder)
    mode = folder.name.rpartition("-")[2]
    files, mutants = DUMPS[mode]
    for node in snapshot.nodes:
        if node.name not in nodes:
            continue
        for file in files:
            chance = random.Random(f"{seed} {folder.name} {node.name} {file}")
            chosen = (m for m in mutants(node.files[file]) if chance.random() < share)
            total.add(f"{folder.name} {node.name} {file}", chosen, _flagged(snapshot, node, file))
    return total


def _flagged(snapshot: Snapshot, node: NodeSnapshot, file: str) -> Callable[[str], bool]:
    def flagged(dump: str) -> bool:
        mutated = NodeSnapshot(node.name, {**node.files, file: dump})
        checks = judge(Snapshot(snapshot.cluster, (mutated,))).checks
        return any(check.status == "failed" for check in checks)

    return flagged


def merged(scores: Iterable[Score]) -> Score:
    total = Score()
    for part in scores:
        for mine, theirs in ((total.made, part.made), (total.found, part.found)):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count
        total.wrong += part.wrong
    return total
