"""Read a definition file; errors are collected and name line and column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path as FilePath

from kubewire.core.errors import DefinitionError
from kubewire.lab.overrides import Override
from kubewire.lab.rules import Path
from kubewire.lab.validation import Issue
from kubewire.lab.yaml_positions import Document, Mark, read_documents, read_text

START = Mark(1, 1)


class LabFileError(DefinitionError):
    """An invalid definition; `errors` has all its errors as `place: message`."""

    def __init__(self, errors: Iterable[str]) -> None:
        self.errors = tuple(_printable(error) for error in errors)
        super().__init__("\n".join(self.errors))


def display_path(path: FilePath) -> str:
    """A path for messages: relative if it is below the current folder, else absolute."""
    try:
        return str(path.relative_to(FilePath.cwd()))
    except ValueError:
        return str(path)


def read_definition(path: FilePath, shown: str, what: str, shortest: str) -> Document:
    """The only document of a definition file; its data is a dict. Raises LabFileError if it can't be parsed.

    `what` it is (`lab`) and the `shortest` valid one are for messages.
    """
    documents = read_documents(read_text(path, shown))
    for document in documents:
        if document.data is None and document.errors:
            raise LabFileError(f"{_at(shown, mark)}: {message}" for mark, message in document.errors)
    if not documents or documents[0].data is None:
        raise LabFileError([f"{_at(shown, START)}: the file is empty; {shortest}"])
    first, *others = documents
    if not isinstance(first.data, dict):
        place = _at(shown, first.values[()])
        raise LabFileError([f"{place}: a {what} is a mapping of keys and values; {shortest}"])
    first.errors += [
        (other.values[()], f"a {what} file has only one document; a second one starts here")
        for other in others
    ]
    return first


def messages(
    issues: Iterable[Issue],
    document: Document,
    shown: str,
    changes: Sequence[Override] = (),
    refused: Iterable[tuple[int, str]] = (),
) -> list[str]:
    """All error messages, sorted by place: of the YAML itself, of the issues, and of rejected overrides (by
    index).
    """
    said = [((0, *_order(mark)), f"{_at(shown, mark)}: {message}") for mark, message in document.errors]
    unread = {place for place, _ in said}
    placed = (_place(issue, document, changes, shown) for issue in issues)
    said += [(place, text) for place, text in placed if place not in unread]
    said += [((1, index, 0), f"{changes[index].option}: {message}") for index, message in refused]
    return list(dict.fromkeys(text for _, text in sorted(said)))


def _printable(text: str) -> str:
    """The text on one line, with control characters written as escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _order(mark: Mark) -> tuple[int, int]:
    return mark.line, mark.column


def _at(shown: str, mark: Mark) -> str:
    return f"{shown}:{mark.line}:{mark.column}"


def _place(
    issue: Issue, document: Document, changes: Sequence[Override], shown: str
) -> tuple[tuple[int, int, int], str]:
    """Where to fix an issue: the option or the place in the file of the first of its fields that is set."""
    for path in issue.paths:
        for index, change in enumerate(changes):
            made_here = path not in document.values and change.path[: len(path)] == path
            if made_here or path[: len(change.path)] == change.path:
                return (1, index, 0), f"{change.option}: {issue.message}"
        if path in document.values:
            return _in_file(issue, document, path, shown)
    parents = (issue.paths[0][:length] for length in range(len(issue.paths[0]) - 1, 0, -1))
    return _in_file(issue, document, next((path for path in parents if path in document.values), ()), shown)


def _in_file(issue: Issue, document: Document, path: Path, shown: str) -> tuple[tuple[int, int, int], str]:
    mark = document.keys.get(path, START) if issue.at_key else document.values.get(path, START)
    return (0, *_order(mark)), f"{_at(shown, mark)}: {issue.message}"
