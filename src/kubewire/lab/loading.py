"""From a lab's name or path, and the options of the call, to a complete Lab."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubewire import resources
from kubewire.errors import DefinitionError
from kubewire.lab import rules
from kubewire.lab.overrides import Override, apply_overrides, as_written, parse_overrides
from kubewire.lab.schema import Lab
from kubewire.lab.validation import Issue, validate
from kubewire.lab.values import nearest
from kubewire.lab.yamltext import Document, Mark, read_documents, read_text

SUFFIXES = (".yml", ".yaml")
START = Mark(1, 1)
SHORTEST = "the shortest lab is “mode: iptables”"


class LabFileError(DefinitionError):
    """A lab that can't be used; `errors` has everything that is wrong, one `place: message` each."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(_printable(error) for error in errors)
        super().__init__("\n".join(self.errors))


def available_labs() -> dict[str, Path]:
    """Every lab by name: those in `labs/` of the current folder, then those that come with kubewire."""
    found: dict[str, Path] = {}
    for folder in (Path.cwd() / "labs", resources.labs_dir()):
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.suffix in SUFFIXES and path.is_file():
                    found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def find_lab(lab: str) -> Path:
    """The file of a lab, absolute: a name in `labs/`, or a path (it has a slash or ends in .yml or .yaml)."""
    if os.sep in lab or lab.endswith(SUFFIXES):
        path = Path(lab).expanduser().absolute()
        if not path.exists():
            raise DefinitionError("there is no such lab file", where=lab, mend=_known(path.stem))
        return path
    labs = available_labs()
    if lab not in labs:
        raise DefinitionError(f"there is no lab “{lab}”", mend=_known(lab))
    return labs[lab].absolute()


def load_lab(path_or_name: str | Path, overrides: Mapping[str, object] | None = None) -> Lab:
    """The complete Lab of a file, `overrides` laid over it: dotted camelCase key → value, text read as YAML.

    Raises LabFileError with all that is wrong: in the file by line and column, in an override by option.
    """
    path = find_lab(path_or_name) if isinstance(path_or_name, str) else path_or_name.absolute()
    shown = display_path(path)
    document = _single_document(read_text(path, shown), shown)
    changes = parse_overrides(overrides or {})
    data, refused = apply_overrides(as_written(document), changes)
    lab, issues = validate({"name": path.stem, **data})
    issues += _missing_manifests(path, data.get("manifests"))
    said = [((0, *_order(mark)), f"{_at(shown, mark)}: {message}") for mark, message in document.errors]
    unread = {place for place, _ in said}
    placed = (_place(issue, document, changes, shown) for issue in issues)
    said += [(place, text) for place, text in placed if place not in unread]
    said += [((1, index, 0), f"{changes[index].option}: {message}") for index, message in refused]
    if lab is None or said:
        raise LabFileError(dict.fromkeys(text for _, text in sorted(said)))
    return lab.model_copy(update={"manifests": tuple(_beside(path, each) for each in lab.manifests)})


def display_path(path: Path) -> str:
    """A path as people write it: relative below the current folder, else absolute."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _printable(text: str) -> str:
    """The text on one line, with control characters written as escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _known(lab: str) -> str:
    labs = available_labs()
    guess = nearest(lab, labs)
    hint = f"did you mean “{guess}”? " if guess else ""
    return f"{hint}known labs: {', '.join(labs)}" if labs else "no lab is known here"


def _single_document(text: str, shown: str) -> Document:
    """The one document of a lab file, its data a dict; LabFileError where nothing below it can be judged."""
    documents = read_documents(text)
    for document in documents:
        if document.data is None and document.errors:
            raise LabFileError(f"{_at(shown, mark)}: {message}" for mark, message in document.errors)
    if not documents or documents[0].data is None:
        raise LabFileError([f"{_at(shown, START)}: there is nothing in it; {SHORTEST}"])
    first, *others = documents
    if not isinstance(first.data, dict):
        place = _at(shown, first.values[()])
        raise LabFileError([f"{place}: a lab is keys and values; {SHORTEST}"])
    first.errors += [
        (other.values[()], "a lab file holds one document, here begins another") for other in others
    ]
    return first


def _beside(lab_file: Path, manifest: str | Path) -> Path:
    return Path(os.path.normpath(lab_file.parent / manifest))


def _missing_manifests(lab_file: Path, manifests: Any) -> list[Issue]:
    """An Issue for each manifest that is no file; what is no list of text at all, others complain about."""
    listed = manifests if isinstance(manifests, list) else []
    return [
        Issue(f"manifests: there is no file {display_path(_beside(lab_file, each))}", (("manifests", index),))
        for index, each in enumerate(listed)
        if isinstance(each, str) and not _beside(lab_file, each).is_file()
    ]


def _order(mark: Mark) -> tuple[int, int]:
    return mark.line, mark.column


def _at(shown: str, mark: Mark) -> str:
    return f"{shown}:{mark.line}:{mark.column}"


def _place(
    issue: Issue, document: Document, changes: Sequence[Override], shown: str
) -> tuple[tuple[int, int, int], str]:
    """Where an issue is to be mended: the option or the place in the file of the first field that was set."""
    for path in issue.paths:
        for index, change in enumerate(changes):
            made_here = path not in document.values and change.path[: len(path)] == path
            if made_here or path[: len(change.path)] == change.path:
                return (1, index, 0), f"{change.option}: {issue.message}"
        if path in document.values:
            return _in_file(issue, document, path, shown)
    parents = (issue.paths[0][:length] for length in range(len(issue.paths[0]) - 1, 0, -1))
    return _in_file(issue, document, next((path for path in parents if path in document.values), ()), shown)


def _in_file(
    issue: Issue, document: Document, path: rules.Path, shown: str
) -> tuple[tuple[int, int, int], str]:
    mark = document.keys.get(path, START) if issue.at_key else document.values.get(path, START)
    return (0, *_order(mark)), f"{_at(shown, mark)}: {issue.message}"
