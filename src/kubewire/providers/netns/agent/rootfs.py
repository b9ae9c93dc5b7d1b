"""A pod's root folder: the host's programs and libraries, its own /etc, and its volumes.

The tree is plain folders and files below the agent's run folder. The launcher mounts what is shared with the
host, only in the pod's own mount namespace.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

HOST_FOLDERS = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "nix", "gnu")
HOST_ETC = ("ld.so.cache", "ld.so.conf", "localtime", "mime.types")
DEVICES = ("null", "zero", "full", "random", "urandom")
PASSWD = "root:x:0:0:root:/:/usr/sbin/nologin\npod:x:{uid}:{uid}:pod:/tmp:/usr/sbin/nologin\n"  # noqa: S105


@dataclass(frozen=True)
class Mount:
    """A host path and its path in the pod (absolute).

    `below` is a path inside `source` that the pod itself may have created. Only mounts with `devices` may
    hold device files.
    """

    source: Path
    target: str
    writable: bool = False
    below: str = ""
    devices: bool = False


def build(root: Path, etc: Mapping[str, str], mounts: Iterable[Mount]) -> list[Mount]:
    """Create the tree in a new folder, with these files of /etc (name → text); the mounts it needs."""
    for folder in ("etc", "proc", "dev", "dev/shm", "run", "var", "opt"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    links = {"var/run": "run", **_host_links()}
    for name, leads_to in links.items():
        (root / name).symlink_to(posixpath.relpath(leads_to, posixpath.dirname(name) or "."))
    for name, text in etc.items():
        (root / "etc" / name).write_text(text)
    needed = [*_host_folders(), *mounts]
    needed += [Mount(Path("/etc", name), f"/etc/{name}") for name in HOST_ETC if Path("/etc", name).exists()]
    needed += [
        Mount(Path("/dev", name), f"/dev/{name}", writable=True, devices=True)
        for name in DEVICES
        if Path("/dev", name).exists()
    ]
    return [replace(mount, target=_without_links(mount.target, links)) for mount in needed]


def host_mounts(paths: Iterable[Path]) -> list[Mount]:
    """Mounts of host paths at the same path in the pod, without those that the mount of /usr includes."""
    kept: list[Path] = []
    for path in sorted(dict.fromkeys(paths), key=lambda path: len(path.parts)):
        covered = any(path.is_relative_to(above) for above in kept)
        if not covered and path.parts[1] not in HOST_FOLDERS:
            kept.append(path)
    return [Mount(path, str(path)) for path in kept]


def etc_files(
    *, hostname: str, uid: int, ips: Iterable[str], nameserver: str | None, namespace: str
) -> dict[str, str]:
    """The pod's own /etc, as from kubelet and a small image."""
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


def _host_links() -> dict[str, str]:
    """Program folders that are links on this host (merged /usr): name → target, from the root."""
    links = {name: Path("/", name) for name in HOST_FOLDERS if Path("/", name).is_symlink()}
    return {name: str(link.readlink()).lstrip("/") for name, link in links.items()}


def _host_folders() -> list[Mount]:
    return [
        Mount(folder, str(folder))
        for folder in (Path("/", name) for name in HOST_FOLDERS)
        if folder.is_dir() and not folder.is_symlink()
    ]


def _without_links(target: str, links: Mapping[str, str]) -> str:
    """`target`, with this root's own links resolved: mounting follows no others."""
    path = posixpath.normpath("/" + target).lstrip("/")
    for link, leads_to in links.items():
        if path == link or path.startswith(f"{link}/"):
            return leads_to + path[len(link) :]
    return path
