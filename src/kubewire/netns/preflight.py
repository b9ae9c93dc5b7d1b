"""Whether this machine can run an embedded lab, and what to do where it can't."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.errors import HostError
from kubewire.netns import linux
from kubewire.netns.plan import SYSTEM_PATH

if TYPE_CHECKING:
    from kubewire.lab.schema import Lab

DEBIAN_PACKAGES = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "iptables-save": "iptables",
    "nft": "nftables",
    "curl": "curl",
    "conntrack": "conntrack",
}
IPVS_PACKAGES = {"ipset": "ipset", "ipvsadm": "ipvsadm"}


@dataclass(frozen=True)
class Requirement:
    """One thing a lab needs: whether it is there, what was found, and what to do if it isn't.

    `modes` are the kube-proxy modes that need it; empty for all.
    """

    name: str
    ok: bool
    detail: str
    mend: str = ""
    modes: tuple[str, ...] = ()


def require(lab: Lab) -> None:
    """Raise one HostError that names everything this lab lacks here."""
    missing = [need for need in survey() if not need.ok and (not need.modes or lab.mode.value in need.modes)]
    if missing:
        raise HostError(
            f"this machine can't run lab {lab.name} embedded: "
            + "; ".join(f"{need.name}: {need.detail}" for need in missing),
            mend="\n  ".join(dict.fromkeys(need.mend for need in missing if need.mend)),
        )


def survey() -> list[Requirement]:
    """Everything an embedded lab may need, tried for real where that is the only way to know."""
    system = _system()
    if not system.ok:
        return [system]
    return [system, _namespaces(), *_tools(), *_ip_vs()]


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
    """Make a sandbox's namespaces in a child, mount what it mounts, and see which step is refused."""
    name = "namespaces"
    refused = _try_sandbox()
    if not refused:
        return Requirement(name, True, "pid, network and mount namespaces can be made, /proc/sys written")
    return Requirement(name, False, refused, _namespace_mend(refused))


def _try_sandbox() -> str:
    """`step: error` of the first refused step, or "". Everything happens in children, nothing stays."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            _attempt(write)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        refused = stream.read()
    os.waitpid(pid, 0)
    return refused


def _attempt(report: int) -> None:
    step = "unshare"
    try:
        if linux.may_make_namespaces():
            linux.unshare(linux.CLONE_NEWPID)
        else:
            uid, gid = os.geteuid(), os.getegid()
            linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWPID)
            step = "mapping the user"
            linux.map_single_user(uid, gid)
        if os.fork():
            os.wait()
            return
        step = "unshare of mount and network namespaces"
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC)
        step = "mount propagation"
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        step = "mounting /proc"
        linux.mount("proc", "/proc", "proc")
        step = "writing /proc/sys/net"
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    except OSError as error:
        os.write(report, f"{step} is refused: {os.strerror(error.errno or 0)}".encode())


def _namespace_mend(refused: str) -> str:
    """What lifts the refusal, told by the switch that is set."""
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
            found = shutil.which(tool) or shutil.which(tool, path=SYSTEM_PATH)
            mend = "" if found else f"install {tool} (Debian, Ubuntu: sudo apt-get install {package})"
            yield Requirement(tool, bool(found), found or "not installed", mend, modes)


def _ip_vs() -> Iterator[Requirement]:
    """What kube-proxy's ipvs mode asks of the kernel: ip_vs, the dummy link type, ip_set matches."""
    mend = (
        "mode ipvs needs a kernel with ip_vs and dummy: another kernel (Debian's linux-image has them), "
        "a VM, or a lab in mode nftables, its successor"
    )
    present = {"ip_vs": Path("/proc/net/ip_vs").exists(), "dummy": _link_type("dummy")}
    available = _kernel_modules()
    for module in ("ip_vs", "ip_vs_rr", "dummy", "xt_set", "ip_set_hash_ipport"):
        if present.get(module) or Path("/sys/module", module).exists() or module in available:
            loadable = os.geteuid() == 0 or module not in available or Path("/sys/module", module).exists()
            hint = "" if loadable else f"sudo modprobe {module}"
            yield Requirement(f"kernel: {module}", loadable, hint or "present", hint, ("ipvs",))
        else:
            kernel = platform.release()
            yield Requirement(f"kernel: {module}", False, f"kernel {kernel} has none", mend, ("ipvs",))


def _link_type(kind: str) -> bool:
    """Whether the kernel makes such a link, tried in a network namespace of its own."""
    user = [] if linux.may_make_namespaces() else ["--user", "--map-root-user"]
    argv = ["unshare", *user, "--net", "ip", "link", "add", "kw0", "type", kind]
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=5).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _kernel_modules() -> frozenset[str]:
    """The names of the modules that are built in or installed for the running kernel."""
    folder = Path("/lib/modules", platform.release())
    names = set()
    for listing in ("modules.builtin", "modules.dep"):
        try:
            lines = (folder / listing).read_text().splitlines()
        except OSError:
            continue
        names |= {Path(line.partition(":")[0]).name.partition(".ko")[0].replace("-", "_") for line in lines}
    return frozenset(names)
