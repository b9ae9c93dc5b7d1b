"""Which lab and which node the user means. Kept free of heavy imports: `kubewire exec` starts with it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.core.errors import DefinitionError, LabError
from kubewire.core.files import read_own_json
from kubewire.core.paths import lab_dir, state_dir

if TYPE_CHECKING:
    from kubewire.lab.record import Record

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def is_recorded(lab: str) -> bool:
    """A lab of that name was brought up on this machine and not removed."""
    return bool(NAME.fullmatch(lab)) and (lab_dir(lab) / "record.json").is_file()


def lab_name(lab: str) -> str:
    """The name of a lab given by its name or its file; one that was brought up needs no file any more."""
    if is_recorded(lab):
        return lab
    if os.sep in lab and (made := made_from(Path(lab))):
        return made
    from kubewire.lab.loading import load_lab

    return load_lab(lab).name


def name_to_remove(lab: str) -> str:
    """As `lab_name`; where neither a record nor a file says anything, the name that the argument itself has.

    What isn't there needs no definition to be gone.
    """
    try:
        return lab_name(lab)
    except DefinitionError:
        name = Path(lab).stem
        if NAME.fullmatch(name):
            return name
        raise


def owner_of(directory: Path) -> str:
    """The provider that the record in a lab's folder names, "" without one, "?" where it can't be read."""
    try:
        return str(read_own_json(directory / "record.json").get("provider", ""))
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
    """The name of the recorded lab that was made from this file, "" if none was."""
    for name in recorded_labs():
        try:
            recorded = read_own_json(lab_dir(name) / "record.json")["source"]
            if Path(recorded).resolve() == source.resolve():
                return name
        except (OSError, LabError, KeyError, TypeError):
            continue
    return ""


def not_up(lab: str) -> LabError:
    return LabError(f"lab {lab} isn't up", hint=f"bring it up with: kubewire up {lab}")


def required_record(lab: str) -> Record:
    """The record of a lab, given by its name or its file; LabError naming the line that brings it up."""
    return required_record_of(lab_name(lab))


def required_record_of(name: str) -> Record:
    """The record of the lab of that name; its file is not looked at."""
    from kubewire.lab.record import read_record

    record = read_record(name)
    if record is None:
        raise not_up(name)
    return record
