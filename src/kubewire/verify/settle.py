"""Part of `up`: wait until every node's dataplane is as expected, and repair it where it stays different."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from kubewire.cluster.api import Api
from kubewire.core.errors import LabError
from kubewire.core.processes import run
from kubewire.dataplane.core.findings import Check, adds_up, brief
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.iptables.spec import words
from kubewire.dataplane.kernel import SYSCTL as KERNEL_SYSCTL
from kubewire.dataplane.node_network import PREFIX
from kubewire.providers.base import Change, Provider
from kubewire.verify.causes import leading, linked
from kubewire.verify.converge import observe
from kubewire.verify.evaluate import Verdict
from kubewire.verify.live import LabRecord

PARTS = ("dataplane", "routes")
ROUNDS = 2
SHOWN = 3
NOTHING = "(nothing)"
DELETE_SECONDS = 10.0
STRAY = ".stray"
PASSING = "conntrack."
"""Connections come and go: nothing that `up` could mend."""
TOOLS = ("iptables", "ip6tables")
PROVIDED = ("route.", PREFIX)
"""How the ids of what the provider writes begin."""


def settle(provider: Provider, record: LabRecord) -> list[Change]:
    """Wait for agreement; return the repairs. Raises LabError with the findings that stay."""
    changes: list[Change] = []
    with Api(provider.kubeconfig(record.lab.name)) as api:
        for round_number in range(ROUNDS + 1):
            found = observe(provider, record.lab, api, kubernetes=record.kubernetes, parts=PARTS)
            failed = [check for check in found.verdict.failed if not check.id.startswith(PASSING)]
            if not failed:
                break
            if round_number == ROUNDS:
                raise _unsettled(record.lab.name, found.verdict)
            changes += hint(provider, record.lab.name, found.snapshot, failed)
    return changes


def look(provider: Provider, record: LabRecord, planned: Sequence[Change]) -> list[Change]:
    """What `settle` would repair after these changes of the cluster; nothing is written."""
    with Api(provider.kubeconfig(record.lab.name)) as api:
        found = observe(provider, record.lab, api, kubernetes=record.kubernetes, parts=PARTS)
    failed = left_by(planned, found.verdict.failed)
    changes = hint(provider, record.lab.name, found.snapshot, failed, check=True)
    return [change for change in changes if change not in planned]


def left_by(planned: Sequence[Change], failed: Iterable[Check]) -> list[Check]:
    """The findings that these changes leave: a node that comes up afresh has none, and one whose kube-proxy
    does has none of kube-proxy's.
    """
    afresh = {change.where for change in planned if change.afresh}
    started = {change.where for change in planned if change.what.startswith("kube-proxy@")}
    return [
        check
        for check in failed
        if check.node not in afresh and (check.node not in started or _is_not_kube_proxys(check))
    ]


def _is_not_kube_proxys(check: Check) -> bool:
    return check.id.startswith(PROVIDED) or check.id.endswith(STRAY)


def hint(
    provider: Provider, lab: str, snapshot: Snapshot, failed: Sequence[Check], *, check: bool = False
) -> list[Change]:
    """Repair each node by its findings: what the provider wrote, stray rules, else everything that kube-proxy
    writes. With `check` only return what would be repaired.
    """
    changes: list[Change] = []
    for node in snapshot.nodes:
        here = [f for f in failed if f.node == node.name and not f.id.startswith(PASSING)]
        provided = [finding for finding in here if finding.id.startswith(PROVIDED)]
        mended = {finding.object for finding in provided}
        here = [finding for finding in here if finding.id != KERNEL_SYSCTL or finding.object not in mended]
        strays = [finding for finding in here if finding.id.endswith(STRAY)]
        rest = [f for f in here if f not in (*provided, *strays) and not adds_up(f)]
        if here and not (provided or strays or rest):
            rest = here
        if provided:
            changes += provider.repair_network(lab, node.name, check=check)
        if strays:
            changes += _delete_strays(provider, lab, node.name, strays, check=check)
        if rest:
            if not check:
                provider.restart_kube_proxy(lab, node.name)
            changes.append(Change(node.name, "restarted kube-proxy", why(rest), *_sides(rest)))
    return changes


def _sides(checks: Sequence[Check]) -> tuple[str, str]:
    """The observed and expected text of each finding."""
    sides = zip(*((c.observed or NOTHING, c.expected or NOTHING) for c in checks), strict=True)
    before, after = ("\n".join(side) for side in sides)
    return before, after


def why(checks: Sequence[Check]) -> str:
    """The first findings in one line."""
    texts = [brief(check) for check in checks[:SHOWN]]
    more = len(checks) - len(texts)
    return "; ".join([*texts, *([f"and {more} more"] if more else [])])


def _delete_strays(
    provider: Provider, lab: str, node: str, strays: Iterable[Check], *, check: bool
) -> list[Change]:
    prefix = next(handle.prefix for handle in provider.nodes(lab) if handle.name == node)
    changes = []
    for stray in strays:
        for argv in deletions(stray):
            outcome = None if check else run([*prefix, *argv], timeout=DELETE_SECONDS)
            if outcome and outcome.code:
                raise LabError(f"a stray rule can't be deleted: {outcome.err}", where=node)
            text = f"deleted a stray rule: {shlex.join(argv)}"
            changes.append(Change(node, text, stray.reason, before=shlex.join(argv[4:])))
    return changes


def deletions(check: Check) -> list[list[str]]:
    """The commands that delete a stray finding's rules: its object is `TOOL TABLE CHAIN`, its observed text
    the rules as iptables-save prints them.
    """
    tool, table, _ = check.object.split(" ", 2)
    rules = [words(line) for line in check.observed.splitlines() if line.startswith("-A ")]
    return [[tool, "-w", "-t", table, "-D", *rule[1:]] for rule in rules] if tool in TOOLS else []


def _unsettled(lab: str, verdict: Verdict) -> LabError:
    lines = [f"{check.node}: {brief(check)}" for check in leading(linked(verdict.checks))[:SHOWN]]
    return LabError(
        "the dataplane stays different from what kube-proxy must have written:\n  " + "\n  ".join(lines),
        where=lab,
        hint=f"kubewire verify {lab} shows all {len(verdict.failed)} findings; "
        f"kubewire down {lab} and up recreate the lab",
    )
