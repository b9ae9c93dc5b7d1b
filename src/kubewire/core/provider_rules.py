"""Validation of the provider that a lab file names. `lab` knows no providers: `app` registers the check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Judge = Callable[[Mapping[str, Any]], Iterable[tuple[str, tuple[str, ...]]]]
"""From a lab's data to (message, keys at fault)."""
_judges: list[Judge] = []


def hand_over(judge: Judge) -> None:
    _judges[:] = [judge]


def problems(data: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """None if no check was registered: then any provider may be named."""
    return [problem for judge in _judges for problem in judge(data)]
