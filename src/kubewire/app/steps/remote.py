"""On the controller: run a step in a lab host's session, by any function that runs a command on the host."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from kubewire.app.steps import answers
from kubewire.app.steps.answers import Answer, Done, Failed
from kubewire.core import progress
from kubewire.core.errors import LabError
from kubewire.core.files import write_atomically
from kubewire.core.owners import command_lives
from kubewire.core.printable import one_line
from kubewire.core.timeouts import scaled
from kubewire.hosts import agent, definitions
from kubewire.hosts.agent import STEP_MARK
from kubewire.hosts.ssh_target import Run, SshTarget
from kubewire.lab.lookup import lab_name, name_to_remove

DEFINING = frozenset({"packages", "cluster"})
"""Steps that need the definition; the others find the lab by its name."""
MOST_CALLS = 1440
"""The maximum of calls for a step: four hours, since each call waits up to ten seconds."""
PROGRESS_SHOWN = 100
"""Lines of progress printed from one answer; only the newest stays visible."""
TAIL = 2000


def perform_there(
    run: Run, place: SshTarget, step: str, arguments: Mapping[str, Any], *, check: bool = False
) -> dict[str, Any]:
    """The step's task result; its progress is printed meanwhile. LabError if the host gives none, or an
    invalid one.
    """
    if not command_lives():  # Ansible outlives it, but nobody waits for the lab any more
        raise LabError("the command that this run belongs to was killed", where=place.name)
    arguments = dict(arguments)
    report = arguments.pop("report", None)
    request: dict[str, Any] = {"step": step, "check": check}
    if step in DEFINING or (step == "workload" and check and arguments.get("overrides") is not None):
        request["definition"] = definitions.pack(arguments["lab"], arguments.pop("overrides") or {})
        arguments["overrides"] = {}
    elif "lab" in arguments:
        named = name_to_remove if step == "remove" else lab_name
        arguments["lab"] = named(arguments["lab"])
    result = _result(run, place, step, request | {"arguments": arguments})
    full = getattr(result, "full_report", msgspec.UNSET)
    if report and full is not msgspec.UNSET:
        write_atomically(Path(report), json.dumps(msgspec.to_builtins(full), indent=1) + "\n")
    return answers.task_result(result)


def _result(run: Run, place: SshTarget, step: str, request: Mapping[str, Any]) -> Done | Failed:
    answer = _ask(run, place, step, request)
    for _ in range(int(scaled(MOST_CALLS))):
        if bytes(answer.result):
            return answers.read_result(answer, place.name, step)
        answer = _ask(run, place, step, {"job": answer.job})
    raise LabError(f"step {step} doesn't end", where=place.name)


def _ask(run: Run, place: SshTarget, step: str, request: Mapping[str, Any]) -> Answer:
    command = shlex.join(agent.command(place, "call"))
    code, out, error = run(command, json.dumps(request).encode())
    agent.check_version(code, error, place.name)
    lines = [line for line in out.split("\n") if line.startswith(STEP_MARK)]
    if code or not lines:
        raise LabError(
            f"kubewire on the host gave no answer (exit code {code}): {(error or out).strip()[-TAIL:]}",
            where=place.name,
        )
    answer = answers.read_answer(lines[-1].removeprefix(STEP_MARK), place.name, step)
    for line in answer.progress[-PROGRESS_SHOWN:]:
        progress.emit(one_line(line.step), one_line(line.detail), line.done, line.total)
    return answer
