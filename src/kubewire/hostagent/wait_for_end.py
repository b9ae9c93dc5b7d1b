"""On a lab host: `python -m kubewire.hostagent.wait_for_end LAB` ends when the lab does."""

from __future__ import annotations

import select
import sys
import time

from kubewire.core.errors import KubewireError
from kubewire.core.paths import lab_dir
from kubewire.providers.netns.state import read_state
from kubewire.providers.registry import recorded_provider

POLL = 5.0
"""Seconds between two looks at a lab that isn't one process of this machine."""


def follow(lab: str) -> None:
    """Return when the lab is gone."""
    recorded = read_state(lab_dir(lab))
    keeper = recorded.keeper.open() if recorded else None
    if keeper is not None:
        poller = select.poll()
        poller.register(keeper, select.POLLIN)
        poller.poll()
        return
    while _lives(lab):
        time.sleep(POLL)


def _lives(lab: str) -> bool:
    try:
        return recorded_provider(lab).status(lab).phase not in ("absent", "dead")
    except KubewireError:
        return False


if __name__ == "__main__":
    follow(sys.argv[1])
