"""A node image is built when something that it is made of has changed, and only then."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from kubewire.core import bundle
from kubewire.core.bundle import picked
from kubewire.core.errors import DefinitionError, HostError
from kubewire.core.progress import emit
from kubewire.providers.kind import node_image
from kubewire.providers.kind.image import pods

VERSION = "v1.37.2"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the archives that were built; nothing is really built."""
    keys: list[str] = []

    def build(version: str, target: Path, *, overlay: Path | None, key: str, progress: object) -> None:
        keys.append(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{version} {key} {len(keys)}")

    monkeypatch.setattr(node_image, "build", build)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return keys


def make(output: Path, overlay: Path | None = None, *, fresh: bool = False) -> str:
    return node_image.make(VERSION, overlay=overlay, output=output, fresh=fresh, progress=emit).how


def test_the_archive_in_the_cache_is_used_again(built: list[str], tmp_path: Path) -> None:
    output = tmp_path / "out" / "node.tar"
    assert make(output) == "built"
    first = output.read_text()
    output.unlink()
    assert make(output) == "from the cache"
    assert output.read_text() == first
    assert make(output, fresh=True) == "built"
    assert output.read_text() != first
    assert len(built) == 2


def test_another_overlay_is_another_image_and_the_former_archive_goes(
    built: list[str], tmp_path: Path
) -> None:
    overlay, output = tmp_path / "overlay", tmp_path / "node.tar"
    (overlay / "etc").mkdir(parents=True)
    (overlay / "etc" / "x").write_text("1")
    assert [make(output), make(output, overlay), make(output, overlay)] == [
        *("built", "built", "from the cache")
    ]
    assert [file.name for file in (tmp_path / "cache/kubewire/images").iterdir()] == [
        f"node-{VERSION}-{built[1]}.tar"
    ]
    with pytest.raises(DefinitionError, match="no such overlay folder"):
        make(output, tmp_path / "none")


def test_all_that_decides_the_content_is_in_the_key(tmp_path: Path) -> None:
    overlay = tmp_path / "overlay"
    (overlay / "bin").mkdir(parents=True)
    program = overlay / "bin" / "runc"
    program.write_text("#!/bin/sh\n")
    keys = [
        node_image.inputs(VERSION, overlay),
        node_image.inputs(VERSION, None),
        node_image.inputs("v1.36.3", overlay),
    ]
    program.chmod(0o755)
    keys.append(node_image.inputs(VERSION, overlay))
    program.write_text("#!/bin/sh\nexit\n")
    keys.append(node_image.inputs(VERSION, overlay))
    program.unlink()
    program.symlink_to("/usr/bin/runc")
    keys.append(node_image.inputs(VERSION, overlay))
    assert len(set(keys)) == len(keys)
    assert keys[-1] == node_image.inputs(VERSION, overlay)


def test_a_wheel_that_is_not_the_locked_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "six-1.17.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("six.py", "evil = True\n")
        wheel.writestr("six-1.17.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: six\nVersion: 1.17.0\n")
        wheel.writestr("six-1.17.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("six-1.17.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    locked = picked(bundle.lock().decode(), "3.11", lambda name: name == "six")
    monkeypatch.setattr(pods, "pins", lambda: locked)
    with pytest.raises(HostError, match="httpbin can't be installed"):
        pods.install_httpbin(tmp_path / "site")
    assert not (tmp_path / "site" / "six.py").exists()
