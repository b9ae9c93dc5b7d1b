"""Run a playbook of kubewire with ansible-runner: show its steps, keep its logs, collect failures."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kubewire.app.display import Display
from kubewire.core import progress, resources
from kubewire.core.files import last_lines, make_in
from kubewire.core.paths import state_dir
from kubewire.core.progress import ProgressFeed
from kubewire.core.signals import Terminated
from kubewire.hosts.inventory import Target
from kubewire.hosts.multiplexing import sharing, stop_sharing

KEPT_RUNS = 5
TICK = 0.1  # seconds


@dataclass
class Failure:
    """A failed task: its message, exit code, and full result."""

    task: str
    host: str
    message: str
    exit_code: int
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    """The outcome of a playbook: each host's first failure, and the number of its changed tasks.

    `results` has each action's last result, by host; `seen` are the hosts with a successful task.
    """

    folder: Path
    failures: dict[str, Failure] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    results: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    @property
    def failure(self) -> Failure | None:
        """The first failure."""
        return next(iter(self.failures.values()), None)

    def fail(self, failure: Failure) -> None:
        self.failures.setdefault(failure.host, failure)

    @property
    def reports(self) -> Path:
        """The folder of the JSON reports, HOST.json."""
        return self.folder / "reports"


class Unsafe(str):
    """Text that Ansible must not template."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text)))


def log_folder(lab: str) -> Path:
    """The folder of a lab's logs."""
    return state_dir() / "logs" / lab


def run_playbook(
    name: str,
    lab: str,
    variables: Mapping[str, object],
    display: Display,
    *,
    check: bool = False,
    diff: bool = False,
    report: bool = False,
    target: Target | None = None,
) -> Run:
    """Run `playbooks/NAME.yml` with these extra variables, which are never templated.

    It runs on this machine, or on the hosts of `target`. With `report`, `Run.reports` gets the JSON reports.
    Ctrl-C and SIGTERM end Ansible, then raise KeyboardInterrupt and Terminated.
    """
    folder = _new_folder(lab)
    (folder / "env").mkdir()
    if report:
        variables = {**variables, "report_dir": str(folder / "reports")}
    if target:
        variables = {**variables, "lab_host": target.pattern}
    (folder / "env" / "extravars").write_text(yaml.dump(_unsafe(variables), Dumper=_Dumper))
    _link_collection(folder)
    stop = threading.Event()
    run = Run(folder)
    options = {"mode": " ".join(["--check"] * check + ["--diff"] * diff), "target": target}
    worker = threading.Thread(target=_ansible, args=(name, run, display, stop), kwargs=options, daemon=True)
    feed = ProgressFeed(folder / "progress.jsonl")
    worker.start()
    try:
        while worker.is_alive():
            worker.join(TICK)
            for line in feed.new_lines():
                display.progress(line)
            display.tick()
    except (KeyboardInterrupt, Terminated):
        display.interrupted()
        stop.set()
        worker.join(10)
        raise
    finally:
        stop_sharing(folder)
        _tidy(folder)
    for host in target.hosts if target else ():
        if host not in run.seen:
            run.fail(Failure("", host, "no task ran on it: is it still in the inventory?", 4))
    return run


def _ansible(
    name: str, run: Run, display: Display, stop: threading.Event, *, mode: str, target: Target | None
) -> None:
    import ansible_runner

    def handle(event: dict[str, Any]) -> bool:
        note_event(event, run, display)
        return False

    here = str(resources.root() / "inventories" / "local")
    try:
        outcome = ansible_runner.run(
            private_data_dir=str(run.folder),
            project_dir=str(resources.root()),
            playbook=str(resources.playbooks_dir() / f"{name}.yml"),
            inventory=list(target.inventory) if target else here,
            cmdline=mode or None,
            artifact_dir=str(run.folder),
            ident="run",
            envvars=_environment(run.folder) | (sharing(run.folder, target) if target else {}),
            settings={"pexpect_timeout": 0.2, "suppress_ansible_output": True},
            quiet=True,
            event_handler=handle,
            cancel_callback=stop.is_set,
        )
    except Exception as error:  # an error of ansible-runner itself
        run.fail(Failure("ansible-runner", "", f"{type(error).__name__}: {error}", 4))
        return
    if outcome.status != "successful" and run.failure is None and not stop.is_set():
        run.fail(Failure("ansible-playbook", "", tail_of(run.folder / "run" / "stdout"), 4))


