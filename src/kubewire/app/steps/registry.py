"""Every step by its name: the collection's actions run them on this machine or another host."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from kubewire.app.steps.outcome import Outcome
from kubewire.core.errors import KubewireError
from kubewire.core.refusals import refusal

STEPS = {
    "packages": ("kubewire.app.steps.packages", "find_missing"),
    "cluster": ("kubewire.app.steps.cluster", "make_cluster"),
    "tools": ("kubewire.app.steps.node_tools", "tell_all_tools"),
    "commit": ("kubewire.app.steps.cluster", "commit_cluster"),
    "workload": ("kubewire.app.steps.workload", "bring_workload"),
    "settle": ("kubewire.app.steps.verify", "settle_dataplane"),
    "verify": ("kubewire.app.steps.verify", "verify_lab"),
    "remove": ("kubewire.app.steps.remove", "remove_lab"),
    "vm": ("kubewire.app.steps.vm", "start_vm"),
    "cell_host": ("kubewire.app.steps.packages", "look_at_cell_host"),
    "missing_binaries": ("kubewire.app.steps.send_binaries", "missing_binaries"),
    "adopt_binaries": ("kubewire.app.steps.send_binaries", "adopt_binaries"),
}
"""A step → its module and function. A module is imported when it is needed."""
UNCHECKED = frozenset({"packages", "cell_host", "missing_binaries", "adopt_binaries"})
"""Steps without a check mode: they change nothing in the lab."""


def perform(step: str, arguments: Mapping[str, Any], *, check: bool = False) -> dict[str, Any]:
    """Run a step: its task result; a KubewireError becomes a failed one with its message."""
    module, function = STEPS[step]
    options = dict(arguments) if step in UNCHECKED else {**arguments, "check": check}
    try:
        outcome: Outcome = getattr(import_module(module), function)(**options)
        return outcome.result(check=check)
    except KubewireError as error:
        return failure(error)
    except (OSError, ValueError) as error:
        if refused := refusal(error):
            return failure(refused)
        raise


def failure(error: KubewireError) -> dict[str, Any]:
    """The task result of an error."""
    return {
        "failed": True,
        "msg": str(error),
        "kubewire_error": {"what": error.what, "where": error.where, "hint": error.hint},
        "kubewire_exit_code": error.exit_code,
    }
