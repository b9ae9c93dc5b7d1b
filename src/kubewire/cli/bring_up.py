"""What `kubewire up` does around the playbook: the provider told, the binaries fetched, the outcome told."""

from __future__ import annotations

import sys

from kubewire.cli.display import Display
from kubewire.cli.outcome import finish, print_report, tell_removal
from kubewire.cli.playbook import Run, forget_logs, run_playbook
from kubewire.cli.signals import Terminated
from kubewire.providers import get_provider
from kubewire.steps.cluster import Intent, intend
from kubewire.steps.lock import lab_lock
from kubewire.steps.packages import require_all_but_packages


def bring_up(
    lab: str,
    overrides: dict[str, str],
    *,
    provider: str = "auto",
    verify: bool = False,
    recreate: bool = False,
    check: bool = False,
    diff: bool = False,
    wait: bool = True,
) -> int:
    """Run the playbook under the lab's lock; the exit code."""
    display = Display()
    intent = intend(lab, overrides, provider)
    name = intent.lab.name
    display.line(f"{intent.choice.name}: {intent.choice.why}")
    variables: dict[str, object] = {
        "lab": str(intent.source),
        "lab_overrides": overrides,
        "provider": provider,
        "recreate": recreate,
    }
    command = " ".join(sys.argv[1:]) or "up"
    with lab_lock(name, command, wait=wait, tell=lambda who: display.line(f"lab {name}: {who}", "yellow")):
        intent = intend(lab, overrides, provider)  # another command may have worked on it meanwhile
        try:
            run = _run(intent, display, variables, verify=verify and not check, check=check, diff=diff)
        except (KeyboardInterrupt, Terminated):
            tell_removal(name, display, lived=intent.record is not None)
            raise
    if run.failure and not check:
        get_provider(intent.choice.name).abandon(name)
    if run.failure is None:
        tell_changes(run, name, display, check=check)
    if verify and not check:
        return print_report(run, display)
    code = finish(run, display)
    if check and code == 0 and intent.record is None:
        forget_logs(name)
    return code


def _run(
    intent: Intent,
    display: Display,
    variables: dict[str, object],
    *,
    verify: bool,
    check: bool,
    diff: bool,
) -> Run:
    from kubewire.kubernetes import binaries

    embedded = intent.choice.name == "netns"
    if embedded:
        require_all_but_packages(intent.lab)
    if embedded and not check and not intent.has_binaries:
        with display.running(f"Kubernetes {intent.lab.kubernetes}"):
            binaries.ensure(
                intent.lab.kubernetes,
                control_plane=intent.lab.control_plane,
                dns=intent.lab.dns,
                progress=display.tell,
            )
    playbook = "lab" if verify else "up"
    return run_playbook(playbook, intent.lab.name, variables, display, check=check, diff=diff, report=verify)


def tell_changes(run: Run, name: str, display: Display, *, check: bool = False) -> None:
    """The last line: on which hosts something was changed, or with `check` would be."""
    display.close()
    changed = [f"{host} changed={count}" for host, count in sorted(run.changed.items()) if count]
    if check:
        would = f"up would change it: {', '.join(changed)}"
        display.line(f"lab {name}: {would if changed else 'up would change nothing'}", "green")
        return
    what = ", ".join(changed) or "nothing was to be done, changed=0 for every host"
    display.line(f"lab {name} is up: {what}", "green")
