"""Control groups of a lab: the limits of each pod's processes and memory.

The monitor creates one group for the lab, below its own, in the hierarchy of each controller, and puts PID 1
into its `lab` child; each pod gets a sibling of that. So a lab's group is empty exactly when the lab has
ended, and `rmdir` removes it; the kernel refuses that while a process runs in it.
Source: Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

CONTROLLERS = ("pids", "memory")
PREFIX = "kubewire-"
SELF = "lab"
"""The child of a lab's group that holds everything but the pods."""
_V1_MEMORY = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
_V2_MEMORY = ("memory.max", "memory.swap.max")


def own_groups(proc: Path = Path("/proc/self")) -> dict[str, Path]:
    """The folder of this process's group for each controller; one that isn't mounted is left out."""
    mounts = [line.split() for line in (proc / "mountinfo").read_text().splitlines()]
    found = {}
    for line in (proc / "cgroup").read_text().splitlines():
        number, names, path = line.split(":", 2)
        for controller in CONTROLLERS if number == "0" else set(names.split(",")) & set(CONTROLLERS):
            for fields in mounts:
                kind, _, options = fields[fields.index("-") + 1 :][:3]
                is_it = kind == "cgroup2" if number == "0" else controller in options.split(",")
                if is_it and kind in ("cgroup", "cgroup2") and _inside(path, fields[3]):
                    folder = Path(fields[4]) / os.path.relpath(path, fields[3])
                    if number != "0" or controller not in found:
                        found[controller] = folder
    return found


def _inside(path: str, root: str) -> bool:
    return Path(path).is_relative_to(root)


def homes(groups: Mapping[str, Path]) -> dict[str, Path]:
    """The parent of a lab's group, for each available controller: our own group or, with cgroup v2, the
    nearest one above that passes the controller on and that we may write to."""
    found = {}
    for controller, group in groups.items():
        for folder in (group, *group.parents) if (group / "cgroup.controllers").exists() else (group,):
            if _passes_on(folder, controller) and os.access(folder, os.W_OK):
                found[controller] = folder
                break
    return found


def _passes_on(folder: Path, controller: str) -> bool:
    try:
        return controller in (folder / "cgroup.subtree_control").read_text().split()
    except OSError:
        return (folder / "tasks").exists()  # cgroup v1, where every group does


def make(folders: Iterable[Path]) -> None:
    """Create a lab's groups. OSError if that is refused."""
    for folder in folders:
        (folder / SELF).mkdir(parents=True)
        if (folder / "cgroup.subtree_control").exists():
            available = (folder / "cgroup.controllers").read_text().split()
            wanted = " ".join(f"+{name}" for name in CONTROLLERS if name in available)
            (folder / "cgroup.subtree_control").write_text(wanted)


def join(folders: Iterable[Path]) -> None:
    """Move this process into the groups. OSError if that is refused."""
    for folder in folders:
        (folder / "cgroup.procs").write_text("0")


def lab_groups(proc: Path = Path("/proc/self")) -> dict[str, Path]:
    """The groups of this process's lab, by controller; empty if there are none."""
    try:
        groups = own_groups(proc)
    except OSError:
        return {}
    return {
        controller: folder.parent
        for controller, folder in groups.items()
        if folder.name == SELF and folder.parent.name.startswith(PREFIX) and os.access(folder.parent, os.W_OK)
    }


def limit(groups: Mapping[str, Path], name: str, *, processes: int, memory: int) -> tuple[Path, ...]:
    """Create a pod's groups with these limits; their folders, for its processes to join."""
    folders = []
    for controller, group in groups.items():
        folder = group / name
        folder.mkdir(exist_ok=True)
        if controller == "pids":
            (folder / "pids.max").write_text(str(processes))
        elif (folder / _V2_MEMORY[0]).exists():
            (folder / _V2_MEMORY[0]).write_text(str(memory))
            _if_there(folder / _V2_MEMORY[1], "0")
        else:
            (folder / _V1_MEMORY[0]).write_text(str(memory))
            _if_there(folder / _V1_MEMORY[1], str(memory))
        folders.append(folder)
    return tuple(dict.fromkeys(folders))


def _if_there(file: Path, text: str) -> None:
    """Only some kernels count swap."""
    with suppress(OSError):
        if file.exists():
            file.write_text(text)


def remove(folder: Path) -> bool:
    """Remove a group and its children; False if the kernel refuses since one still has processes."""
    with suppress(OSError):
        for inner in folder.iterdir():
            if inner.is_dir() and not inner.is_symlink():
                remove(inner)
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def clear(group: Path) -> None:
    """Remove the groups of all pods of a lab whose processes have ended."""
    for inner in group.iterdir():
        if inner.is_dir() and inner.name != SELF:
            remove(inner)


def remove_left(folder: Path) -> None:
    """Remove what a killed monitor left of its lab's group, which the lab's record names."""
    if folder.name.startswith(PREFIX) and (folder / SELF / "cgroup.procs").exists():
        remove(folder)
