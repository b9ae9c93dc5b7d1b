"""What is there: labs, their states, this machine's abilities, what crashes left."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from kubewire.core.errors import KubewireError, LabError
from kubewire.core.leftovers import Leftover, remove
from kubewire.core.paths import cache_dir, state_dir
from kubewire.hosts import definitions, multiplexing, overview
from kubewire.lab.lock import is_locked, lab_lock
from kubewire.lab.lookup import NAME, is_recorded, lab_name, recorded_labs
from kubewire.providers.base import NodeHandle, Status
from kubewire.providers.registry import NAMES, choose, docker_silent, get_provider, recorded_provider

EMPTIED = ("definitions", "errors", "logs", "labs", "locks", "tmp", "vm")
"""Folders of the state folder that go once they are empty."""
APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


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
    found = [get_provider(provider).status(lab) for provider in NAMES]
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


def garbage() -> list[Leftover]:
    """What crashes left, of every provider, found without changing anything."""
    from kubewire.app import cells
    from kubewire.binaries import workspace
    from kubewire.hosts.vm import machine

    found = [left for name in NAMES for left in get_provider(name).garbage()]
    gone = {left.lab for left in found}
    return [
        *found,
        *definitions.garbage(gone),
        *overview.garbage(),
        *multiplexing.garbage(),
        *machine.garbage(),
        *cells.garbage(),
        *workspace.garbage(),
        *_logs(gone),
        *_files(),
    ]


def collect_garbage(found: Sequence[Leftover]) -> list[str]:
    """Remove what `garbage` found, and the folders that become empty; a line for each thing removed."""
    removed = remove(found)
    state = state_dir()
    remove_empty([*(state / name for name in EMPTIED), state])
    return removed


def _logs(gone: AbstractSet[str]) -> Iterator[Leftover]:
    """The logs of labs that aren't there, beyond those that go with a lab in `gone`."""
    folder = state_dir() / "logs"
    for logs in sorted(folder.iterdir()) if folder.is_dir() else ():
        lab = logs.name
        alone = lab not in gone or {entry.name for entry in logs.iterdir()} - {"post-mortem"}
        with suppress(LabError):
            if alone and (lab in gone or not is_recorded(lab)) and not is_locked(lab):
                yield Leftover(f"the logs {logs}", partial(_remove_logs, logs))


def _remove_logs(folder: Path) -> bool:
    with lab_lock(folder.name, "gc", wait=False):  # held: they are being written
        if is_recorded(folder.name):
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True


def _files() -> Iterator[Leftover]:
    """Tracebacks, and the locks that killed holders left."""
    for log in sorted((state_dir() / "errors").glob("*.log")):
        yield Leftover(f"the traceback {log}", partial(_unlink, log))
    for lock in sorted((state_dir() / "locks").glob("*.lock")):
        with suppress(LabError):
            if not is_locked(lock.stem):
                yield Leftover(f"the lock {lock}", partial(_release, lock.stem))


def _unlink(file: Path) -> bool:
    file.unlink(missing_ok=True)
    return True


def _release(lab: str) -> bool:
    """Take a lab's lock and give it back, with which its file goes."""
    with lab_lock(lab, "gc", wait=False):
        return True


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of the folders that are empty, in this order."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            continue


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`: `missing` keeps labs in mode iptables and nftables from running here."""

    name: str
    state: Literal["ok", "missing", "note"]
    detail: str
    mend: str = ""


def examine() -> list[Finding]:
    """Everything `doctor` tells about this machine."""
    return [*_versions(), *_provider(), *_embedded(), _pod_limits(), *_vm(), *_known_bites(), *_cache()]


def _versions() -> list[Finding]:
    packages = ", ".join(f"{name} {version(name)}" for name in ("kubewire", "ansible-core", "ansible-runner"))
    return [Finding("versions", "ok", f"{packages}, Python {platform.python_version()}")]


def _provider() -> list[Finding]:
    chosen = choose("auto")
    docker = docker_silent() or "a Docker engine answers"
    return [
        Finding("provider", "ok", f"{chosen.name}: {chosen.why}"),
        Finding("provider kind", "note", docker),
    ]


def _embedded() -> list[Finding]:
    from kubewire.providers.netns.preflight import survey

    return [
        Finding(
            need.name if not need.modes else f"{need.name} ({', '.join(need.modes)})",
            "ok" if need.ok else "note" if need.modes else "missing",
            need.detail,
            "" if need.ok else need.mend,
        )
        for need in survey()
    ]


def _pod_limits() -> Finding:
    """What the pods of an embedded lab may use here."""
    from kubewire.providers.netns import cgroups, linux
    from kubewire.providers.netns.provider import pod_limits

    controllers = sorted(cgroups.homes(cgroups.own_groups()))
    text = pod_limits(controllers, rootful=linux.may_make_namespaces())
    whole = len(controllers) == len(cgroups.CONTROLLERS)
    mend = "" if whole else "run the lab as root, or in a session of systemd --user (delegated cgroup v2)"
    return Finding("limits of each pod", "ok" if whole else "note", text, mend)


def _vm() -> list[Finding]:
    """Whether this machine can run a lab in a VM: what mode ipvs takes where the kernel has no ip_vs."""
    from kubewire.hosts.vm import preflight
    from kubewire.hosts.vm.qemu import own_qemu

    lacks = preflight.missing()
    qemu = own_qemu()
    which = qemu.which if qemu else "QEMU of Debian, fetched when it is needed"
    text = "; ".join(what for what, _ in lacks) or f"can run here ({which})"
    mend = "\n".join(mend for _, mend in lacks)
    return [Finding("VM (--host vm)", "note" if lacks else "ok", text, mend)]


def _known_bites() -> list[Finding]:
    """What is known to bite, where it doesn't yet."""
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
            Finding("container", "note", "in a container, /proc must not be masked and namespaces be allowed")
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
    text = ", ".join(versions) or "nothing yet; the first `up` fetches or builds it"
    return [
        Finding("Kubernetes in the cache", "ok" if versions else "note", f"{text} ({cache_dir()})"),
        _hashes(),
    ]


def _hashes() -> Finding:
    """Whether the official files' hashes ship with this kubewire."""
    from kubewire.binaries import hashes

    entries = hashes.shipped()
    unseen = sum(not entry.sha256 for entry in entries)
    if not unseen:
        return Finding("hashes of binaries", "ok", f"all {len(entries)} official files are in binaries.lock")
    return Finding(
        "hashes of binaries",
        "note",
        f"{unseen} of {len(entries)} official files have none in binaries.lock: the first download is taken "
        f"with the checksum that its host publishes, and remembered in {hashes.known_file()}",
        "where the official hosts can be reached: make lock-binaries",
    )
