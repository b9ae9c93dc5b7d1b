"""Each record that kubewire keeps, damaged: a value, absent where that is documented, or one error."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubewire.app.steps.workload import Ledger
from kubewire.binaries import hashes, store
from kubewire.binaries.catalog import Artifact
from kubewire.core import paths
from kubewire.core.errors import KubewireError
from kubewire.core.proc import Process
from kubewire.core.progress import ProgressFeed
from kubewire.hosts import inventory, records
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.ssh_target import SshTarget
from kubewire.hosts.vm import state as vm_state
from kubewire.lab import lock
from kubewire.lab.loading import load_lab
from kubewire.lab.lookup import made_from
from kubewire.lab.record import Record, read_record, record_path, write_record
from kubewire.providers.kind import state as kind_state
from kubewire.providers.netns import state as netns_state
from kubewire.providers.registry import recorded_provider
from repository import ROOT

LAB = "iptables"
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
BYTES = st.binary(max_size=30) | st.sampled_from(
    [b"[" * 4000, b"9" * 5000, b"1e999", b"\xff\xfe", b"null", b"-1", b"{}", b"[]", b'""', b"\x1b]52;c;a\x07"]
)
FUZZ = settings(
    max_examples=80,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _sandbox() -> Path:
    me = Process.of(os.getpid())
    node = netns_state.NodeRecord("a", "worker", ("10.0.0.1",))
    found = netns_state.SandboxState(
        *("b", LAB, "v1.37.2", True, me, me, (node,), {"name": LAB}, ("/cg",)), host="h", pid_namespace=1
    )
    netns_state.write_state(paths.lab_dir(LAB), found)
    assert netns_state.read_state(paths.lab_dir(LAB)) == found
    return paths.lab_dir(LAB) / netns_state.FILE


def _vm() -> Path:
    me = Process.of(os.getpid())
    found = vm_state.VmState("b", LAB, me, None, 22, ("root",), "about", host="h", pid_namespace=1)
    vm_state.write_state(found)
    assert vm_state.read_state(LAB) == found
    return vm_state.folder(LAB) / vm_state.FILE


def _kind() -> Path:
    node = kind_state.NodeRecord("a", "worker", ("10.0.0.1",))
    found = kind_state.ClusterState(LAB, "v1.37.2", "image", (node,), {"name": LAB}, True)
    kind_state.write(found)
    assert kind_state.read(LAB) == found
    return paths.lab_dir(LAB) / kind_state.FILE


def _record() -> Path:
    source = ROOT / "labs" / f"{LAB}.yml"
    lab = load_lab(str(source))
    why = {"provider": "netns", "provider_why": "", "kubernetes": "v1.37.2"}
    write_record(Record(source=source, lab=lab, created=datetime.now(UTC), **why))
    assert made_from(source) == LAB
    return record_path(LAB)


def _away() -> Path:
    away = RemoteLab(LAB, LAB, SshTarget("alice", ("ssh", "alice"), "/python"))
    records.write(away)
    assert records.read(LAB) == {"alice": away}
    return records.folder(LAB, "alice") / "record.json"


def _ledger() -> Path:
    path = paths.lab_dir(LAB) / "workload.json"
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "namespace": "b"}}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}
    Ledger(path).write([service, node])
    assert Ledger(path).read() == [service, node]
    return path


def _lock() -> Path:
    path = paths.state_dir() / "locks" / f"{LAB}.lock"
    path.parent.mkdir(parents=True)
    path.write_text('{"pid": 1, "command": "up", "since": "10:00:00"}')
    return path


def _holder(path: Path) -> object:
    with path.open("rb") as file:
        return lock._holder(file.fileno())


def _progress() -> Path:
    path = paths.state_dir() / "progress.jsonl"
    path.parent.mkdir(parents=True)
    line = {"t": 1.5, "step": "a", "detail": "b", "done": 1, "total": None}
    path.write_text(f"{json.dumps(line)}\n")
    assert ProgressFeed(path).new_lines() == [line]
    return path


def _fed(path: Path) -> object:
    from rich.console import Console

    from kubewire.app.display import Display

    with Path(os.devnull).open("w") as nowhere:
        shown = Display(Console(file=nowhere))
        for line in ProgressFeed(path).new_lines():
            shown.progress(line)
    return None


def _known() -> Path:
    path = hashes.known_file()
    path.parent.mkdir(parents=True)
    path.write_text('{"/a": "00"}')
    return path


def _manifest() -> Path:
    folder = store.folder(Artifact("kubernetes", "v1.37.2"))
    folder.mkdir(parents=True)
    file = folder / "kubectl"
    file.write_text("x")
    file.chmod(0o700)
    entry = store.Entry(sha256="0" * 64, size=1, mtime_ns=file.stat().st_mtime_ns, source="here")
    store.write_manifest(folder, store.Manifest(files={"kubectl": entry}))
    assert store.missing(Artifact("kubernetes", "v1.37.2"), ("kubectl",)) == ()
    return folder / store.MANIFEST


def _alive(found: netns_state.SandboxState | vm_state.VmState | None) -> object:
    return found and (found.alive(), found.monitor.open())


RECORDS: dict[str, tuple[Callable[[], Path], Callable[[Path], object]]] = {
    "sandbox": (_sandbox, lambda _: _alive(netns_state.read_state(paths.lab_dir(LAB)))),
    "vm": (_vm, lambda _: _alive(vm_state.read_state(LAB))),
    "kind": (_kind, lambda _: kind_state.read(LAB)),
    "lab": (_record, lambda _: read_record(LAB)),
    "provider": (_record, lambda _: recorded_provider(LAB)),
    "made from": (_record, lambda _: made_from(ROOT / "labs" / f"{LAB}.yml")),
    "away": (_away, lambda _: (records.everywhere(), records.read(LAB))),
    "ledger": (_ledger, lambda path: Ledger(path).read()),
    "lock": (_lock, _holder),
    "progress": (_progress, _fed),
    "known downloads": (_known, lambda _: hashes.remembered()),
    "binaries": (_manifest, lambda _: store.missing(Artifact("kubernetes", "v1.37.2"), ("kubectl",))),
}


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def read(name: str, path: Path) -> None:
    try:
        RECORDS[name][1](path)
    except KubewireError as error:
        assert error.what
        assert error.exit_code in (3, 4)


@pytest.mark.parametrize("name", RECORDS)
def test_any_damage(name: str) -> None:
    path = RECORDS[name][0]()
    whole = path.read_bytes()

    @FUZZ
    @given(st.data())
    def damaged(data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(whole)))
        upto = at + data.draw(st.integers(0, 80))
        path.write_bytes(whole[:at] + data.draw(BYTES) + whole[upto:])
        read(name, path)

    damaged()


@pytest.mark.parametrize("name", RECORDS)
def test_any_value_of_another_kind(name: str) -> None:
    path = RECORDS[name][0]()
    whole = json.loads(path.read_bytes())

    @FUZZ
    @given(st.data())
    def other(data: st.DataObject) -> None:
        value = json.loads(json.dumps(whole))
        holder = value
        while data.draw(st.booleans()) and isinstance(holder, dict | list) and holder:
            key = data.draw(
                st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder)))
            )
            if not isinstance(holder[key], dict | list) or data.draw(st.booleans()):
                holder[key] = data.draw(JUNK)
                break
            holder = holder[key]
        path.write_text(json.dumps(value) + "\n")
        read(name, path)

    other()


@pytest.mark.parametrize("name", sorted(set(RECORDS) - {"lock", "progress"}))
def test_what_is_no_file_does_not_hang(name: str) -> None:
    path = RECORDS[name][0]()
    path.unlink()
    os.mkfifo(path)
    read(name, path)
    path.unlink()
    path.mkdir()
    read(name, path)
    path.rmdir()
    path.symlink_to("/dev/zero")
    read(name, path)


@FUZZ
@given(groups=st.dictionaries(st.text(max_size=4), JUNK, max_size=4), names=st.text(max_size=8))
def test_any_inventory(groups: dict[str, object], names: str) -> None:
    whole = {"_meta": {"hostvars": {}}, "all": {"children": ["ungrouped"]}, "ungrouped": {"hosts": ["alice"]}}
    text = json.dumps({**whole, **groups}).encode()
    try:
        inventory.hosts_of(names, inventory.groups_of(text))
    except KubewireError as error:
        assert error.exit_code == 2


def test_groups_in_a_circle() -> None:
    groups = inventory.groups_of(b'{"a": {"hosts": ["x"], "children": ["b"]}, "b": {"children": ["a"]}}')
    assert inventory.hosts_of("a", groups) == ("x",)
