"""Find a lab by its name or file. Light imports only: `kubewire exec` starts with this module."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.core.errors import DefinitionError, LabError
from kubewire.core.files import read_own_json
from kubewire.core.paths import RECORD, lab_dir, state_dir

if TYPE_CHECKING:
    from kubewire.lab.record import Record

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def is_recorded(lab: str) -> bool:
    """Whether this machine has a record of a lab of that name."""
    return bool(NAME.fullmatch(lab)) and (lab_dir(lab) / RECORD).is_file()


def lab_name(lab: str) -> str:
    """The name of a lab given by its name or its file; a recorded lab needs no file."""
    if is_recorded(lab):
        return lab
    if os.sep in lab and (made := made_from(Path(lab))):
        return made
    from kubewire.lab.loading import load_lab

    return load_lab(lab).name


def name_to_remove(lab: str) -> str:
    """As `lab_name`, but without a record and a file the argument itself is the name.

    Removing a lab needs no definition.
    """
    try:
        return lab_name(lab)
    except DefinitionError:
        name = Path(lab).stem
        if NAME.fullmatch(name):
            return name
        raise


def owner_of(directory: Path) -> str:
    """The provider in the record of a lab's folder; "" without a record, "?" if it can't be read."""
    try:
        return str(read_own_json(directory / RECORD).get("provider", ""))
    except FileNotFoundError:
        return ""
    except LabError:
        return "?"


def recorded_labs() -> list[str]:
    """The names of all labs with a record on this machine, sorted."""
    folder = state_dir() / "labs"
    return (
        sorted(entry.name for entry in folder.iterdir() if is_recorded(entry.name)) if folder.is_dir() else []
    )


def made_from(source: Path) -> str:
    """The name of the recorded lab that was created from this file, "" if there is none."""
    for name in recorded_labs():
        try:
            recorded = read_own_json(lab_dir(name) / RECORD)["source"]
            if Path(recorded).resolve() == source.resolve():
                return name
        except (OSError, LabError, KeyError, TypeError):
            continue
    return ""


def not_up(lab: str, where: str = "") -> LabError:
    return LabError(f"lab {lab} isn't up", where=where, hint=f"bring it up with: kubewire up {lab}")


def required_record(lab: str) -> Record:
    """The record of a lab, given by its name or its file; LabError, with the command that creates it."""
    return required_record_of(lab_name(lab))


def required_record_of(name: str) -> Record:
    """The record of the lab of that name; its file is not read."""
    from kubewire.lab.record import read_record

    record = read_record(name)
    if record is None:
        raise not_up(name)
    return record
