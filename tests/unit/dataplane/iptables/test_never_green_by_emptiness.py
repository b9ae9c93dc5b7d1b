"""What is missing, empty, cut or not understood never verifies green."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dataplane_golden import RICH, goldens, load
from kubewire.core.errors import LabError
from kubewire.dataplane.check import check_snapshot
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot

NFT = "rich-nftables-v1.37.2"


def changed(name: str, file: str, text: str | None, error: str = "") -> Snapshot:
    """A golden snapshot whose first node has another text for one file, or lacks it."""
    snapshot = load(name)
    first, *others = snapshot.nodes
    files = {key: value for key, value in first.files.items() if key != file}
    if text is not None:
        files[file] = text
    errors = {file: error} if error else {}
    return replace(snapshot, nodes=(NodeSnapshot(first.name, files, errors), *others))


def failed(snapshot: Snapshot) -> list[Check]:
    return [check for check in check_snapshot(snapshot).checks if check.status == "failed"]


@pytest.mark.parametrize(
    ("name", "file"),
    [(RICH, "iptables-save.txt"), (RICH, "ip6tables-save.txt"), (NFT, "nft-ip.json"), (NFT, "nft-ip6.json")],
)
@pytest.mark.parametrize("text", [None, "", "\n\n", "garbage", "half"])
def test_a_dump_that_the_mode_needs(name: str, file: str, text: str | None) -> None:
    whole = load(name).nodes[0].files[file]
    snapshot = changed(name, file, whole[: len(whole) // 2] if text == "half" else text)
    checks = failed(snapshot)
    assert ("dump.present", file) in [(check.id, check.object) for check in checks]
    tables = [
        check.family
        for check in check_snapshot(snapshot).checks
        if check.node == snapshot.nodes[0].name and check.id.endswith(".table") and check.status == "passed"
    ]
    assert set(tables) == {"ipv6" if "6" not in file else "ipv4"}


def test_a_dump_cut_after_any_line() -> None:
    lines = load(RICH).nodes[0].files["iptables-save.txt"].splitlines(keepends=True)
    last = max(index for index, line in enumerate(lines) if line.startswith("COMMIT"))
    for count in range(0, last + 1, 7):
        assert failed(changed(RICH, "iptables-save.txt", "".join(lines[:count]))), count


def test_why_a_dump_could_not_be_taken_is_told() -> None:
    [check] = failed(changed(RICH, "iptables-save.txt", None, "exit code 4: xtables lock held"))[:1]
    assert check.observed == "exit code 4: xtables lock held"


@pytest.mark.parametrize("file", ["kube-proxy.yaml", "kube-proxy-version"])
@pytest.mark.parametrize("text", [None, "", "a: [", "- 1", "mode: 7\nkind: KubeProxyConfiguration"])
def test_without_configuration_or_version_a_node_fails(file: str, text: str | None) -> None:
    checks = failed(changed(RICH, file, text))
    assert [(check.id, check.object) for check in checks] == [("dump.present", file)]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("facts.json", "{"),
        ("facts.json", "[]"),
        ("ip-addr.json", '[{"ifname": 1, "addr_info": [{"local": "x"}]}]'),
    ],
)
def test_an_optional_file_that_is_not_understood_fails(file: str, text: str) -> None:
    [check] = failed(changed(RICH, file, text))
    assert file in check.object


@pytest.mark.parametrize("file", ["facts.json", "ip-addr.json", "ip-route.json"])
def test_an_optional_file_may_be_absent(file: str) -> None:
    assert failed(changed(RICH, file, None)) == []


def test_a_cluster_without_services_is_an_error() -> None:
    snapshot = load(RICH)
    nodes = [item for item in snapshot.cluster["items"] if item["kind"] != "Service"]
    with pytest.raises(LabError, match="not even default/kubernetes"):
        check_snapshot(replace(snapshot, cluster={"items": nodes}))
    with pytest.raises(LabError, match="not a v1 List"):
        check_snapshot(replace(snapshot, cluster={}))
    with pytest.raises(LabError, match="no node"):
        check_snapshot(replace(snapshot, nodes=()))


def test_a_node_that_the_others_contradict_is_named() -> None:
    text = load(RICH).nodes[0].files["iptables-save.txt"]
    checks = failed(
        changed(
            RICH,
            "iptables-save.txt",
            text.replace("--probability 0.25000000000", "--probability 0.90000000000"),
        )
    )
    [agreement] = [check for check in checks if check.id == "dataplane.agreement"]
    assert "KUBE-SVC-FREKB6WNWYJLKTHC differs on" in agreement.observed


def test_tables_left_from_another_mode_are_noted() -> None:
    left = load(NFT).nodes[0].files["nft-ip.json"]
    notes = [note.text for note in check_snapshot(changed(RICH, "nft-ip.json", left)).notes]
    who = "left by a kube-proxy in nftables mode; `kube-proxy --cleanup` removes it"
    assert f"nft table ip kube-proxy: {who}" in notes
    left = load(RICH).nodes[0].files["iptables-save.txt"]
    checked = check_snapshot(changed(NFT, "iptables-save.txt", left))
    unfollowed = {check.id for check in checked.checks if check.status != "passed"}
    assert unfollowed <= {"iptables.stray"}, "without routes"
    assert not [check for check in checked.checks if check.status == "failed"]
    assert any("left by a kube-proxy in iptables mode" in note.text for note in checked.notes)


def test_there_are_goldens() -> None:
    assert len(goldens("-v")) >= 4
