"""Load a complete Lab from its name or path and the command's options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubewire.core import resources
from kubewire.core.errors import DefinitionError
from kubewire.core.provider_rules import problems
from kubewire.core.refusals import given
from kubewire.lab.definition import LabFileError, display_path, messages, read_definition
from kubewire.lab.overrides import apply_overrides, as_written, parse_overrides
from kubewire.lab.schema import Lab
from kubewire.lab.validation import STAND_INS, Issue, validate
from kubewire.lab.values import nearest

__all__ = ["LabFileError", "available_labs", "display_path", "find_lab", "load_lab"]

SUFFIXES = (".yml", ".yaml")
MATRIX = "matrix"
"""The file in labs/ that is not a lab but the matrix of a nightly."""
SHORTEST = "the shortest lab is “mode: iptables”"


def available_labs() -> dict[str, Path]:
    """Every lab file by name: in `labs/` of the current folder, then those shipped with kubewire."""
    found: dict[str, Path] = {}
    for folder in (Path.cwd() / "labs", resources.labs_dir()):
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.suffix in SUFFIXES and path.is_file() and path.stem != MATRIX:
                    found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def find_lab(lab: str) -> Path:
    """The file of a lab, absolute: a name in `labs/`, or a path (it has a slash or ends in .yml or .yaml)."""
    if os.sep in lab or lab.endswith(SUFFIXES):
        path = Path(lab).expanduser().absolute()
        with given(path):
            exists = path.exists()
        if not exists:
            raise DefinitionError("there is no such lab file", where=lab, hint=_known(path.stem))
        return path
    labs = available_labs()
    if lab not in labs:
        raise DefinitionError(f"there is no lab “{lab}”", hint=_known(lab))
    return labs[lab].absolute()


def load_lab(path_or_name: str | Path, overrides: Mapping[str, object] | None = None) -> Lab:
    """The complete Lab of a file. `overrides` maps dotted camelCase keys to values; text is parsed as YAML.

    Raises LabFileError with all errors, by line and column in the file, or by option.
    """
    path = find_lab(path_or_name) if isinstance(path_or_name, str) else path_or_name.absolute()
    shown = display_path(path)
    document = read_definition(path, shown, "lab", SHORTEST)
    changes = parse_overrides(overrides or {})
    data, refused = apply_overrides(as_written(document), changes)
    lab, issues = validate({"name": path.stem, **data}, Lab, STAND_INS)
    issues += _missing_manifests(path, data.get("manifests"))
    issues += [Issue(message, tuple((key,) for key in keys)) for message, keys in problems(data)]
    said = messages(issues, document, shown, changes, refused)
    if lab is None or said:
        raise LabFileError(said)
    return lab.model_copy(update={"manifests": tuple(_beside(path, each) for each in lab.manifests)})


def _known(lab: str) -> str:
    labs = available_labs()
    guess = nearest(lab, labs)
    hint = f"did you mean “{guess}”? " if guess else ""
    return f"{hint}known labs: {', '.join(labs)}" if labs else "no labs were found"


def _beside(lab_file: Path, manifest: str | Path) -> Path:
    return Path(os.path.normpath(lab_file.parent / manifest))


def _missing_manifests(lab_file: Path, manifests: Any) -> list[Issue]:
    """An Issue for each manifest that is not a file; wrong types are reported elsewhere."""
    listed = manifests if isinstance(manifests, list) else []
    return [
        Issue(f"manifests: there is no file {display_path(_beside(lab_file, each))}", (("manifests", index),))
        for index, each in enumerate(listed)
        if isinstance(each, str) and not _beside(lab_file, each).is_file()
    ]
