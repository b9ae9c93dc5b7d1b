"""List labs on this machine and other hosts, and show the status of one."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from kubewire.app.placement import Local, Request, resolve
from kubewire.binaries.resolving import require_exists
from kubewire.core.errors import KubewireError, LabError
from kubewire.hosts import overview
from kubewire.hosts.status import LabStatus, Node
from kubewire.lab import rendering
from kubewire.lab.loading import available_labs, display_path
from kubewire.lab.lookup import NAME, is_recorded, lab_name, name_to_remove, not_up, recorded_labs
from kubewire.providers.base import GONE, NodeHandle, Status
from kubewire.providers.registry import get_provider, providers, recorded_provider

Row = tuple[str, str, str, str, str]
COLUMNS = ("lab", "phase", "provider", "kubernetes", "definition")


def listed() -> list[Row]:
    """A row for each lab that is up on any host or has a known file."""
    away = overview.listed()
    names = {row[0] for row in away}
    return sorted([*away, *(row for row in listed_here() if row[0] not in names)])


def listed_here() -> list[Row]:
    files = {name: display_path(path) for name, path in available_labs().items()}
    recorded = recorded_labs()
    rows = []
    for name in sorted({*recorded, *files}):
        phase, provider, kubernetes = "absent", "", ""
        if name in recorded:
            try:
                status = recorded_provider(name).status(name)
                phase, provider, kubernetes = status.phase, status.provider, status.kubernetes
            except KubewireError as error:
                phase, provider = "unknown", error.what
        rows.append((name, phase, provider, kubernetes, files.get(name, "")))
    return rows


def status(lab: str, host: str = "", *, absent: bool) -> tuple[LabStatus, list[tuple[str, str]]]:
    """The status of a lab on any host, as data and as lines. LabError if it isn't up; with `absent` that is a
    status too, and the lab needs no file.
    """
    placement = resolve(lab, host, _plain_name if absent else lab_name)
    found = placement.status()
    if found.phase == "absent" and not absent:
        raise not_up(placement.lab)
    where = [] if isinstance(placement, Local) else [("host", placement.target.pattern)]
    return found, [*where, *_lines(found)]


def _plain_name(lab: str) -> str:
    """A name unchanged, without reading any file; for a path, the lab's name."""
    return lab if NAME.fullmatch(lab) else name_to_remove(lab)


def status_here(name: str) -> LabStatus:
    """The status of a lab on this machine; with a kube-proxy that surely doesn't sync it is failed, as for
    `verify`. Without a record the providers are asked: it may be starting. LabError for an invalid record.
    """
    if not is_recorded(name):
        found = [provider.status(name) for provider in providers()]
        return _typed(next((each for each in found if each.phase != "absent"), found[0]), [])
    provider = recorded_provider(name)
    status = provider.status(name)
    nodes = provider.nodes(name) if status.phase not in GONE else ()
    if status.phase == "ready":
        status = with_kube_proxies(status, nodes)
    return _typed(status, [Node(each.name, each.role, list(each.internal_ips)) for each in nodes])


def with_kube_proxies(status: Status, nodes: Sequence[NodeHandle]) -> Status:
    """The status with what `verify` finds of each node's kube-proxy; a silent node tells nothing."""
    from kubewire.dataplane.proxy_status import read_status, trouble
    from kubewire.snapshot.collect import read_nodes

    try:
        found = {node.name: read_status(node) for node in read_nodes(nodes, status.kubernetes)}
    except (LabError, ValueError):
        return status
    wrong = {f"kube-proxy@{name}": why for name, each in found.items() if each and (why := trouble(each))}
    if not wrong:
        return status
    name, why = next(iter(wrong.items()))
    return replace(status, phase="failed", reason=f"{name}: {why}", components=status.components | wrong)


def _typed(status: Status, nodes: list[Node]) -> LabStatus:
    return LabStatus(
        schema=1,
        lab=status.name,
        phase=status.phase,
        reason=status.reason,
        provider=status.provider,
        kubernetes=status.kubernetes,
        nodes=nodes,
        pod_limits=status.pod_limits,
        components=dict(sorted(status.components.items())),
    )


def _lines(status: LabStatus) -> list[tuple[str, str]]:
    """The status as lines of (label, text)."""
    reason = f": {status.reason}" if status.reason else ""
    return [
        ("lab", status.lab),
        ("phase", f"{status.phase}{reason}"),
        ("provider", status.provider),
        ("kubernetes", status.kubernetes),
        *((node.name, f"{node.role}, {', '.join(node.addresses)}") for node in status.nodes),
        *([("each pod", status.pod_limits)] if status.pod_limits else []),
        *status.components.items(),
    ]


def rendered(request: Request, form: str) -> str:
    """The effective lab as a lab file, a kind configuration or an Ansible inventory."""
    lab = request.definition
    require_exists(lab.kubernetes, lab.control_plane)
    own = {"lab": rendering.render_lab, "inventory": rendering.render_inventory}
    to_text = own.get(form) or get_provider(form).rendered
    return to_text(lab)
