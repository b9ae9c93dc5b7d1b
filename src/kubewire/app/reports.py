"""Print the report of a verify run, or write it to a file; for several hosts a file each."""

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
"""Format → suffix of a report's file."""


def print_report(run: Run, display: Display, *, form: str = "text", output: Path | None = None) -> int:
    """Print the report of the run's verify step, or the failure if there is none."""
    from kubewire.app.outcome import finish
    from kubewire.app.steps.verify import read_report

    path = next(iter(sorted(run.reports.glob("*.json"))), None)
    if path is None:
        return finish(run, display) or LabError.exit_code
    display.close()
    return emit_report(read_report(path), form, output)


def emit_report(report: Report, form: str, output: Path | None) -> int:
    """Write the report to standard output or, atomically, to a file; the exit code."""
    if output is not None:
        write_report(output, formatted(report, form))
    elif form == "text":
        from kubewire.report import text

        text.show(report)
    else:
        console.document(formatted(report, form))
    return report.exit_code


def write_report(output: Path, text: str) -> None:
    """Write a report to a file atomically; to a device, pipe or link (`/dev/stdout`) directly.

    Raises DefinitionError (exit 2) if that fails.
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
    if form == "json":
        return report.to_json()
    if form == "junit":
        from kubewire.report.junit import to_junit

        return to_junit(report)
    from kubewire.report.text import to_text

    return to_text(report)


def make_report_folder(folder: Path) -> None:
    """Create the folder for reports before the run starts; DefinitionError if that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DefinitionError(
            f"the folder for the hosts' reports can't be created: {error.strerror}",
            where=str(folder),
        ) from error


def gather(run: Run, hosts: Iterable[str], lab: str) -> dict[str, Report]:
    """Each host's report. An unreadable one is a failure of the host; without one the report is empty, with a
    note that gives the reason.
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
        why = failure.message if failure else "there is no report"
        found[host] = Report(lab, "", "", "", "error", (), (), notes=(f"{host}: {why}",))
    return found


def store(gathered: Mapping[str, Report], folder: Path, form: str) -> None:
    """Write a file for each host: HOST.txt, HOST.json or HOST.xml."""
    for host, report in gathered.items():
        write_report(folder / f"{host}.{ENDINGS[form]}", formatted(report, form))
