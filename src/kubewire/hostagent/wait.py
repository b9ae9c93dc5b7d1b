"""`wait LAB`: end when the lab does."""

from __future__ import annotations

import time

from kubewire.core.errors import KubewireError
from kubewire.core.paths import lab_dir
from kubewire.core.proc import await_end
from kubewire.providers.netns.state import read_state
from kubewire.providers.registry import recorded_provider

POLL = 5.0
"""Seconds between two looks at a lab that isn't one process of this machine."""


def main(arguments: list[str]) -> int:
    (lab,) = arguments
    recorded = read_state(lab_dir(lab))
    keeper = recorded.keeper.open() if recorded else None
    if keeper is not None:
        await_end(keeper)
        return 0
    while _lives(lab):
        time.sleep(POLL)
    return 0


def _lives(lab: str) -> bool:
    try:
        return recorded_provider(lab).status(lab).phase not in ("absent", "dead")
    except KubewireError:
        return False
