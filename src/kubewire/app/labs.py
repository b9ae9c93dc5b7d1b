"""The labs, here and on other hosts: which there are, how each is, what is left of those that are gone."""

from __future__ import annotations

from kubewire.app.placement import Local, Request, resolve
from kubewire.binaries.resolving import require_exists
from kubewire.core.errors import KubewireError
from kubewire.hosts import overview
from kubewire.hosts.status import LabStatus, Node
from kubewire.lab import rendering
from kubewire.lab.loading import available_labs, display_path
from kubewire.lab.lookup import NAME, is_recorded, lab_name, name_to_remove, not_up, recorded_labs
from kubewire.providers.base import GONE, Status
from kubewire.providers.registry import get_provider, providers, recorded_provider

Row = tuple[str, str, str, str, str]
COLUMNS = ("lab", "phase", "provider", "kubernetes", "definition")


def listed() -> list[Row]:
    """A row for each lab that is up somewhere or has a known file."""
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
    """How a lab is wherever it is, as data and as lines. LabError for one that isn't up; with `absent` that
    has a status, too, and needs no file.
    """
    placement = resolve(lab, host, _plain_name if absent else lab_name)
    found = placement.status()
    if found.phase == "absent" and not absent:
        raise not_up(placement.lab)
    where = [] if isinstance(placement, Local) else [("host", placement.target.pattern)]
    return found, [*where, *_lines(found)]


def _plain_name(lab: str) -> str:
    """A name as it is, without a look at any file; of a path the lab's name."""
    return lab if NAME.fullmatch(lab) else name_to_remove(lab)


def status_here(name: str) -> LabStatus:
    """How a lab here is; one without a record, in the making or gone, is as its providers know it. LabError
    for a broken record.
    """
    if not is_recorded(name):
        found = [provider.status(name) for provider in providers()]
        return _typed(next((each for each in found if each.phase != "absent"), found[0]), [])
    provider = recorded_provider(name)
    status = provider.status(name)
    nodes = provider.nodes(name) if status.phase not in GONE else ()
    return _typed(status, [Node(each.name, each.role, list(each.internal_ips)) for each in nodes])


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
    """(label, text), for people."""
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
    """The lab that would be used, as a lab file, kind's configuration or an Ansible inventory."""
    lab = request.definition
    require_exists(lab.kubernetes, lab.control_plane)
    own = {"lab": rendering.render_lab, "inventory": rendering.render_inventory}
    to_text = own.get(form) or get_provider(form).rendered
    return to_text(lab)
