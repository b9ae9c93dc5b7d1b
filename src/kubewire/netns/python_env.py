"""The Python that runs inside the sandbox for pods: this interpreter, bind-mounted where all may read it.

Pods run under uids of their own; the interpreter in use may lie in a home directory that others can't enter.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import kubewire
from kubewire.netns.plan import RUN

_ROOT = f"{RUN}/python"


def binds() -> tuple[tuple[str, str], ...]:
    """(source, target) of each directory: the interpreter's prefix first, then each module directory."""
    return (
        (sys.base_prefix, f"{_ROOT}/base"),
        *((str(source), f"{_ROOT}/path{index}") for index, source in enumerate(_module_directories())),
    )


def python_argv() -> list[str]:
    """The interpreter as pods start it; module directories come from `environment()`, no site needed."""
    inside = Path(sys.executable).resolve().relative_to(Path(sys.base_prefix).resolve())
    return [f"{_ROOT}/base/{inside}", "-S"]


def environment() -> dict[str, str]:
    """What pods need in their environment to find the standard library and our modules."""
    targets = [target for _, target in binds()[1:]]
    found = {
        "PYTHONPATH": ":".join(targets),
        "PYTHONHOME": f"{_ROOT}/base",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if sysconfig.get_config_var("Py_ENABLE_SHARED"):
        found["LD_LIBRARY_PATH"] = f"{_ROOT}/base/lib"
    return found


def _module_directories() -> list[Path]:
    """Where this process finds its packages: site directories on sys.path, and kubewire's own source tree."""
    found = [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    found.append(Path(kubewire.__file__).parent.parent)
    return [path for path in dict.fromkeys(p.resolve() for p in found) if path.is_dir()]
