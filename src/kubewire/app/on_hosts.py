"""`up`, `verify` and `down` of labs on other hosts: the same playbooks with another inventory."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from kubewire.app.display import Display
from kubewire.app.outcome import REMOVAL, finish, tell_changes
from kubewire.app.placement import Request
from kubewire.app.playbook import Run, forget_logs, log_folder, run_playbook
from kubewire.app.reports import gather, make_report_folder, print_report, store
from kubewire.core import console
from kubewire.core.console import Screen
from kubewire.core.errors import DefinitionError, KubewireError
from kubewire.core.signals import Terminated
from kubewire.hosts import records, remote, tunnel
from kubewire.hosts.inventory import Target
from kubewire.hosts.overview import AT_ONCE, DEAD, READY
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.status import remote_status
from kubewire.providers.base import GONE
from kubewire.verify.report import Report


def up_on_hosts(name: str, request: Request, target: Target) -> int:
    """Create or repair the lab on every host of the target in parallel; the highest exit code."""
    display = Display()
    display.line(target.headline)
    with display.lab_lock(name, "up", wait=request.wait):
        known = records.read(name)
        try:
            run = run_playbook(
                *(request.playbook, name, request.variables, display),
                check=request.check,
                diff=request.diff,
                report=request.verifies,
                target=target,
            )
        except (KeyboardInterrupt, Terminated):
            _forget_absent(name, known, display, keep=request.keep)
            display.line(f"interrupted; what wasn't ready is removed from {target.pattern}", "yellow")
            raise
        if run.failures:
            _forget_absent(name, known, display, keep=request.keep)
    if not run.failures:
        tell_changes(run, name, display, check=request.check)
    return _report(run, target, name, display, verify=request.verifies, reports=request.output)


def verify_on_hosts(name: str, request: Request, target: Target) -> int:
    """Verify the lab on all its hosts; the highest exit code.

    With several hosts the request's output is a folder for their files; DefinitionError if it can't be.
    """
    form, output = request.form, request.output
    several = len(target.hosts) > 1
    if several and output:
        make_report_folder(output)
    elif several and form == "junit":
        raise DefinitionError(
            f"lab {name} is up on {', '.join(target.hosts)}, and a JUnit file is for one host",
            hint="set a folder for their files with --output DIR, or choose a host with --host NAME",
        )
    display = Display()
    run = run_playbook("verify", name, {"lab": name}, display, report=True, target=target)
    if not several:
        return print_report(run, display, form=form, output=output)
    return _report(run, target, name, display, verify=True, form=form, kept=form, reports=output)


def down_on_hosts(name: str, known: Mapping[str, RemoteLab], *, wait: bool) -> int:
    """Remove the lab from every host of `known`; the highest exit code."""
    display = Display()
    with display.lab_lock(name, "down", wait=wait), ThreadPoolExecutor(AT_ONCE) as pool:
        codes = list(pool.map(lambda away: _remove(away, display, wait=wait), known.values()))
        if not records.read(name):
            forget_logs(name)
    return max(codes)


def _remove(away: RemoteLab, display: Display, *, wait: bool) -> int:
    host = away.place.name
    tunnel.close(away)
    try:
        done = remote.call(away, ["down", away.lab, *([] if wait else ["--no-wait"])])
    except KubewireError as error:
        display.paragraph(f"kubewire: {error}", "red")
        return error.exit_code
    words = done.err.splitlines()
    display.line(f"{host}: {words[-1] if words else f'exit code {done.code}'}")
    if done.code == 0:
        records.forget(away.lab, host)
    return remote.exit_code(done)


def _forget_absent(name: str, known: Mapping[str, RemoteLab], display: Display, *, keep: bool) -> None:
    """Remove the records and files of new labs whose creation failed. The record is kept if the host doesn't
    answer, and with `keep` those of dead labs are kept.
    """
    new = [away for host, away in records.read(name).items() if host not in known]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for away, phase in zip(new, pool.map(_settled, new), strict=True):
            if phase in GONE and not (keep and phase == DEAD):
                with suppress(KubewireError):
                    remote.call(away, ["down", name])  # waits for processes that are still ending
                    remote.call(away, ["gc"])
                records.forget(name, away.place.name)
            elif phase != READY:
                display.line(f"kubewire down {name} --host {away.place.name} removes what is left", "dim")


def _settled(away: RemoteLab) -> str:
    """The final phase of a lab after its creation has ended; its removal may take some seconds. "" if the
    host doesn't answer.
    """
    deadline = time.monotonic() + REMOVAL
    phase = ""
    while time.monotonic() < deadline:
        try:
            phase = remote_status(away).phase
        except KubewireError:
            return ""
        if phase in GONE or phase == READY:
            break
    return phase


def _report(
    run: Run,
    target: Target,
    name: str,
    display: Display,
    *,
    verify: bool,
    form: str = "text",
    kept: str = "json",
    reports: Path | None = None,
) -> int:
    """Print the report of one host; for several hosts a table, and their reports in a folder or as JSON on
    standard output. `form` is the format that is printed, `kept` that of the files in `reports`.
    """
    if not target.is_group:
        if verify and reports:
            store(gather(run, target.hosts, name), reports, kept)
        return print_report(run, display) if verify else finish(run, display)
    display.close()
    for failure in run.failures.values():
        if not (run.reports / f"{failure.host}.json").exists():
            display.paragraph(f"kubewire: {failure.host}: {failure.message}", "red")
    if not verify:
        return max((failure.exit_code for failure in run.failures.values()), default=0)
    gathered = gather(run, target.hosts, name)
    codes = {host: _row_code(host, gathered, run) for host in target.hosts}
    as_document = form == "json" and reports is None
    _print_table(gathered, codes, run, Screen(stderr=as_document))
    if as_document:
        found = {host: report.to_dict() for host, report in gathered.items()}
        console.document(json.dumps(found, indent=1) + "\n")
    else:
        folder = reports or log_folder(name) / "reports"
        store(gathered, folder, kept if reports else "json")
        display.line(f"the reports: {folder}", "dim")
    return max(codes.values())


def _row_code(host: str, gathered: Mapping[str, Report], run: Run) -> int:
    failure = run.failures.get(host)
    return failure.exit_code if failure else gathered[host].exit_code


def _print_table(gathered: Mapping[str, Report], codes: Mapping[str, int], run: Run, screen: Screen) -> None:
    rows: list[list[str | tuple[str, str]]] = []
    for host, report in gathered.items():
        style = {"passed": "green", "failed": "red"}.get(report.status, "yellow")
        verified = bool(report.nodes or report.checks)
        counts = [str(report.count(status)) if verified else "" for status in ("passed", "failed", "skipped")]
        first = _first_failure(report, run, host) if codes[host] else ""
        rows.append([host, (report.status, style), *counts, first])
    screen.table(["HOST", "RESULT", "PASSED", "FAILED", "SKIPPED", "FIRST FAILURE"], rows)


def _first_failure(report: Report, run: Run, host: str) -> str:
    for check in report.checks:
        if check.status == "failed":
            return " ".join(filter(None, (check.node, check.service, check.object)))
    failure = run.failures.get(host)
    return failure.message.splitlines()[0] if failure and failure.message else ""
