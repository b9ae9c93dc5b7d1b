"""The picture of the packages shows the layers that import-linter holds, and every package."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

from repository import ROOT

PICTURE = runpy.run_path(str(ROOT / "docs" / "house.py"))


def test_the_picture_is_current(golden: Callable[[Path, str], None]) -> None:
    golden(ROOT / "docs" / "house.svg", PICTURE["svg"]())


def test_every_package_is_in_it() -> None:
    drawn = {name for row in PICTURE["layers"]() for name in row}
    assert drawn == {path.parent.name for path in (ROOT / "src" / "kubewire").glob("*/__init__.py")}
    assert all(PICTURE["says"](name) for name in drawn)
