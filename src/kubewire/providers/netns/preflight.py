"""Whether this machine can run an embedded lab, and what to do if it can't."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.core import os_packages
from kubewire.core.errors import HostError
from kubewire.core.os_packages import require_installable
from kubewire.core.processes import run, search_path
from kubewire.providers.base import Finding, tool_command
from kubewire.providers.netns import cgroups, limits, linux, modules, netfilter
from kubewire.providers.netns.capabilities import try_sandbox
from kubewire.providers.netns.netfilter import Trial

if TYPE_CHECKING:
    from kubewire.lab.schema import Lab

DEBIAN_PACKAGES = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "iptables-save": "iptables",
    "nft": "nftables",
    "curl": "curl",
    "conntrack": "conntrack",
    "sysctl": "procps",
}
IPVS_PACKAGES = {"ipset": "ipset", "ipvsadm": "ipvsadm"}
PACKAGES = DEBIAN_PACKAGES | IPVS_PACKAGES | {"tcpdump": "tcpdump"}
"""Commands that a lab may call on this machine, and so in its nodes: command → Debian package."""

_LINKS = "link add br0 type bridge\nlink add veth0 type veth peer name veth1\n"
_USED = {
    "bridge and veth": ("bridge", "veth"),
    "iptables rules": (
        *("nf_tables", "nft_compat", "nf_nat", "nf_conntrack", "xt_comment", "xt_statistic", "xt_addrtype"),
        *("xt_recent", "xt_mark", "xt_nat", "xt_conntrack", "xt_MASQUERADE", "xt_tcpudp", "ipt_REJECT"),
    ),
    "nftables rules": (
        *("nf_tables", "nft_chain_nat", "nft_numgen", "nft_masq", "nft_reject", "nft_reject_ipv4"),
        *("nft_nat", "nft_ct", "nft_fib", "nft_fib_ipv4"),
    ),
}
"""The modules that the kernel loads for each try; one that a kernel doesn't have is fine."""
_BASIS = ("Linux", "namespaces")
_NO_EXTENSION = "install the iptables package whole: the folder of its extensions lacks the one that is named"
_NEWER_KERNEL = "use a newer kernel, or set KUBE_PROXY_NFTABLES_SKIP_KERNEL_VERSION_CHECK for kube-proxy"
_IPVS = ("ipvs",)
_NO_IPVS = (
    "mode ipvs needs a kernel with ip_vs and dummy: --host vm brings one; else another kernel (Debian's "
    "linux-image has them), or a lab in mode nftables, its successor"
)


@dataclass(frozen=True)
class Requirement:
    """One requirement of a lab: whether it is met, what was found, and what to do if it isn't.

    `modes` are the kube-proxy modes that need it; empty for all.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""
    modes: tuple[str, ...] = ()


def require(lab: Lab, *, load: bool = False) -> None:
    """Raise one HostError that names everything this lab lacks here; `load` as in `survey`."""
    found = survey(load=load)
    if lab.mode.value in _IPVS and lab.kube_proxy.scheduler and all(need.ok for need in found):
        found += list(_ip_vs(lab.kube_proxy.scheduler, load=load))
    _refuse(lab, _missing(found, lab.mode.value))


def require_all_but_packages(lab: Lab) -> None:
    """HostError for what no package provides (ip_vs in the kernel), or packages that can't be installed."""
    _refuse(lab, [need for need in _missing(survey(), lab.mode.value) if need.name not in PACKAGES])
    require_installable(missing_packages([lab.mode.value], lab.tools))


def lacks_for(mode: str) -> str:
    """What a mode lacks and no package provides; "" if nothing."""
    lacks: dict[str, list[str]] = {}
    for need in _missing(survey(), mode):
        if need.name not in PACKAGES:
            lacks.setdefault(need.detail, []).append(need.name.removeprefix("kernel: "))
    return "; ".join(f"{', '.join(names)}: {detail}" for detail, names in lacks.items())


def missing_packages(modes: Iterable[str], tools: Iterable[str]) -> list[str]:
    """The packages of commands that are neither on PATH nor in the sbin folders."""
    ipvs = IPVS_PACKAGES if set(_IPVS).intersection(modes) else {}
    beside = {command: PACKAGES[command] for command in map(tool_command, tools)}
    return os_packages.missing_packages(DEBIAN_PACKAGES | ipvs | beside)


def _missing(needs: Iterable[Requirement], mode: str) -> list[Requirement]:
    return [need for need in needs if not need.ok and (not need.modes or mode in need.modes)]


def _refuse(lab: Lab, missing: list[Requirement]) -> None:
    if missing:
        raise HostError(
            f"this machine can't run lab {lab.name} embedded: "
            + "; ".join(f"{need.name}: {need.detail}" for need in missing),
            hint="\n  ".join(dict.fromkeys(need.hint for need in missing if need.hint)),
        )


