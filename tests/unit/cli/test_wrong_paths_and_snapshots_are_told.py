"""Names that no file can have, folders that no one can make, snapshots of another shape: one error each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubewire.core.errors import DefinitionError, KubewireError, LabError
from kubewire.core.refusals import refusal
from kubewire.dataplane.core.shape import KINDS
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.verify.offline import verify_folder
from repository import ROOT

GOLDEN = ROOT / "tests" / "golden" / "verify" / "iptables-v1.37.2"
LONG = "a" * 5000


def kubewire(*argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kubewire", *argv],
        cwd=ROOT,
        env=os.environ | more,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "argv",
    [
        ["up", f"{LONG}.yml"],
        ["render", f"/tmp/{LONG}"],
        ["verify", "--snapshot", LONG],
        ["verify", "--snapshot", str(GOLDEN), "--output", f"/tmp/{LONG}"],
        ["status", LONG],
        ["down", LONG],
        ["diff", LONG, LONG],
    ],
    ids=lambda argv: f"{argv[0]} {argv[1]:.10}",
)
def test_a_name_of_5000_letters(tmp_path: Path, argv: list[str]) -> None:
    done = kubewire(*argv, XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert "unexpected" not in done.stderr
    assert "too long" in done.stderr
    assert len(done.stderr) < 1000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("argv", [["up", "iptables", "--check"], ["down", "iptables"]])
def test_a_state_folder_that_no_one_can_make(argv: list[str]) -> None:
    done = kubewire(*argv, XDG_STATE_HOME="/proc/nope")
    assert done.returncode == 3, done.stderr
    assert "/proc/nope: this machine can't create this folder" in done.stderr
    assert "XDG_STATE_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_with_a_nul() -> None:
    with pytest.raises(ValueError, match="null") as caught:
        Path("a\0b").read_text()
    assert isinstance(refusal(caught.value), DefinitionError)


def test_a_file_that_is_missing_elsewhere_is_no_refusal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "no" / "file").read_text()
    assert refusal(caught.value) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_folder_that_this_user_cannot_read(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    shutil.copytree(GOLDEN, locked / "snapshot")
    locked.chmod(0o700)
    tmp_path.chmod(0o755)
    code = (
        "import os, sys; os.setgroups([]); os.setgid(65534);"
        "import kubewire.cli.main, kubewire.verify.offline as offline;"
        "from pathlib import Path; os.setuid(65534);"
        "from kubewire.core.errors import DefinitionError\n"
        "try: offline.verify_folder(Path(sys.argv[1]))\n"
        "except DefinitionError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(locked / "snapshot")], capture_output=True, text=True
    )
    assert "can't be read: Permission denied" in done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN, tmp_path / "snapshot"))


@pytest.mark.parametrize(
    "text", ["[]", "3", "{", '"x"', '{"items": {}}', '{"items": [1]}', '{"items": [{}]}']
)
def test_a_cluster_of_another_shape(folder: Path, text: str) -> None:
    (folder / "cluster.json").write_text(text)
    with pytest.raises(LabError) as caught:
        verify_folder(folder)
    assert "cluster.json" in caught.value.where


def test_a_folder_where_a_file_belongs(folder: Path) -> None:
    (folder / "cluster.json").unlink()
    (folder / "cluster.json").mkdir()
    with pytest.raises(KubewireError, match="regular file") as caught:
        verify_folder(folder)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [[1], "x", 3])
def test_every_part_of_an_object_that_is_of_another_kind_is_named(kind: str, wrong: Any) -> None:
    for part in ("metadata", "spec") if kind not in ("EndpointSlice", "ServiceCIDR") else ("metadata",):
        if (kind, part) in (("ServiceCIDR", "metadata"),):
            continue
        item = {"kind": kind, "metadata": {"name": "x"}, part: wrong}
        with pytest.raises(LabError, match=rf"items\[0\], a {kind}.*`{part}`"):
            Snapshot({"items": [item]}, ())


def test_names_that_are_lists(folder: Path) -> None:
    cluster = json.loads((folder / "cluster.json").read_text())
    [item] = [item for item in cluster["items"] if item["kind"] == "Node"][:1]
    item["metadata"]["name"] = ["x"]
    (folder / "cluster.json").write_text(json.dumps(cluster))
    with pytest.raises(LabError, match=r"a Node, is not as the API gives it: .*metadata\.name"):
        verify_folder(folder)
