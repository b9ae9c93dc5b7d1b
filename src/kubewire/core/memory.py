"""This machine's memory, from /proc/meminfo."""

from __future__ import annotations

from pathlib import Path


def memory_total() -> int:
    """Bytes."""
    return _meminfo("MemTotal")


def memory_available() -> int:
    """Bytes that programs can still allocate without swapping."""
    return _meminfo("MemAvailable")


def _meminfo(name: str) -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return 0
