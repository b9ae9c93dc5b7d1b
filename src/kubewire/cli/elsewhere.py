"""`up`, `verify` and `down` of labs on other hosts: the same playbooks with another inventory."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from kubewire.cli.bring_up import tell_changes
from kubewire.cli.display import Display
from kubewire.cli.outcome import REMOVAL, finish, formatted, print_report, write_report
from kubewire.cli.playbook import Failure, Run, forget_logs, log_folder, run_playbook
from kubewire.cli.signals import Terminated
from kubewire.core import console
from kubewire.core.console import Screen
from kubewire.errors import DefinitionError, KubewireError, LabError
from kubewire.hosts import far, records, tunnel
from kubewire.hosts.choice import recorded_target
from kubewire.hosts.inventory import Target
from kubewire.hosts.overview import AT_ONCE, GONE, READY
from kubewire.hosts.records import Away
from kubewire.lab.loading import load_lab
from kubewire.report.model import Report
from kubewire.steps.lock import lab_lock
from kubewire.steps.verify import read_report
from kubewire.verify import exit_code
from kubewire.vm.hosting import HOST
from kubewire.vm.machine import remove as remove_vm

ENDINGS = {"text": "txt", "json": "json", "junit": "xml"}
"""How the file of a host's report in each form is called after the host."""


def bring_up(
    target: Target,
    lab: str,
    overrides: dict[str, str],
    *,
    provider: str = "auto",
    verify: bool = False,
    recreate: bool = False,
    check: bool = False,
    diff: bool = False,
    wait: bool = True,
    reports: Path | None = None,
) -> int:
    """Make or mend the lab on every host of the target, side by side; the worst exit code."""
    if reports:
        make_report_folder(reports)
    display = Display()
    name = load_lab(lab, overrides).name
    display.line(target.headline)
    variables: dict[str, object] = {
        "lab": lab,
        "lab_overrides": overrides,
        "provider": provider,
        "recreate": recreate,
    }
    verify = verify and not check
    with _locked(name, "up", display, wait):
        known = records.read(name)
        try:
            playbook = "lab" if verify else "up"
            run = run_playbook(
                playbook, name, variables, display, check=check, diff=diff, report=verify, target=target
            )
        except (KeyboardInterrupt, Terminated):
            _forget_absent(name, known, display)
            display.line(f"interrupted; what wasn't ready is gone from {target.pattern}", "yellow")
            raise
        if run.failures:
            _forget_absent(name, known, display)
    if not run.failures:
        tell_changes(run, name, display, check=check)
    return _tell(run, target, name, display, verify=verify, form="json", reports=reports)


def judge(lab: str, known: Mapping[str, Away], form: str, output: Path | None) -> int:
    """Verify the lab on every host that it is on; the worst exit code.

    Of several hosts `output` is a folder that gets a file for each; DefinitionError where it can't be one.
    """
    several = len(known) > 1
    if several and output:
        make_report_folder(output)
    elif several and form == "junit":
        raise DefinitionError(
            f"lab {lab} is up on {', '.join(known)}, and a JUnit file tells of one",
            mend="give a folder for their files with --output DIR, or name one with --host NAME",
        )
    display = Display()
    target = recorded_target(known)
    run = run_playbook("verify", lab, {"lab": lab}, display, report=True, target=target)
    if not several:
        return print_report(run, display, form=form, output=output)
    return _tell(run, target, lab, display, verify=True, form=form, reports=output)


def take_down(lab: str, known: Mapping[str, Away], *, wait: bool = True) -> int:
    """Remove the lab from every host that it is on; the worst exit code."""
    display = Display()
    with _locked(lab, "down", display, wait), ThreadPoolExecutor(AT_ONCE) as pool:
        codes = list(pool.map(lambda away: _remove(away, display), known.values()))
        if not records.read(lab):
            forget_logs(lab)
    return max(codes)


def _remove(away: Away, display: Display) -> int:
    host = away.place.name
    tunnel.close(away)
    if host == HOST:
        was_there = remove_vm(away.lab)
        display.line(f"lab {away.lab}: its VM {'is gone' if was_there else 'was gone already'}")
        records.forget(away.lab, host)
        return 0
    try:
        done = far.call(away, ["down", away.lab])
    except KubewireError as error:
        display.paragraph(f"kubewire: {error}", "red")
        return error.exit_code
    words = done.err.splitlines()
    display.line(f"{host}: {words[-1] if words else f'exit code {done.code}'}")
    if done.code == 0:
        records.forget(away.lab, host)
    return far.exit_code(done)


