"""Each option of each command that may run elsewhere reaches the host, or the VM, or is refused by name.

A call with the option must have another effect than the call without it: on what the playbook, kubewire over
there, the lock, standard output or the folder at hand gets.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer.core
import typer.main

from kubewire.app import display, in_vm, on_hosts
from kubewire.app.playbook import Run
from kubewire.cli.main import app
from kubewire.core.errors import DefinitionError, KubewireError
from kubewire.core.processes import Outcome
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.hosts import credentials, inventory, records, remote, tunnel
from kubewire.hosts.inventory import Target
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.ssh_target import SshTarget
from kubewire.lab.schema import Lab
from kubewire.snapshot.archive import pack_snapshot
from kubewire.verify.report import Report, ReportNode
from kubewire.verify.stored import to_stored

GROUP = typer.main.get_command(app)
assert isinstance(GROUP, typer.core.TyperGroup)
HERE = {"matrix": "its cells are labs of their own; its options choose them, before any host is asked"}
HOST = ("--host", "alice")
UP = {
    "kubernetes": ("--kubernetes", "1.36"),
    "mode": ("--mode", "nftables"),
    "replicas": ("--replicas", "7"),
    "settings": ("--set", "httpbin.port=9000"),
    "verify": ("--verify",),
    "recreate": ("--recreate",),
    "keep": ("--keep",),
    "diff": ("--diff",),
    "wait": ("--no-wait",),
}
CALLS: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "up": (
        ("up", "iptables", *HOST),
        UP
        | {
            "lab": ("up", "nodeport", *HOST),
            "host": ("up", "iptables", "--host", "bob"),
            "inventory": ("-i", "other.yml"),
            "provider": ("--provider", "kind"),
            "check": ("--check",),
            "reports": ("--verify", "--reports", "room"),
        },
    ),
    "verify": (
        ("verify", "iptables", *HOST),
        {
            "lab": ("verify", "nodeport", *HOST),
            "host": ("verify", "iptables", "--host", "bob"),
            "snapshot": ("verify", "--snapshot", "shot", *HOST),
            "form": ("--format", "json"),
            "output": ("--output", "report"),
        },
    ),
    "down": (
        ("down", "iptables", *HOST),
        {
            "lab": ("down", "nodeport", *HOST),
            "host": ("down", "iptables", "--host", "bob"),
            "wait": ("--no-wait",),
        },
    ),
    "snapshot": (
        ("snapshot", "iptables", "shot", *HOST),
        {
            "lab": ("snapshot", "nodeport", "shot", *HOST),
            "folder": ("snapshot", "iptables", "other", *HOST),
            "host": ("snapshot", "iptables", "shot", "--host", "bob"),
        },
    ),
    "kubeconfig": (
        ("kubeconfig", "iptables", *HOST),
        {
            "lab": ("kubeconfig", "nodeport", *HOST),
            "host": ("kubeconfig", "iptables", "--host", "bob"),
            "form": ("--format", "json"),
        },
    ),
    "status": (
        ("status", "iptables", *HOST),
        {
            "lab": ("status", "nodeport", *HOST),
            "host": ("status", "iptables", "--host", "bob"),
            "form": ("--format", "json"),
        },
    ),
    "exec": (
        ("exec", *HOST, "iptables", "worker", "--", "true"),
        {
            "lab": ("exec", *HOST, "nodeport", "worker", "--", "true"),
            "node": ("exec", *HOST, "iptables", "worker2", "--", "true"),
            "command": ("exec", *HOST, "iptables", "worker", "--", "false"),
            "host": ("exec", "--host", "bob", "iptables", "worker", "--", "true"),
        },
    ),
    "shell": (
        ("shell", "iptables", "worker", *HOST),
        {
            "lab": ("shell", "nodeport", "worker", *HOST),
            "node": ("shell", "iptables", "worker2", *HOST),
            "host": ("shell", "iptables", "worker", "--host", "bob"),
        },
    ),
    "explain": (
        ("explain", "iptables", "--service", "a", *HOST),
        {
            "lab": ("explain", "nodeport", "--service", "a", *HOST),
            "service": ("explain", "iptables", "--service", "b", *HOST),
            "node": ("--node", "worker2"),
            "snapshot": ("explain", "--service", "a", "--snapshot", "shot", *HOST),
            "host": ("explain", "iptables", "--service", "a", "--host", "bob"),
        },
    ),
    "trace": (
        ("trace", "iptables", "--from", "node/a", "--to", "10.0.0.1:80", *HOST),
        {
            "lab": ("trace", "nodeport", "--from", "node/a", "--to", "10.0.0.1:80", *HOST),
            "source": ("trace", "iptables", "--from", "node/b", "--to", "10.0.0.1:80", *HOST),
            "target": ("trace", "iptables", "--from", "node/a", "--to", "10.0.0.2:80", *HOST),
            "node": ("--node", "worker2"),
            "snapshot": ("trace", "--from", "node/a", "--to", "1.1.1.1:1", "--snapshot", "shot", *HOST),
            "host": ("trace", "iptables", "--from", "node/a", "--to", "10.0.0.1:80", "--host", "bob"),
        },
    ),
    "gc": (("gc", *HOST), {"host": ("gc", "--host", "bob"), "dry_run": ("--dry-run",)}),
}
IN_VM = (
    ("up", "no-endpoints", "--host", "vm"),
    UP
    | {
        "lab": ("up", "nodeport", "--host", "vm"),
        "host": ("up", "no-endpoints", *HOST),
        "inventory": ("-i", "other.yml"),
        "provider": ("--provider", "kind"),
        "check": ("--check",),
        "reports": ("--verify", "--reports", "room"),
    },
)
REFUSED = {
    ("vm", "provider"): "provider netns, not kind",
    ("vm", "inventory"): "--inventory",
    ("verify", "snapshot"): "--host",
    ("explain", "snapshot"): "--host",
    ("trace", "snapshot"): "--host",
}
"""What is refused, and the words that name it."""
NODE = NodeSnapshot("worker", {"ip-addr.json": "[]"}, {})
SNAPSHOT = Snapshot({"kind": "List", "items": []}, (NODE,), {})
Effects = Callable[..., list[str]]


@pytest.fixture
def effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Effects:
    """What a call has others do, prints and writes; two labs are up on alice and bob."""
    seen: list[str] = []

    def note(answer: Any = None) -> Callable[..., Any]:
        def call(*arguments: object, **options: object) -> Any:
            known = [
                each
                for each in arguments
                if isinstance(each, str | tuple | list | dict | RemoteLab | Target | Lab)
            ]
            told = {key: value for key, value in options.items() if not callable(value)}
            seen.append(f"{known} {told}")
            return answer(*arguments) if callable(answer) else answer

        return call

    def run_playbook(
        name: str, lab: str, variables: object, _: object, *, target: Target, **options: object
    ) -> Run:
        seen.append(f"{name} {lab} {variables} {target} {options}")
        run = Run(tmp_path / "run")
        run.reports.mkdir(parents=True, exist_ok=True)
        run.seen.update(target.hosts)
        for host in target.hosts if options.get("report") else ():
            report = Report(lab, "netns", "v1.37.2", "iptables", "passed", (ReportNode("worker"),), ())
            (run.reports / f"{host}.json").write_text(json.dumps(to_stored(report)))
        return run

    def end(*arguments: object) -> NoReturn:
        raise SystemExit(0)

    class Lock:
        def __enter__(self) -> None:
            """It is free."""

        def __exit__(self, *_: object) -> None:
            """Nobody waits."""

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(display, "lab_lock", note(lambda *_: Lock()))
    monkeypatch.setattr(on_hosts, "run_playbook", run_playbook)
    monkeypatch.setattr(inventory, "find_target", note(lambda name, _: Target(name, (name,), ("room.yml",))))
    monkeypatch.setattr(in_vm, "boot", note((Target("vm", ("vm",), ("vm.json",)), "v1.37.2")))
    monkeypatch.setattr(in_vm.machine, "remove", note())
    monkeypatch.setattr(remote, "call", note(Outcome(0, b'{"schema": 1, "phase": "ready"}', b"")))
    monkeypatch.setattr(remote, "run", note(Outcome(0, pack_snapshot(SNAPSHOT), b"")))
    monkeypatch.setattr(remote, "relay", note(end))
    monkeypatch.setattr(remote, "become", note(end))
    monkeypatch.setattr(tunnel, "close", note())
    monkeypatch.setattr(tunnel, "kubeconfig", note(Path("kubeconfig")))
    monkeypatch.setattr(credentials, "read_credentials", note())
    monkeypatch.setattr(credentials, "to_json", note("{}"))

    def of(*argv: str) -> list[str]:
        for lab in ("iptables", "nodeport") if "vm" not in argv else ():
            for host in ("alice", "bob"):
                records.write(
                    RemoteLab(lab, f"/labs/{lab}.yml", SshTarget(host, ("ssh",), "python3"), ("room.yml",))
                )
        folder = tmp_path / f"call-{len(list(tmp_path.glob('call-*')))}"
        folder.mkdir()
        monkeypatch.chdir(folder)
        seen.clear()
        capsys.readouterr()
        try:
            app(list(argv), standalone_mode=False)
        except SystemExit:
            """Where another program takes over."""
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        return [*seen, capsys.readouterr().out.replace(str(tmp_path), ""), *files]

    return of


def commands() -> dict[str, set[str]]:
    """The parameters of those with --host."""
    found = {name: {str(each.name) for each in command.params} for name, command in GROUP.commands.items()}
    return {name: parameters for name, parameters in found.items() if "host" in parameters}


def cases() -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    """(command, parameter, the call without it, with it)."""
    return [
        (name, parameter, base, other if other[0] == base[0] else (*base, *other))
        for name, (base, others) in (CALLS | {"vm": IN_VM}).items()
        for parameter, other in others.items()
    ]


def test_every_parameter_is_tried() -> None:
    bare = {name: getattr(each.callback, "__wrapped__", None) for name, each in GROUP.commands.items()}
    forwarded = {name for name, function in bare.items() if hasattr(function, "__wrapped__")}
    for name, parameters in commands().items():
        if name in HERE or name == "prefetch" or name in forwarded - set(CALLS):
            continue  # those forwarded: test_a_forwarded_call_means_the_same_there.py
        assert parameters == set(CALLS[name][1]), name
        if name == "up":
            assert parameters == set(IN_VM[1])


@pytest.mark.parametrize(
    ("command", "parameter", "base", "call"), cases(), ids=[f"{case[0]} {case[1]}" for case in cases()]
)
def test_it_has_an_effect_there_or_is_refused_by_name(
    command: str, parameter: str, base: tuple[str, ...], call: tuple[str, ...], effects: Effects
) -> None:
    if words := REFUSED.get((command, parameter)):
        with pytest.raises(DefinitionError, match=words):
            effects(*call)
        return
    without = effects(*base)
    assert effects(*base) == without
    assert effects(*call) != without


def test_an_inventory_without_a_host_is_refused(effects: Effects) -> None:
    for host in ((), ("--host", "local")):
        with pytest.raises(DefinitionError, match="--inventory"):
            effects("up", "no-endpoints", *host, "-i", "other.yml")


def test_reports_without_verify_are_refused(effects: Effects) -> None:
    with pytest.raises(DefinitionError, match="--reports"):
        effects("up", "iptables", *HOST, "--reports", "room")


def test_prefetch_says_that_it_is_for_this_machine(effects: Effects) -> None:
    with pytest.raises(KubewireError, match="not of alice"):
        effects("prefetch", "iptables", *HOST)
