"""What a lab host sends is data: known keys, known types, bounded size; all else is one clear error."""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewire.app.steps import answers, remote, send_binaries
from kubewire.app.steps.remote import perform_there
from kubewire.binaries.toolchain import architecture
from kubewire.core.errors import HostError, KubewireError, LabError
from kubewire.core.tarball import Bounds
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.hosts import credentials
from kubewire.hosts.agent import STEP_MARK
from kubewire.hosts.provision import probe
from kubewire.hosts.ssh_target import SshTarget
from kubewire.nightly import remote_cell
from kubewire.nightly.folder import CellOrder, CellRequest
from kubewire.nightly.remote_cell import read_result
from kubewire.providers.netns.certificates import Authority
from kubewire.snapshot import archive
from kubewire.snapshot.archive import pack_snapshot, unpack_snapshot

ALICE = SshTarget("alice", ("ssh", "alice"), "/python")
RESERVED = (
    *("add_host", "add_group", "ansible_facts", "invocation", "exception", "warnings", "deprecations"),
    *("_ansible_no_log", "_ansible_delegated_vars", "results", "diff_", "stdout"),
)
RESULTS: dict[str, dict[str, Any]] = {
    "packages": {"missing": ["ipset"], "provider": "netns", "binaries": True},
    "cluster": {"lab": "x", "provider": "netns", "why": "asked for"},
    "commit": {},
    "workload": {},
    "settle": {},
    "verify": {"report": {"passed": 1, "failed": 0, "skipped": 0}},
    "remove": {},
    "vm": {},
    "cell_host": {"cpus": 2, "memory_bytes": 1, "lacking": {}, "missing": []},
    "missing_binaries": {"missing": [], "architecture": "amd64", "incoming": "/in"},
    "adopt_binaries": {},
}


def answering(result: Any, progress: Sequence[Any] = ()) -> Callable[[str, bytes], tuple[int, str, str]]:
    line = STEP_MARK + json.dumps({"job": 0, "progress": list(progress), "result": result})
    return lambda _command, _data: (0, f"Welcome!\n{line}\n", "")


def perform(step: str, result: Any) -> dict[str, Any]:
    return perform_there(answering(result), ALICE, step, {})


def test_every_step_of_a_session_has_a_schema() -> None:
    from kubewire.app.steps.registry import STEPS

    assert set(answers.DONE) == set(STEPS) - {"tools"}  # told together with the cluster
    assert set(RESULTS) == set(answers.DONE)


@pytest.fixture(autouse=True)
def _any_step_without_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "DEFINING", frozenset())


@pytest.mark.parametrize("step", RESULTS)
def test_a_result_is_what_the_step_may_come_back_with(step: str) -> None:
    whole = {"changed": True, "changes": ["a"], **RESULTS[step]}
    assert perform(step, whole) == whole
    for key in RESERVED:
        with pytest.raises(LabError, match=f"step {step} answered an unknown key {key}$") as caught:
            perform(step, {**whole, key: {}})
        assert caught.value.where == "alice"
        failed = {"failed": True, "msg": "no", "kubewire_exit_code": 4, key: {}}
        with pytest.raises(LabError, match=f"unknown key {key}"):
            perform(step, failed)


@pytest.mark.parametrize("step", RESULTS)
def test_a_failure_is_taken_as_one(step: str) -> None:
    failed = {"failed": True, "msg": "no", "kubewire_exit_code": 3}
    assert perform(step, failed) == failed


@pytest.mark.parametrize(
    ("step", "change"),
    [
        ("packages", {"missing": ["-o=Dir::Etc=/tmp"]}),
        ("packages", {"missing": ["x\n"]}),
        ("packages", {"provider": "../../evil"}),
        ("packages", {"changes": "all"}),
        ("packages", {"changed": "yes"}),
        ("cluster", {"tools": {"worker": {"nft": 1}}}),
        ("cluster", {"lab": "x" * 300}),
        ("cell_host", {"cpus": 10**9}),
        ("cell_host", {"memory_bytes": -1}),
        ("verify", {"report": {"passed": 10**30, "failed": 0, "skipped": 0}}),
        ("verify", {"report": {"passed": "1", "failed": 0, "skipped": 0}}),
        ("missing_binaries", {"incoming": "in"}),
        ("commit", {"msg": "x" * (2 << 20)}),
        ("commit", {"changes": [""] * 20_000}),
        ("commit", {"failed": True, "kubewire_exit_code": 99}),
    ],
)
def test_other_types_and_sizes_are_refused(step: str, change: dict[str, Any]) -> None:
    with pytest.raises(LabError, match=f"step {step} answered") as caught:
        perform(step, {"changed": True, "changes": [], **RESULTS[step], **change})
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"job": -1},
        {"job": 0, "result": 7},
        {"job": 0, "result": None},
        {"job": 0, "progress": [{"step": 1}]},
        {"job": 0, "progress": [{"step": "x" * 5000}]},
        {"job": 0, "progress": [{"step": "", "other": 1}]},
        {"job": 0, "other": 1},
    ],
)
def test_other_answers_are_refused(answer: Any) -> None:
    with pytest.raises(LabError, match="step commit answered"):
        perform_there(lambda *_: (0, STEP_MARK + json.dumps(answer) + "\n", ""), ALICE, "commit", {})


