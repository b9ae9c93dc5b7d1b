"""The findings of `doctor` for embedded labs on this machine."""

from __future__ import annotations

from kubewire.providers.base import Finding
from kubewire.providers.netns import cgroups, linux
from kubewire.providers.netns.preflight import survey
from kubewire.providers.netns.provider import pod_limits


def findings() -> list[Finding]:
    return [
        *(
            Finding(
                need.name if not need.modes else f"{need.name} ({', '.join(need.modes)})",
                "ok" if need.ok else "note" if need.modes else "missing",
                need.detail,
                "" if need.ok else need.hint,
            )
            for need in survey()
        ),
        _pod_limits(),
    ]


def _pod_limits() -> Finding:
    """The limits of a lab's pods on this machine."""
    controllers = sorted(cgroups.homes(cgroups.own_groups()))
    text = pod_limits(controllers, rootful=linux.may_make_namespaces())
    whole = len(controllers) == len(cgroups.CONTROLLERS)
    hint = "" if whole else "run the lab as root, or in a session of systemd --user (delegated cgroup v2)"
    return Finding("limits of each pod", "ok" if whole else "note", text, hint)
