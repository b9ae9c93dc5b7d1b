"""In ipvs mode four dumps are needed; without any of them nothing is green."""

from __future__ import annotations

import pytest
from ipvs_support import CONFIG, expected_of, rich

from kubewire.core.errors import LabError
from kubewire.dataplane.core.config import ProxyConfig


@pytest.mark.parametrize(
    ("word", "file"),
    [
        ("iptables_save_txt", "iptables-save.txt"),
        ("ip6tables_save_txt", "ip6tables-save.txt"),
        ("ipset_save_txt", "ipset-save.txt"),
        ("ipvsadm_save_txt", "ipvsadm-save.txt"),
        ("ip_addr_json", "ip-addr.json"),
    ],
)
@pytest.mark.parametrize("text", [None, "", "\n\n", "garbage", "half"])
def test_a_dump_that_the_mode_needs(word: str, file: str, text: str | None) -> None:
    bench = rich()
    whole = bench.files[file]
    half = (
        "".join(whole.splitlines(keepends=True)[: len(whole.splitlines()) // 2]) or whole[: len(whole) // 2]
    )
    failed = bench.failed(**{word: half if text == "half" else text})
    assert failed
    if text != "half":
        assert any(check.id == "dump.present" and file in check.object for check in failed)
        tables = {
            check.family
            for check in bench.checked(**{word: text}).checks
            if check.id == "ipvs.table" and check.status == "passed"
        }
        assert tables == ({"ipv6"} if word == "iptables_save_txt" else {"ipv4"} if "ip6" in word else set())


@pytest.mark.parametrize("word", ["ipset_save_txt", "ipvsadm_save_txt", "iptables_save_txt"])
def test_a_dump_cut_after_any_line(word: str) -> None:
    bench = rich()
    file = {"ipset_save_txt": "ipset-save.txt", "ipvsadm_save_txt": "ipvsadm-save.txt"}.get(
        word, "iptables-save.txt"
    )
    lines = bench.files[file].splitlines(keepends=True)
    for count in range(0, len(lines) - 1, 23):
        assert bench.failed(**{word: "".join(lines[:count])}), count


def test_a_dump_with_a_line_that_is_not_understood_fails_and_is_judged() -> None:
    bench = rich()
    text = bench.files["ipset-save.txt"] + "ipset v7.17: Kernel error received\n"
    failed = bench.failed(ipset_save_txt=text)
    assert {check.id for check in failed} == {"dump.present"}
    assert "Kernel error received" in failed[0].observed


def test_half_formed_objects_and_configuration_are_told() -> None:
    service = {"spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80, "protocol": "DCCP"}]}}
    with pytest.raises(LabError, match="ns1/svc1 has the protocol 'DCCP'"):
        expected_of({"services": [service]})
    with pytest.raises(LabError, match="does not appear to be"):
        ProxyConfig.from_mapping({**CONFIG, "ipvs": {"excludeCIDRs": ["10.0.0.0/99"]}})