def test_a_step_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MOST_CALLS", 3)
    with pytest.raises(LabError, match="step commit doesn't end"):
        perform_there(lambda *_: (0, STEP_MARK + '{"job": 0}\n', ""), ALICE, "commit", {})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    step=st.sampled_from(sorted(RESULTS)),
    change=st.dictionaries(
        st.sampled_from(["changed", "changes", "msg", "missing", "report", "failed", "tools", *RESERVED]),
        JSON,
        max_size=4,
    ),
)
def test_any_answer_is_taken_or_one_error(step: str, change: dict[str, Any]) -> None:
    try:
        result = perform(step, {"changed": True, "changes": [], **RESULTS[step], **change})
    except LabError as error:
        assert error.where == "alice"
    else:
        assert not set(result) & set(RESERVED)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_any_output_is_one_error(out: str) -> None:
    for text in (out, STEP_MARK + out):
        with pytest.raises(LabError):
            perform_there(lambda *_, text=text: (0, text, ""), ALICE, "commit", {})  # type: ignore[misc]


def test_a_deep_answer_is_one_error() -> None:
    deep = '{"job": 0, "result": ' + "[" * 200_000 + "]" * 200_000 + "}"
    with pytest.raises(LabError):
        perform_there(lambda *_: (0, f"{STEP_MARK}{deep}\n", ""), ALICE, "commit", {})


def test_a_host_gets_no_file_but_the_binaries_it_was_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [["kubernetes", "v1.37.2", ["../../../../../etc/shadow"]], ["../..", "x", ["kubectl"]]]
    sent: list[bytes] = []
    lie = answering(
        {
            **{"changed": False, "changes": [], "missing": asked},
            **{"architecture": architecture(), "incoming": "/in"},
        }
    )

    def run(command: str, data: bytes) -> tuple[int, str, str]:
        sent.append(data)
        return (lie if len(sent) == 1 else answering({"changed": False, "changes": []}))(command, data)

    monkeypatch.setattr(send_binaries.store, "sha256", lambda _: "")
    send_binaries._send(run, ALICE, [["kubernetes", "v1.37.2", ["kubectl"]]], check=False)
    assert [json.loads(data)["step"] for data in sent] == ["missing_binaries", "adopt_binaries"]
    assert json.loads(sent[1])["arguments"] == {"shipped": []}


@pytest.mark.parametrize(
    "line", ["machine=../../../tmp", "minor=3.11/../..", "base=relative", "python=sh -c x", "packages=no"]
)
def test_what_a_host_says_of_itself_names_no_file_here(line: str) -> None:
    usual = "system=Linux\nbase=/root\nmachine=x86_64\npython=/usr/bin/python3\nminor=3.11\n"
    assert probe(lambda *_: (0, usual, ""), "alice").minor == "3.11"
    with pytest.raises(HostError, match="is invalid"):
        probe(lambda *_: (0, f"{usual}{line}\n", ""), "alice")


@pytest.fixture(scope="module")
def sent() -> dict[str, Any]:
    authority = Authority("kubernetes")
    pair = authority.issue("admin")
    certificates = {"authority": authority.certificate, "certificate": pair.certificate, "key": pair.key}
    return {"port": 6443, **certificates}


def test_a_kubeconfig_has_only_what_is_ours_and_the_certificates(sent: dict[str, Any]) -> None:
    received = credentials.received(json.dumps(sent).encode(), "alice")
    config = json.loads(credentials.to_kubeconfig(received, "iptables", "alice", 40000))
    user = config["users"][0]["user"]
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:40000"
    assert set(config["clusters"][0]["cluster"]) == {"server", "certificate-authority-data"}
    assert set(user) == {"client-certificate-data", "client-key-data"}
    assert base64.b64decode(user["client-certificate-data"]).decode() == sent["certificate"]


