"""Whole labs recorded by `kubewire snapshot`: right as recorded, never green once damaged, never a crash."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubewire.core.errors import KubewireError, LabError
from kubewire.report.junit import to_junit
from kubewire.report.text import to_text
from kubewire.verify.offline import verify_folder
from repository import GOLDEN

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
LABS = sorted(path for path in (GOLDEN / "verify").iterdir())
RECORDED = sorted(path.parent for path in (GOLDEN / "dataplane").glob("*/cluster.json"))
REQUIRED = {
    "iptables": ("iptables-save.txt", "ip6tables-save.txt"),
    "nftables": ("nft-ip.json", "nft-ip6.json"),
}
MODES = {path: path.name.partition("-")[0] for path in LABS}
DUMPS = [(path, name) for path in LABS for name in REQUIRED[MODES[path]]]


def first_worker(folder: Path) -> Path:
    return next(path for path in sorted((folder / "nodes").iterdir()) if path.name.endswith("worker"))


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    return lambda path: Path(shutil.copytree(path, tmp_path / "snapshot"))


@pytest.mark.parametrize("lab", LABS, ids=lambda path: path.name)
def test_a_healthy_lab_passes_on_one_screen(lab: Path) -> None:
    report = verify_folder(lab)
    failed = [check for check in report.checks if check.status == "failed"]
    assert (failed, report.exit_code) == ([], 0)
    assert report.mode == MODES[lab]
    assert len(to_text(report).splitlines()) <= 24
    identities = {(c.id, c.node, c.service, c.object) for c in report.checks}
    assert len(identities) == len(report.checks)


def test_a_node_of_the_cluster_without_a_folder_is_named(copied: Callable[[Path], Path]) -> None:
    folder = copied(LABS[0])
    left_out = first_worker(folder)
    assert not [note for note in verify_folder(folder).notes if "not judged" in note]
    shutil.rmtree(left_out)
    report = verify_folder(folder)
    assert f"not in the snapshot, so not checked: {left_out.name}" in report.notes


def test_the_article_is_told_from_the_dump() -> None:
    text = to_text(verify_folder(GOLDEN / "verify" / "iptables-v1.37.2"))
    assert "KUBE-SERVICES → KUBE-SVC-FREKB6WNWYJLKTHC → 4 KUBE-SEP-*" in text
    assert "0.25, 0.33333333349, 0.5, then the rest" in text


def test_the_nftables_map_is_told_from_the_dump() -> None:
    text = to_text(verify_folder(GOLDEN / "verify" / "nftables-v1.37.2"))
    assert "service-ips → service-5WI3VASQ-default/httpbin/tcp/http" in text
    assert "numgen random mod 4" in text


@pytest.mark.parametrize("folder", RECORDED, ids=lambda path: path.name)
def test_snapshots_without_any_optional_file_pass_too(folder: Path) -> None:
    report = verify_folder(folder)
    assert [check for check in report.checks if check.status == "failed"] == []
    assert report.status == "passed"
    assert report.mode in folder.name


@pytest.mark.parametrize(("lab", "dump"), DUMPS, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("damage", ["missing", "empty", "half", "last line", "binary"])
def test_a_dump_that_is_not_whole_fails(
    copied: Callable[[Path], Path], lab: Path, dump: str, damage: str
) -> None:
    folder = copied(lab)
    path = first_worker(folder) / dump
    content = path.read_bytes()
    damaged = {
        "empty": b"",
        "half": content[: len(content) // 2],
        "last line": b"\n".join(content.rstrip().split(b"\n")[:-2])
        if dump.endswith(".txt")
        else content[:-3],
        "binary": b"\xff\xfe\x00" * 50,
    }
    path.unlink()
    if damage != "missing":
        path.write_bytes(damaged[damage])
    report = verify_folder(folder)
    assert report.exit_code == 1
    assert any(check.node.endswith("worker") and check.status == "failed" for check in report.checks)


@pytest.mark.parametrize("lab", LABS, ids=lambda path: path.name)
def test_a_node_that_gave_nothing_fails(copied: Callable[[Path], Path], lab: Path) -> None:
    folder = copied(lab)
    for path in first_worker(folder).iterdir():
        path.unlink()
    assert verify_folder(folder).exit_code == 1


@pytest.mark.parametrize("name", ["kube-proxy.yaml", "kube-proxy-version"])
def test_without_knowing_the_kube_proxy_a_node_fails(copied: Callable[[Path], Path], name: str) -> None:
    folder = copied(LABS[0])
    (first_worker(folder) / name).unlink()
    assert verify_folder(folder).exit_code == 1


def test_a_cluster_without_services_cannot_be_judged(copied: Callable[[Path], Path]) -> None:
    folder = copied(LABS[0])
    (folder / "cluster.json").write_text('{"kind": "List", "items": []}')
    with pytest.raises(LabError, match="no Service"):
        verify_folder(folder)


def test_a_lost_route_is_named(copied: Callable[[Path], Path]) -> None:
    folder = copied(LABS[0])
    path = first_worker(folder) / "ip-route.json"
    routes = json.loads(path.read_text())
    path.write_text(json.dumps([route for route in routes if route["dst"] != "10.244.0.0/24"]))
    failed = [check for check in verify_folder(folder).checks if check.status == "failed"]
    assert [(check.id, check.expected) for check in failed] == [
        ("route.pod-cidr", "10.244.0.0/24 via 172.18.0.2")
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 20_000, "nested more than 64 levels deep"),
        ("x" * (2 << 20), "larger than 1 MiB"),
        ('{"kind": "KubeProxyConfiguration", "iptables": {"masqueradeBit": 99999999999}}', "masqueradeBit"),
        ('{"kind": "KubeProxyConfiguration", "iptables": {"masqueradeBit": 32}}', "masqueradeBit"),
        ('{"kind": "KubeProxyConfiguration", "iptables": {"masqueradeBit": true}}', "masqueradeBit"),
        ("kind: KubeProxyConfiguration\nnodePortAddresses: *a9\n", "alias"),
        (f"{BOMB}kind: KubeProxyConfiguration\nnodePortAddresses: *a9\n", "aliases followed"),
        ('{"kind": "KubeProxyConfiguration", "mode": ["x"]}', "mode is not a string"),
        ('{"kind": "KubeProxyConfiguration", "hostnameOverride": {}}', "hostnameOverride is not a string"),
        ('{"kind": "KubeProxyConfiguration", "bindAddress": "x"}', "does not appear to be an IPv4 or IPv6"),
        ('{"kind": "KubeProxyConfiguration", "detectLocalMode": "x"}', "detectLocalMode"),
    ],
)
def test_an_odd_configuration_is_a_finding(copied: Callable[[Path], Path], text: str, said: str) -> None:
    folder = copied(LABS[0])
    (first_worker(folder) / "kube-proxy.yaml").write_text(text)
    report = verify_folder(folder)
    assert report.status == "failed"
    assert any(said in c.observed for c in report.checks if c.object == "kube-proxy.yaml")


@pytest.mark.parametrize("name", ["facts.json", "ip-addr.json", "ip-route.json"])
def test_a_file_nested_too_deeply_cannot_be_judged(copied: Callable[[Path], Path], name: str) -> None:
    folder = copied(LABS[0])
    (first_worker(folder) / name).write_text("[" * 20_000)
    with pytest.raises(LabError, match="not as its tool writes it"):
        verify_folder(folder)


STRANGE = (None, 0, -1, "", "x\ud800\x1b", [], {}, [None], {"x": None}, True, 1e99)


def strangely(value: Any, chance: random.Random) -> Any:
    """The JSON value with one of its parts replaced by something strange."""
    if isinstance(value, (dict, list)) and value and chance.random() < 0.93:
        changed = copy.copy(value)
        key = chance.choice(list(changed) if isinstance(changed, dict) else range(len(changed)))
        changed[key] = strangely(changed[key], chance)
        return changed
    return chance.choice(STRANGE)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("lab", LABS, ids=lambda path: path.name)
def test_strange_files_are_findings_or_errors_and_never_a_crash(
    copied: Callable[[Path], Path], lab: Path, seed: int
) -> None:
    chance = random.Random(seed)
    folder = copied(lab)
    target = chance.choice([*sorted(first_worker(folder).glob("*.json")), *[folder / "cluster.json"] * 4])
    target.write_text(json.dumps(strangely(json.loads(target.read_text()), chance)))
    try:
        report = verify_folder(folder)
    except KubewireError as error:
        assert str(error)
        return
    for text in (report.to_json(), to_text(report), to_junit(report)):
        text.encode()
