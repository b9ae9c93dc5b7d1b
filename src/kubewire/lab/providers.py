"""What a lab's file is judged by of the providers. lab knows none: app hands over what does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

AUTO = "auto"


class Providers(Protocol):
    def is_known(self, name: str) -> bool: ...

    def names(self) -> Sequence[str]: ...

    def lab_problems(self, name: str, data: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """What is wrong with a lab's file that names this provider: (message, key to blame)."""


_known: list[Providers] = []


def hand_over(providers: Providers) -> None:
    _known[:] = [providers]


def known() -> Providers | None:
    """None where nothing was handed over: any provider may be named then."""
    return _known[0] if _known else None
