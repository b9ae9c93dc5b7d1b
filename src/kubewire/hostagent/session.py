"""`session CONNECTION-PID LISTENER-FD SOCKET`: run the steps of a playbook on the controller.

It ends with its SSH connection. It owns the labs that it creates: a lab that isn't ready by then is removed.
All steps run in one process, since starting Python is slow under emulation.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import shutil
import signal
import socket
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from kubewire.app.steps.cluster import living_record
from kubewire.app.steps.registry import failure, perform
from kubewire.core import progress, rpc
from kubewire.core.errors import LabError
from kubewire.core.paths import state_dir
from kubewire.core.processes import search_path
from kubewire.core.signals import Terminated, raise_on_terminate
from kubewire.hosts import definitions
from kubewire.lab.lock import lab_lock

WAIT = 10.0
"""Seconds until a caller gets the answer that its step still runs."""
TOLD = 100
"""Lines of progress in one answer: the newest."""
MERCY = 20.0
"""Seconds that the current step has to clean up once the connection has ended."""


class Request(msgspec.Struct):
    """A new step, or with `job` a request to keep waiting for one."""

    step: str = ""
    arguments: dict[str, Any] = {}
    check: bool = False
    definition: dict[str, Any] | None = None
    job: int | None = None


class Job:
    """One step: the request, and its result when it is done."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.done = threading.Event()
        self.result: dict[str, Any] = {}


class Session:
    """Runs jobs one after another in the main thread, which gets signals; other threads wait for them."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._queue: queue.Queue[Job] = queue.Queue()
        self._held = contextlib.ExitStack()
        self._unready = ""
        descriptor = os.memfd_create("progress")
        file = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        os.environ[progress.VARIABLE] = str(file)
        self._feed = progress.ProgressFeed(file)

    def work(self) -> None:
        """Run jobs until a signal ends the process."""
        while True:
            job = self._queue.get()
            try:
                job.result = self._perform(job.request)
            except Exception:  # a bug in kubewire: the caller prints it, with its traceback
                job.result = {"failed": True, "msg": traceback.format_exc(), "kubewire_exit_code": 4}
            job.done.set()

    def answer(self, request: Request) -> dict[str, Any]:
        """Queue a new step, or keep waiting for one."""
        number = len(self._jobs) if request.job is None else request.job
        if request.job is not None and number not in self._jobs:
            lost = LabError("the connection was cut while the step ran", hint="run the command again")
            return {"job": number, "result": failure(lost)}
        if number not in self._jobs:
            self._jobs[number] = Job(request)
            self._queue.put(self._jobs[number])
        job = self._jobs[number]
        done = job.done.wait(WAIT)
        told = self._feed.new_lines()[-TOLD:]
        return {"job": number, "progress": told} | ({"result": job.result} if done else {})

    def _perform(self, request: Request) -> dict[str, Any]:
        step, arguments, check = request.step, request.arguments, request.check
        definition = request.definition
        if definition:
            self._held.enter_context(lab_lock(definition["name"], "up, from another machine", tell=_tell))
            arguments = {**arguments, "lab": str(definitions.unpack(definition))}
        if step == "cluster" and not check and definition and living_record(definition["name"]) is None:
            self._unready = definition["name"]
        result = _with_report(arguments) if step == "verify" else perform(step, arguments, check=check)
        if step == "cluster" and not (check or result.get("failed")):
            result = _together(result, perform("tools", {"lab": result["lab"]}))
        if step in ("commit", "remove") or result.get("failed"):
            self._unready = ""  # ready, removed, or kept with its logs until this process ends
            self._held.close()
            definitions.forget_unused()
        return result

    def abandon(self) -> None:
        """The connection was cut: remove a lab that isn't ready."""
        if self._unready:
            perform("remove", {"lab": self._unready})
            shutil.rmtree(state_dir() / "logs" / self._unready, ignore_errors=True)
        definitions.forget_unused()


def _with_report(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Verify's result, with the content of its report file as `full_report`."""
    with tempfile.TemporaryDirectory(prefix="kubewire-report-") as folder:
        file = Path(folder) / "report.json"
        result = perform("verify", {**arguments, "report": str(file)})
        return result | ({"full_report": json.loads(file.read_text())} if file.exists() else {})


def _together(made: dict[str, Any], tools: dict[str, Any]) -> dict[str, Any]:
    """The cluster's result with its nodes' tools, which a local playbook checks in a separate play."""
    if tools.get("failed"):
        return tools
    changes = [*made["changes"], *tools["changes"]]
    return made | {"tools": tools["tools"], "changed": bool(changes), "changes": changes}


LIMIT = 64 << 20
"""Bytes of one request, which includes the lab's manifests."""


def serve(session: Session, listener: socket.socket, connection: int) -> None:
    """Answer callers until the connection ends, then end this process."""
    try:
        watched = os.pidfd_open(connection)
    except ProcessLookupError:
        watched = -1
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    if watched >= 0:
        poller.register(watched, select.POLLIN)
    while watched >= 0:
        if any(descriptor == watched for descriptor, _ in poller.poll()):
            break
        caller, _ = listener.accept()
        threading.Thread(
            target=rpc.answer, args=(caller, Request, session.answer, LIMIT), daemon=True
        ).start()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(MERCY)
    os._exit(1)


def _tell(text: str) -> None:
    progress.emit("lock", text)


def main(arguments: list[str]) -> int:
    connection, listener, path = (
        int(arguments[0]),
        socket.socket(fileno=int(arguments[1])),
        Path(arguments[2]),
    )
    os.environ["PATH"] = search_path()
    raise_on_terminate()
    session = Session()
    threading.Thread(target=serve, args=(session, listener, connection), daemon=True).start()
    try:
        session.work()
    except (KeyboardInterrupt, Terminated):
        session.abandon()
    finally:
        for file in (path, path.with_suffix(".log")):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
            path.parent.parent.rmdir()
    return 143
