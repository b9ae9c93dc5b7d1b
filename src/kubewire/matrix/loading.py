"""From a matrix file to a complete Matrix, or to all its errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kubewire.core import resources
from kubewire.core.errors import DefinitionError
from kubewire.lab.definition import LabFileError, display_path, messages, read_definition
from kubewire.lab.loading import MATRIX, find_lab
from kubewire.lab.validation import Issue, validate
from kubewire.lab.yaml_positions import Document
from kubewire.matrix.schema import Matrix

SHORTEST = "the shortest matrix is “labs: [iptables]”"
STAND_INS = {"labs": ["iptables"]}


def find_matrix(path: Path | None = None) -> Path:
    """The matrix file: the one named, else labs/matrix.yml of the current folder, else kubewire's own."""
    if path is not None:
        return path.absolute()
    own = Path.cwd() / "labs" / f"{MATRIX}.yml"
    return own if own.is_file() else resources.labs_dir() / f"{MATRIX}.yml"


def load_matrix(path: Path) -> Matrix:
    """Read and check a matrix file. LabFileError with all errors, by line and column."""
    shown = display_path(path)
    document = read_definition(path, shown, "matrix", SHORTEST)
    matrix, issues = validate(_as_written(document), Matrix, STAND_INS)
    labs = document.data.get("labs")
    said = messages([*issues, *_unknown_labs(labs, path)], document, shown)
    if matrix is None or said:
        raise LabFileError(said)
    return matrix


def lab_reference(lab: str, matrix_file: Path) -> str:
    """A lab of the matrix as `find_lab` takes it: a path is relative to the matrix file."""
    return str(matrix_file.parent / lab) if "/" in lab or lab.endswith((".yml", ".yaml")) else lab


def place_of_version(path: Path, word: str) -> str:
    """The place of a version in a matrix file: `m.yml:1:12`."""
    shown = display_path(path)
    document = read_definition(path, shown, "matrix", SHORTEST)
    for place, mark in document.values.items():
        written = document.source.get(place, "")
        if place[:1] == ("versions",) and written.removeprefix("v") == word:
            return f"{shown}:{mark.line}:{mark.column}"
    return shown


def _unknown_labs(labs: Any, path: Path) -> Iterator[Issue]:
    for index, lab in enumerate([labs] if isinstance(labs, str) else labs if isinstance(labs, list) else ()):
        if isinstance(lab, str):
            try:
                find_lab(lab_reference(lab, path))
            except DefinitionError as error:
                place = ("labs",) if isinstance(labs, str) else ("labs", index)
                yield Issue(f"labs: {error.what}{f' ({error.hint})' if error.hint else ''}", (place,))


def _as_written(document: Document) -> dict[str, Any]:
    """The data; a version of 1.30 stays `1.30` and does not become the number 1.3."""
    data: dict[str, Any] = dict(document.data)
    versions = data.get("versions")
    if isinstance(versions, list):
        data["versions"] = [_text(document, ("versions", i), value) for i, value in enumerate(versions)]
    elif "versions" in data:
        data["versions"] = _text(document, ("versions",), versions)
    return data


def _text(document: Document, path: tuple[str | int, ...], value: Any) -> Any:
    return document.source.get(path, value) if isinstance(value, int | float) else value
