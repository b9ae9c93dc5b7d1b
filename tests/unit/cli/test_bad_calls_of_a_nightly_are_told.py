"""`kubewire matrix` and `kubewire diff` on wrong files and impossible matrices: place, why, exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kubewire.cli.main import app
from kubewire.core.errors import DefinitionError, KubewireError
from kubewire.lab.definition import LabFileError
from kubewire.matrix.results import MachineResult, Run, to_json, unchecked
from kubewire.nightly import hosts, session
from kubewire.nightly.conclusion import Baseline, conclude
from kubewire.nightly.folder import CellOrder, Order, RunFolder

MATRIX = """\
versions: [v1.34.4, 1.37, 1.99]
labs: [nodeport]
"""


def told(*argv: str) -> KubewireError:
    """What the call is refused with."""
    error = CliRunner().invoke(app, list(argv)).exception
    assert isinstance(error, KubewireError), error
    assert error.exit_code == 2
    return error


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that has all it takes, and a source that knows 1.29 to 1.37."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(hosts, "examine", lambda *_: {})
    monkeypatch.setattr(session, "_newer_minors", lambda _: [])
    monkeypatch.setattr(session, "resolve", resolve)
    Path("m.yml").write_text(MATRIX)


def resolve(word: str, **_: object) -> str:
    if word == "1.99":
        raise DefinitionError("Kubernetes 1.99 does not exist", hint="the nearest that does is v1.37.2")
    return f"v{word}" if word.count(".") == 2 else f"v{word}.1"


def run_file(name: str, **changes: object) -> str:
    run = Run(
        schema_number=1,
        kubewire="0.1.0",
        matrix="m.yml",
        started="2026-11-25T02:17:00Z",
        finished="2026-11-25T02:17:01Z",
        status="passed",
        machine=MachineResult(cpus=2, memory_bytes=1, kernel="Linux"),
        cells=(),
    )
    Path(name).mkdir()
    Path(name, "run.json").write_text(json.dumps(json.loads(to_json(run)) | changes))
    return name


@pytest.mark.parametrize("call", ["matrix --baseline other", "diff other", "diff good other"])
def test_a_baseline_of_another_schema(call: str) -> None:
    run_file("good")
    run_file("other", schema=2)
    error = told(*call.split())
    assert str(error).startswith("other/run.json: its schema is 2, and this kubewire reads 1")
    assert "version that wrote it" in error.hint


def test_a_baseline_that_is_cut_or_damaged(tmp_path: Path) -> None:
    run_file("damaged", status="fine")
    damaged = "damaged/run.json: status: Input should be 'passed'"
    assert damaged in str(told("matrix", "--baseline", "damaged"))
    whole = Path("damaged", "run.json").read_text()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        Path("damaged", "run.json").write_text(whole[:length])
        assert "damaged/run.json:1:" in str(told("matrix", "--baseline", "damaged"))
    assert "No such file" in str(told("matrix", "--baseline", "nowhere"))
    assert "No such file" in str(told("matrix", "--plan", "--baseline", "nowhere"))
    assert not (tmp_path / "state").exists()


def test_an_acceptance_file_that_is_wrong() -> None:
    Path("a.yml").write_text(
        "accepted:\n"
        "  - cause: nft-dnat-map\n"
        '    reason: ""\n'
        "    expires: 2026-13-01\n"
        "  - cause: unknown\n"
        "    objct: x\n"
        "    reason: looked at\n"
        "    expires: soon\n"
        "accept: []\n"
    )
    error = told("matrix", "--accept", "a.yml")
    assert isinstance(error, LabFileError)
    assert list(error.errors) == [
        "a.yml:3:13: accepted.reason is empty",
        "a.yml:4:14: accepted.expires: “2026-13-01” is not a date: write it as 2026-12-31",
        "a.yml:6:5: unknown key “objct” in accepted: did you mean “object”?",
        "a.yml:8:14: accepted.expires: “soon” is not a date: write it as 2026-12-31",
        "a.yml:9:1: unknown key “accept”: did you mean “accepted”?",
    ]
    assert str(told("diff", "a", "b", "--accept", "a.yml")) == str(error)
    assert "no such file" in str(told("matrix", "--accept", "nowhere.yml"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "m.yml:1:27: Kubernetes 1.99 does not exist"),
        (("--only", "kubernetes=1.28"), "no version of the matrix is --only “kubernetes=1.28”"),
        (("--only", "kubernetes<1.99,lab=x"), "no cell is left: none of the 6 is --only"),
        (("--only", "kubernetes<1.99", "--shard", "3/2"), "--shard 3/2 is out of range"),
        (("--only", "kubernetes<1.99", "--shard", "1/99"), "only 6 cells for 99 shards"),
        (("--only", "kubernetes<1.99", "--shard", "half"), "out of range"),
        (("--only", "mode=nftable"), "did you mean “nftables”"),
        (("--only", "kubernetes=new"), "no Kubernetes version"),
        (("--resume",), "leave FILE"),
    ],
)
def test_an_impossible_matrix(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    error = told("matrix", "m.yml", *options, "--output", "out")
    assert said in str(error)
    assert error.hint
    assert not (tmp_path / "out").exists()


def test_everything_wrong_in_a_matrix_file_at_once() -> None:
    Path("bad.yml").write_text("versions: [1.28]\nmodes: nftable\nlabs: [nodeprot]\n")
    error = told("matrix", "bad.yml", "--plan")
    assert [line[:12] for line in str(error).splitlines()] == ["bad.yml:1:12", "bad.yml:2:8:", "bad.yml:3:8:"]


def test_a_run_that_cant_be_resumed() -> None:
    run_file("done")
    assert "no nightly to resume" in str(told("matrix", "--resume", "--output", "done"))
    Path("done", "order.json").write_text('{"schema": 2}')
    assert "can't be resumed" in str(told("matrix", "--resume", "--output", "done"))
    anew = ("matrix", "m.yml", "--only", "kubernetes=1.37", "--output", "done")
    assert "something already" in str(told(*anew))


def test_a_baseline_whose_snapshots_are_gone_is_no_pass(tmp_path: Path) -> None:
    order = CellOrder(lab="x", mode="nftables", provider="netns", kubernetes="v1.37.2", reference="x")
    green = unchecked(order, "passed", "")
    cells = {green.id: green}
    orders = Order(matrix="m.yml", started="2026-11-25T02:17:00Z", deadline=1.0, cells=(order,))
    first = conclude(orders, RunFolder(tmp_path / "first"), cells)
    assert (first.status, first.partial, first.notes) == ("passed", False, ())
    second = conclude(
        orders, RunFolder(tmp_path / "second"), cells, baseline=Baseline.read(tmp_path / "first", None)
    )
    assert second.status == "error"
    assert "can't be compared with x-nftables-netns-v1.37.2" in second.notes[0]
    assert "can't be compared" in (tmp_path / "second" / "summary.md").read_text()
