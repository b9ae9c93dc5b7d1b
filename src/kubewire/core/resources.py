"""The files that come with kubewire, in a checkout or a wheel: labs, playbooks, roles, plugins."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from kubewire.core.errors import HostError

PACKAGE = Path(__file__).resolve().parents[1]


@cache
def root() -> Path:
    """The Ansible collection's root: the checkout around src/kubewire, or the wheel's `kubewire/_tree`."""
    for candidate in (PACKAGE.parent.parent, PACKAGE / "_tree"):
        if (candidate / "playbooks").is_dir() and (candidate / "labs").is_dir():
            return candidate
    raise HostError(
        "kubewire's own labs and playbooks are missing",
        where=str(PACKAGE),
        hint="install kubewire again, or run it from a complete checkout",
    )


def labs_dir() -> Path:
    """The labs that come with kubewire."""
    return root() / "labs"


def playbooks_dir() -> Path:
    """The playbooks that come with kubewire."""
    return root() / "playbooks"
