"""States go to all real kube-proxies at once; each must come to what the engine says, before a deadline."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster_objects import Cluster, Refused
from cluster_states import Limits, State, sequences, zone_probe
from features import features
from hypothesis import HealthCheck, Phase, given, reject, seed, settings
from hypothesis.errors import Flaky
from proxies import Node
from variants import Variant, variants

from kubewire.dataplane.findings import Check
from kubewire.dataplane.judge import judge
from kubewire.dataplane.versions import Version
from kubewire.snapshot.cluster import read_cluster
from kubewire.snapshot.folder import write_snapshot
from kubewire.snapshot.model import NodeSnapshot, Snapshot

PAUSE = 0.05
SHRINKING = 0.3  # of the patience once a case is known to differ
SHOWN = 600
STARTS = 4
ROUND = 10  # examples between two restarts of the proxies


@dataclass
class Tally:
    """What was compared: states, and (feature, version and mode) by number of states."""

    states: int = 0
    comparisons: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    gave_up: Counter[str] = field(default_factory=Counter)
    without_zone: Counter[str] = field(default_factory=Counter)
    coverage: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("apply", "settle"), 0.0))


class Difference(AssertionError):  # noqa: N818
    """A kube-proxy that did not come to what the engine says, with the snapshot that shows it."""

    def __init__(self, told: str, name: str, listed: dict[str, Any], node: NodeSnapshot) -> None:
        super().__init__(told)
        self.name, self.listed, self.node = name, listed, node

    def keep(self, folder: Path) -> Path:
        """Write the snapshot into this folder, as a golden case."""
        target = folder / self.name
        if target.exists():
            shutil.rmtree(target)
        keep_snapshot(self.listed, (self.node,), target)
        return target


class Oracle:
    """Feeds states and compares. `patience`: seconds that a kube-proxy has to come to the expected state."""

    def __init__(self, cluster: Cluster, nodes: Sequence[Node], patience: float) -> None:
        self.cluster, self.nodes, self.patience = cluster, nodes, patience
        self.bed = cluster.bed
        self.tally = Tally()
        self._pool = ThreadPoolExecutor(max(1, len(nodes)))

    def restart(self, turn: int) -> None:
        """The next configuration for every proxy; neighbours run with different ones."""
        choices: dict[str, Variant] = {}
        for position, node in enumerate(self.nodes):
            known = variants(node.version, node.mode)
            choices[node.name] = known[(turn + 3 * position) % len(known)]
        self.bed.service_cidr(extra=turn % 2 == 1)
        self.start(lambda node: choices[node.name])

    def start(self, choose: Callable[[Node], Variant]) -> None:
        """Start every proxy anew, again where it does not come to know its node's zone.

        A kube-proxy whose Node informer runs before NodeTopologyConfig has its handlers registered is never
        told its zone (cmd/kube-proxy/app/server.go of 1.37; about one start in twenty here).
        """
        self.cluster.become(zone_probe())
        listed = read_cluster(self.bed.api)

        def start(node: Node) -> None:
            for _ in range(STARTS):
                node.start(choose(node))
                found = self._settle(node, listed)
                if not found:
                    return
                self.tally.without_zone[node.label] += 1
            raise self._difference(listed, [(node, found)])

        self.run(start)

    def run(self, work: Callable[[Node], Any]) -> list[Any]:
        """The same work on every node at once; the first error is raised."""
        return list(self._pool.map(work, self.nodes))

    def check(self, state: State) -> None:
        """Apply one state and hold every proxy against it; raises Difference."""
        started = time.monotonic()
        try:
            self.cluster.become(item for objects in state.values() for item in objects)
        except Refused as refused:
            self.tally.refused[str(refused)] += 1
            reject()
        listed = read_cluster(self.bed.api)
        applied = time.monotonic()
        results = self.run(lambda node: self._settle(node, listed))
        self.tally.seconds["apply"] += applied - started
        self.tally.seconds["settle"] += time.monotonic() - applied
        wrong = [(node, found) for node, found in zip(self.nodes, results, strict=True) if found]
        if wrong:
            raise self._difference(listed, wrong)
        self.tally.states += 1
        self.tally.comparisons += len(self.nodes)
        used = features(listed)
        for node in self.nodes:
            rows = {*used, f"config: {node.variant.name}"}
            self.tally.coverage.update((row, node.label) for row in rows)

    def _settle(self, node: Node, listed: dict[str, Any]) -> list[Check]:
        """The failed checks that remain when the node is as it must be, or out of time.

        A kube-proxy that says that it can't go on is no oracle until it is started again: 1.29 in nftables
        mode fails once there are source ranges ("File exists", as it refills a set of intervals).
        """
        end = time.monotonic() + self.patience
        seen: dict[str, str] = {}
        starts = 0
        while True:
            late = time.monotonic() > end
            dumps = node.dumps()
            if dumps != seen:
                found = failures(listed, node.quick(dumps))
                if not found:
                    return []
                seen = dumps
            if starts < STARTS and node.gave_up():
                starts += 1
                self.tally.gave_up[node.label] += 1
                node.start(node.variant)
                end = time.monotonic() + self.patience
            elif late:
                return found
            time.sleep(PAUSE)

    def _difference(self, listed: dict[str, Any], wrong: Sequence[tuple[Node, list[Check]]]) -> Difference:
        """The first node's case, and what differs."""
        node, found = wrong[0]
        digest = hashlib.sha256(json.dumps([listed, node.label], sort_keys=True).encode()).hexdigest()[:8]
        name = f"{node.version}-{node.mode}-{digest}"
        told = [f"{name} ({node.variant.name}); also: {[other.label for other, _ in wrong[1:]]}"]
        told += [
            f"{c.id} {c.object} [{c.service}]\n"
            f"  expected: {c.expected[:SHOWN]}\n  observed: {c.observed[:SHOWN]}"
            for c in found[:6]
        ]
        return Difference("\n".join([*told, node.log()]), name, listed, node.snapshot())


