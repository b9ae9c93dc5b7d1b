"""Where kubewire keeps things: the cache (may vanish at any time) and the state (one folder a lab)."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from kubewire.errors import HostError


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/kubewire`, by default `~/.cache/kubewire`."""
    return _absolute(platformdirs.user_cache_dir("kubewire"), ".cache")


def state_dir() -> Path:
    """`$XDG_STATE_HOME/kubewire`, by default `~/.local/state/kubewire`."""
    return _absolute(platformdirs.user_state_dir("kubewire"), ".local/state")


def lab_dir(name: str) -> Path:
    """The state folder of one lab: its record, kubeconfig, control socket and logs."""
    return state_dir() / "labs" / name


def _absolute(folder: str, default: str) -> Path:
    """The folder; a relative one counts as not given (XDG Base Directory Specification, "Basics")."""
    if Path(folder).is_absolute():
        return Path(folder)
    try:
        return Path.home() / default / "kubewire"
    except RuntimeError as error:
        raise HostError(
            "this user has no home folder", mend="set HOME, or XDG_STATE_HOME and XDG_CACHE_HOME"
        ) from error
