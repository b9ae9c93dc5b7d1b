"""The reports of a lab on several hosts: gathered, and kept as a file for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kubewire.app.outcome import formatted, write_report
from kubewire.app.playbook import Failure, Run
from kubewire.app.steps.verify import read_report
from kubewire.core.errors import DefinitionError, LabError
from kubewire.verify.report import Report

ENDINGS = {"text": "txt", "json": "json", "junit": "xml"}
"""How the file of a host's report in each form is called after the host."""


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
