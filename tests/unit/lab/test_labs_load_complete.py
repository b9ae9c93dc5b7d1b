"""Every lab in labs/ loads, a minimal file is a whole lab, and a lab is found by name or path."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from kubewire.core import resources
from kubewire.core.errors import DefinitionError
from kubewire.lab import rules
from kubewire.lab.loading import available_labs, find_lab, load_lab
from kubewire.lab.schema import (
    DEFAULT_SUBNETS,
    IpFamily,
    Lab,
    Mode,
    control_planes_run_pods,
    kubernetes_minor,
    node_names,
)

LABS = sorted(available_labs().values())
MODELINE = "# yaml-language-server: $schema=../schemas/lab.schema.json\n"


@pytest.mark.parametrize("path", LABS, ids=lambda path: path.stem)
def test_a_lab_that_comes_along_loads_and_teaches(path: Path) -> None:
    lab = load_lab(path.stem)
    assert lab.name == path.stem
    assert lab.description
    assert lab == load_lab(path)
    text = path.read_text()
    assert text.startswith(MODELINE)
    assert 2 <= sum(line.startswith("#") for line in text.splitlines()) <= 4


def test_the_labs_that_must_be_there_are_there() -> None:
    assert {"iptables", "ipvs", "nftables", "nodeport", "no-endpoints", "udp"} <= set(available_labs())


def test_a_mode_alone_is_a_whole_lab(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("mode: iptables")
    lab = load_lab(str(path))
    assert (lab.name, lab.mode, lab.kubernetes) == ("mine", Mode.IPTABLES, "1.37")
    assert list(map(str, (*lab.pod_subnet, *lab.service_subnet))) == ["10.244.0.0/16", "10.96.0.0/16"]
    assert (lab.httpbin.replicas, lab.httpbin.port, lab.httpbin.target_port) == (4, 8000, 80)
    assert (lab.httpbin.port_name, lab.httpbin.namespace) == ("http", "default")
    assert lab.tools == ("ipset", "ipvsadm")
    assert node_names(lab) == ("mine-control-plane", "mine-worker", "mine-worker2")
    assert not control_planes_run_pods(lab)


@pytest.mark.parametrize("family", list(IpFamily))
def test_subnets_default_by_family(family: IpFamily) -> None:
    lab = Lab(name="x", mode=Mode.NFTABLES, ip_family=family)
    assert (lab.pod_subnet, lab.service_subnet) == DEFAULT_SUBNETS[family]


def test_subnets_may_be_one_string(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_text("mode: iptables\nipFamily: dual\npodSubnet: 10.1.0.0/16, fd00:1::/56\n")
    assert list(map(str, load_lab(path).pod_subnet)) == ["10.1.0.0/16", "fd00:1::/56"]


@pytest.mark.parametrize(
    ("written", "kept", "minor"),
    [("1.30", "1.30", 30), ("1.34.4", "1.34.4", 34), ("v1.34.4", "1.34.4", 34), ("'1.29'", "1.29", 29)],
)
def test_a_version_keeps_its_digits(tmp_path: Path, written: str, kept: str, minor: int) -> None:
    path = tmp_path / "x.yml"
    path.write_text(f"mode: iptables\nkubernetes: {written}\n")
    lab = load_lab(path)
    assert (lab.kubernetes, kubernetes_minor(lab)) == (kept, minor)


def test_a_newer_minor_is_allowed_with_a_note() -> None:
    assert not rules.notes(Lab(name="x", mode=Mode.IPTABLES))
    assert "newer than 1.37" in rules.notes(Lab(name="x", mode=Mode.IPTABLES, kubernetes="1.38"))[0]
    assert "deprecated" in rules.notes(Lab(name="x", mode=Mode.IPVS, kubernetes="1.35"))[0]


def test_a_load_balancer_without_addresses_is_noted() -> None:
    lab = Lab.model_validate({"name": "x", "mode": "iptables", "httpbin": {"type": "LoadBalancer"}})
    assert "node port" in rules.notes(lab)[0]


def test_aliases_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_text("mode: iptables\nnodes: {workers: &n 3}\nhttpbin: {replicas: *n}\n")
    assert load_lab(path).httpbin.replicas == 3


def test_manifests_are_found_beside_the_lab_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labs").mkdir()
    (tmp_path / "more.yaml").write_text("")
    path = tmp_path / "labs" / "x.yml"
    path.write_text("mode: iptables\nmanifests: [../more.yaml]\n")
    monkeypatch.chdir("/")
    assert load_lab(path).manifests == (tmp_path / "more.yaml",)


def test_without_workers_control_planes_run_pods() -> None:
    lab = Lab.model_validate({"name": "x", "mode": "iptables", "nodes": {"workers": 0}})
    assert control_planes_run_pods(lab)
    assert node_names(lab) == ("x-control-plane",)


def test_a_lab_made_in_python_is_held_to_the_same_rules() -> None:
    with pytest.raises(ValidationError, match="only for mode ipvs"):
        Lab.model_validate({"name": "x", "mode": "iptables", "kubeProxy": {"scheduler": "rr"}})


def test_the_current_folder_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "labs").mkdir()
    own = tmp_path / "labs" / "iptables.yml"
    own.write_text("mode: nftables\n")
    assert find_lab("iptables") == resources.labs_dir() / "iptables.yml"
    monkeypatch.chdir(tmp_path)
    assert find_lab("iptables") == own
    assert find_lab("ipvs") == resources.labs_dir() / "ipvs.yml"
    assert find_lab("labs/iptables.yml") == own


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("nftable", "did you mean “nftables”? known labs: "),
        ("labs/iptable.yml", "did you mean “iptables”?"),
        ("zzz", "known labs: iptables, ipvs, "),
    ],
)
def test_an_unknown_lab_is_answered_with_those_there_are(wanted: str, said: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        find_lab(wanted)
    assert said in caught.value.hint
