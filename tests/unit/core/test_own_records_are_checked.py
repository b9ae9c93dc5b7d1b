"""Our own records, locks and kubeconfigs: another's, a link or a FIFO in their place is refused at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kubewire.app.steps.workload import Ledger
from kubewire.cluster.api import Api
from kubewire.core.errors import LabError
from kubewire.core.files import make_in
from kubewire.core.locks import is_held, locked
from kubewire.core.progress import emit
from kubewire.hosts import records
from kubewire.lab.lock import is_locked, lab_lock
from kubewire.lab.lookup import made_from
from kubewire.lab.record import read_record

NOBODY = 65534


def take(file: Path) -> None:
    with locked(file, "it", emit):
        pass


def take_lab(file: Path) -> None:
    with lab_lock(file.stem, "test", wait=False):
        pass


def first_of_hosts(file: Path) -> None:
    found, broken = records.everywhere()
    assert not found
    raise LabError(broken[0].why)


def from_this_file(file: Path) -> None:
    assert made_from(file.parent / "x.yml") == ""
    raise LabError("nothing was read")


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a lab's record": ("labs/x/record.json", lambda _: read_record("x")),
    "the file a lab is from": ("labs/x/record.json", from_this_file),
    "a ledger": ("labs/x/workload.json", lambda file: 1 / len(Ledger(file).read())),
    "a record of a host": ("hosts/x/h/record.json", first_of_hosts),
    "a kubeconfig": ("labs/x/kubeconfig", Api),
    "a lab's lock, asked for": ("locks/x.lock", lambda _: is_locked("x")),
    "a lab's lock, taken": ("locks/x.lock", take_lab),
    "a lock, asked for": ("locks/x.lock", is_held),
    "a lock, taken": ("locks/x.lock", take),
}


@pytest.fixture(params=READERS, ids=list(READERS))
def reader(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Callable[[Path], object]]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    name, read = READERS[request.param]
    file = tmp_path / "kubewire" / name
    file.parent.mkdir(parents=True)
    return file, read


def refuses(read: Callable[[Path], object], file: Path) -> None:
    with pytest.raises((LabError, ZeroDivisionError)):
        read(file)


def test_a_link_is_not_followed(reader: tuple[Path, Callable[[Path], object]], tmp_path: Path) -> None:
    file, read = reader
    (tmp_path / "elsewhere").write_text("{}")
    file.symlink_to(tmp_path / "elsewhere")
    refuses(read, file)
    assert (tmp_path / "elsewhere").read_text() == "{}"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another user")
@pytest.mark.parametrize("make", [Path.touch, os.mkfifo])
def test_anothers_file_or_fifo_is_not_believed_nor_waited_for(
    reader: tuple[Path, Callable[[Path], object]], make: Callable[[Path], None]
) -> None:
    file, read = reader
    make(file)
    os.chown(file, NOBODY, NOBODY)
    refuses(read, file)


def test_those_who_ask_for_a_lock_do_not_meet_each_other(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    file.touch(mode=0o600)
    asking = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", asking, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not is_held(file)
        process.kill()


def test_a_folder_removed_in_between_is_made_again(tmp_path: Path) -> None:
    folder, removed = tmp_path / "state" / "locks", []

    def make() -> str:
        if len(removed) < 3:
            removed.append(folder.rmdir())
            removed.append(folder.parent.rmdir())
        (folder / "file").write_text("made")
        return "made"

    assert make_in(folder, make, mode=0o700) == "made"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "file").read_text() == "made"


def test_a_folder_that_no_one_can_make_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        make_in(Path("/proc/nope"), lambda: None)
    with pytest.raises((FileExistsError, NotADirectoryError)):
        make_in(Path("/dev/null"), lambda: None)
