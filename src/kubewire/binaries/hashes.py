"""Hashes of the official files: those that ship with kubewire, and those that this machine has recorded.

`binaries.lock` ships, a line for each file; `make lock-binaries` fills it, given access to the hosts.
A file without a hash there is verified by the checksum that its host publishes, which is then recorded in
the cache like a host key of SSH: a file that changes later is rejected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kubewire.core import paths
from kubewire.core.errors import HostError, LabError
from kubewire.core.files import read_own_json, write_atomically
from kubewire.core.locks import locked
from kubewire.core.progress import Progress

LOCK = Path(__file__).with_name("binaries.lock")
HEAD = "# name version architecture sha256 path; - is a hash that was not seen yet: make lock-binaries\n"
UNSEEN = "-"
LINE = re.compile(
    r"(?P<name>[a-z]+) (?P<version>v[\d.]+) (?P<arch>[a-z0-9]+) (?P<sha256>-|[0-9a-f]{64}) (?P<path>/\S+)"
)


@dataclass(frozen=True, order=True)
class Entry:
    """One official file: `path` is that of its address, and names it independently of its host."""

    name: str
    version: str
    arch: str
    path: str
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.arch} {self.sha256 or UNSEEN} {self.path}"


def parse(text: str) -> tuple[Entry, ...]:
    """The entries of a lock file. Raises HostError for an invalid line. Pure."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None:
            raise HostError(
                f"not a lock entry: {line[:80]}",
                where=f"{LOCK}:{number}",
                hint="install kubewire again, or run it from a complete checkout",
            )
        found.append(Entry(**match.groupdict() | {"sha256": match["sha256"].removeprefix(UNSEEN)}))
    return tuple(found)


def text(entries: Iterable[Entry]) -> str:
    return HEAD + "".join(f"{entry}\n" for entry in entries)


@cache
def shipped() -> tuple[Entry, ...]:
    """The entries that come with kubewire."""
    return parse(LOCK.read_text())


def pinned(path: str) -> str:
    """The hash that ships with kubewire for the file at that path; "" if none does."""
    return next((entry.sha256 for entry in shipped() if entry.path == path), "")


def remembered() -> Mapping[str, str]:
    """Path → hash of files verified by a published checksum. LabError where it is damaged."""
    try:
        known = read_own_json(known_file())
    except FileNotFoundError:
        return {}
    if not all(isinstance(sha256, str) for sha256 in known.values()):
        raise LabError("not paths and their hashes", where=str(known_file()))
    return known


def remember(path: str, sha256: str, progress: Progress) -> None:
    """Record a hash."""
    with locked(paths.cache_dir() / "locks" / "known-downloads.lock", "the known downloads", progress):
        known = {**remembered(), path: sha256}
        write_atomically(known_file(), json.dumps(known, indent=1, sort_keys=True) + "\n")


def known_file() -> Path:
    return paths.cache_dir() / "known-downloads.json"
