"""A VM's parts that cost nothing: files with their names, and a script in QEMU's place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubewire.hosts.vm import machine, state
from kubewire.hosts.vm.debian import Root
from kubewire.hosts.vm.parts import Parts
from kubewire.hosts.vm.qemu import Qemu

LAB = "try"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def parts_of(tmp_path: Path) -> Iterator[Callable[[str], Parts]]:
    """`parts_of(script)`: a VM whose QEMU is this shell script; `$CONSOLE` and `$PORT` are its own."""

    def make(script: str) -> Parts:
        program = tmp_path / "qemu"
        program.write_text(
            "#!/bin/bash\n"
            'for word in "$@"; do case $word in\n'
            "file:*) CONSOLE=${word#file:} ;;\n"
            "*hostfwd=tcp:127.0.0.1:*) PORT=${word##*127.0.0.1:}; PORT=${PORT%%-*} ;;\n"
            f"esac; done\n{script}\n"
        )
        program.chmod(0o755)
        library = tmp_path / "library"
        library.mkdir(exist_ok=True)
        (library / "module.py").write_text("")
        folder = tmp_path / "part-1"
        folder.mkdir(exist_ok=True)
        root = Root(folder / "root.img", folder / "vmlinuz")
        disk = folder / "disk.img"
        return Parts(Qemu((str(program),), "QEMU 10.0"), root, disk, disk, library, "tcg")

    yield make
    machine.remove(LAB)
    assert not state.folder(LAB).exists()
