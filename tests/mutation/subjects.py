"""What is mutated: dumps of real kube-proxies, each with verify's word on another dump in its place."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from unittest.mock import patch

import iptables_mutants
import ipvs_mutants
import nft_mutants
import probes
import yaml
from mutants import Duty, Meets, Mutant, Score

import trace_golden
from kubewire.dataplane import check
from kubewire.dataplane.core import facts
from kubewire.dataplane.core.cluster import ClusterState, service_ports
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.snapshot.folder import read_snapshot
from recorded import FOLDERS, load

VERSIONS = [folder.name for folder in FOLDERS if folder.parent.name == "versions"]
KIND = [f"kind-{path.name}" for path in sorted((trace_golden.GOLDEN / "kind").iterdir())]
RECORDED = [*VERSIONS, *KIND]
Mutants = Callable[..., Iterator[Mutant]]
BOTH: tuple[IpFamily, ...] = ("ipv4", "ipv6")
FOUR, SIX = BOTH
FACTS = "facts.json"
FORWARDING = frozenset(facts.FORWARDING.values())
RULES: dict[str, tuple[tuple[IpFamily, ...], Mutants]] = {
    "iptables-save.txt": ((FOUR,), iptables_mutants.mutants),
    "ip6tables-save.txt": ((SIX,), iptables_mutants.mutants),
}
DUMPS: dict[str, dict[str, tuple[tuple[IpFamily, ...], Mutants]]] = {
    "iptables": RULES,
    "nftables": {
        "nft-ip.json": ((FOUR,), nft_mutants.mutants),
        "nft-ip6.json": ((SIX,), nft_mutants.mutants),
    },
    "ipvs": {
        "iptables-save.txt": ((FOUR,), partial(iptables_mutants.mutants, ipvs=True)),
        "ip6tables-save.txt": ((SIX,), partial(iptables_mutants.mutants, ipvs=True)),
        "ipset-save.txt": (BOTH, ipvs_mutants.ipset_mutants),
        "ipvsadm-save.txt": (BOTH, ipvs_mutants.ipvsadm_mutants),
        "ip-addr.json": (BOTH, ipvs_mutants.address_mutants),
        FACTS: (BOTH, ipvs_mutants.sysctl_mutants),
    },
}


@dataclass(frozen=True)
class Subject:
    """One dump of one node; `probed` is its snapshot with routes, to trace packets through, if it can be."""

    name: str
    snapshot: Snapshot
    node: NodeSnapshot
    file: str
    families: tuple[IpFamily, ...]
    mutants: Mutants
    probed: Snapshot | None

    def judged(self, dump: str) -> bool:
        """Whether verify finds something wrong with another text in the dump's place."""
        mutated = NodeSnapshot(self.node.name, {**self._around(), self.file: dump})
        checks = check.check_snapshot(Snapshot(self.snapshot.cluster, (mutated,))).checks
        return any(check.status == "failed" for check in checks)

    def _around(self) -> dict[str, str]:
        """The node's files; for rules that others' share it has routes, and forwards as those probed do."""
        files = self.node.files
        if self.file not in RULES:
            return files
        known = json.loads(files.get(FACTS, "{}"))
        sysctls = {name: value for name, value in known.get("sysctls", {}).items() if name not in FORWARDING}
        told = {FACTS: json.dumps({**known, "sysctls": sysctls})} if known else {}
        return {"ip-route.json": json.dumps(trace_golden.ROUTES), **files, **told}

    def meets(self) -> Meets:
        if self.probed is None or (self.file not in RULES and self.file in DUMPS["ipvs"]):
            return ipvs_mutants.meets(self.node.files[self.file])
        return probes.meets(self.probed, self.node.name, self.file, self.families[0])

    def score(self, share: float, asked: float, seed: int, foreign: float | None = None) -> Score:
        """Judge that share of all mutants, and send probes through that share of those that were found.

        `foreign` is the share of other owners' mutants where it is another one.
        """
        chance = random.Random(f"{seed} {self.name} {self.node.name} {self.file}")
        total, theirs = Score(), share if foreign is None else foreign
        healthy = self.node.files[self.file]
        with self._remembered():
            assert not self.judged(healthy), f"{self.name} {self.node.name} is not healthy"
            made = self.mutants(healthy, self._vip()) if self.file in RULES else self.mutants(healthy)
            chosen = (m for m in made if chance.random() < (share if m.duty is not Duty.FATE else theirs))
            where = f"{self.name} {self.node.name} {self.file}"
            total.add(where, chosen, self.judged, self.meets(), lambda: chance.random() < asked)
        return total

    def _vip(self) -> str:
        """How an iptables rule names the first service port of the family; some port without any Service."""
        state = ClusterState.from_list(self.snapshot.cluster)
        version = Version.parse(self.node.files["kube-proxy-version"])
        for port in service_ports(state, self.families[0], version):
            protocol, length = port.protocol.lower(), 128 if ":" in port.cluster_ip else 32
            return f"-d {port.cluster_ip}/{length} -p {protocol} -m {protocol} --dport {port.port}"
        return "-d fd00:10:244::/56"

    def _remembered(self) -> ExitStack:
        """Only what this dump is judged by, and what does not follow from it is worked out once."""
        stack = ExitStack()
        stack.enter_context(patch.object(check, "FAMILIES", self.families))
        if self.file in ("ip-addr.json", FACTS):
            return stack
        state = ClusterState.from_list(self.snapshot.cluster)
        stack.enter_context(patch.object(ClusterState, "from_list", lambda _: state))
        work_out, known = check.expected_dataplane, {}

        def expected(node, cluster, family):  # type: ignore[no-untyped-def]
            if family not in known:
                known[family] = work_out(node, cluster, family)
            return known[family]

        stack.enter_context(patch.object(check, "expected_dataplane", expected))
        return stack


def subjects(name: str, nodes: Iterable[str]) -> list[Subject]:
    """The dumps of a recorded folder; of those with many nodes only the named ones, and the settings of one
    with strictARP.
    """
    snapshot, probed = _read(name)
    mode = name.rpartition("-")[2]
    return [
        Subject(name, snapshot, node, file, families, _made_for(node, file, mutants), probed)
        for node in snapshot.nodes
        for file, (families, mutants) in DUMPS[mode].items()
        if name not in VERSIONS or node.name in nodes or (file == FACTS and _strict_arp(node))
        if not node.errors.get(file) and node.files.get(file, "").strip() and _judged(name, file)
    ]


def _made_for(node: NodeSnapshot, file: str, mutants: Mutants) -> Mutants:
    return partial(mutants, strict_arp=True) if file == FACTS and _strict_arp(node) else mutants


def _strict_arp(node: NodeSnapshot) -> bool:
    configuration = yaml.safe_load(node.files["kube-proxy.yaml"]) if "kube-proxy.yaml" in node.files else {}
    return bool(configuration.get("ipvs", {}).get("strictARP"))


def _judged(name: str, file: str) -> bool:
    """The kernel of the recorded kind labs has no IPv6, so kube-proxy leaves that family out."""
    return name not in KIND or "6" not in file


def _read(name: str) -> tuple[Snapshot, Snapshot | None]:
    if name in VERSIONS:
        return load(trace_golden.GOLDEN / "versions" / name), trace_golden.load(f"versions/{name}")
    snapshot = read_snapshot(trace_golden.GOLDEN / "kind" / name.removeprefix("kind-"))
    return snapshot, snapshot
