"""Choosing cells by a text: `mode=nftables,kubernetes>=1.34`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kubewire.core.errors import DefinitionError
from kubewire.lab.schema import Mode
from kubewire.lab.values import nearest
from kubewire.providers.registry import names

KEYS = ("kubernetes", "mode", "lab", "provider")
EXAMPLE = "as: mode=nftables,kubernetes>=1.34"
OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_TERM = re.compile(r"\s*([\w.-]+)\s*(!=|>=|<=|==|=|>|<)\s*([^\s=<>!,]+)\s*")
_VERSION = re.compile(r"v?\d+\.\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Term:
    """One condition. A version is compared in as many parts as are written: `=1.34` matches v1.34.4."""

    key: str
    sign: str
    value: str

    def holds(self, value: str) -> bool:
        if self.key != "kubernetes":
            return OPERATORS[self.sign](value, self.value)
        wanted = _numbers(self.value)
        return OPERATORS[self.sign](_numbers(value)[: len(wanted)], wanted)


@dataclass(frozen=True)
class Selector:
    """Terms that must all match; `text` as written."""

    text: str
    terms: tuple[Term, ...]

    def matches(self, cell: Mapping[str, str]) -> bool:
        """Whether a cell, by its KEYS, matches."""
        return all(term.holds(cell[term.key]) for term in self.terms)

    def may_match_version(self, word: str) -> bool:
        """Whether a version, or some patch of a minor (`1.34`), can match."""
        candidates = [word] if word.count(".") == 2 else [f"{word}.{patch}" for patch in range(100)]
        terms = [term for term in self.terms if term.key == "kubernetes"]
        return any(all(term.holds(candidate) for term in terms) for candidate in candidates)


def parse_selector(text: str) -> Selector:
    """Parse a selector; DefinitionError names what is wrong."""
    return Selector(text, tuple(_term(part, text) for part in text.split(",")))


def _term(part: str, whole: str) -> Term:
    match = _TERM.fullmatch(part)
    if not match:
        raise DefinitionError(f"“{whole}” is no selector: it is KEY=VALUE with commas between", hint=EXAMPLE)
    key, sign, value = match[1], match[2].replace("==", "="), match[3]
    if key not in KEYS:
        guess = nearest(key, KEYS)
        hint = f"did you mean “{guess}”?" if guess else f"known are {', '.join(KEYS)}"
        raise DefinitionError(f"“{whole}”: cells have no “{key}”; {hint}", hint=EXAMPLE)
    if key == "kubernetes":
        if not _VERSION.fullmatch(value):
            raise DefinitionError(f"“{whole}”: {value} is no Kubernetes version", hint="as: kubernetes>=1.34")
    elif key != "lab" and value not in (values := tuple(Mode) if key == "mode" else names()):
        guess = nearest(value, values)
        hint = f"did you mean “{guess}”?" if guess else f"allowed are {', '.join(values)}"
        raise DefinitionError(f"“{whole}”: there is no {key} “{value}”; {hint}", hint=EXAMPLE)
    elif sign not in ("=", "!="):
        raise DefinitionError(f"“{whole}”: {key} has no order, use {key}= or {key}!=", hint=EXAMPLE)
    return Term(key, sign, value)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))
