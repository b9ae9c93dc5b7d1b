"""Two hundred wrong labs, snapshots, run folders and answers of hosts: each ends in one clear error."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubewire.app import observe
from kubewire.app.steps.remote import perform_there
from kubewire.cli.main import app
from kubewire.core import exits
from kubewire.core.processes import Outcome
from kubewire.hosts import credentials, remote
from kubewire.hosts.agent import STEP_MARK
from kubewire.hosts.records import RemoteLab, SshTarget
from kubewire.hosts.status import remote_status
from kubewire.nightly import remote_cell
from kubewire.nightly.folder import CellOrder
from repository import ROOT

GOLDEN = ROOT / "tests" / "golden" / "verify" / "iptables-v1.37.2"
LABS = ("iptables", "nftables", "ipvs")
DEEP, HUGE = "[" * 20_000, "9" * 5_000
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@dataclass(frozen=True)
class Wrong:
    """One wrong input: `make` puts it below a folder and gives the command line; `codes` it may end with."""

    name: str
    make: Callable[[Path], list[str]]
    codes: tuple[int, ...]


def ended(argv: list[str]) -> tuple[int, str, str]:
    """The real command line in this process: exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = exits.exit_code(lambda: app(argv, standalone_mode=True))
    return code, out.getvalue(), err.getvalue()


# Labs: a person writes them, so each ends with exit code 2.

LAB_TEXTS = {
    "empty": "",
    "only a comment": "# nothing\n",
    "a list": "- a\n- b\n",
    "a word": "iptables\n",
    "a number": "5\n",
    "null": "null\n",
    "two documents": "name: a\n---\nname: b\n",
    "a tab": "name: a\n\tmode: iptables\n",
    "a NUL": "name: \0\n",
    "an escape": "name: \x1b]52;c;aaaa\x07\n",
    "unclosed": "name: [a\n",
    "unclosed quote": 'name: "a\n',
    "a mapping as key": "{a: b}: c\n",
    "twice the same key": "name: a\nname: b\n",
    "merged": "x: &x {name: a}\n<<: *x\n",
    "a bomb": BOMB,
    "an endless alias": "name: &a [*a]\n",
    "an alias of nothing": "name: *a\n",
    "a tag": "name: !!python/object/apply:os.system [id]\n",
    "deep": DEEP,
    "deep block": "- " * 20_000,
    "a long number": f"name: a\nhttpbin: {{replicas: {HUGE}}}\n",
    "a sexagesimal": "name: a\nhttpbin: {replicas: 1" + ":59" * 5_000 + "}\n",
    "not a character": "name: \ufffe\n",
    "large": "#" * (2 << 20),
}
LAB_KEYS = ("name", "mode", "kubernetes", "provider", "nodes", "httpbin", "networking", "expect", "manifests")
LAB_VALUES = {"deep": "[[[[[[]]]]]]", "far": "-99999999999999999999", "odd": "{no-such-key: 1}"}


def labs() -> Iterator[Wrong]:
    for name, text in LAB_TEXTS.items():
        yield Wrong(f"lab {name}", _lab(text.encode("utf-8", "surrogatepass")), (2,))
    yield Wrong("lab not UTF-8", _lab(b"name: \xff\xfe\n"), (2,))
    for key in LAB_KEYS:
        for name, value in LAB_VALUES.items():
            yield Wrong(f"lab {key} {name}", _lab(f"{key}: {value}\n".encode()), (2,))
    yield Wrong("lab a FIFO", _special(os.mkfifo), (2,))
    yield Wrong("lab a folder", _special(Path.mkdir), (2,))
    yield Wrong("lab a device", lambda folder: ["render", "/dev/zero"], (2,))
    yield Wrong("lab a loop", _special(lambda path: path.symlink_to(path)), (2,))
    yield Wrong("lab nowhere", lambda folder: ["render", f"{folder}/nowhere.yml"], (2,))


def _lab(content: bytes) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        (folder / "lab.yml").write_bytes(content)
        return ["render", f"{folder}/lab.yml"]

    return make


def _special(create: Callable[[Path], object]) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        create(folder / "lab.yml")
        return ["render", f"{folder}/lab.yml"]

    return make