def kernel_lacks(lab: Lab) -> list[str]:
    """The kernel modules that this lab needs and this kernel can't load."""
    needs = _ip_vs(lab.kube_proxy.scheduler) if lab.mode.value in _IPVS else ()
    return [need.name.removeprefix("kernel: ") for need in needs if not need.ok and need.hint == _NO_IPVS]


def survey(*, load: bool = False) -> list[Requirement]:
    """All requirements of an embedded lab, tried out where that is the only way to know.

    Without `load`, nothing is tried that would make the kernel load a module: loadable modules count as met.
    Only `up` loads.
    """
    system = _system()
    if not system.ok:
        return [system]
    namespaces = _namespaces()
    kernel = [*_netfilter(load=load), *_ip_vs(load=load)] if namespaces.ok else []
    return [system, namespaces, *_tools(), *kernel]


def findings() -> list[Finding]:
    """What `doctor` finds for embedded labs on this machine."""
    needs = survey()
    return [
        *(
            Finding(
                need.name if not need.modes else f"{need.name} ({', '.join(need.modes)})",
                "ok" if need.ok else "note" if need.modes else "missing",
                need.detail,
                "" if need.ok else need.hint,
            )
            for need in needs
        ),
        *_accounting(
            refused=next((need.detail for need in needs if not need.ok and need.name in _BASIS), "")
        ),
        *_nft(),
        _pod_limits(),
    ]


def _accounting(*, refused: str) -> Iterator[Finding]:
    """A kernel on which kube-proxy of 1.31 and later writes rules that iptables refuses (k/k#142068).

    `refused`: why there can be no temporary namespace, "" where there can.
    """
    name = "kernel: xt_nfacct (iptables)"
    found = modules.states(("nfnetlink_acct", "xt_nfacct"))
    if found["nfnetlink_acct"] not in ("absent", "unknown") and found["xt_nfacct"] == "absent":
        trouble = "absent beside nfnetlink_acct"
    elif refused or (would := modules.would_load(found)):
        why = refused or f"that may load {', '.join(would)}"
        yield Finding(name, "note", f"not tried: {why}")
        return
    else:
        trouble = netfilter.counters_refused()
    if not trouble:
        yield Finding(name, "ok", "works, or kube-proxy has no counters here")
    else:
        detail = f"{trouble}: from 1.31 on no sync of kube-proxy succeeds (k/k#142068)"
        hint = "use a kernel with xt_nfacct, or without nfnetlink_acct, or mode nftables"
        yield Finding(name, "note", detail, hint)


def _nft() -> Iterator[Finding]:
    """Whether kube-proxy's nftables mode accepts this nft and kernel, and nft the tables that are there."""
    told = run(("nft", "--version"), timeout=5.0)
    if told.code:
        return
    for name, text, oldest, mend in (
        ("nft (nftables)", told.out.strip(), netfilter.OLDEST_NFT, "install a newer nftables"),
        ("kernel (nftables)", platform.release(), netfilter.OLDEST_KERNEL, _NEWER_KERNEL),
    ):
        wanted, version = ".".join(map(str, oldest)), netfilter.version_of(text)
        if version and version < oldest:
            yield Finding(name, "note", f"{text}: kube-proxy of 1.31 and later wants {wanted} here", mend)
        elif version:
            yield Finding(name, "ok", f"{text}: {wanted} or later is enough")
    name = "nft tables here (nftables)"
    if not linux.may_make_namespaces():
        yield Finding(name, "note", "not tried: only root may list them", "sudo kubewire doctor")
    elif would := modules.would_load(modules.states(("nf_tables",))):
        yield Finding(name, "note", f"not tried: that may load {', '.join(would)}")
    elif unread := netfilter.unread_tables():
        detail = (
            f"{'; '.join(unread)}: a kube-proxy with this nft could not sync on this machine (k/k#136786)"
        )
        hint = "install an nft as new as the one that wrote it; labs have tables of their own"
        yield Finding(name, "note", detail, hint)
    else:
        yield Finding(name, "ok", "this nft reads all of them")


def _pod_limits() -> Finding:
    """The limits of a lab's pods on this machine."""
    controllers = sorted(cgroups.homes(cgroups.own_groups()))
    text = limits.described(controllers, rootful=linux.may_make_namespaces())
    whole = len(controllers) == len(cgroups.CONTROLLERS)
    hint = "" if whole else "run the lab as root, or in a session of systemd --user (delegated cgroup v2)"
    return Finding("limits of each pod", "ok" if whole else "note", text, hint)


