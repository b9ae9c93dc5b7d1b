"""A family that no Service uses and that kube-proxy has programmed on no node: one note; else it fails."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewire.verify.offline import verify_folder
from kubewire.verify.report import Report
from repository import GOLDEN

LABS = {
    "iptables": GOLDEN / "verify" / "iptables-v1.37.2",
    "nftables": GOLDEN / "verify" / "nftables-v1.37.2",
    "ipvs": GOLDEN / "versions" / "v1.31.0-ipvs",
}
FILES = {"iptables": "ip6tables-save.txt", "nftables": "nft-ip6.json", "ipvs": "ip6tables-save.txt"}
KUBELETS = "*mangle\n:KUBE-IPTABLES-HINT - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n"
NOTE = "IPv6: not checked, since no Service uses it and kube-proxy has programmed it on no node"


@pytest.fixture(params=LABS)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(mode: str, tmp_path: Path) -> Path:
    """A lab whose Services are IPv4's only, without facts.json and without IPv6 on any of its nodes."""
    copied = Path(shutil.copytree(LABS[mode], tmp_path / mode))
    for packed in copied.rglob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    change_services(copied, ipv6=False)
    (copied / "snapshot.json").unlink(missing_ok=True)
    for node in nodes(copied):
        (node / "facts.json").unlink(missing_ok=True)
        keep = node / f"whole-{FILES[mode]}"
        shutil.copyfile(node / FILES[mode], tmp_path / f"{node.name}-{keep.name}")
        (node / FILES[mode]).unlink()
        for name in ("ipset-save.txt", "ipvsadm-save.txt"):
            if (node / name).exists():
                (node / name).write_text(of_ipv4((node / name).read_text()))
    return copied


def of_ipv4(text: str) -> str:
    return "".join(line for line in text.splitlines(True) if "KUBE-6-" not in line and "[" not in line)


def nodes(folder: Path) -> list[Path]:
    return sorted((folder / "nodes").iterdir())


def change_services(folder: Path, *, ipv6: bool) -> None:
    cluster = json.loads((folder / "cluster.json").read_text())
    for item in cluster["items"]:
        if item["kind"] == "Service":
            spec = item["spec"]
            own = [ip for ip in spec.get("clusterIPs", [spec.get("clusterIP")]) if ip and ":" not in ip]
            spec["clusterIPs"] = [*own, "fd00:10:96::77"] if ipv6 else own
            spec["ipFamilies"] = ["IPv4", "IPv6"] if ipv6 else ["IPv4"]
    cluster["items"] = [
        item for item in cluster["items"] if ipv6 or item["kind"] != "Service" or item["spec"]["clusterIPs"]
    ]
    (folder / "cluster.json").write_text(json.dumps(cluster))


def failures(report: Report) -> set[tuple[str, str]]:
    return {(check.node, check.family) for check in report.checks if check.status == "failed"}


def put(folder: Path, file: str, text: str) -> None:
    for node in nodes(folder):
        (node / file).write_text(text)


@pytest.mark.parametrize("text", [None, "", "\n", "kubelet's"])
def test_it_is_one_note(folder: Path, mode: str, text: str | None) -> None:
    if text == "kubelet's":
        text = json.dumps({"nftables": []}) if mode == "nftables" else KUBELETS
    if text is not None:
        put(folder, FILES[mode], text)
    report = verify_folder(folder)
    assert failures(report) == set()
    assert [note for note in report.notes if "IPv6" in note] == [NOTE]
    assert (report.status, report.exit_code) == ("passed", 0)
    tables = {check.node for check in report.checks if check.id.endswith(".table")}
    assert tables == {node.name for node in nodes(folder)}


def test_what_the_tools_say_of_a_table_that_is_not_there_is_no_failure(folder: Path, mode: str) -> None:
    told = {"nftables": "exit code 1: Error: No such file or directory"}
    reason = told.get(mode, "exit code 3: Address family not supported by protocol")
    tell(folder, FILES[mode], reason)
    assert NOTE in verify_folder(folder).notes


def tell(folder: Path, file: str, reason: str) -> None:
    errors = {node.name: {file: reason} for node in nodes(folder)}
    (folder / "snapshot.json").write_text(json.dumps({"schema": 1, "errors": errors}))


def test_one_node_that_has_it_leaves_the_others_failing(folder: Path, mode: str, tmp_path: Path) -> None:
    first, *others = nodes(folder)
    if not others:
        pytest.skip("a lab of one node")
    shutil.copyfile(tmp_path / f"{first.name}-whole-{FILES[mode]}", first / FILES[mode])
    report = verify_folder(folder)
    assert {(node.name, "ipv6") for node in others} <= failures(report)
    assert report.exit_code == 1


def test_a_service_that_uses_it_fails(folder: Path, mode: str) -> None:
    change_services(folder, ipv6=True)
    report = verify_folder(folder)
    assert {(node.name, "ipv6") for node in nodes(folder)} <= failures(report)
    assert report.exit_code == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder, mode: put(folder, "facts.json", '{"ipv6": "on"}'),
        lambda folder, mode: put(folder, FILES[mode], "*nat\n:KUBE-SERV"),
        lambda folder, mode: tell(folder, FILES[mode], "exit code 4: xtables lock held"),
        lambda folder, mode: put(folder, "ipvsadm-save.txt", "-A -t [fd00:10:96::1]:80 -s rr\n"),
        lambda folder, mode: put(folder, "ipset-save.txt", "create KUBE-6-CLUSTER-IP hash:ip,port\n"),
    ],
    ids=["the facts say it is on", "cut", "could not be taken", "virtual servers", "sets"],
)
def test_what_may_have_been_programmed_fails(
    folder: Path, mode: str, spoil: Callable[[Path, str], None]
) -> None:
    spoil(folder, mode)
    report = verify_folder(folder)
    assert {(node.name, "ipv6") for node in nodes(folder)} <= failures(report)
    assert report.exit_code == 1


def test_ipv4_in_use_and_empty_is_never_green(folder: Path, mode: str) -> None:
    put(folder, FILES[mode].replace("6", "", 1) if mode != "nftables" else "nft-ip.json", "")
    assert verify_folder(folder).exit_code == 1
