"""A lab's definition as data: validated on the controller, written to a file on the lab host."""

from __future__ import annotations

import getpass
import hashlib
import shutil
import socket
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from kubewire.core.errors import DefinitionError, LabError
from kubewire.core.files import write_atomically
from kubewire.core.leftovers import Leftover
from kubewire.core.paths import state_dir
from kubewire.lab.loading import find_lab, load_lab
from kubewire.lab.rendering import dump_yaml, lab_data


def pack(lab: str, overrides: Mapping[str, object]) -> dict[str, Any]:
    """The effective lab with its manifests: `{"name", "origin", "text", "manifests": {name: text}}`.

    `origin` distinguishes this lab file from others of the same name. Raises DefinitionError as `load_lab`.
    """
    loaded, source = load_lab(lab, overrides), find_lab(lab)
    manifests = {f"{index}-{path.name}": _text(path) for index, path in enumerate(loaded.manifests)}
    origin = f"{getpass.getuser()}@{socket.gethostname()}:{source.resolve()}"
    text = dump_yaml(lab_data(loaded) | ({"manifests": list(manifests)} if manifests else {}))
    return {"name": loaded.name, "origin": origin, "text": text, "manifests": manifests}


def unpack(definition: Mapping[str, Any]) -> Path:
    """Write a packed definition below this host's state folder; the lab file's path."""
    name, origin = str(definition["name"]), str(definition["origin"])
    target = _folder() / hashlib.sha256(origin.encode()).hexdigest()[:12]
    path = target / f"{name}.yml"
    for file, text in {**definition["manifests"], path.name: definition["text"]}.items():
        write_atomically(target / Path(file).name, f"{text}")
    return path


def forget_unused() -> list[Path]:
    """Remove every copied definition that no record names and no process uses; those removed."""
    removed = [entry for entry in _unused(frozenset()) if _forget(entry)]
    with suppress(OSError):
        _folder().rmdir()
        state_dir().rmdir()
    return removed


def garbage(gone: AbstractSet[str]) -> list[Leftover]:
    """The copied definitions that are unused once the labs `gone` are removed."""
    return [Leftover(f"the definition {entry}", partial(_forget, entry)) for entry in _unused(gone)]


def _unused(gone: AbstractSet[str]) -> list[Path]:
    from kubewire.lab.lock import is_locked

    kept = _kept(gone)
    return [
        entry
        for entry in sorted(_folder().glob("*"))
        if entry not in kept and not any(is_locked(lab) for lab in _labs(entry))
    ]


def _kept(gone: AbstractSet[str] = frozenset()) -> set[Path]:
    """The definitions named by the records of labs, without those of the labs `gone`."""
    from kubewire.lab.lookup import recorded_labs
    from kubewire.lab.record import read_record

    kept = set()
    for lab in set(recorded_labs()) - gone:
        with suppress(Exception):  # an invalid record keeps no definition
            record = read_record(lab)
            kept |= {record.source.parent} if record else set()
    return kept


def _forget(entry: Path) -> bool:
    """Remove a definition, under the locks of its labs, unless it is in use again."""
    from kubewire.lab.lock import lab_lock

    with suppress(LabError), ExitStack() as locks:
        for lab in _labs(entry):
            locks.enter_context(lab_lock(lab, "gc", wait=False))
        if entry not in _kept():
            shutil.rmtree(entry, ignore_errors=True)
            return True
    return False


def _labs(entry: Path) -> list[str]:
    return sorted(path.stem for path in entry.glob("*.yml"))


def _folder() -> Path:
    return state_dir() / "definitions"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"the manifest can't be read: {error}", where=str(path)) from error
