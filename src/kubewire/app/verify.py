"""`kubewire verify`: of a lab by the playbook, of a snapshot without it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.app.reports import emit_report, print_report

if TYPE_CHECKING:
    from kubewire.app.placement import Request


def verify_here(name: str, request: Request) -> int:
    """Run the verify playbook and print its report; the exit code."""
    from kubewire.app.display import Display
    from kubewire.app.playbook import run_playbook
    from kubewire.lab.lookup import required_record_of

    required_record_of(name)
    display = Display()
    run = run_playbook("verify", name, {"lab": name}, display, report=True)
    return print_report(run, display, form=request.form, output=request.output)


def verify_snapshot(folder: Path, form: str, output: Path | None) -> int:
    """Verify a snapshot folder, without lab or Ansible; the exit code."""
    from kubewire.verify.offline import verify_folder

    return emit_report(verify_folder(folder), form, output)
