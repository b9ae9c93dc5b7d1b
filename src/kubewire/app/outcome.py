"""How the end of a run is told, and what its exit code is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.core import console
from kubewire.core.errors import DefinitionError, LabError

if TYPE_CHECKING:
    from kubewire.app.display import Display
    from kubewire.app.playbook import Run
    from kubewire.verify.report import Report

REMOVAL = 15.0
"""Seconds that a lab in the making is given to vanish after its maker."""
REMOVAL_IF_LIVED = 2.0
"""The same for one that was up before: it vanishes only if it was being made anew."""


def finish(run: Run, display: Display) -> int:
    """Tell the failing task's real message and where the log is; the exit code it means."""
    display.close()
    if run.failure is None:
        return 0
    where = f" on {run.failure.host}" if run.failure.host not in ("", "localhost") else ""
    display.paragraph(f"kubewire: {run.failure.message}", "red")
    display.line(f"in the step “{run.failure.task}”{where}; the log: {run.folder / 'run' / 'stdout'}", "dim")
    return run.failure.exit_code


REPORT_LIMIT = 256 << 20
"""Bytes of the report that a verify step wrote."""


def print_report(run: Run, display: Display, *, form: str = "text", output: Path | None = None) -> int:
    """Print the report that the run's verify step wrote; without one, the failure that kept it from it."""
    from kubewire.app.steps.verify import read_report

    path = next(iter(sorted(run.reports.glob("*.json"))), None)
    if path is None:
        return finish(run, display) or LabError.exit_code
    display.close()
    return emit_report(read_report(path), form, output)


def emit_report(report: Report, form: str, output: Path | None) -> int:
    """Write the report to standard output or, atomically, to a file; the exit code it means."""
    from kubewire.verify import exit_code

    if output is not None:
        write_report(output, formatted(report, form))
    elif form == "text":
        from kubewire.report import text

        text.show(report)
    else:
        console.document(formatted(report, form))
    return exit_code(report)


def write_report(output: Path, text: str) -> None:
    """Write a report to a file, whole or not at all; into a device, pipe or link (`/dev/stdout`) as it is.

    Raises DefinitionError (exit 2) when it can't be written there.
    """
    from kubewire.core.files import write_atomically

    try:
        if output.is_symlink() or (output.exists() and not output.is_file()):
            output.write_text(text, encoding="utf-8")
        else:
            write_atomically(output.absolute(), text, mode=0o644)
    except OSError as error:
        raise DefinitionError(f"the report can't be written: {error.strerror}", where=str(output)) from error


def formatted(report: Report, form: str) -> str:
    """The report as plain text, JSON or JUnit."""
    from kubewire.report import json as as_json
    from kubewire.report import junit, text

    makers = {"json": as_json.to_json, "junit": junit.to_junit, "text": text.to_text}
    return makers[form](report)


def tell_removal(name: str, display: Display, *, lived: bool) -> None:
    """After an interrupt: a lab that wasn't ready vanishes with its maker; wait for that, and say so.

    `lived` says that the lab was up before.
    """
    from kubewire.app.playbook import forget_logs
    from kubewire.providers.registry import providers

    makers = providers()
    for provider in makers:
        provider.abandon(name)
    deadline = time.monotonic() + (REMOVAL_IF_LIVED if lived else REMOVAL)
    while time.monotonic() < deadline:
        phases = {provider.status(name).phase for provider in makers}
        if not phases & {"starting", "ready", "failed"}:
            for provider in makers:
                provider.down(name)
            forget_logs(name)
            display.line(f"interrupted; nothing is left of lab {name}", "yellow")
            return
        time.sleep(0.1)
    display.line(f"interrupted; lab {name} is still there, kubewire up {name} finishes the work", "yellow")
