"""kubewire.core.files: what may be read, and what is refused by kind, owner, mode and size."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubewire.core.errors import LabError
from kubewire.core.files import (
    UnsafeFileError,
    open_own_folder,
    own_folder,
    read_bounded,
    read_own,
    read_own_json,
    remove_tree,
    write_atomically,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "record.json", '{"a": 1}')
    assert read_own_json(tmp_path / "a" / "record.json") == {"a": 1}
    assert read_bounded(tmp_path / "a" / "record.json", 8) == b'{"a": 1}'


@pytest.mark.parametrize("read", [read_own, read_bounded])
def test_a_fifo_a_folder_and_a_device_are_refused_at_once(tmp_path: Path, read) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(UnsafeFileError, match=r"not a regular file|directory"):
            read(path, 100)
    with pytest.raises(UnsafeFileError):
        read(Path("/dev/zero"), 100)


@pytest.mark.parametrize("read", [read_own, read_bounded])
def test_a_large_file_is_refused_after_its_limit(tmp_path: Path, read) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UnsafeFileError, match="larger than 64 KiB"):
        read(tmp_path / "large", 64 << 10)


def test_our_own_is_not_read_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("{}")
    (tmp_path / "link").symlink_to("there")
    assert read_bounded(tmp_path / "link", 9) == b"{}"
    with pytest.raises(UnsafeFileError, match="symbolic link"):
        read_own(tmp_path / "link")
    (tmp_path / "folder").symlink_to(".")
    with pytest.raises(UnsafeFileError):
        open_own_folder(tmp_path / "folder")


def test_our_own_is_not_writable_by_others(tmp_path: Path) -> None:
    (tmp_path / "record").write_text("{}")
    (tmp_path / "record").chmod(0o666)
    with pytest.raises(UnsafeFileError, match="others can write"):
        read_own(tmp_path / "record")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_our_own_belongs_to_this_user(tmp_path: Path) -> None:
    (tmp_path / "record").write_text("{}")
    os.chown(tmp_path / "record", 1234, 1234)
    with pytest.raises(UnsafeFileError, match="belongs to user 1234"):
        read_own(tmp_path / "record")
    os.chown(own_folder(tmp_path / "folder"), 1234, 1234)
    with pytest.raises(UnsafeFileError, match="belongs to user 1234"):
        own_folder(tmp_path / "folder")


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000])
def test_a_record_that_is_no_object_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "record").write_text(text)
    with pytest.raises(LabError):
        read_own_json(tmp_path / "record")


def test_a_tree_of_others_is_removed_however_deep_it_is(tmp_path: Path) -> None:
    """Python's rmtree ends in a RecursionError, and no path reaches the innermost folder."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    tree = tmp_path / "tree"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        os.symlink(kept, "link", dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    remove_tree(tree)
    assert list(tmp_path.iterdir()) == [kept]
    assert (kept / "file").exists()
    remove_tree(tree)
