"""What the call sets wins over the file, is checked alike, and is blamed by its option."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.lab.loading import LabFileError, load_lab
from kubewire.lab.schema import Mode


def test_values_are_read_as_yaml() -> None:
    lab = load_lab(
        "iptables",
        {
            "httpbin.replicas": "7",
            "mode": "nftables",
            "kubernetes": "1.30",
            "dns": "true",
            "tools": "[nftables]",
            "ipFamily": "dual",
            "podSubnet": "10.1.0.0/16,fd00:1::/56",
            "kubeProxy.masqueradeAll": True,
            "nodes": {"workers": 1},
        },
    )
    assert (lab.httpbin.replicas, lab.mode, lab.kubernetes) == (7, Mode.NFTABLES, "1.30")
    assert (lab.dns, lab.tools, len(lab.pod_subnet)) == (True, ("nftables",), 2)
    assert (lab.kube_proxy.masquerade_all, lab.nodes.workers, lab.name) == (True, 1, "iptables")


def test_an_override_mends_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_text("mode: userspace\n")
    assert load_lab(path, {"mode": "ipvs"}).mode is Mode.IPVS


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"httpbin.replicas": "-1"}, "--replicas -1: httpbin.replicas: -1 is out of range"),
        ({"httpbin.replicas": "many"}, "--replicas many: httpbin.replicas: “many” is not a whole number"),
        ({"mode": "userspace"}, "--mode userspace: mode: “userspace” was removed in Kubernetes 1.26"),
        ({"kubernetes": "1.28"}, "--kubernetes 1.28: kubernetes: “1.28” is too old"),
        (
            {"kubeProxy.sheduler": "rr"},
            "--set kubeProxy.sheduler=rr: unknown key “sheduler” in kubeProxy: did",
        ),
        ({"htpbin.replicas": "1"}, "--set htpbin.replicas=1: unknown key “htpbin”: did you mean “httpbin”?"),
        ({"kubeProxy.scheduler": "rr"}, "--set kubeProxy.scheduler=rr: kubeProxy.scheduler is only for mode"),
        ({"mode.x": "1"}, "--set mode.x=1: mode has no keys of its own"),
        ({"httpbin..port": "1"}, "--set httpbin..port=1: a key is words separated by dots"),
        ({"dns": "[true"}, "--set dns=[true: not YAML:"),
        ({"dns": ""}, "--set dns=: the value is missing"),
        (
            {"httpbin.port": "!!binary aGk="},
            "--set httpbin.port=!!binary aGk=: the tag !!binary is not supported",
        ),
    ],
)
def test_a_wrong_override_is_named_by_its_option(overrides: dict[str, str], said: str) -> None:
    with pytest.raises(LabFileError) as caught:
        load_lab("iptables", overrides)
    assert len(caught.value.errors) == 1
    assert caught.value.errors[0].startswith(said)


def test_a_list_is_set_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_text("mode: iptables\ntools: [ipset]\n")
    with pytest.raises(LabFileError, match="tools is a list: set it as a whole"):
        load_lab(path, {"tools.0": "ipvsadm"})


def test_file_and_options_are_judged_together(tmp_path: Path) -> None:
    path = tmp_path / "x.yml"
    path.write_text("mode: ipvs\nkubeProxy: {scheduler: rr}\ndns: 5\n")
    with pytest.raises(LabFileError) as caught:
        load_lab(path, {"mode": "nftables", "httpbin.port": "0"})
    assert caught.value.errors == (
        f"{path}:2:24: kubeProxy.scheduler is only for mode ipvs, the lab's mode is nftables",
        f"{path}:3:6: dns: 5 is neither true nor false",
        "--set httpbin.port=0: httpbin.port: 0 is out of range, it must be at least 1",
    )
