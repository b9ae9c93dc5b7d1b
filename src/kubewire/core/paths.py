"""kubewire's folders: the cache (may be deleted at any time) and the state (one folder a lab)."""

from __future__ import annotations

import os
from pathlib import Path

from kubewire.core.errors import HostError
from kubewire.core.files import UnsafeFileError, check_ancestors


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/kubewire`, by default `~/.cache/kubewire`; HostError as `state_dir`."""
    import platformdirs  # slow to import, and a snapshot is read without it

    return _roots_own(_absolute(platformdirs.user_cache_dir("kubewire"), ".cache"), "XDG_CACHE_HOME")


def state_dir() -> Path:
    """`$XDG_STATE_HOME/kubewire`, by default `~/.local/state/kubewire`.

    HostError for root if it is in another user's folder, who could replace what root runs.
    """
    import platformdirs

    return _roots_own(_absolute(platformdirs.user_state_dir("kubewire"), ".local/state"), "XDG_STATE_HOME")


RECORD = "record.json"
"""In a lab's folder: what the lab is."""
LEDGER = "workload.json"
"""In a lab's folder: the objects that it applied."""


def lab_dir(name: str) -> Path:
    """The state folder of one lab: its record, kubeconfig, control socket and logs."""
    return state_dir() / "labs" / name


def _roots_own(folder: Path, variable: str) -> Path:
    if os.geteuid() == 0:
        try:
            check_ancestors(folder / "any")
        except UnsafeFileError as error:
            raise HostError(
                f"root doesn't use {folder}: {error.where} {error.what}",
                hint=f"with root's own home folder: sudo -H; or set {variable} to a folder of root's own",
            ) from error
    return folder


def _absolute(folder: str, default: str) -> Path:
    """The folder; a relative one counts as not given (XDG Base Directory Specification, "Basics")."""
    if Path(folder).is_absolute():
        return Path(folder)
    try:
        return Path.home() / default / "kubewire"
    except RuntimeError as error:
        raise HostError(
            "this user has no home folder", hint="set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME"
        ) from error
