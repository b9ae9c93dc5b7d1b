"""Parse YAML as plain data with the position of each value. Scalars, lists and mappings only."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from kubewire.core.bounded_yaml import LONGEST_NUMBER, MAX_BYTES, MAX_DEPTH, MAX_NODES, RESOLVERS
from kubewire.core.errors import DefinitionError
from kubewire.core.files import UnsafeFileError, read_bounded
from kubewire.lab.rules import Path

_TAG = "tag:yaml.org,2002:"
_NUMBERS = frozenset((_TAG + "int", _TAG + "float"))
_SCALARS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null"))


@dataclass(frozen=True, order=True)
class Mark:
    """A place in a file; both count from 1."""

    line: int
    column: int


@dataclass
class Document:
    """One YAML document: its `data`, the positions of its values and keys by path, and its errors.

    `source` has the text of each scalar as written (`1.30`, where the data has 1.3).
    """

    data: Any = None
    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    source: dict[Path, str] = field(default_factory=dict)
    errors: list[tuple[Mark, str]] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads dates as text."""

    yaml_implicit_resolvers = RESOLVERS


def read_text(path: FilePath, where: str) -> str:
    """A definition file's text; DefinitionError if it can't be read, isn't UTF-8 or is too large.

    Messages name the file as `where`.
    """
    try:
        raw = read_bounded(path, MAX_BYTES)
    except FileNotFoundError:
        raise DefinitionError("no such file", where=where) from None
    except UnsafeFileError as error:
        what = "it is a directory, not a file" if path.is_dir() else error.what
        raise DefinitionError(what, where=where) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise DefinitionError(
            f"byte 0x{raw[error.start]:02x} is not UTF-8 text", where=f"{where}:{line}:{column}"
        ) from None


def read_documents(text: str) -> list[Document]:
    """All documents of a YAML text; after a syntax error the last one has it in `errors`."""
    documents: list[Document] = []
    try:
        loader = _Loader(text)
        while loader.check_node():
            documents.append(_Reader(loader).read(loader.get_node()))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        documents.append(Document(errors=[(_mark(mark), f"not YAML: {_syntax_problem(error)}")]))
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Mark(before.count("\n") + 1, error.position - before.rfind("\n"))
        shown = f"U+{error.character:04X}" if isinstance(error.character, int) else repr(error.character)
        documents.append(Document(errors=[(place, f"not YAML: the character {shown} is not allowed")]))
    except RecursionError:
        documents.append(Document(errors=[(Mark(1, 1), "not a definition: nested too deeply")]))
    return documents


def _mark(mark: yaml.Mark | None) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)


def _syntax_problem(error: yaml.MarkedYAMLError) -> str:
    said = error.problem or "it can't be parsed"
    if "'\\t'" in said:
        said += " (indent with spaces, not tabs)"
    if error.context and error.context_mark:
        said += f", {error.context} that began in line {error.context_mark.line + 1}"
    return said


class _TooMuchError(Exception):
    """The document is too large, or nested too deeply."""


class _Reader:
    """Turns a YAML node tree into a Document of limited size and depth."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self.loader = loader
        self.document = Document()
        self.seen = 0

    def read(self, node: yaml.Node | None) -> Document:
        if node is not None:
            try:
                self.document.data = self._plain(node, ())
            except _TooMuchError as error:
                self.document.data = None
                self.document.errors.append((_mark(node.start_mark), f"not a definition: {error}"))
        return self.document

    def _plain(self, node: yaml.Node, path: Path) -> Any:
        self.seen += 1
        if self.seen > MAX_NODES:
            raise _TooMuchError(f"more than {MAX_NODES} values (with aliases expanded)")
        if len(path) > MAX_DEPTH:
            raise _TooMuchError(f"nested more than {MAX_DEPTH} levels deep")
        self.document.values.setdefault(path, _mark(node.start_mark))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._plain(child, (*path, index)) for index, child in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            self.document.source[path] = node.value
            try:
                if len(node.value) <= LONGEST_NUMBER or node.tag not in _NUMBERS:
                    return self.loader.construct_object(node)
            except (ValueError, KeyError, OverflowError):
                pass
            self._wrong(node, f"“{node.value[:80]}” doesn't match its tag {node.tag.removeprefix(_TAG)}")
            return None
        shown = node.tag.replace(_TAG, "!!")
        self._wrong(node, f"the tag {shown} is not supported: write plain values, lists and mappings")
        return None

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(key_node, "a key must be a scalar, not a list or mapping")
                continue
            key = key_node.value
            if key_node.tag == _TAG + "merge":
                self._wrong(key_node, "merge keys (<<) are not supported: write the keys out")
            elif key in plain:
                first = self.document.keys[(*path, key)]
                self._wrong(key_node, f"duplicate key “{key}”, first in line {first.line}")
            else:
                self.document.keys.setdefault((*path, key), _mark(key_node.start_mark))
                plain[key] = self._plain(value_node, (*path, key))
        return plain

    def _wrong(self, node: yaml.Node, message: str) -> None:
        self.document.errors.append((_mark(node.start_mark), message))
