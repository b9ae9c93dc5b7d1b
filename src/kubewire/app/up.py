"""What `kubewire up` does around the playbook: the provider told, the binaries fetched, the outcome told."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from kubewire.app.display import Display
from kubewire.app.outcome import finish, print_report, tell_removal
from kubewire.app.playbook import Run, forget_logs, run_playbook
from kubewire.app.reports import gather, store
from kubewire.app.steps.cluster import Intent, intend
from kubewire.core.signals import Terminated
from kubewire.lab.lock import lab_lock
from kubewire.providers.registry import get_provider

HERE = "localhost"
"""This machine's name in inventories/local."""


@dataclass(frozen=True)
class UpCall:
    """What `kubewire up` was asked for. All of it goes each way that brings a lab up: here, in a VM, on other
    hosts.
    """

    lab: str
    overrides: dict[str, str]
    provider: str = "auto"
    verify: bool = False
    recreate: bool = False
    keep: bool = False
    check: bool = False
    diff: bool = False
    wait: bool = True
    reports: Path | None = None

    @property
    def proves(self) -> bool:
        """With --check nothing is there to be judged."""
        return self.verify and not self.check

    @property
    def playbook(self) -> str:
        return "lab" if self.proves else "up"

    @property
    def variables(self) -> dict[str, object]:
        """The playbook's."""
        return {
            "lab": self.lab,
            "lab_overrides": self.overrides,
            "provider": self.provider,
            "recreate": self.recreate,
            "keep": self.keep,
        }


def bring_up(call: UpCall) -> int:
    """Run the playbook under the lab's lock; the exit code."""
    display = Display()
    intent = intend(call.lab, call.overrides, call.provider)
    name = intent.lab.name
    display.line(f"{intent.choice.name}: {intent.choice.why}")
    command = " ".join(sys.argv[1:]) or "up"

    def tell(who: str) -> None:
        display.line(f"lab {name}: {who}", "yellow")

    with lab_lock(name, command, wait=call.wait, tell=tell):
        intent = intend(call.lab, call.overrides, call.provider)  # another command may have worked on it
        try:
            run = _run(call, intent, display)
        except (KeyboardInterrupt, Terminated):
            tell_removal(name, display, lived=intent.record is not None)
            raise
    if run.failure and not call.check:
        get_provider(intent.choice.name).abandon(name)
    if run.failure is None:
        tell_changes(run, name, display, check=call.check)
    if call.proves:
        if call.reports:
            store(gather(run, [HERE], name), call.reports, "json")
        return print_report(run, display)
    code = finish(run, display)
    if call.check and code == 0 and intent.record is None:
        forget_logs(name)
    return code


def _run(call: UpCall, intent: Intent, display: Display) -> Run:
    from kubewire.binaries import supply

    provider = get_provider(intent.choice.name)
    provider.require_possible(intent.lab)
    if provider.uses_binaries and not call.check and not intent.has_binaries:
        with display.running(f"Kubernetes {intent.lab.kubernetes}"):
            supply.ensure(
                intent.lab.kubernetes,
                control_plane=intent.lab.control_plane,
                dns=intent.lab.dns,
                progress=display.tell,
            )
    variables = call.variables | {"lab": str(intent.source)}
    return run_playbook(
        *(call.playbook, intent.lab.name, variables, display),
        check=call.check,
        diff=call.diff,
        report=call.proves,
    )


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
