"""The reports of a verify run: printed, written to a file, or a file for each of several hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.core import console
from kubewire.core.errors import DefinitionError, LabError

if TYPE_CHECKING:
    from kubewire.app.display import Display
    from kubewire.app.playbook import Run
    from kubewire.verify.report import Report

ENDINGS = {"text": "txt", "json": "json", "junit": "xml"}
"""How the file of a host's report in each form is called after the host."""


def print_report(run: Run, display: Display, *, form: str = "text", output: Path | None = None) -> int:
    """Print the report that the run's verify step wrote; without one, the failure that kept it from it."""
    from kubewire.app.outcome import finish
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


def make_report_folder(folder: Path) -> None:
    """Have the folder for reports there before anything is done; DefinitionError where it can't be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DefinitionError(
            f"the reports of several hosts go into a folder, and this can't be one: {error.strerror}",
            where=str(folder),
        ) from error


def gather(run: Run, hosts: Iterable[str], lab: str) -> dict[str, Report]:
    """Each host's report. One that can't be read is that host's failure; a host without one has an empty
    report that says why.
    """
    from kubewire.app.playbook import Failure
    from kubewire.app.steps.verify import read_report
    from kubewire.verify.report import Report

    found = {}
    for host in hosts:
        path = run.reports / f"{host}.json"
        try:
            if path.exists():
                found[host] = read_report(path)
                continue
        except LabError as error:
            run.fail(Failure("", host, error.what, error.exit_code))
        failure = run.failures.get(host)
        why = failure.message if failure else "it gave no report"
        found[host] = Report(lab, "", "", "", "error", (), (), notes=(f"{host}: {why}",))
    return found


def store(gathered: Mapping[str, Report], folder: Path, form: str) -> None:
    """A file for each host: HOST.txt, HOST.json or HOST.xml."""
    for host, report in gathered.items():
        write_report(folder / f"{host}.{ENDINGS[form]}", formatted(report, form))
