"""A lab and all that belongs to it, gone."""

from __future__ import annotations

import sys

from kubewire.hosts.shipping import forget_unused
from kubewire.paths import lab_dir
from kubewire.provider import Change
from kubewire.providers import NAMES, get_provider
from kubewire.steps.lock import lab_lock
from kubewire.steps.outcome import Outcome
from kubewire.steps.target import name_to_remove


def remove_lab(lab: str, *, check: bool = False) -> Outcome:
    """Remove a lab; no change where there was nothing. A broken record doesn't keep a lab from going."""
    name = name_to_remove(lab)
    if check:
        return Outcome([Change(name, "removed")] if lab_dir(name).exists() else [])
    removed = remove_here(name)
    forget_unused()
    return Outcome([Change(name, "removed")] if removed else [])


def remove_here(name: str) -> list[str]:
    """Remove what this machine has of a lab, record or not; the providers that had something."""
    with lab_lock(name, "down"):
        return [provider for provider in reversed(NAMES) if get_provider(provider).down(name)]


if __name__ == "__main__":  # for a state folder of its own, where nothing on other hosts is followed
    remove_here(sys.argv[1])
