"""Debian root filesystems by mmdebstrap."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from kubewire.core.errors import HostError
from kubewire.core.processes import run

SUITE = "bookworm"
"""Debian 12: the last release with a systemd that runs on cgroup v1."""
SECONDS = 3600.0
PROGRAMS = {"mmdebstrap": "mmdebstrap"}
"""The commands to build a root filesystem: command → Debian package."""
PYTHON = "3.11"
"""The Python version of that suite."""

NODE_PACKAGES = (
    "bash,ca-certificates,conntrack,curl,ethtool,ipset,iproute2,iptables,iputils-ping,ipvsadm,jq,kmod,"
    "libseccomp2,mount,nftables,procps,runc,socat,systemd,systemd-sysv,tcpdump,util-linux"
)
"""The packages that kind, kubelet and kubeadm need in a node, and the tools that a lab may ask for."""
POD_PACKAGES = "busybox-static,conntrack,ipset,iptables,kmod,nftables,netbase"
"""The base of kube-proxy's image: the tools by which it programs the kernel."""
PYTHON_PACKAGES = "python3-minimal,python3,media-types"

NODE_TIDY = """
rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/usr/share/doc/* "$1"/usr/share/man/* \
  "$1"/usr/share/locale/* "$1"/usr/share/info/* "$1"/var/log/*
rm -f "$1"/lib/systemd/system/multi-user.target.wants/* "$1"/etc/systemd/system/*.wants/* \
  "$1"/lib/systemd/system/local-fs.target.wants/* "$1"/lib/systemd/system/sockets.target.wants/*udev* \
  "$1"/lib/systemd/system/sockets.target.wants/*initctl* \
  "$1"/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
"""
"""Run with the root's folder as $1: removes caches, and units that would manage real hardware."""


def require() -> None:
    """HostError naming everything that this machine lacks to build a root filesystem."""
    lacking = []
    if os.geteuid() != 0:
        lacking.append("root (device nodes and file owners of another system)")
    if not shutil.which("mmdebstrap"):
        lacking.append("mmdebstrap (Debian, Ubuntu: sudo apt-get install mmdebstrap)")
    if lacking:
        raise HostError(
            f"building a node image needs {' and '.join(lacking)}",
            hint="or let kind use its own published image: leave `image build` out",
        )


def node_root(target: Path) -> None:
    """A complete system for a kind node in the folder `target`, without Kubernetes."""
    _mmdebstrap(target, "--variant=minbase", f"--include={NODE_PACKAGES}", f"--customize-hook={NODE_TIDY}")


def pod_root(target: Path, packages: str) -> None:
    """Only the files of some packages and their dependencies, unpacked into the folder `target`."""
    _mmdebstrap(target, "--variant=extract", f"--include={packages}")
    for folder in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info"):
        shutil.rmtree(target / folder, ignore_errors=True)


def _mmdebstrap(target: Path, *options: str) -> None:
    answer = run(
        ["mmdebstrap", "--quiet", "--mode=root", "--dpkgopt=force-unsafe-io", *options, SUITE, str(target)],
        timeout=SECONDS,
    )
    if answer.code:
        said = answer.err.splitlines()
        words = [line for line in said if line.startswith("E:")] or said[-1:] or ["it printed nothing"]
        raise HostError(
            f"mmdebstrap failed: {' '.join(words[-3:])}",
            hint="it needs access to Debian's packages; http_proxy may name a proxy",
        )
