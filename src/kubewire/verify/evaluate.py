"""Checks one snapshot without I/O: tables, routes, notes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from msgspec import Struct

from kubewire.dataplane.check import check_snapshot
from kubewire.dataplane.conntrack import check_conntrack
from kubewire.dataplane.core.findings import FAMILIES, Check, IpFamily, Note
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.routes import check_routes
from kubewire.dataplane.core.snapshot import PROXY_STATUS, NodeSnapshot, Snapshot
from kubewire.dataplane.kernel import check_kernel
from kubewire.dataplane.listeners import check_listeners
from kubewire.dataplane.node_network import check_node_networks
from kubewire.dataplane.proxy_status import check_kube_proxies
from kubewire.providers.registry import BUILT_IN, get_provider
from kubewire.verify.causes import is_kube_proxys_failure
from kubewire.verify.report import Report, ReportNode, build_report
from kubewire.verify.story import tell_story

ALL_CHECKS = ("dataplane", "routes")


class Verdict(Struct, frozen=True):
    """The checks and notes of one snapshot, and the main Service's path as (label, text) lines."""

    checks: tuple[Check, ...]
    notes: tuple[Note, ...]
    story: Sequence[tuple[str, str]] = ()

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status == "failed")


def evaluate_snapshot(snapshot: Snapshot, parts: Sequence[str] = ALL_CHECKS) -> Verdict:
    """The dataplane of every node against the API objects, and its routes; `parts` selects them."""
    checks: list[Check] = []
    notes: list[Note] = []
    observed: Mapping[IpFamily, Dataplane] = {}
    if "dataplane" in parts:
        checked = check_snapshot(snapshot)
        checks += checked.checks
        checks += check_kube_proxies(
            snapshot, {check.node for check in checks if is_kube_proxys_failure(check)}
        )
        notes += checked.notes
        observed = checked.observed
        for check in (check_kernel, check_conntrack, check_listeners):
            found, said = check(snapshot, checked.inputs)
            checks += found
            notes += said
    if "routes" in parts:
        checks += check_routes(snapshot)
        checks += check_node_networks(snapshot)
    for node in snapshot.nodes:
        notes += _node_notes(node)
    return Verdict(tuple(checks), tuple(notes), tell_story(snapshot, observed))


def _node_notes(node: NodeSnapshot) -> list[Note]:
    notes = [Note(node.errors["node"], node.name)] if "node" in node.errors else []
    try:
        facts = json.loads(node.files.get("facts.json", "{}"))
    except ValueError:
        return notes
    if not isinstance(facts, dict):
        return notes
    if tools := _tools(facts.get("tools")):
        notes.append(Note(f"tools: {tools}", node.name))
    if facts.get("kube_proxy_running") is False and PROXY_STATUS not in node.files:
        notes.append(Note("kube-proxy does not run: its rules stay as they are, whatever changes", node.name))
    return notes


def _tools(versions: object) -> str:
    """`iptables v1.8.9 (nf_tables), ipset v7.17` from each tool's first line."""
    if not isinstance(versions, dict):
        return ""
    said = {str(tool): str(line).partition(",")[0] for tool, line in versions.items()}
    return ", ".join(line if line.startswith(tool) else f"{tool} {line}" for tool, line in said.items())


def families_in_use(snapshot: Snapshot) -> tuple[IpFamily, ...]:
    """The address families in which the cluster has Services."""
    cluster = snapshot.state
    return tuple(f for f in FAMILIES if any(service.cluster_ips.get(f) for service in cluster.services))


def report_of(
    snapshot: Snapshot,
    checks: Sequence[Check],
    notes: Sequence[Note],
    *,
    story: Sequence[tuple[str, str]] = (),
    not_real: str | None = None,
) -> Report:
    """The report on a snapshot; what its meta doesn't tell is taken from the nodes' own files. `not_real` is
    the provider's sentence, which a snapshot alone has of the built-in ones only: it loads no package.
    """
    meta = snapshot.meta
    nodes = [
        ReportNode(node.name, node.files.get("kube-proxy-version", "").strip()) for node in snapshot.nodes
    ]
    provider = str(meta.get("provider", ""))
    notes = [*notes, *_unseen(snapshot)]
    if meta.get("settled") is False:
        notes = [*notes, Note("the cluster kept changing while it was read")]
    if not_real is None:
        not_real = get_provider(provider).not_real if provider in BUILT_IN else ""
    if not_real:
        notes = [*notes, Note(not_real)]
    return build_report(
        lab=str(meta.get("lab", "")),
        provider=provider,
        kubernetes=str(meta.get("kubernetes") or next((n.kube_proxy for n in nodes if n.kube_proxy), "")),
        mode=str(meta.get("mode") or _mode(checks)),
        nodes=nodes,
        families=families_in_use(snapshot),
        checks=checks,
        notes=notes,
        story=story,
    )


def _unseen(snapshot: Snapshot) -> list[Note]:
    """A note on the cluster's nodes that are not in the snapshot."""
    seen = {node.name for node in snapshot.nodes}
    unseen = [n.name for n in snapshot.state.nodes if n.name not in seen]
    return [Note(f"not in the snapshot, so not checked: {', '.join(sorted(unseen))}")] if unseen else []


def _mode(checks: Sequence[Check]) -> str:
    """The mode in which the nodes' tables were checked, where the snapshot doesn't name it."""
    modes = {check.id.partition(".")[0] for check in checks if check.id.endswith(".table")}
    return min(modes) if modes else ""
