"""Where kubewire keeps things: the cache (may vanish at any time) and the state (one folder a lab)."""

from __future__ import annotations

from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/kubewire`, by default `~/.cache/kubewire`."""
    return Path(platformdirs.user_cache_dir("kubewire"))


def state_dir() -> Path:
    """`$XDG_STATE_HOME/kubewire`, by default `~/.local/state/kubewire`."""
    return Path(platformdirs.user_state_dir("kubewire"))


def lab_dir(name: str) -> Path:
    """The state folder of one lab: its record, kubeconfig, control socket and logs."""
    return state_dir() / "labs" / name
