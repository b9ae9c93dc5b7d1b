"""Writing and reading the snapshot folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewire.core.errors import DefinitionError, LabError
from kubewire.core.printable import ODD_LIMIT
from kubewire.dataplane.core.snapshot import NODE_FILES, NodeSnapshot, Snapshot
from kubewire.snapshot.folder import LINES_LIMIT, VALUES_LIMIT, read_snapshot, write_snapshot
from repository import GOLDEN

RECORDED = GOLDEN / "dataplane"
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r"), max_size=40)


def sample() -> Snapshot:
    node = NodeSnapshot("lab-worker", {"iptables-save.txt": "*nat\nCOMMIT\n"}, {"nft-ip.json": "exit code 1"})
    return Snapshot({"kind": "List", "items": []}, (node,), {"schema": 1, "lab": "lab"})


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    write_snapshot(sample(), tmp_path / "s")
    assert read_snapshot(tmp_path / "s") == sample()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]


@given(files=st.dictionaries(st.sampled_from(NODE_FILES), TEXT))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, files: dict[str, str]) -> None:
    target = tmp_path_factory.mktemp("any") / "s"
    write_snapshot(Snapshot({"items": []}, (NodeSnapshot("n", files),)), target)
    assert dict(read_snapshot(target).nodes[0].files) == files


@pytest.mark.parametrize(
    "folder", sorted(p for p in RECORDED.glob("*") if (p / "cluster.json").exists()), ids=str
)
def test_recorded_snapshots_are_read(folder: Path) -> None:
    found = read_snapshot(folder)
    assert found.nodes
    assert all("kube-proxy.yaml" in node.files for node in found.nodes)


def test_an_empty_folder_is_taken_and_a_full_one_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    write_snapshot(sample(), tmp_path / "s")
    with pytest.raises(DefinitionError, match="something already"):
        write_snapshot(sample(), tmp_path / "s")


def test_a_link_is_not_followed_when_writing(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DefinitionError):
        write_snapshot(sample(), tmp_path / "s")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    bad = Snapshot({"items": []}, (NodeSnapshot("../escape", {}),))
    with pytest.raises(LabError, match="not a node's name"):
        write_snapshot(bad, tmp_path / "s")
    assert not any(tmp_path.iterdir())


def test_no_folder_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="no such snapshot"):
        read_snapshot(tmp_path / "nowhere")


def test_a_node_without_files_is_read_for_the_checks_to_fail_it(tmp_path: Path) -> None:
    write_snapshot(sample(), tmp_path / "s")
    (tmp_path / "s" / "nodes" / "lab-worker" / "iptables-save.txt").unlink()
    assert read_snapshot(tmp_path / "s").nodes[0].files == {}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("cluster.json", None),
        ("cluster.json", ""),
        ("cluster.json", '{"items": [1, 2'),
        ("cluster.json", "[]"),
        ("cluster.json", "[" * 100_000),
        ("snapshot.json", "not json"),
        ("nodes/notes.txt", "a file where only node folders are"),
    ],
)
def test_what_cannot_be_judged_names_its_file(tmp_path: Path, path: str, content: str | None) -> None:
    write_snapshot(sample(), tmp_path / "s")
    target = tmp_path / "s" / path
    if content is None:
        target.unlink()
    else:
        target.write_text(content)
    with pytest.raises(LabError) as caught:
        read_snapshot(tmp_path / "s")
    assert Path(path).name in str(caught.value)


def test_links_and_pipes_inside_are_refused(tmp_path: Path) -> None:
    write_snapshot(sample(), tmp_path / "s")
    node = tmp_path / "s" / "nodes" / "lab-worker"
    (node / "nft-ip.json").symlink_to("/etc/passwd")
    with pytest.raises(LabError, match=r"nft-ip\.json"):
        read_snapshot(tmp_path / "s")
    (node / "nft-ip.json").unlink()
    os.mkfifo(node / "ip-addr.json")
    with pytest.raises(LabError, match="not a regular file"):
        read_snapshot(tmp_path / "s")


def test_bytes_that_are_no_text_are_kept_visible(tmp_path: Path) -> None:
    write_snapshot(sample(), tmp_path / "s")
    dump = tmp_path / "s" / "nodes" / "lab-worker" / "iptables-save.txt"
    dump.write_bytes(b"*nat\n\xff\n")
    assert read_snapshot(tmp_path / "s").nodes[0].files["iptables-save.txt"] == "*nat\n\\xff\n"


def test_a_file_that_is_no_text_at_all_takes_no_call_for_each_byte(tmp_path: Path) -> None:
    """Python needs a microsecond for each `\\xNN`: 128 MiB of them, a small archive, took minutes."""
    write_snapshot(sample(), tmp_path / "s")
    dump = tmp_path / "s" / "nodes" / "lab-worker" / "iptables-save.txt"
    dump.write_bytes(b"\xff" * (ODD_LIMIT + 1))
    assert read_snapshot(tmp_path / "s").nodes[0].files["iptables-save.txt"] == "\ufffd" * (ODD_LIMIT + 1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("iptables-save.txt", b"\n" * (LINES_LIMIT + 1), "lines"),
        ("nft-ip.json", b"[" + b"[],{}," * (VALUES_LIMIT // 4) + b"0]", "JSON values"),
    ],
)
def test_more_lines_or_values_than_memory_can_hold_are_refused(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    write_snapshot(sample(), tmp_path / "s")
    (tmp_path / "s" / "nodes" / "lab-worker" / name).write_bytes(content)
    with pytest.raises(LabError, match=said):
        read_snapshot(tmp_path / "s")