def note_event(event: Mapping[str, Any], run: Run, display: Display) -> None:
    """Add an event of ansible-runner to the run's outcome and the display."""
    data = event.get("event_data") or {}
    result = data.get("res") or {}
    match event.get("event"):
        case "playbook_on_task_start":
            if data.get("task_action") != "ansible.builtin.validate_argument_spec":
                display.step(str(data.get("name") or data.get("task") or ""))
        case "runner_on_ok":
            host = str(data.get("host"))
            run.seen.add(host)
            if result.get("changed"):
                run.changed[host] = run.changed.get(host, 0) + 1
            run.results.setdefault(host, {})[str(data.get("task_action"))] = result
            display.changes([str(line) for line in result.get("changes") or ()])
            display.diffs([entry for entry in result.get("diff") or () if isinstance(entry, Mapping)])
        case "playbook_on_stats":
            display.close()
        case "runner_on_skipped":
            display.skipped()
        case "runner_on_failed" | "runner_on_unreachable" if not data.get("ignore_errors"):
            message = str(result.get("msg") or result.get("stderr") or result)
            code = result.get("kubewire_exit_code")
            failure = Failure(
                str(data.get("task")),
                str(data.get("host")),
                message,
                code if isinstance(code, int) else 4,
                result,
            )
            run.fail(failure)
            display.failed()


def tail_of(path: Path, lines: int = 12) -> str:
    """The end of Ansible's output, for a failure that no task reported."""
    return "\n".join(last_lines(path, lines)) or "ansible-playbook printed nothing"


def _unsafe(value: object) -> object:
    if isinstance(value, str):
        return Unsafe(value)
    if isinstance(value, Mapping):
        return {str(key): _unsafe(item) for key, item in value.items()}
    return value


def forget_logs(lab: str) -> None:
    """Remove a lab's logs, and folders of the state that are empty then."""
    shutil.rmtree(log_folder(lab), ignore_errors=True)
    for folder in (state_dir() / "logs", state_dir() / "labs", state_dir()):
        with suppress(OSError):
            folder.rmdir()


def _new_folder(lab: str) -> Path:
    """A new folder for this run; the folders of the newest few runs are kept."""
    base = log_folder(lab) / "ansible"

    def new() -> Path:
        for old in sorted(base.iterdir())[: -KEPT_RUNS + 1]:
            shutil.rmtree(old, ignore_errors=True)
        folder = base / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{time.monotonic_ns() % 1000:03}"
        folder.mkdir(mode=0o700)
        return folder

    return make_in(base, new, mode=0o700)


def _link_collection(folder: Path) -> None:
    """Link `ansible_collections/kubewire/lab`, where Ansible looks for it, to the installed kubewire."""
    place = folder / "collections" / "ansible_collections" / "kubewire"
    place.mkdir(parents=True)
    (place / "lab").symlink_to(resources.root())


def _environment(folder: Path) -> dict[str, str]:
    """The environment of Ansible: kubewire's configuration, and all files in the run's folder."""
    scripts = str(Path(sys.executable).parent)
    return {
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]),
        "ANSIBLE_CONFIG": str(resources.root() / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "tmp"),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
        # ansible-runner doesn't use the caller's
        "ANSIBLE_HOST_KEY_CHECKING": os.environ.get("ANSIBLE_HOST_KEY_CHECKING", "True"),
        progress.VARIABLE: str(folder / "progress.jsonl"),
        "KUBEWIRE_MAKER_PID": str(os.getpid()),
    }


def _tidy(folder: Path) -> None:
    """Keep only the logs; the file `command` has the caller's whole environment."""
    (folder / "run" / "command").unlink(missing_ok=True)
    for name in ("collections", "home", "tmp", "env", "run/job_events", "run/fact_cache"):
        shutil.rmtree(folder / name, ignore_errors=True)
