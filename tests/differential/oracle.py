"""States go to all real kube-proxies at once; each must come to what the engine says, before a deadline."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bugs import false_notes
from cluster_objects import Cluster, Refused
from cluster_states import Limits, State, zone_probe
from difference import Difference
from features import changes, dumped, features
from hypothesis import reject
from proxies import Node
from tally import Tally, rows_of
from variants import Variant, variants

from kubewire.dataplane.check import Checked, check_snapshot
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.snapshot.cluster import read_cluster

SLOWER, MOST = 1.3, 3.0  # how much longer each next pause between two looks is, and the longest in seconds
HASTY = 0.1  # of the patience, where waiting for the whole of it is seldom of use
SHOWN = 600
STARTS = 4
KEPT = 3  # every so many restarts find the tables of the kube-proxy before


@dataclass(frozen=True, slots=True)
class Settled:
    """How a node was found in the end: its dumps and what is to be said about them."""

    dumps: dict[str, str]
    checked: Checked

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checked.checks if check.status == "failed"]


class Oracle:
    """Feeds states and compares.

    `patience`: seconds that a kube-proxy has to come to the expected state; `many`: as in Limits.
    """

    def __init__(
        self, cluster: Cluster, nodes: Sequence[Node], patience: float, *, many: bool = True
    ) -> None:
        self.cluster, self.nodes, self.patience = cluster, nodes, patience
        self.bed = cluster.bed
        oldest = min(node.version for node in nodes)
        oldest_nft = min((node.version for node in nodes if node.mode == "nftables"), default=Version(1, 99))
        self.limits = Limits(
            longest=oldest_nft >= Version(1, 37),
            overlapping=oldest_nft >= Version(1, 30),
            portless=oldest >= Version(1, 31),
            many=many,
        )
        left_out = self.limits.left_out
        self.tally = Tally({node.label: rows_of(node.version, node.mode, left_out) for node in nodes})
        self._before: dict[str, Any] = {"items": []}
        self._pool = ThreadPoolExecutor(max(1, len(nodes)))

    def restart(self, turn: int) -> None:
        """The next configuration for every proxy; neighbours run with different ones."""
        choices: dict[str, Variant] = {}
        for position, node in enumerate(self.nodes):
            known = variants(node.version, node.mode)
            choices[node.name] = known[(turn + 3 * position) % len(known)]
        self.bed.service_cidr(extra=turn % 2 == 1)
        self.start(lambda node: choices[node.name], clean=turn % KEPT != KEPT - 1)

    def start(self, choose: Callable[[Node], Variant], *, clean: bool = True) -> None:
        """Start every proxy anew, again where its own start races with what it must be told.

        A kube-proxy whose Node informer runs before NodeTopologyConfig has its handlers registered is never
        told its zone, and one whose first sync comes before the ServiceCIDRs uses them at its next full sync
        only (cmd/kube-proxy/app/server.go of 1.36 and 1.37): all its rules are then those of a cluster that
        has none.
        """
        self.cluster.become(zone_probe())
        self._before = listed = read_cluster(self.bed.api)

        def start(node: Node) -> None:
            node.start(choose(node), clean=clean)
            for _ in range(STARTS):
                found = self._settle(node, listed, self.patience * HASTY)
                if not found.failed:
                    return
                if not (coverage_gaps := _untold(listed, node, found.dumps)):
                    break
                self.tally.coverage_gaps[node.label, coverage_gaps] += 1
                node.start(choose(node))
            found = self._settle(node, listed, self.patience)
            if found.failed:
                raise self._difference(listed, [(node, found.failed)])

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
        found = list(
            zip(self.nodes, self.run(lambda node: self._settle(node, listed, self.patience)), strict=True)
        )
        self.tally.seconds["apply"] += applied - started
        self.tally.seconds["settle"] += time.monotonic() - applied
        wrong = [(node, settled.failed) for node, settled in found if settled.failed]
        if wrong:
            raise self._difference(listed, wrong)
        self.tally.states += 1
        used = features(listed) | changes(self._before, listed)
        self._before = listed
        for node, settled in found:
            false = false_notes(settled.checked.notes, node.version, node.mode)
            assert not false, f"{node.label} is said to have bugs that it hasn't: {false}"
            shown = dumped(settled.dumps, (note.text for note in settled.checked.notes))
            self.tally.count(node.label, {*used, *shown, f"config: {node.variant.name}"})

    def _settle(self, node: Node, listed: dict[str, Any], patience: float) -> Settled:
        """The node when it is as it must be, or after so many seconds.

        A kube-proxy that ended, or says that it can't go on, is no oracle until it is started again: 1.29 in
        nftables mode fails once there are source ranges ("File exists", as it refills a set of intervals).
        """
        end = time.monotonic() + patience
        found = Settled({}, Checked([], [], {}, {}))
        starts, pause = 0, node.place.pause
        time.sleep(pause if node.place.emulated else 0)
        while True:
            late = time.monotonic() > end
            dumps, gave_up = node.look()
            if dumps != found.dumps:
                found = _judged(listed, node, dumps)
                if not found.failed:
                    return found
            if starts < STARTS and gave_up:
                starts += 1
                self.tally.gave_up[node.label] += 1
                node.start(node.variant)
                end = time.monotonic() + patience
            elif late and starts < STARTS and _left_empty(found):
                starts += 1
                self.tally.left_empty[node.label] += 1
                node.start(node.variant)
                end = time.monotonic() + patience
            elif late:
                return found
            time.sleep(pause)
            pause = min(pause * SLOWER, MOST)

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


def _judged(listed: dict[str, Any], node: Node, dumps: dict[str, str]) -> Settled:
    return Settled(dumps, check_snapshot(Snapshot(listed, (node.quick(dumps),))))


def _left_empty(found: Settled) -> bool:
    """Whether all that is wrong is the whole content of endpoints' chains that are there without a rule.

    Seen of 1.33 to 1.35 in nftables mode: a chain that went stale is emptied first and removed later, and an
    endpoint that comes back meanwhile finds its chain as it is (pkg/proxy/nftables/proxier.go, staleChains).
    """
    texts = (found.dumps.get("nft-ip.json"), found.dumps.get("nft-ip6.json"))
    objects = [entry for text in texts if text for entry in json.loads(text)["nftables"]]
    filled = {(entry["rule"]["family"], entry["rule"]["chain"]) for entry in objects if "rule" in entry}
    there = {(entry["chain"]["family"], entry["chain"]["name"]) for entry in objects if "chain" in entry}
    empty = {
        f"chain {family} kube-proxy {name}" for family, name in there - filled if name.startswith("endpoint-")
    }
    wrong = [check for check in found.failed if check.id != "nftables.table"]
    return bool(wrong) and all(check.object in empty and check.observed == "(missing)" for check in wrong)


def _untold(listed: dict[str, Any], node: Node, dumps: dict[str, str]) -> str:
    """What kube-proxy was not told, if its rules are exactly those of a cluster without it; "" otherwise."""
    cidrs = {**listed, "items": [item for item in listed["items"] if item["kind"] != "ServiceCIDR"]}
    for what, less in (
        ("its zone", _without_zones(listed)),
        ("the ServiceCIDRs", cidrs),
        ("its zone and the ServiceCIDRs", _without_zones(cidrs)),
    ):
        if not _judged(less, node, dumps).failed:
            return what
    return ""


def _without_zones(listed: dict[str, Any]) -> dict[str, Any]:
    items = [
        {**item, "metadata": {**item["metadata"], "labels": {}}} if item["kind"] == "Node" else item
        for item in listed["items"]
    ]
    return {**listed, "items": items}
