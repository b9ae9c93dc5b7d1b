"""A cached binary that another user owns, or can write: copied after its hash is checked, else not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubewire.binaries import store
from kubewire.binaries.catalog import Artifact

NOBODY = 65534
ARTIFACT = Artifact("etcd", "v3.7.3")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


@pytest.fixture
def binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    put(tmp_path)
    return store.path(ARTIFACT, "etcd")


def put(folder: Path) -> None:
    (folder / "new").write_text("as stored")
    store.add(ARTIFACT, "etcd", folder / "new", "test")


def is_there() -> bool:
    return not store.missing(ARTIFACT, ("etcd",))


def exchange(binary: Path) -> None:
    """Another program of the same size and time, which only its hash tells."""
    before = binary.stat()
    binary.write_text("exchange!"[: before.st_size])
    os.utime(binary, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_what_was_stored_is_copied(binary: Path) -> None:
    os.chown(binary, NOBODY, NOBODY)
    with binary.open() as kept_open:
        assert is_there()
        assert binary.stat().st_uid == os.geteuid()
        assert not os.path.samestat(binary.stat(), os.fstat(kept_open.fileno()))
    assert [path.name for path in binary.parent.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("how", ["another's", "writable"])
def test_what_was_exchanged_is_not_there(binary: Path, how: str) -> None:
    exchange(binary)
    if how == "another's":
        os.chown(binary, NOBODY, NOBODY)
    else:
        binary.chmod(0o777)
    assert not is_there()


def test_a_link_a_fifo_and_anothers_manifest_are_not_believed(binary: Path, tmp_path: Path) -> None:
    kept = binary.read_text()
    (tmp_path / "elsewhere").write_text(kept)
    (tmp_path / "elsewhere").chmod(0o755)
    binary.unlink()
    binary.symlink_to(tmp_path / "elsewhere")
    assert not is_there()
    binary.unlink()
    os.mkfifo(binary, 0o755)
    assert not is_there()
    put(tmp_path)
    assert is_there()
    os.chown(binary.parent / store.MANIFEST, NOBODY, NOBODY)
    assert not is_there()


def test_anothers_folder_is_not_used_and_stored_anew(binary: Path, tmp_path: Path) -> None:
    os.chown(binary.parent, NOBODY, NOBODY)
    assert not is_there()
    put(tmp_path)
    assert is_there()
    assert binary.parent.stat().st_uid == os.geteuid()