def _system() -> Requirement:
    kernel = platform.release()
    if sys.platform != "linux":
        return Requirement(
            "Linux",
            False,
            f"this is {platform.system()}",
            "network namespaces are Linux's: use a Linux machine or VM, or --provider kind with Docker",
        )
    wsl = "microsoft" in kernel.lower()
    detail = f"Linux {kernel}{' (WSL: its kernel may lack netfilter or ip_vs modules)' if wsl else ''}"
    if linux.may_make_namespaces():
        return Requirement("Linux", True, f"{detail}, as root")
    return Requirement("Linux", True, f"{detail}, as an ordinary user")


def _namespaces() -> Requirement:
    """Create a sandbox's namespaces and mounts in a child, and see which step is refused."""
    name = "namespaces"
    refused = try_sandbox()
    if not refused:
        return Requirement(name, True, "pid, network and mount namespaces can be created, /proc/sys written")
    return Requirement(name, False, refused, _namespace_hint(refused))


def _namespace_hint(refused: str) -> str:
    """The fix for the refusal, from the sysctl that causes it."""
    if _sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor keeps ordinary users from user namespaces (Ubuntu 23.10 and later): "
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run the lab as root"
        )
    if _sysctl("kernel/unprivileged_userns_clone") == "0":
        return "sudo sysctl -w kernel.unprivileged_userns_clone=1, or run the lab as root"
    if _sysctl("user/max_user_namespaces") == "0":
        return "sudo sysctl -w user.max_user_namespaces=15000, or run the lab as root"
    if "/proc" in refused:
        return (
            "this looks like a container with a masked /proc: run it with --privileged, or with "
            "--security-opt systempaths=unconfined --cap-add SYS_ADMIN --cap-add NET_ADMIN"
        )
    return (
        "in a container, allow namespaces (--privileged, or --cap-add SYS_ADMIN --cap-add NET_ADMIN with "
        "--security-opt seccomp=unconfined); elsewhere run the lab as root"
    )


def _sysctl(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""


def _tools() -> Iterator[Requirement]:
    """The OS tools; those that only mode ipvs needs are marked so."""
    for packages, modes in ((DEBIAN_PACKAGES, ()), (IPVS_PACKAGES, ("ipvs",))):
        for tool, package in packages.items():
            found = shutil.which(tool, path=search_path())
            hint = "" if found else f"install {tool} (Debian, Ubuntu: sudo apt-get install {package})"
            yield Requirement(tool, bool(found), found or "not installed", hint, modes)


def _netfilter(*, load: bool) -> Iterator[Requirement]:
    """Write a lab's kinds of rules, in a temporary network namespace."""
    other = "use another kernel: most distributions' own have all of netfilter; in WSL, a newer one"
    tries: tuple[tuple[str, Trial, tuple[str, ...]], ...] = (
        ("bridge and veth", Trial(("ip", "-batch", "-"), {"links": _LINKS}, "".join), ()),
        ("iptables rules", netfilter.IPTABLES, ()),
        ("nftables rules", netfilter.NFTABLES, ("nftables",)),
    )
    for name, trial, modes in tries:
        found = {} if load else modules.states(_USED[name])
        if would := modules.would_load(found):
            detail = f"not tried, since that may load {', '.join(would)}: `up` does"
            yield Requirement(f"kernel: {name}", True, detail, "", modes)
            continue
        refused = trial.refused()
        hint = _NO_EXTENSION if "Couldn't load" in refused else other if refused else ""
        yield Requirement(f"kernel: {name}", not refused, refused or "work", hint, modes)


def _ip_vs(scheduler: str | None = None, *, load: bool = False) -> Iterator[Requirement]:
    """The requirements of kube-proxy's ipvs mode; with `load`, modules are loaded if this process may."""
    names = modules.needed(scheduler)
    found = modules.states(names)
    if load and modules.load([name for name in names if found[name] == "loadable"]):
        found = modules.states(names)
    left = [] if load else [name for name in names if modules.comes_with_up(name, found[name])]
    lacking = [
        name
        for name in names
        if name not in left and found[name] in ("loadable", "unknown") and not modules.works(name)
    ]
    line = f"sudo modprobe -a {' '.join(lacking)}"
    for name in names:
        state = found[name]
        if name in left:
            yield Requirement(f"kernel: {name}", True, f"{state}, not tried: `up` does", "", _IPVS)
        elif state == "absent" and not modules.works(name):
            yield Requirement(
                f"kernel: {name}", False, f"kernel {platform.release()} has none", _NO_IPVS, _IPVS
            )
        elif name not in lacking:
            yield Requirement(
                f"kernel: {name}", True, state if state in ("loaded", "built in") else "works", "", _IPVS
            )
        elif state == "loadable":
            yield Requirement(f"kernel: {name}", False, "not loaded", line, _IPVS)
        else:
            where = "not loaded, and there is no /lib/modules to load it from"
            yield Requirement(
                f"kernel: {name}", False, where, f"on the machine that carries this: {line}", _IPVS
            )
