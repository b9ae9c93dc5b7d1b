"""`--output`: whole files, new folders, devices and links left what they are, one clear message otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubewire.app.reports import write_report
from kubewire.core.errors import DefinitionError


def test_a_file_in_a_new_folder(tmp_path: Path) -> None:
    write_report(tmp_path / "new" / "report.json", "{}")
    assert (tmp_path / "new" / "report.json").read_text() == "{}"


def test_a_pipe_gets_the_report_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_report(pipe, "text")
    assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("report")
    write_report(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "report").read_text() == "text"


def test_a_folder_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="can't be written: Is a directory"):
        write_report(tmp_path, "text")
    assert list(tmp_path.iterdir()) == []


def test_a_full_device_is_told() -> None:
    with pytest.raises(DefinitionError, match="No space left"):
        write_report(Path("/dev/full"), "text")
    assert Path("/dev/full").is_char_device()
