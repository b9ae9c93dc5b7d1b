"""The labs that are there, and how they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kubewire.core.errors import KubewireError
from kubewire.lab.lookup import NAME, is_recorded, lab_name, recorded_labs
from kubewire.providers.base import NodeHandle, Status
from kubewire.providers.registry import providers, recorded_provider


def listed_labs() -> list[tuple[str, str, str, str, str]]:
    """(name, phase, provider, Kubernetes version, file) of each lab that is up or has a known file."""
    from kubewire.lab.loading import available_labs, display_path

    files = {name: display_path(path) for name, path in available_labs().items()}
    rows = []
    for name in sorted({*recorded_labs(), *files}):
        phase, provider, kubernetes = "absent", "", ""
        if name in recorded_labs():
            try:
                status = recorded_provider(name).status(name)
                phase, provider, kubernetes = status.phase, status.provider, status.kubernetes
            except KubewireError as error:
                phase, provider = "unknown", error.what
        rows.append((name, phase, provider, kubernetes, files.get(name, "")))
    return rows


def lab_status(lab: str) -> dict[str, Any]:
    """How a lab is, as `status --format json` prints it; raises as `lab_name`, and for a broken record."""
    name = lab_name(lab)
    provider = recorded_provider(name)
    status = provider.status(name)
    return _status_data(status, provider.nodes(name) if status.phase not in ("absent", "dead") else ())


def status_or_absent(lab: str) -> dict[str, Any]:
    """The same; a lab without a record, in the making or gone, is as its providers know it."""
    if not NAME.fullmatch(lab) or is_recorded(lab):
        return lab_status(lab)
    found = [provider.status(lab) for provider in providers()]
    return _status_data(next((each for each in found if each.phase != "absent"), found[0]), ())


def _status_data(status: Status, nodes: Iterable[NodeHandle]) -> dict[str, Any]:
    return {
        "schema": 1,
        "lab": status.name,
        "phase": status.phase,
        "reason": status.reason,
        "provider": status.provider,
        "kubernetes": status.kubernetes,
        "nodes": [{"name": n.name, "role": n.role, "addresses": list(n.internal_ips)} for n in nodes],
        "podLimits": status.pod_limits,
        "components": dict(sorted(status.components.items())),
    }


def status_lines(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A lab's status as (label, text) lines for people."""
    reason = f": {status['reason']}" if status["reason"] else ""
    return [
        ("lab", status["lab"]),
        ("phase", f"{status['phase']}{reason}"),
        ("provider", status["provider"]),
        ("kubernetes", status["kubernetes"]),
        *((node["name"], f"{node['role']}, {', '.join(node['addresses'])}") for node in status["nodes"]),
        *([("each pod", status["podLimits"])] if status["podLimits"] else []),
        *status["components"].items(),
    ]