def _locked(name: str, command: str, display: Display, wait: bool):  # type: ignore[no-untyped-def]
    words = " ".join(sys.argv[1:]) or command
    return lab_lock(name, words, wait=wait, tell=lambda who: display.line(f"lab {name}: {who}", "yellow"))


def _forget_absent(name: str, known: Mapping[str, Away], display: Display) -> None:
    """Keep no record of a new lab that didn't come to be, nor its files there; one whose host doesn't answer
    is kept.
    """
    new = [away for host, away in records.read(name).items() if host not in known]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for away, phase in zip(new, pool.map(_settled, new), strict=True):
            if phase in GONE:
                with suppress(KubewireError):
                    far.call(away, ["down", name])  # waits for what is still ending there
                    far.call(away, ["gc"])
                records.forget(name, away.place.name)
            elif phase != READY:
                display.line(
                    f"kubewire down {name} --host {away.place.name} removes what is left there", "dim"
                )


def _settled(away: Away) -> str:
    """The phase in which a lab whose making has ended stays: it has some seconds to go. "" for a host that
    doesn't answer.
    """
    deadline = time.monotonic() + REMOVAL
    phase = ""
    while time.monotonic() < deadline:
        try:
            phase = far.phase(away)
        except KubewireError:
            return ""
        if phase in GONE or phase == READY:
            break
    return phase


def _tell(
    run: Run,
    target: Target,
    name: str,
    display: Display,
    *,
    verify: bool,
    form: str = "text",
    reports: Path | None = None,
) -> int:
    """The report of one host as everywhere; of several a table, and each one's report in a folder, or as JSON
    on standard output.
    """
    if not target.is_group:
        if verify and reports:
            _keep(_gather(run, target, name), reports, form)
        return print_report(run, display) if verify else finish(run, display)
    display.close()
    for failure in run.failures.values():
        if not (run.reports / f"{failure.host}.json").exists():
            display.paragraph(f"kubewire: {failure.host}: {failure.message}", "red")
    if not verify:
        return max((failure.exit_code for failure in run.failures.values()), default=0)
    gathered = _gather(run, target, name)
    codes = {host: _row_code(host, gathered, run) for host in target.hosts}
    as_document = form == "json" and reports is None
    _print_table(gathered, codes, run, Screen(stderr=as_document))
    if as_document:
        told = {host: report.to_dict() for host, report in gathered.items()}
        console.document(json.dumps(told, indent=1) + "\n")
    else:
        folder = reports or log_folder(name) / "reports"
        _keep(gathered, folder, form if reports else "json")
        display.line(f"the reports: {folder}", "dim")
    return max(codes.values())


def make_report_folder(folder: Path) -> None:
    """Have the folder for reports there before anything is done; DefinitionError where it can't be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DefinitionError(
            f"the reports of several hosts go into a folder, and this can't be one: {error.strerror}",
            where=str(folder),
        ) from error


def _gather(run: Run, target: Target, lab: str) -> dict[str, Report]:
    """Each host's report. One that can't be read is that host's failure; a host without one has an empty
    report that says why.
    """
    found = {}
    for host in target.hosts:
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


def _keep(gathered: Mapping[str, Report], folder: Path, form: str) -> None:
    """A file for each host: HOST.txt, HOST.json or HOST.xml."""
    for host, report in gathered.items():
        write_report(folder / f"{host}.{ENDINGS[form]}", formatted(report, form))


def _row_code(host: str, gathered: Mapping[str, Report], run: Run) -> int:
    failure = run.failures.get(host)
    return failure.exit_code if failure else exit_code(gathered[host])


def _print_table(gathered: Mapping[str, Report], codes: Mapping[str, int], run: Run, screen: Screen) -> None:
    rows: list[list[str | tuple[str, str]]] = []
    for host, report in gathered.items():
        style = {"passed": "green", "failed": "red"}.get(report.status, "yellow")
        judged = bool(report.nodes or report.checks)
        counts = [str(report.count(status)) if judged else "" for status in ("passed", "failed", "skipped")]
        first = _first_failure(report, run, host) if codes[host] else ""
        rows.append([host, (report.status, style), *counts, first])
    screen.table(["HOST", "RESULT", "PASSED", "FAILED", "SKIPPED", "FIRST FAILURE"], rows)


def _first_failure(report: Report, run: Run, host: str) -> str:
    for check in report.checks:
        if check.status == "failed":
            return " ".join(filter(None, (check.node, check.service, check.object)))
    failure = run.failures.get(host)
    return failure.message.splitlines()[0] if failure and failure.message else ""
