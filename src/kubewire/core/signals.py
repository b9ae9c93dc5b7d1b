"""SIGTERM as an exception, so that incomplete work is removed as on Ctrl-C."""

from __future__ import annotations

import signal
from types import FrameType


class Terminated(BaseException):
    """The process got SIGTERM."""


def raise_on_terminate() -> None:
    """From now on SIGTERM raises Terminated in the main thread."""

    signal.signal(signal.SIGTERM, _raise)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise Terminated
