"""The record in a lab's state folder: kept whole, refused when foreign or broken, compared by key."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubewire.core import paths
from kubewire.core.errors import DefinitionError, LabError
from kubewire.lab.loading import load_lab
from kubewire.lab.record import Record, changes_between, read_record, record_path, write_record
from kubewire.lab.schema import Lab


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert paths.state_dir() == tmp_path / "state" / "kubewire"
    return tmp_path


def record(source: Path, **settings: Any) -> Record:
    return Record(
        source=source,
        lab=Lab.model_validate({"name": "x", "mode": "iptables", **settings}),
        provider="netns",
        provider_why="no Docker engine answers",
        kubernetes="v1.37.2",
        overrides={"httpbin.replicas": "7"},
        created=datetime(2026, 11, 23, 8, 0, tzinfo=UTC),
    )


def test_it_is_read_as_it_was_written(state: Path) -> None:
    assert read_record("x") is None
    kept = record(state / "x.yml", ipFamily="dual", kubeProxy={"featureGates": {"SomeGate": True}})
    write_record(kept)
    assert read_record("x") == kept
    assert record_path("x").stat().st_mode & 0o777 == 0o600
    assert [each.name for each in record_path("x").parent.iterdir()] == ["record.json"]


def test_every_lab_that_comes_along_can_be_recorded(state: Path) -> None:
    for name in ("iptables", "ipvs", "nftables", "nodeport", "no-endpoints", "udp"):
        kept = record(state / "x.yml").model_copy(update={"lab": load_lab(name)})
        write_record(kept)
        assert read_record(name) == kept


def test_the_same_name_from_another_file_is_refused(state: Path) -> None:
    write_record(record(state / "x.yml"))
    write_record(record(state / "x.yml", dns=True))
    with pytest.raises(DefinitionError, match="already exists, created from") as caught:
        write_record(record(state / "other.yml"))
    assert caught.value.exit_code == 2
    kept = read_record("x")
    assert kept is not None
    assert kept.source == state / "x.yml"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}', "\0\xff"])
def test_a_broken_record_says_what_to_do(state: Path, text: str) -> None:
    write_record(record(state / "x.yml"))
    record_path("x").write_text(text)
    with pytest.raises(LabError) as caught:
        read_record("x")
    assert caught.value.exit_code == 4
    assert caught.value.where == str(record_path("x"))
    assert "kubewire down x" in caught.value.hint
    assert "kubewire gc" in caught.value.hint


def lab(**settings: Any) -> Lab:
    return Lab.model_validate({"name": "x", "mode": "iptables", **settings})


@pytest.mark.parametrize(
    ("settings", "cluster", "workload"),
    [
        ({}, [], []),
        ({"description": "new", "provider": "netns"}, [], []),
        ({"httpbin": {"replicas": 7}}, [], ["httpbin.replicas: 4 → 7"]),
        (
            {"httpbin": {"type": "NodePort", "nodePort": 30080}},
            [],
            ["httpbin.type: ClusterIP → NodePort", "httpbin.nodePort: unset → 30080"],
        ),
        ({"tools": []}, [], ["tools: ipset, ipvsadm → none"]),
        ({"mode": "nftables", "dns": True}, ["mode: iptables → nftables", "dns: false → true"], []),
        ({"kubernetes": "1.34"}, ["kubernetes: 1.37 → 1.34"], []),
        ({"nodes": {"workers": 3}, "apiServerPort": 1}, ["nodes.workers: 2 → 3", "apiServerPort: 0 → 1"], []),
        ({"kubeProxy": {"featureGates": {"A": True}}}, ["kubeProxy.featureGates.A: unset → true"], []),
        (
            {"podSubnet": "10.1.0.0/16", "checks": ["routes"]},
            ["podSubnet: 10.244.0.0/16 → 10.1.0.0/16"],
            ["checks: dataplane, routes, traffic → routes"],
        ),
    ],
)
def test_changes_say_what_must_be_made_anew(
    settings: dict[str, Any], cluster: list[str], workload: list[str]
) -> None:
    assert changes_between(lab(), lab(**settings)) == (cluster, workload)