def failures(listed: dict[str, Any], node: NodeSnapshot) -> list[Check]:
    return [check for check in judge(Snapshot(listed, (node,))).checks if check.status == "failed"]


def keep_snapshot(listed: dict[str, Any], nodes: Sequence[NodeSnapshot], folder: Path) -> None:
    """Write a snapshot folder whose large files are gzipped, the same bytes for the same content."""
    plain = Snapshot(listed, tuple(NodeSnapshot(n.name, n.files) for n in nodes))
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_snapshot(plain, folder)
    (folder / "snapshot.json").unlink()
    for path in [*folder.glob("cluster.json"), *folder.glob("nodes/*/*.txt"), *folder.glob("nodes/*/nft-*")]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
        path.unlink()


class Held:
    """Holds sequences of states for hypothesis; once one differs, for `budget` seconds more while it shrinks.

    After that only what is known to differ does, so that hypothesis ends with the smallest case so far.
    """

    def __init__(self, oracle: Oracle, budget: float = 120.0) -> None:
        self.oracle, self.budget = oracle, budget
        self.known: dict[str, Difference] = {}
        self.end = math.inf

    def hold(self, steps: Sequence[State]) -> None:
        key = repr(steps)
        if key in self.known:
            raise self.known[key]
        if time.monotonic() > self.end:
            return
        try:
            for state in steps:
                self.oracle.check(state)
        except Difference as difference:
            if not self.known:
                self.end = time.monotonic() + self.budget
                self.oracle.patience *= SHRINKING
            self.known[key] = difference
            raise


def explore(oracle: Oracle, wanted: int, first_seed: int) -> None:
    """Hold at least `wanted` generated states; hypothesis shrinks a case that differs, then it is raised."""
    oldest = min((node.version for node in oracle.nodes if node.mode == "nftables"), default=Version(1, 99))
    limits = Limits(longest=oldest >= Version(1, 37), overlapping=oldest >= Version(1, 30))
    rounds = max(6, math.ceil(wanted / (2 * ROUND)))
    held = Held(oracle)
    turn, started = 0, time.monotonic()
    while oracle.tally.states < wanted or turn < rounds:
        oracle.restart(turn)

        @seed(first_seed + turn)
        @settings(
            max_examples=min(ROUND, math.ceil(wanted / rounds / 2) + 1),
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @given(sequences(limits))
        def hold(steps: list[State]) -> None:
            held.hold(steps)

        try:
            hold()
        except Flaky as flaky:
            raise next(reversed(held.known.values())) from flaky
        turn += 1
        print(
            f"{time.monotonic() - started:.0f} s: {oracle.tally.states} states", file=sys.stderr, flush=True
        )
