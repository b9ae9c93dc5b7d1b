"""The kernel modules of kube-proxy's ipvs mode: loaded, loadable or absent."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from kubewire.providers.netns.capabilities import in_throwaway

State = Literal["loaded", "built in", "loadable", "absent", "unknown"]

SETS = {
    "ip_set_hash_ip": "hash:ip",
    "ip_set_hash_ipport": "hash:ip,port",
    "ip_set_hash_ipportip": "hash:ip,port,ip",
    "ip_set_hash_ipportnet": "hash:ip,port,net",
    "ip_set_bitmap_port": "bitmap:port range 0-65535",
}
"""Module → the set type that it provides, in `ipset create`'s syntax."""
NEEDED = ("ip_vs", "nf_conntrack", "dummy", "ip_set", *SETS, "xt_set")
DEFAULT_SCHEDULER = "rr"
BY_USE = frozenset({*SETS, "dummy", "xt_set"})
"""Modules that the kernel loads on first use; `works` uses them."""

SYS = Path("/sys/module")
LIB = Path("/lib/modules")
PROC = Path("/proc/modules")


def needed(scheduler: str | None = None) -> tuple[str, ...]:
    """The modules that mode ipvs needs, with that of the scheduler."""
    return (NEEDED[0], f"ip_vs_{scheduler or DEFAULT_SCHEDULER}", *NEEDED[1:])


def states(names: Iterable[str]) -> dict[str, State]:
    """Each module's state. `unknown`: not loaded, and without /lib/modules, as in most containers, it isn't
    known whether the kernel can load it. A kernel without /proc/modules can't load any.
    """
    folder = LIB / platform.release()
    built_in, loadable = (_listed(folder / listing) for listing in ("modules.builtin", "modules.dep"))
    listed = bool(built_in or loadable) or not PROC.exists()

    def state(name: str) -> State:
        if name in built_in:
            return "built in"
        if (SYS / name).exists():
            return "loaded"
        if name in loadable:
            return "loadable"
        return "absent" if listed else "unknown"

    return {name: state(name) for name in names}


def would_load(found: Mapping[str, State]) -> list[str]:
    """Those of the modules that using them may make the kernel load."""
    return [name for name, state in found.items() if state in ("loadable", "unknown")]


def load(names: Sequence[str]) -> bool:
    """Load these modules if this process may: root in the initial user namespace."""
    if not names or not may_load():
        return not names
    from kubewire.core.processes import run

    return run(["modprobe", "-a", *names], timeout=60.0).code == 0


def comes_with_up(name: str, state: State) -> bool:
    """Whether a missing module can be loaded, by `up` or by the kernel on first use."""
    return (state == "loadable" and may_load()) or (state in ("loadable", "unknown") and name in BY_USE)


def may_load() -> bool:
    """CAP_SYS_MODULE counts only in the initial user namespace; most containers lack it."""
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff"))
    return os.geteuid() == 0 and bool(effective & 1 << 16) and _in_first_user_namespace()


def works(name: str) -> bool:
    """Whether using the module works, where a try is cheap: decisive if its state is unknown."""
    if name in SETS:
        text = f"create kw {SETS[name]}\n"
        return _has("ipset") and not in_throwaway(("ipset", "restore"), text)
    if name == "dummy":
        return _has("ip") and not in_throwaway(("ip", "link", "add", "kw0", "type", "dummy"), "")
    if name == "xt_set":
        use = "ipset create kw hash:ip && iptables -A INPUT -m set --match-set kw src"
        return _has("ipset") and _has("iptables") and not in_throwaway(("sh", "-c", use), "")
    if name == "ip_vs":
        return Path("/proc/net/ip_vs").exists()
    return False


def _has(tool: str) -> bool:
    from kubewire.core.processes import run

    return run([tool, "-V" if tool == "ip" else "--version"], timeout=5.0).code != 127


def _in_first_user_namespace() -> bool:
    return Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]


def _listed(listing: Path) -> frozenset[str]:
    """Module names in modules.dep or modules.builtin, none if the file can't be read."""
    try:
        lines = listing.read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(
        Path(line.partition(":")[0]).name.partition(".ko")[0].replace("-", "_") for line in lines
    )
