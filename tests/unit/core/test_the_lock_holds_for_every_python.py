"""One lock file for Python 3.11 to 3.13: each takes one version of each package from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from kubewire.core.bundle import picked
from repository import ROOT

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def pins(text: str) -> dict[str, str]:
    found = [Requirement(line.rstrip("\\ ")) for line in text.splitlines() if line[:1].isalnum()]
    assert len(found) == len({pin.name for pin in found}), "a package twice"
    assert not any(pin.marker for pin in found)
    return {pin.name: str(pin.specifier) for pin in found}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_each_python_takes_one_version_of_each_package(lock: Path) -> None:
    text = lock.read_text()
    by_python = {python: pins(picked(text, python)) for python in ("3.11", "3.12", "3.13")}
    first, *others = map(set, by_python.values())
    assert all(names == first for names in others)
    assert by_python["3.11"]["greenlet"] == "==2.0.2"
    assert int(by_python["3.13"]["greenlet"].removeprefix("==").split(".")[0]) >= 3
    assert "colorama" not in first, "no other system's packages"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_each_pin_has_hashes_and_no_index_is_named(lock: Path) -> None:
    text = lock.read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|--trusted-host", text)


def test_what_is_not_wanted_is_not_picked() -> None:
    first = "a==1 \\\n    --hash=sha256:aa\n    # via b\n"
    text = first.replace(" \\", " ; python_version < '3.12' \\", 1) + "b==2 \\\n    --hash=sha256:bb\n"
    assert picked(text, "3.11", lambda name: name == "a") == first
    assert picked(text, "3.12", lambda name: name == "a").strip() == ""
