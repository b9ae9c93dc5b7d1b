"""A pod's root folder: the host's programs and libraries, an /etc of its own, its volumes, nothing else.

The tree is plain folders and files below the agent's run folder; what is shared with the host comes in by
mounts that an fstab lists and that exist only in the pod's own mount namespace.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

HOST_FOLDERS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu")
HOST_ETC = ("ld.so.cache", "ld.so.conf", "localtime", "mime.types")
DEVICES = ("null", "zero", "full", "random", "urandom")
PASSWD = "root:x:0:0:root:/:/usr/sbin/nologin\npod:x:{uid}:{uid}:pod:/tmp:/usr/sbin/nologin\n"  # noqa: S105


# What a remount in a user namespace may not drop, by its bit in statvfs.
LOCKED_OPTIONS = {
    os.ST_NOSUID: "nosuid",
    os.ST_NODEV: "nodev",
    os.ST_NOEXEC: "noexec",
    os.ST_NOATIME: "noatime",
    os.ST_NODIRATIME: "nodiratime",
    os.ST_RELATIME: "relatime",
}


@dataclass(frozen=True)
class Mount:
    """A host path and where it appears in the pod (absolute, as the pod sees it)."""

    source: Path
    target: str
    writable: bool = False

    def options(self) -> str:
        """The fstab options; a read-only one keeps what its file system was mounted with."""
        if self.writable:
            return "rbind"
        flags = os.statvfs(self.source).f_flag
        return ",".join(("rbind", "ro", *(name for bit, name in LOCKED_OPTIONS.items() if flags & bit)))


def fstab(root: Path, mounts: Iterable[Mount]) -> str:
    """The mounts of a pod in fstab syntax: its root onto itself first, /proc of its own last."""
    lines = [f"{_quote(root)} {_quote(root)} none bind 0 0"]
    lines += [f"{_quote(m.source)} {_quote(_below(root, m.target))} none {m.options()} 0 0" for m in mounts]
    lines += [
        f"tmpfs {_quote(_below(root, '/dev/shm'))} tmpfs nosuid,nodev,size=16m,mode=1777 0 0",  # noqa: S108
        f"proc {_quote(_below(root, '/proc'))} proc nosuid,nodev,noexec 0 0",
    ]
    return "\n".join(lines) + "\n"


def build(root: Path, etc: Mapping[str, str], mounts: Iterable[Mount]) -> list[Mount]:
    """Make the tree, with the files of /etc given as name → text; all mounts it needs, in order."""
    for folder in ("etc", "proc", "dev", "dev/shm", "run", "var", "opt"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    if not (root / "var/run").is_symlink():
        (root / "var/run").symlink_to("../run")
    for name, text in etc.items():
        (root / "etc" / name).write_text(text)
    needed = [*_host_folders(root), *mounts]
    needed += [Mount(Path("/etc", name), f"/etc/{name}") for name in HOST_ETC if Path("/etc", name).exists()]
    needed += [
        Mount(Path("/dev", name), f"/dev/{name}", writable=True)
        for name in DEVICES
        if Path("/dev", name).exists()
    ]
    for mount in needed:
        _mount_point(mount.source, _below(root, mount.target))
    return needed


def host_mounts(paths: Iterable[Path]) -> list[Mount]:
    """Mounts that show host paths in the pod at the same place, without those that /usr already shows."""
    kept: list[Path] = []
    for path in sorted(dict.fromkeys(paths), key=lambda path: len(path.parts)):
        covered = any(path.is_relative_to(above) for above in kept)
        if not covered and path.parts[1] not in HOST_FOLDERS:
            kept.append(path)
    return [Mount(path, str(path)) for path in kept]


def etc_files(
    *, hostname: str, uid: int, ips: Iterable[str], nameserver: str | None, namespace: str
) -> dict[str, str]:
    """The pod's own /etc, as kubelet and a small image would give it."""
    own = "".join(f"{ip}\t{hostname}\n" for ip in ips)
    resolv = ""
    if nameserver:
        domains = f"{namespace}.svc.cluster.local svc.cluster.local cluster.local"
        resolv = f"search {domains}\nnameserver {nameserver}\noptions ndots:5\n"
    return {
        "hostname": f"{hostname}\n",
        "hosts": f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}",
        "resolv.conf": resolv,
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "passwd": PASSWD.format(uid=uid),
        "group": f"root:x:0:\npod:x:{uid}:\n",
    }


def _host_folders(root: Path) -> list[Mount]:
    """The host's program folders; where the host has a link (merged /usr) the pod gets the same link."""
    mounts = []
    for name in HOST_FOLDERS:
        on_host = Path("/", name)
        if on_host.is_symlink():
            link = root / name
            if not link.is_symlink():
                link.symlink_to(str(on_host.readlink()).lstrip("/"))
        elif on_host.is_dir():
            mounts.append(Mount(on_host, f"/{name}"))
    return mounts


def _mount_point(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        target.mkdir(exist_ok=True)
    else:
        target.touch()


def _below(root: Path, target: str) -> Path:
    """`target` taken as absolute inside `root`; `..` can't leave it."""
    return root / os.path.normpath("/" + target).lstrip("/")


def _quote(path: Path) -> str:
    return "".join(f"\\{ord(char):03o}" if char in " \t\n\\#" else char for char in str(path))
