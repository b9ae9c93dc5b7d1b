"""What crashes left: found first, then told (`gc --dry-run`) or removed (`gc`), so that both say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from kubewire.core.errors import LabError


@dataclass(frozen=True)
class Leftover:
    """One thing that a crash left: `what` it is, for people; of which lab, where it takes the lab along.

    `remove` takes the locks that guard it and looks once more; False, or a LabError, where it has to stay.
    """

    what: str
    remove: Callable[[], bool]
    lab: str = ""


def remove(found: Iterable[Leftover]) -> list[str]:
    """Remove what was found; what is gone now."""
    removed = []
    for each in found:
        with suppress(LabError):  # held by now, or not to be judged from here
            if each.remove():
                removed.append(each.what)
    return removed
