"""The content of the guest's root and of the host-side tools. Pure."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kubewire.core.bundle import picked

SUITE = "trixie"
GUEST = Path(__file__).parent / "guest"
PYTHON = "3.13"
MIN_QEMU = 10
"""7.2 is known to double-fault with two TCG threads."""
ROOT_PACKAGES = (
    "linux-image-cloud-amd64",
    "openssh-server",
    "python3",
    "iptables",
    "nftables",
    "ipset",
    "ipvsadm",
    "conntrack",
    "iproute2",
    "kmod",
    "procps",
    "curl",
    "ca-certificates",
)
TOOL_PACKAGES = ("python3", "e2fsprogs", "libarchive13t64")
"""Debian programs that the host runs: the guest's Python, to compile for it; a mkfs.ext4 that reads tar."""
QEMU_PACKAGE = "qemu-system-x86"
PLATFORMS = (
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux_2_28_x86_64",
    "manylinux_2_34_x86_64",
)
"""The wheel tags that Debian's Python supports, glibc 2.41."""
BUILT_IN = ("first", "kubewire.pth")
"""Files of `guest/` that are part of the root; the others are on each VM's seed disk."""
UNUSED = ("greenlet",)
"""For httpbin's gevent worker, which no lab starts; the locked version has no wheel for this Python."""


def root_key() -> str:
    """The root's key, from all its inputs; another recipe is another root."""
    return _key(SUITE, *ROOT_PACKAGES, *(guest_file(name) for name in (*BUILT_IN, "hook")))


def tools_key(with_qemu: bool) -> str:
    return _key(SUITE, *tool_packages(with_qemu))


def tool_packages(with_qemu: bool) -> tuple[str, ...]:
    return (*TOOL_PACKAGES, *((QEMU_PACKAGE,) if with_qemu else ()))


def packages_key(requirements: str) -> str:
    """The key of the Python packages' disk, from the lock file's text."""
    return _key(PYTHON, *PLATFORMS, *UNUSED, requirements)


def installable(requirements: str) -> str:
    """The lock file without what the guest can't and needn't install."""
    return picked(requirements, PYTHON, lambda name: name not in UNUSED)


def guest_file(name: str) -> str:
    return (GUEST / name).read_text()


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
