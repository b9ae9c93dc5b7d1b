"""The process's way in. Judging a snapshot folder takes a short one: reading a command line in full would
take as long as judging a thousand Services.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from kubewire.core.exits import end_with

_OPTIONS = {"--snapshot": "snapshot", "--format": "form", "--output": "output"}
_FORMATS = ("text", "json", "junit")


class SnapshotCall(NamedTuple):
    """What `verify --snapshot DIR [--format F] [--output FILE]` asks for."""

    snapshot: str
    form: str = "text"
    output: str = ""


def snapshot_call(argv: Sequence[str]) -> SnapshotCall | None:
    """The call, if it is no more than that and plainly right; all else is for the whole command line."""
    if argv[:1] != ["verify"] or len(argv) % 2 == 0:
        return None
    values: dict[str, str] = {}
    for option, value in zip(argv[1::2], argv[2::2], strict=True):
        name = _OPTIONS.get(option, "")
        if not name or name in values or value[:1] in ("", "-"):
            return None
        values[name] = value
    if "snapshot" not in values or values.get("form", "text") not in _FORMATS:
        return None
    return SnapshotCall(**values)


def run() -> NoReturn:
    """Run the command line to its end."""
    call = snapshot_call(sys.argv[1:])
    if call is None:
        from kubewire.cli.main import app

        end_with(app)
    end_with(lambda: sys.exit(_judge(call)))


def _judge(call: SnapshotCall) -> int:
    import gc

    sys.modules["typing_extensions"] = None  # type: ignore[assignment]  # msgspec would take it, for nothing here
    import msgspec  # noqa: F401

    del sys.modules["typing_extensions"]
    gc.disable()  # it is a short run that makes many objects and hardly a cycle
    from pathlib import Path

    from kubewire.app.verify import judge_snapshot

    code = judge_snapshot(Path(call.snapshot), call.form, Path(call.output) if call.output else None)
    gc.freeze()  # the interpreter looks for cycles once more at its end
    return code
