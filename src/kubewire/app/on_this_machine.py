"""`up`, `verify` and `down` of a lab on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubewire.app.display import Display
from kubewire.app.outcome import finish, tell_changes, tell_removal
from kubewire.app.placement import Request
from kubewire.app.playbook import Run, forget_logs, run_playbook
from kubewire.app.reports import gather, print_report, store
from kubewire.app.steps.remove import remove_here
from kubewire.core.signals import Terminated
from kubewire.hosts.definitions import forget_unused
from kubewire.lab.loading import find_lab
from kubewire.lab.lookup import required_record_of
from kubewire.providers.registry import get_provider

if TYPE_CHECKING:
    from kubewire.app.steps.cluster import Intent

HERE = "localhost"
"""This machine's name in inventories/local."""


def up_here(request: Request) -> int:
    """Choose the provider, get the binaries, run the playbook under the lab's lock; the exit code."""
    from kubewire.app.steps.cluster import intent_of  # slow to import, as supply: `down` needs neither

    display = Display()
    lab, source = request.definition, find_lab(request.lab)
    intent = intent_of(lab, source, request.provider)
    display.line(f"{intent.choice.name}: {intent.choice.why}")
    with display.lab_lock(lab.name, "up", wait=request.wait):
        intent = intent_of(lab, source, request.provider)  # another command may have changed it
        try:
            run = _run(request, intent, display)
        except (KeyboardInterrupt, Terminated):
            tell_removal(lab.name, display, lived=intent.record is not None)
            raise
    if run.failure and not request.check:
        get_provider(intent.choice.name).abandon(lab.name)
    if run.failure is None:
        tell_changes(run, lab.name, display, check=request.check)
    if request.verifies:
        if request.output:
            store(gather(run, [HERE], lab.name), request.output, "json")
        return print_report(run, display)
    code = finish(run, display)
    if request.check and code == 0 and intent.record is None:
        forget_logs(lab.name)
    return code


def verify_here(name: str, request: Request) -> int:
    """Run the verify playbook and print its report; the exit code."""
    required_record_of(name)
    display = Display()
    run = run_playbook("verify", name, {"lab": name}, display, report=True)
    return print_report(run, display, form=request.form, output=request.output)


def down_here(name: str, *, wait: bool = True) -> int:
    """Remove a lab under its lock, then its logs; the exit code.

    It is the step of playbooks/down.yml without Ansible, which is faster.
    """
    display = Display()
    with display.lab_lock(name, "down", wait=wait):
        with display.running("Remove the lab and everything that belongs to it"):
            removed = remove_here(name)
        forget_logs(name)
        display.line(f"lab {name} is removed" if removed else f"there was no lab {name}", "green")
    forget_unused()  # the definition that another machine sent, in use until the lock is released
    return 0


def _run(request: Request, intent: Intent, display: Display) -> Run:
    provider = get_provider(intent.choice.name)
    provider.require_possible(intent.lab)
    if provider.uses_binaries and not request.check and not intent.has_binaries:
        from kubewire.binaries import supply

        with display.running(f"Kubernetes {intent.lab.kubernetes}"):
            supply.ensure(
                intent.lab.kubernetes,
                control_plane=intent.lab.control_plane,
                dns=intent.lab.dns,
                progress=display.tell,
            )
    variables = request.variables | {"lab": str(intent.source)}
    return run_playbook(
        *(request.playbook, intent.lab.name, variables, display),
        check=request.check,
        diff=request.diff,
        report=request.verifies,
    )
