"""The limits of one pod, so that none takes the machine from the others."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

PROCESSES = 512
"""Processes and threads of a pod."""
MEMORY = 512 << 20
"""Bytes of a container without a limit of its own."""
_QUANTITY = re.compile(r"(?P<number>[0-9.]+(?:[eE][+-]?[0-9]+)?)(?P<suffix>[KMGTPE]i|[mkMGTPE]?)")
_PREFIXES = "kMGTPE"


def memory(pod: Mapping[str, Any]) -> int:
    """Bytes: the sum of the containers' limits."""
    limits = (each.get("resources", {}).get("limits", {}) for each in pod["spec"].get("containers", []))
    return sum(quantity(limit["memory"]) if "memory" in limit else MEMORY for limit in limits)


def quantity(text: str) -> int:
    """A Kubernetes quantity such as `64Mi`, rounded up. Source: apimachinery, api/resource/quantity.go."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    suffix = match["suffix"]
    if suffix == "m":
        factor = Decimal("0.001")
    else:
        base = 1024 if suffix.endswith("i") else 1000
        factor = Decimal(base) ** (_PREFIXES.index(suffix[0].replace("K", "k")) + 1 if suffix else 0)
    return math.ceil(Decimal(match["number"]) * factor)


def user_processes(rootful: bool) -> int:
    """The limit of processes for a pod's user, 0 for none: only with root each pod has its own user.

    Linux counts processes in a user namespace separately from 5.14 on.
    """
    release = tuple(int(part) for part in re.findall(r"[0-9]+", os.uname().release)[:2])
    return PROCESSES if rootful or release >= (5, 14) else 0


def described(controllers: list[str], *, rootful: bool) -> str:
    """A description of one pod's limits, with these cgroup controllers."""
    bounded = "pids" in controllers or user_processes(rootful)
    processes = f"{PROCESSES} processes" if bounded else "any number of processes"
    if "memory" in controllers:
        return f"{processes}; {MEMORY >> 20} MiB for a container without a limit of its own"
    return f"{processes}; memory is not limited (no writable control group)"
