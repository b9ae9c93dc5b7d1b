"""Part of `up`: wait until every node's dataplane is as it must be, and mend it where it stays different."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from kubewire.dataplane.findings import Check, IpFamily
from kubewire.errors import LabError
from kubewire.kubernetes.api import Api
from kubewire.provider import Change, Provider
from kubewire.snapshot.execute import run
from kubewire.snapshot.model import NodeSnapshot, Snapshot
from kubewire.verify.converge import observe
from kubewire.verify.live import LabRecord

PARTS = ("dataplane", "routes")
ROUNDS = 2
SHOWN = 3
DELETE_SECONDS = 10.0
STRAY = "iptables.stray"
_TOOLS: dict[IpFamily, tuple[str, str]] = {
    "ipv4": ("iptables-save.txt", "iptables"),
    "ipv6": ("ip6tables-save.txt", "ip6tables"),
}
_COUNTERS = re.compile(r"^\[\d+:\d+\] ")


def settle(provider: Provider, record: LabRecord) -> list[Change]:
    """Wait for agreement; name each mend. Raises LabError with the findings where a node stays different."""
    changes: list[Change] = []
    with Api(provider.kubeconfig(record.lab.name)) as api:
        for round_number in range(ROUNDS + 1):
            found = observe(provider, record.lab, api, kubernetes=record.kubernetes, parts=PARTS)
            if not found.verdict.failed:
                break
            if round_number == ROUNDS:
                raise _unsettled(record.lab.name, found.verdict.failed)
            changes += mend(provider, record.lab.name, found.snapshot, found.verdict.failed)
    return changes


def mend(provider: Provider, lab: str, snapshot: Snapshot, failed: Sequence[Check]) -> list[Change]:
    """Mend each node by what is wrong there: routes, stray rules, else everything kube-proxy writes."""
    changes: list[Change] = []
    for node in snapshot.nodes:
        here = [check for check in failed if check.node == node.name]
        routes = [check for check in here if check.id.startswith("route.")]
        strays = [check for check in here if check.id == STRAY]
        rest = [check for check in here if check not in routes and check not in strays]
        if routes:
            changes += provider.repair_routes(lab, node.name)
        if strays:
            changes += _delete_strays(provider, lab, node, strays)
        if rest:
            provider.restart_kube_proxy(lab, node.name)
            changes.append(Change(node.name, "restarted kube-proxy", why(rest)))
    return changes


def why(checks: Sequence[Check]) -> str:
    """The first findings in one line."""
    texts = [finding(check) for check in checks[:SHOWN]]
    more = len(checks) - len(texts)
    return "; ".join([*texts, *([f"and {more} more"] if more else [])])


def finding(check: Check) -> str:
    """`iptables.service.probability KUBE-SVC-…: expected …, observed …`."""
    return f"{check.id} {check.object}: expected {check.expected or 'nothing'}, " + (
        f"observed {check.observed or 'nothing'}"
    )


def _delete_strays(provider: Provider, lab: str, node: NodeSnapshot, strays: Iterable[Check]) -> list[Change]:
    prefixes = {handle.name: handle.prefix for handle in provider.nodes(lab)}
    changes = []
    for check in strays:
        for line in check.observed.splitlines():
            argv = deletion(line, check.family, node.files)
            if argv is None:
                continue
            outcome = run([*prefixes[node.name], *argv], timeout=DELETE_SECONDS)
            if outcome.code:
                raise LabError(f"a stray rule can't be deleted: {outcome.err}", where=node.name)
            changes.append(Change(node.name, f"deleted a stray rule: {line}", check.reason))
    return changes


def deletion(rule: str, family: IpFamily, files: Mapping[str, str]) -> list[str] | None:
    """The argv that deletes a rule as iptables-save prints it (`-A CHAIN …`), None if the dump lacks it."""
    wanted = rule.strip()
    if family not in _TOOLS or not wanted.startswith("-A "):
        return None
    file, tool = _TOOLS[family]
    table = ""
    for line in files.get(file, "").splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif _COUNTERS.sub("", line).strip() == wanted:
            return [tool, "-w", "-t", table, "-D", *shlex.split(wanted)[1:]]
    return None


def _unsettled(lab: str, failed: Sequence[Check]) -> LabError:
    lines = [f"{check.node}: {finding(check)}" for check in failed[:SHOWN]]
    return LabError(
        "the dataplane stays different from what kube-proxy must have written:\n  " + "\n  ".join(lines),
        where=lab,
        mend=f"kubewire verify {lab} shows all {len(failed)} findings; "
        f"kubewire down {lab} and up make the lab anew",
    )
