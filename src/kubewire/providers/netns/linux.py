"""Linux system calls that Python 3.11 lacks: namespaces, mounts, privileges."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from kubewire.core import console

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
_MNT_DETACH = 2

_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_NET_ADMIN = 12
_CAP_SYS_ADMIN = 21

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str | Path, kind: str = "", flags: int = 0, data: str = "") -> None:
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _check(result, f"mount {source} on {target}")


def pivot_root(root: int) -> None:
    """Make the open folder `root`, a mount, this mount namespace's root, and detach the former one."""
    os.fchdir(root)
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", _MNT_DETACH), "umount the former root")
    os.chdir("/")


def setns(descriptor: int, kind: int) -> None:
    _check(_libc.setns(descriptor, kind), "setns")


def no_new_privileges() -> None:
    """From now on, no `execve` gives this process more privileges."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "prctl PR_SET_NO_NEW_PRIVS")


def empty_bounding_set() -> None:
    """Needs CAP_SETPCAP; without an ambient or a bounding set, no capability comes back with `execve`."""
    _check(_libc.prctl(_PR_CAP_AMBIENT, ctypes.c_ulong(_PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0), "prctl")
    capability = 0
    while _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) == 0:
        capability += 1
    if ctypes.get_errno() != errno.EINVAL or capability == 0:  # EINVAL: the kernel has no further ones
        _check(-1, "prctl PR_CAPBSET_DROP")


def drop_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, bytes(24)), "capset")


def fork(work: Callable[[], None], *, close: Sequence[int] = ()) -> int:
    """Run `work` in a forked child, which then ends (exit code 1 on an error, printed on stderr); its pid.

    The child first closes the descriptors in `close`: the parent's ends of shared pipes and sockets.
    """
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        for descriptor in close:
            os.close(descriptor)
        work()
        code = 0
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        console.err(str(error))
    except BaseException:
        console.err(traceback.format_exc())
    finally:
        sys.stderr.flush()
        os._exit(code)


def set_hostname(name: str) -> None:
    encoded = name.encode()
    _check(_libc.sethostname(encoded, len(encoded)), "sethostname")


def map_single_user(uid: int, gid: int) -> None:
    """Become root in a new user namespace, mapped to `uid` and `gid` outside."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def may_make_namespaces() -> bool:
    """Whether this process can create network and mount namespaces without a user namespace."""
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff"))
    wanted = (1 << _CAP_SYS_ADMIN) | (1 << _CAP_NET_ADMIN)
    return os.geteuid() == 0 and effective & wanted == wanted
