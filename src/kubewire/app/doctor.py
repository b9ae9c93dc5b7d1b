"""Check what this machine can run, and what is missing."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from kubewire.core.errors import LabError
from kubewire.core.paths import cache_dir
from kubewire.providers.base import Finding
from kubewire.providers.registry import choose, get_provider, names

APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


def examine() -> list[Finding]:
    """All findings of `doctor`."""
    return [*_versions(), *_providers(), *_vm(), *_known_pitfalls(), *_cache()]


def _versions() -> list[Finding]:
    packages = ", ".join(f"{name} {version(name)}" for name in ("kubewire", "ansible-core", "ansible-runner"))
    return [Finding("versions", "ok", f"{packages}, Python {platform.python_version()}")]


def _providers() -> Iterator[Finding]:
    chosen = choose("auto")
    yield Finding("provider", "ok", f"{chosen.name}: {chosen.why}")
    for name in names():
        try:
            yield from get_provider(name).findings()
        except LabError as error:
            yield Finding(f"provider {name}", "note", error.what)


def _vm() -> list[Finding]:
    """Whether this machine can run a lab in a VM, which mode ipvs needs if the kernel has no ip_vs."""
    from kubewire.hosts.vm import preflight
    from kubewire.hosts.vm.qemu import own_qemu

    lacks = preflight.missing()
    qemu = own_qemu()
    which = qemu.which if qemu else "Debian's QEMU, downloaded when needed"
    text = "; ".join(what for what, _ in lacks) or f"can run here ({which})"
    hint = "\n".join(hint for _, hint in lacks)
    return [Finding("VM (--host vm)", "note" if lacks else "ok", text, hint)]


def _known_pitfalls() -> list[Finding]:
    """Settings of this system that are known to cause trouble."""
    found = []
    if APPARMOR.exists():
        limited = APPARMOR.read_text().strip() == "1"
        found.append(
            Finding(
                "AppArmor",
                "note",
                f"user namespaces of ordinary users are {'limited' if limited else 'free'}",
                "as an ordinary user: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
                if limited and os.geteuid()
                else "",
            )
        )
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        found.append(
            Finding(
                "container", "note", "in a container, /proc must not be masked and namespaces must be allowed"
            )
        )
    if "microsoft" in platform.release().lower():
        found.append(Finding("WSL", "note", "its kernel may lack ip_vs; iptables and nftables labs run"))
    if platform.system() == "Darwin":
        found.append(
            Finding("macOS", "note", "has no network namespaces; labs run on kind (--provider kind)")
        )
    return found


def _cache() -> list[Finding]:
    from kubewire.binaries.catalog import CONTROL_PLANE
    from kubewire.binaries.store import complete_versions

    versions = sorted(complete_versions(CONTROL_PLANE))
    text = ", ".join(versions) or "none yet; the first `up` downloads or builds it"
    return [
        Finding("Kubernetes in the cache", "ok" if versions else "note", f"{text} ({cache_dir()})"),
        _hashes(),
    ]


def _hashes() -> Finding:
    """Whether binaries.lock has the hashes of all official files."""
    from kubewire.binaries import hashes

    entries = hashes.shipped()
    unseen = sum(not entry.sha256 for entry in entries)
    if not unseen:
        return Finding("hashes of binaries", "ok", f"all {len(entries)} official files are in binaries.lock")
    return Finding(
        "hashes of binaries",
        "note",
        f"{unseen} of {len(entries)} official files have none in binaries.lock: a first download is checked "
        f"against the checksum that its host publishes, which is recorded in {hashes.known_file()}",
        "on a machine that reaches the official hosts: make lock-binaries",
    )
