"""A lab and all that belongs to it, gone."""

from __future__ import annotations

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
    with lab_lock(name, "down"):
        removed = [provider for provider in reversed(NAMES) if get_provider(provider).down(name)]
    forget_unused()
    return Outcome([Change(name, "removed")] if removed else [])
