"""Snapshots that are garbled, cut or of the wrong shape: a finding or a clear error, never green by it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubewire.core.errors import KubewireError
from kubewire.dataplane.iptables.observed import parse_iptables_save
from kubewire.verify.offline import verify_folder
from kubewire.verify.report import Report
from printed_dumps import print_iptables_save
from repository import GOLDEN

RECORDED = GOLDEN / "verify"
LABS = {
    "iptables": ("iptables-v1.37.2", "iptables-save.txt"),
    "nftables": ("nftables-v1.37.2", "nft-ip.json"),
}
FUZZ = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=5), st.just([]), st.just({})
)


@pytest.fixture(params=LABS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A recorded lab with one node only."""
    name, _ = LABS[request.param]
    copied = Path(shutil.copytree(RECORDED / name, tmp_path / request.param))
    for node in sorted((copied / "nodes").iterdir())[1:]:
        shutil.rmtree(node)
    return copied


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def told(folder: Path) -> Report | None:
    """The report, None for an error that says what is wrong and where."""
    try:
        return verify_folder(folder)
    except KubewireError as error:
        assert error.what
        assert error.exit_code in (2, 4)
        return None


@FUZZ
@given(data=st.data())
def test_any_bytes_in_any_file(folder: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(files(folder)))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    upto = at + data.draw(st.integers(0, 40))
    path.write_bytes(whole[:at] + data.draw(st.binary(max_size=12)) + whole[upto:])
    try:
        told(folder)
    finally:
        path.write_bytes(whole)


@FUZZ
@given(data=st.data())
def test_a_dump_that_ends_early_is_never_green(folder: Path, data: st.DataObject) -> None:
    _, name = LABS[folder.name]
    [path] = folder.glob(f"nodes/*/{name}")
    whole = path.read_bytes()
    last = whole.rindex(b"COMMIT") if name.endswith(".txt") else whole.rindex(b"}")
    path.write_bytes(whole[: data.draw(st.integers(0, last))])
    try:
        report = told(folder)
        assert report is None or report.status == "failed"
    finally:
        path.write_bytes(whole)


@FUZZ
@given(data=st.data())
def test_any_value_of_another_kind(folder: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for path in files(folder) if path.suffix == ".json"]))
    whole = path.read_text()
    value = json.loads(whole)
    holder, key = data.draw(st.sampled_from(list(places(value))))
    holder[key] = data.draw(JUNK)
    path.write_text(json.dumps(value))
    try:
        told(folder)
    finally:
        path.write_text(whole)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON value in which there is another."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@FUZZ
@given(data=st.data())
def test_what_is_read_is_printed_the_same(data: st.DataObject) -> None:
    [path] = (RECORDED / LABS["iptables"][0]).glob("nodes/*-worker/iptables-save.txt")
    lines = path.read_text().splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    line = lines[at]
    cut = data.draw(st.integers(0, len(line)))
    lines[at] = line[:cut] + data.draw(st.text(max_size=6)) + line[cut + data.draw(st.integers(0, 6)) :]
    first = parse_iptables_save("\n".join(lines), "ipv4")
    again = parse_iptables_save(print_iptables_save(first), "ipv4")
    if not first.problems:
        assert again.problems == ()
        assert (again.tables, again.chains) == (first.tables, first.chains)


@pytest.mark.parametrize(
    ("version", "words"), [("v1.99.1", "newer than 1.37"), ("v1.24.0", "older than 1.29")]
)
def test_a_version_that_is_not_known_is_said_loudly(folder: Path, version: str, words: str) -> None:
    [path] = folder.glob("nodes/*/kube-proxy-version")
    path.write_text(version)
    report = verify_folder(folder)
    assert any(f"kube-proxy {version} is {words}" in note for note in report.notes)


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        ("userspace", "failed"),
        ("ipvs", "failed"),
        ("kernelspace", "failed"),
        ("nonsense", "failed"),
        (5, "failed"),
    ],
)
def test_a_mode_that_is_not_the_dumps(folder: Path, mode: Any, status: str) -> None:
    [path] = folder.glob("nodes/*/kube-proxy.yaml")
    text = path.read_text()
    path.write_text(
        f"{text}\nmode: {json.dumps(mode)}\n" if not text.startswith("{") else _with_mode(text, mode)
    )
    assert verify_folder(folder).status == status


def _with_mode(text: str, mode: Any) -> str:
    return json.dumps({**json.loads(text), "mode": mode})


@pytest.mark.parametrize("junk", ["x" * 5_000_000, "-A NOWHERE -j ACCEPT\n" * 100_000, '"' * 3_000_000])
def test_very_much_junk_makes_a_short_finding(folder: Path, junk: str) -> None:
    if folder.name != "iptables":
        pytest.skip("only lines can be junk")
    [path] = folder.glob("nodes/*/iptables-save.txt")
    path.write_text(f"{path.read_text()}{junk}\n")
    report = verify_folder(folder)
    assert report.status == "failed"
    [check] = [c for c in report.checks if c.id == "dump.present" and c.status == "failed"]
    assert "line " in check.observed
    assert len(check.observed) < 60_000
