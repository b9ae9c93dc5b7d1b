"""Here: have a lab host's session do a step, through whatever runs a command there."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kubewire import progress
from kubewire.core.files import write_atomically
from kubewire.errors import LabError
from kubewire.hosts import shipping
from kubewire.hosts.client import MARK
from kubewire.hosts.place import Place
from kubewire.makers import command_lives
from kubewire.steps.target import lab_name, name_to_remove

Run = Callable[[str, bytes], tuple[int, str, str]]
"""Runs a shell command on the host with this standard input: exit code, standard output and error."""
DEFINING = frozenset({"packages", "cluster"})
"""Steps that need the definition; the others find the lab by its name."""


def perform_there(
    run: Run, place: Place, step: str, arguments: Mapping[str, Any], *, check: bool = False
) -> dict[str, Any]:
    """The step's task result, its progress told as it comes; LabError where the host gives none."""
    if not command_lives():  # Ansible outlives it, but nobody waits for the lab any more
        raise LabError("the command that this run belongs to was killed", where=place.name)
    arguments = dict(arguments)
    report = arguments.pop("report", None)
    request: dict[str, Any] = {"step": step, "check": check}
    if step in DEFINING or (step == "workload" and check and arguments.get("overrides") is not None):
        request["definition"] = shipping.pack(arguments["lab"], arguments.pop("overrides") or {})
        arguments["overrides"] = {}
    elif "lab" in arguments:
        named = name_to_remove if step == "remove" else lab_name
        arguments["lab"] = named(arguments["lab"])
    answer = _ask(run, place, request | {"arguments": arguments})
    while "result" not in answer:
        answer = _ask(run, place, {"job": answer["job"]})
    result: dict[str, Any] = answer["result"]
    full = result.pop("full_report", None)
    if report and full:
        write_atomically(Path(report), json.dumps(full, indent=1) + "\n")
    return result


def _ask(run: Run, place: Place, request: Mapping[str, Any]) -> dict[str, Any]:
    command = shlex.join(place.module("kubewire.hosts.client"))
    code, out, error = run(command, json.dumps(request).encode())
    lines = [line for line in out.splitlines() if line.startswith(MARK)]
    if code or not lines:
        raise LabError(
            f"kubewire there gave no answer (exit code {code}): {(error or out).strip()[-2000:]}",
            where=place.name,
        )
    answer: dict[str, Any] = json.loads(lines[-1].removeprefix(MARK))
    for line in answer.pop("progress", ()):
        told = {key: line.get(key) for key in ("step", "detail", "done", "total")}
        progress.emit(**told)
    return answer
