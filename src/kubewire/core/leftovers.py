"""What crashes left: found, then listed (`gc --dry-run`) or removed (`gc`), so that both agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from kubewire.core.errors import LabError


@dataclass(frozen=True)
class Leftover:
    """One thing that a crash left: `what` describes it; `lab` is set if its removal removes that lab.

    `remove` takes the locks that guard it and checks again; False, or a LabError, if it has to stay.
    """

    what: str
    remove: Callable[[], bool]
    lab: str = ""


def remove(found: Iterable[Leftover]) -> list[str]:
    """Remove what was found; what was removed."""
    removed = []
    for each in found:
        with suppress(LabError):  # locked by now, or its processes can't be seen
            if each.remove():
                removed.append(each.what)
    return removed
