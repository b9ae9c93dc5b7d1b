"""Records of labs on other hosts: one small file for each lab and host, on the controller."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote

from kubewire.core.errors import LabError
from kubewire.core.files import read_own_json, write_record
from kubewire.core.paths import state_dir
from kubewire.hosts.ssh_target import SshTarget
from kubewire.lab.lookup import lab_name

SCHEMA = 1
MEND = "remove the file; kubewire gc --host NAME then cleans the host itself"


@dataclass(frozen=True)
class RemoteLab:
    """A lab on another host: its local lab file, and the inventories that name the host."""

    lab: str
    source: str
    place: SshTarget
    inventory: tuple[str, ...] = ()


def folder(lab: str, host: str = "") -> Path:
    """The local folder for a lab on other hosts, or on one of them."""
    base = state_dir() / "hosts" / quote(lab, safe="")
    return base / quote(host, safe="") if host else base


def write(away: RemoteLab) -> None:
    write_record(folder(away.lab, away.place.name) / "record.json", away, SCHEMA)


def read(lab: str) -> dict[str, RemoteLab]:
    """Every other host that a lab was brought up on, by name. LabError for a record that can't be read."""
    found = [_read(path) for path in sorted(folder(lab).glob("*/record.json"))]
    return {away.place.name: away for away in found}


def labs() -> list[str]:
    """The names of all labs on other hosts, sorted."""
    return sorted({unquote(path.parent.parent.name) for path in _files()})


@dataclass(frozen=True)
class Broken:
    """A record that can't be read: its lab and host, from its path, and the reason."""

    lab: str
    host: str
    why: str


def everywhere() -> tuple[list[RemoteLab], list[Broken]]:
    """Each known lab on each other host, and the records that can't be read."""
    found: list[RemoteLab] = []
    broken: list[Broken] = []
    for path in _files():
        try:
            found.append(_read(path))
        except LabError as error:
            lab, host = (unquote(folder.name) for folder in (path.parent.parent, path.parent))
            broken.append(Broken(lab, host, f"{error.what} ({error.where})"))
    return found, broken


def _files() -> list[Path]:
    return sorted((state_dir() / "hosts").glob("*/*/record.json"))


def place_with_python(place: SshTarget, lab: str) -> SshTarget:
    """The host with the Python from the lab's record, unless it has one; LabError without either."""
    if place.python:
        return place
    name = lab_name(lab)
    known = read(name).get(place.name)
    if known is None:
        raise LabError(
            f"lab {name} isn't up on {place.name}",
            hint=f"bring it up with: kubewire up {lab} --host {place.name}",
        )
    return replace(place, python=known.place.python, environment=known.place.environment)


def forget(lab: str, host: str) -> None:
    """Remove the record of a lab that is gone from that host, and folders that become empty."""
    place = folder(lab, host)
    for path in sorted(place.glob("*")):
        path.unlink(missing_ok=True)
    for directory in (place, place.parent, place.parent.parent, state_dir()):
        with suppress(OSError):
            directory.rmdir()


def _read(path: Path) -> RemoteLab:
    from kubewire.core.serialization import convert

    try:
        away = convert(read_own_json(path), RemoteLab)
    except (OSError, LabError, ValueError) as error:
        why = error.what if isinstance(error, LabError) else error
        raise LabError(
            f"the record of a lab on another host can't be read: {why}",
            where=str(path),
            hint=MEND,
        ) from error
    if folder(away.lab, away.place.name) != path.parent:
        raise LabError(f"it is the record of lab {away.lab} on {away.place.name}", where=str(path), hint=MEND)
    return away
