"""Validation of the provider that a lab file names. `lab` knows no providers: `app` registers the check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Rules = Callable[[Mapping[str, Any]], Iterable[tuple[str, tuple[str, ...]]]]
"""From a lab's data to (message, keys at fault)."""
_rules: list[Rules] = []


def hand_over(rules: Rules) -> None:
    _rules[:] = [rules]


def problems(data: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """None if no check was registered: then any provider may be named."""
    return [problem for rules in _rules for problem in rules(data)]