# Snapshots: what a tool wrote, so each that can't be judged ends with exit code 4.

JSONS = {
    "empty": "",
    "cut": '{"items": [',
    "a list": "[]",
    "a word": '"x"',
    "null": "null",
    "deep": DEEP,
    "a huge number": HUGE,
    "not JSON": "*nat\nCOMMIT\n",
    "NUL": "\0\0\0",
}
CLUSTERS = {
    "no items": "{}",
    "items null": '{"items": null}',
    "items a word": '{"items": "x"}',
    "items a mapping": '{"items": {}}',
    "no Service": '{"items": []}',
    "items of words": '{"items": ["x"]}',
    "items of null": '{"items": [null]}',
    "items of lists": '{"items": [[]]}',
    "kind a list": '{"items": [{"kind": []}]}',
    "kind a mapping": '{"items": [{"kind": {}}]}',
    "no metadata": '{"items": [{"kind": "Service"}]}',
    "metadata null": '{"items": [{"kind": "Service", "metadata": null}]}',
    "name a list": '{"items": [{"kind": "Service", "metadata": {"name": [], "namespace": {}}, "spec": 5}]}',
    "spec a word": '{"items": [{"kind": "Service", "metadata": {"name": "a", "namespace": "b"}, "spec": 5}]}',
    "a bad CIDR": '{"items": [{"kind": "ServiceCIDR", "spec": {"cidrs": ["x"]}}]}',
    "Node a word": '{"items": [{"kind": "Node", "metadata": "x"}]}',
    "slice a word": '{"items": [{"kind": "EndpointSlice", "metadata": "x"}]}',
}


def snapshots() -> Iterator[Wrong]:
    for name, text in {**JSONS, **CLUSTERS}.items():
        yield Wrong(f"snapshot cluster.json {name}", _snapshot(_write("cluster.json", text)), (4,))
    for name, text in JSONS.items():
        yield Wrong(f"snapshot snapshot.json {name}", _snapshot(_write("snapshot.json", text)), (4,))
    for name, text in (("cluster.json", ""), ("nodes", "")):
        yield Wrong(f"snapshot without {name}{text}", _snapshot(_without(name)), (4,))
    for file in ("cluster.json", "snapshot.json", "nodes/n/facts.json", "nodes/n/iptables-save.txt"):
        for kind, create in SPECIAL.items():
            yield Wrong(f"snapshot {file} {kind}", _snapshot(_instead(file, create)), (4,))
    for name in ("-x", "..x", "UPPER", "a b", "\x1b[2J", "x" * 254):
        yield Wrong(f"snapshot node {name[:8]!r}", _snapshot(_folder(name)), (4,))
    for name in ("nowhere", "file", "fifo"):
        yield Wrong(f"snapshot {name}", _no_snapshot(name), (2,))


SPECIAL: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a folder": Path.mkdir,
    "a link": lambda path: path.symlink_to("/etc/passwd"),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "too large": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
}


def _snapshot(damage: Callable[[Path], object]) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        copied = folder / "snapshot"
        (copied / "nodes").mkdir(parents=True)
        for name in ("cluster.json", "snapshot.json"):
            shutil.copy(GOLDEN / name, copied)
        shutil.copytree(next(iter((GOLDEN / "nodes").glob("*-worker"))), copied / "nodes" / "n")
        damage(copied)
        return ["verify", "--snapshot", str(copied)]

    return make


def _write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def _without(name: str) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    return damage