@pytest.mark.parametrize(
    "change",
    [
        {"exec": {"command": "touch"}},
        {"tokenFile": "/etc/shadow"},
        {"port": 0},
        {"port": "6443"},
        {"key": "x"},
        {"certificate": ""},
        {"authority": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
        {"authority": "x" * (1 << 17)},
    ],
)
def test_other_credentials_are_refused(sent: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(LabError, match="kubeconfig answered"):
        credentials.received(json.dumps({**sent, **change}).encode(), "alice")


def test_our_own_kubeconfig_is_read_as_it_was_written(sent: dict[str, Any], tmp_path: Path) -> None:
    received = credentials.received(json.dumps(sent).encode(), "alice")
    path = tmp_path / "kubeconfig"
    path.write_text(credentials.to_kubeconfig(received, "iptables", "alice", 6443))
    path.chmod(0o600)
    assert credentials.read_credentials(path) == received
    assert json.loads(credentials.to_json(received))["port"] == 6443


SNAPSHOT = Snapshot({"kind": "List", "items": []}, (NodeSnapshot("worker", {"ip-addr.json": "[]"}, {}),), {})


def packed(*members: tuple[str, bytes, bytes]) -> bytes:
    """An archive of (name, type, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, kind, data in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(data), "/etc/shadow"
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def test_a_snapshot_comes_back_as_it_was_packed() -> None:
    assert unpack_snapshot(pack_snapshot(SNAPSHOT), "alice") == SNAPSHOT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1f\x8b",
        gzip.compress(b"no tar", mtime=0),
        packed(("../evil", tarfile.REGTYPE, b"{}")),
        packed(("nodes/worker/../../evil", tarfile.REGTYPE, b"{}")),
        packed(("cluster.json", tarfile.SYMTYPE, b"")),
        packed(("cluster.json", tarfile.LNKTYPE, b"")),
        packed(("cluster.json", tarfile.FIFOTYPE, b"")),
        packed(("cluster.json", tarfile.REGTYPE, b"[]")),
        packed(("cluster.json", tarfile.REGTYPE, b"[" * 100_000)),
        packed(("cluster.json", tarfile.REGTYPE, b'{"a": 1}')),
        packed(("nodes/UPPER/ip-addr.json", tarfile.REGTYPE, b"{}")),
    ],
    ids=map(str, range(12)),
)
def test_another_archive_is_one_error(data: bytes) -> None:
    with pytest.raises(LabError) as caught:
        unpack_snapshot(data, "alice")
    assert caught.value.where.startswith("alice")


def test_a_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BOUNDS", Bounds(1 << 20, 1 << 21))
    with pytest.raises(LabError, match="larger than 1 MiB"):
        unpack_snapshot(packed(("cluster.json", tarfile.REGTYPE, b" " * (4 << 20))), "alice")


ORDER = CellOrder(lab="a", mode="ipvs", provider="netns", kubernetes="v1.37.2", reference="a")


def test_a_host_answers_for_its_own_cell_only() -> None:
    cell = ORDER
    result = {"id": cell.id, **cell.keys, "status": "passed"}
    assert read_result(json.dumps(result).encode(), ORDER, "alice").status == "passed"
    for change in ({"id": "../../x"}, {"mode": "iptables"}, {"status": "great"}, {"more": 1}, {"summary": 1}):
        with pytest.raises(LabError) as caught:
            read_result(json.dumps({**result, **change}).encode(), ORDER, "alice")
        assert caught.value.where == "alice"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("yes 'kubewire-cell endless'", "answered more than 1 MiB"),
        ("yes endless >&2 & echo 'kubewire-cell [1]'; kill $!", "answer is invalid"),
        ("echo nothing", "gave no result"),
        ("exit 255", "cut"),
    ],
)
def test_a_cells_answer_is_bounded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    program: str,
    words: str,
) -> None:
    monkeypatch.setattr(remote_cell, "ANSWER_LIMIT", 1 << 20)
    monkeypatch.setattr(remote_cell, "LOG_LIMIT", 1 << 10)
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\n{program}\n")
    ssh.chmod(0o755)
    with pytest.raises(KubewireError, match=words):
        remote_cell._ask(CellRequest(order=ORDER, definition={}), SshTarget("alice", (str(ssh),), "/python"))
    assert len(capfd.readouterr().out) < 1 << 12
