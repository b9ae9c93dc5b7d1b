"""What `kubewire verify` does: by the playbook for a lab, directly for a snapshot."""

from __future__ import annotations

from pathlib import Path

from kubewire.app.outcome import emit_report, print_report


def judge_lab(lab: str, form: str, output: Path | None) -> int:
    """Run the verify playbook and print its report; the exit code."""
    from kubewire.app.display import Display
    from kubewire.app.playbook import run_playbook
    from kubewire.lab.lookup import required_record

    name = required_record(lab).lab.name
    display = Display()
    run = run_playbook("verify", name, {"lab": name}, display, report=True)
    return print_report(run, display, form=form, output=output)


def judge_snapshot(folder: Path, form: str, output: Path | None) -> int:
    """Judge a snapshot folder, without lab or Ansible; the exit code."""
    from kubewire.verify.offline import verify_folder

    return emit_report(verify_folder(folder), form, output)