def _instead(name: str, create: Callable[[Path], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        create(folder / name)

    return damage


def _folder(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "nodes" / name).mkdir()


def _no_snapshot(kind: str) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        path = folder / kind
        if kind == "file":
            path.write_text("x")
        if kind == "fifo":
            os.mkfifo(path)
        return ["verify", "--snapshot", str(path)]

    return make


# Folders of nightly runs, and the archives in them.

RUNS = {
    **JSONS,
    "another schema": '{"schema": 99}',
    "schema a list": '{"schema": [[[[]]]]}',
    "schema only": '{"schema": 1}',
    "cells a word": '{"schema": 1, "cells": "x"}',
    "cells of words": '{"schema": 1, "cells": ["x"]}',
    "an escape": '{"schema": "\\u001b]52;c;aaaa\\u0007"}',
}


def runs() -> Iterator[Wrong]:
    for name, text in RUNS.items():
        yield Wrong(f"run.json {name}", _run("run.json", text, ["diff", "RUN"]), (2,))
        yield Wrong(
            f"order.json {name}", _run("order.json", text, ["matrix", "--resume", "--output", "RUN"]), (2,)
        )
    for kind, create in SPECIAL.items():
        for file, argv in (
            ("run.json", ["diff", "RUN"]),
            ("order.json", ["matrix", "--resume", "--output", "RUN"]),
        ):
            if kind != "a link":
                yield Wrong(f"{file} {kind}", _run_special(file, create, argv), (2,))
    for name, argv in {
        "shard a word": ["matrix", "--shard", "x"],
        "shard 0/5": ["matrix", "--shard", "0/5"],
        "shard 6/5": ["matrix", "--shard", "6/5"],
        "shard long": ["matrix", "--shard", HUGE],
        "a selector": ["matrix", "--only", "x"],
        "a selector's key": ["matrix", "--only", "moon=full"],
    }.items():
        yield Wrong(f"call {name}", lambda folder, argv=argv: argv, (2,))  # type: ignore[misc]
    for name, content in archives().items():
        yield Wrong(f"archive {name}", _archive(content), (4,))


def _run(file: str, text: str, argv: list[str]) -> Callable[[Path], list[str]]:
    return _run_special(file, lambda path: path.write_text(text), argv)


def _run_special(file: str, create: Callable[[Path], object], argv: list[str]) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        create(folder / file)
        return [str(folder) if word == "RUN" else word for word in argv]

    return make


def _archive(content: bytes) -> Callable[[Path], list[str]]:
    def make(folder: Path) -> list[str]:
        (folder / "a.tar.gz").write_bytes(content)
        return ["diff", f"{folder}/a.tar.gz", f"{folder}/a.tar.gz"]

    return make


def archives() -> dict[str, bytes]:
    return {name: gzip.compress(content, 1) for name, content in tars().items()} | {
        "empty": b"",
        "not gzip": b"hello",
        "a gzip header": b"\x1f\x8b\x08\0\0\0\0\0",
        "cut": gzip.compress(tar(("cluster.json", b'{"items": []}')))[:-30],
        "a bomb": _bomb(),
    }


def tars() -> dict[str, bytes]:
    """Tars of which none is a snapshot."""
    cluster = ("cluster.json", b'{"items": []}')
    facts = ("nodes/n/facts.json", b"{}")
    return {
        "of nothing": tar(),
        "not a tar": b"hello" * 1000,
        "cut in a file": tar(("cluster.json", b" " * 5000))[:3000],
        "without nodes": tar(cluster),
        "without a cluster": tar(facts),
        "of other files": tar(cluster, ("etc/passwd", b"x")),
        "out of its folder": tar(cluster, ("nodes/../../facts.json", b"x")),
        "absolute": tar(cluster, ("/nodes/n/facts.json", b"x")),
        "of a node with an odd name": tar(cluster, ("nodes/-n/facts.json", b"x")),
        "of a link": tar(cluster, facts, ("nodes/n/iptables-save.txt", b""), kind=tarfile.SYMTYPE),
        "of a FIFO": tar(("cluster.json", b""), kind=tarfile.FIFOTYPE),
        "of a device": tar(("cluster.json", b""), kind=tarfile.CHRTYPE),
        "with a huge file": _header("cluster.json", 3 << 30) + bytes(2048),
        "with a negative size": _header("cluster.json", -5) + bytes(2048),
        "with a huge pax header": _header("x", 3 << 30, tarfile.XHDTYPE) + bytes(2048),
        "with a broken pax header": _header("x", 20, tarfile.XHDTYPE) + b"999999 path=x".ljust(512, b"\0"),
        "of broken JSON": tar(("cluster.json", b"{"), facts),
        "of a list": tar(("cluster.json", b"[]"), facts),
        "of deep JSON": tar(("cluster.json", DEEP.encode()), facts),
        "whose snapshot.json is a list": tar(cluster, facts, ("snapshot.json", b"[]")),
    }


def tar(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def _bomb() -> bytes:
    """Four GiB of blanks in some MB, without making them here: one gzip member of 16 MiB many times."""
    head = gzip.compress(_header("cluster.json", 2) + b"{}".ljust(512, b"\0"), 1)
    part = _header("nodes/n/iptables-save.txt", 16 << 20) + b" " * (16 << 20)
    return head + gzip.compress(part, 6) * 256


INPUTS = [*labs(), *snapshots(), *runs()]


@pytest.mark.parametrize("wrong", INPUTS, ids=[wrong.name for wrong in INPUTS])
def test_a_wrong_input_is_one_clear_error(
    wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    place = tmp_path / "input"
    place.mkdir()
    code, out, err = ended(wrong.make(place))
    assert code in wrong.codes, out + err
    check_message(err)


def check_message(err: str) -> None:
    assert err.startswith("kubewire: "), err
    assert "kubewire: unexpected" not in err
    assert "Traceback" not in err
    assert len(err) < 4000
    assert sum(line.startswith("kubewire: ") for line in err.splitlines()) == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", err), repr(err)


# What lab hosts answer, by the decoders that their answers really go through.

HOST = RemoteLab("lab", "lab", SshTarget("host", ("ssh", "host"), "python3"))
CELL = CellOrder(lab="a", mode="ipvs", provider="netns", kubernetes="v1.37.2", reference="a")
SNAPSHOTS = archives() | {"of control characters": b"\x1b]52;c;aaaa\x07" * 100}
TEXTS = {
    **{name: text.encode() for name, text in JSONS.items()},
    "a key too many": b'{"job": 0, "port": 1, "schema": 1, "add_host": {}}',
    "an escape": b'{"job": "\\u001b]52;c;aaaa\\u0007", "schema": "\\u001b]52"}',
    "not UTF-8": b'{"job": "\xff\xfe"}',
    "a number out of bounds": f'{{"job": {HUGE}, "port": {HUGE}, "schema": {HUGE}}}'.encode(),
}


def _brought(data: bytes, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(remote, "run", lambda *_, limit: Outcome(0, data[:limit]))
    return observe.bring_snapshot(HOST)


def _step(data: bytes, _: pytest.MonkeyPatch) -> object:
    out = STEP_MARK + data.decode(errors="backslashreplace") + "\n"
    return perform_there(lambda *_: (0, out, ""), HOST.place, "commit", {})


def _result(data: bytes, _: pytest.MonkeyPatch) -> object:
    out = f'{STEP_MARK}{{"job": 0, "result": {data.decode(errors="backslashreplace")}}}\n'
    return perform_there(lambda *_: (0, out, ""), HOST.place, "commit", {})


def _status(data: bytes, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(remote, "call", lambda *_, **__: Outcome(0, data))
    return remote_status(HOST)


ANSWERS: dict[str, tuple[dict[str, bytes], Callable[[bytes, pytest.MonkeyPatch], object]]] = {
    "snapshot": (SNAPSHOTS, _brought),
    "session": (TEXTS, _step),
    "result of a step": (TEXTS, _result),
    "credentials": (TEXTS, lambda data, _: credentials.received(data, "host")),
    "result of a cell": (TEXTS, lambda data, _: remote_cell.read_result(data, CELL, "host")),
    "status": (TEXTS, _status),
}
ANSWERED = [(kind, name) for kind, (answers, _) in ANSWERS.items() for name in answers]


@pytest.mark.parametrize(("kind", "name"), ANSWERED, ids=[f"{kind} {name}" for kind, name in ANSWERED])
def test_a_hosts_wrong_answer_is_one_clear_error(
    kind: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    answers, decoder = ANSWERS[kind]
    assert exits.exit_code(lambda: decoder(answers[name], monkeypatch)) == 4
    check_message(capsys.readouterr().err)


def test_there_are_two_hundred() -> None:
    assert len(INPUTS) + len(ANSWERED) >= 200
    assert len({wrong.name for wrong in INPUTS}) == len(INPUTS)
