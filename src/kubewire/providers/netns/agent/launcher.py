"""Start a pod's program without the agent's privileges: `python -m kubewire.providers.netns.agent.launcher`.

One process creates all mounts and drops all privileges by system calls, then executes the pod's program.
Until then nothing from the pod's root or a volume is run, imported or followed: this interpreter is loaded
before the root changes, and each mount point is opened folder by folder, never through a link.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from kubewire.core.prctl import die_with_parent
from kubewire.providers.netns import cgroups, linux

NOT_FOUND, NOT_EXECUTABLE, SETUP_FAILED = 127, 126, 125
# Mount flags that a remount in a user namespace must not drop, by their bit in statvfs.
_LOCKED = {
    os.ST_RDONLY: linux.MS_RDONLY,
    os.ST_NODEV: linux.MS_NODEV,
    os.ST_NOEXEC: linux.MS_NOEXEC,
    os.ST_NOATIME: linux.MS_NOATIME,
    os.ST_NODIRATIME: linux.MS_NODIRATIME,
    os.ST_RELATIME: linux.MS_RELATIME,
}
_COMPLAINTS = 3
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def main() -> int:
    """Wait for the container's first process and end as it does."""
    die_with_parent(signal.SIGKILL)
    order = json.load(sys.stdin)
    netns = os.open(order["netns"], os.O_RDONLY | os.O_CLOEXEC)
    linux.setns(netns, linux.CLONE_NEWNET)
    linux.unshare(linux.CLONE_NEWPID)
    alive, ours = os.pipe()
    pid = linux.fork(lambda: _container(order, alive), close=(ours,))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


def _container(order: dict[str, Any], parent: int) -> None:
    """PID 1 of the pod's PID namespace: becomes the pod's program, or reports what went wrong."""
    die_with_parent(signal.SIGKILL)
    os.set_blocking(parent, False)
    with suppress(BlockingIOError):
        if os.read(parent, 1) == b"":
            os._exit(SETUP_FAILED)  # the parent died before the kernel could end this process with it
    os.dup2(2, _COMPLAINTS, inheritable=False)
    code = SETUP_FAILED
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        _prepare(order)
        os.dup2(1, 2)
        code = NOT_EXECUTABLE
        os.chdir(order["workdir"])
        os.execve(order["argv"][0], order["argv"], order["environment"])  # noqa: S606
    except (OSError, ValueError) as error:
        code = NOT_FOUND if code == NOT_EXECUTABLE and isinstance(error, FileNotFoundError) else code
        text = f"{error}\n".encode(errors="backslashreplace")
        for descriptor in (1, _COMPLAINTS):
            os.write(descriptor, text)
    finally:
        os._exit(code)


def _prepare(order: dict[str, Any]) -> None:
    """Set limits, mounts and the root; then drop privileges and descriptors that the pod must not have."""
    cgroups.join(Path(folder) for folder in order["cgroups"])
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWIPC)
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SLAVE)
    root = _mount_all(order["root"], order["mounts"])
    itself = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    sys.meta_path.clear()  # from here on, anything imported would be the pod's
    linux.pivot_root(root)
    linux.no_new_privileges()
    _become(order["uid"], order["rootful"], itself)
    if order["processes"]:  # the limit of its user: before the change of user, it would be the whole lab's
        resource.setrlimit(resource.RLIMIT_NPROC, (order["processes"], order["processes"]))
    die_with_parent(signal.SIGKILL)  # reset when the user changed
    os.closerange(_COMPLAINTS + 1, os.sysconf("SC_OPEN_MAX"))  # chdir could lead through one of them


def _mount_all(folder: str, mounts: list[dict[str, Any]]) -> int:
    """Create the pod's mounts; a descriptor of its root."""
    bare = os.open(folder, _FOLDER)
    linux.mount(_path(bare), _path(bare), flags=linux.MS_BIND)
    root = os.open(folder, _FOLDER)
    _restrict(root, linux.MS_NODEV)
    for mount in mounts:
        _place(root, mount)
    for target, kind, flags, data in (
        ("dev/shm", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "size=16m,mode=1777"),
        ("proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC, ""),
    ):
        linux.mount(kind, _path(walk(root, target)), kind, flags, data)
    return root


def _place(root: int, mount: dict[str, Any]) -> None:
    """Bind a host path, or with `below` a path in a volume; nosuid, and nodev except for devices."""
    source = os.open(mount["source"], os.O_PATH | os.O_CLOEXEC)
    if mount["below"]:
        source = walk(source, mount["below"], mode=0o1777, anything=True)
    is_folder = stat.S_ISDIR(os.fstat(source).st_mode)
    target = walk(root, mount["target"], folder=is_folder)
    linux.mount(_path(source), _path(target), flags=linux.MS_BIND | linux.MS_REC)
    mounted = walk(root, mount["target"], folder=is_folder)
    _restrict(
        mounted, (0 if mount["devices"] else linux.MS_NODEV) | (0 if mount["writable"] else linux.MS_RDONLY)
    )
    for descriptor in (source, target, mounted):
        os.close(descriptor)


def _restrict(mounted: int, flags: int) -> None:
    """Add these flags and nosuid to a mount, and keep those that it must not lose."""
    has = os.fstatvfs(mounted).f_flag
    kept = sum(flag for bit, flag in _LOCKED.items() if has & bit and not flags & flag)
    flags |= linux.MS_REMOUNT | linux.MS_BIND | linux.MS_NOSUID | kept
    linux.mount("none", _path(mounted), flags=flags)


def walk(start: int, path: str, *, folder: bool = True, mode: int = 0o755, anything: bool = False) -> int:
    """Open `path` below the open folder `start`; OSError if a link, or `..`, is on the way.

    Missing parts are created: folders with this mode, and as the last part a file unless `folder`. With
    `anything` the last part may be either.
    """
    here = os.dup(start)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        raise ValueError(f"{path!r} can't be mounted on")
    for index, part in enumerate(parts):
        wants_folder = folder or index + 1 < len(parts)
        if part == "..":
            raise ValueError(f"{path!r} leads out")
        inner = _enter(here, part, wants_folder, mode)
        kind = os.fstat(inner).st_mode
        if stat.S_ISLNK(kind):
            raise ValueError(f"{path!r} leads through the symbolic link {part!r}")
        if stat.S_ISDIR(kind) != wants_folder and not (anything and index + 1 == len(parts)):
            raise ValueError(f"{path!r}: {part!r} is {'not ' if wants_folder else ''}a folder")
        os.close(here)
        here = inner
    return here


def _enter(here: int, part: str, folder: bool, mode: int) -> int:
    """Open one entry of a folder without following links; a missing one is created."""
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        inner = os.open(part, flags, dir_fd=here)
    except FileNotFoundError:
        if folder:
            os.mkdir(part, dir_fd=here)
        else:
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=here))
        inner = os.open(part, flags, dir_fd=here)
        if folder and mode != 0o755:
            os.chmod(_path(inner), mode)  # noqa: PTH101
    return inner


def _become(uid: int, rootful: bool, itself: int) -> None:
    """Become the pod's user, without capabilities; an unprivileged lab maps its only user in a namespace."""
    if rootful:
        linux.empty_bounding_set()
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    else:
        linux.unshare(linux.CLONE_NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} 0 1"), ("gid_map", f"{uid} 0 1")):
            descriptor = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=itself)
            os.write(descriptor, text.encode())
            os.close(descriptor)
        linux.empty_bounding_set()
    linux.drop_capabilities()


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


if __name__ == "__main__":
    sys.exit(main())
