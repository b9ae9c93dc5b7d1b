"""Remove a lab and all that belongs to it."""

from __future__ import annotations

import sys

from kubewire.app.steps.outcome import Outcome
from kubewire.core.paths import lab_dir
from kubewire.hosts.definitions import forget_unused
from kubewire.lab.lock import lab_lock
from kubewire.lab.lookup import NAME, name_to_remove, owner_of
from kubewire.providers.base import Change
from kubewire.providers.registry import get_provider, providers


def remove_lab(lab: str, *, check: bool = False) -> Outcome:
    """Remove a lab, even if its record is invalid; no change if there was nothing."""
    name = name_to_remove(lab)
    if check:
        return Outcome([Change(name, "removed")] if lab_dir(name).exists() else [])
    removed = remove_here(name)
    forget_unused()
    return Outcome([Change(name, "removed")] if removed else [])


def remove_here(name: str) -> list[str]:
    """Remove a lab from this machine, with or without a record; the providers that had something.

    LabError, and nothing is changed, if that takes a provider that isn't installed.
    """
    with lab_lock(name, "down"):
        owner = owner_of(lab_dir(name))
        if NAME.fullmatch(owner):
            get_provider(owner)
        return [provider.name for provider in reversed(providers()) if provider.down(name)]


if __name__ == "__main__":  # for a separate state folder; labs on other hosts aren't removed
    remove_here(sys.argv[1])
