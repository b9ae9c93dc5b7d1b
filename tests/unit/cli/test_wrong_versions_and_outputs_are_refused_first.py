"""A version that doesn't exist, or a place that can't be written, is told before all else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubewire.binaries import resolving
from kubewire.cli.main import app
from kubewire.core.errors import DefinitionError, HostError
from kubewire.providers.kind import node_image


@pytest.fixture(autouse=True)
def engineless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no engine answers, and a source that has no 1.99."""

    def resolve(wanted: str, **_: object) -> str:
        raise DefinitionError(f"Kubernetes {wanted} does not exist")

    @contextmanager
    def engine() -> Iterator[None]:
        raise HostError("no engine answers")
        yield

    def build(*_: object, **__: object) -> None:
        pytest.fail("work is begun")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resolving, "resolve", resolve)
    monkeypatch.setattr(node_image, "resolve", lambda *_, **__: "v1.37.2")
    monkeypatch.setattr(node_image, "engine", engine)
    monkeypatch.setattr(node_image, "_archive", build)


@pytest.mark.parametrize("line", ["kubernetes: '1.99'", "kubernetes: '1.37'\ncontrolPlane: '1.38'"])
@pytest.mark.parametrize("host", [(), ("--host", "vm"), ("--host", "alice")])
def test_a_version_in_the_labs_file(line: str, host: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "odd.yml").write_text(f"name: odd\nmode: iptables\n{line}\n")
    with pytest.raises(DefinitionError, match=r"1\.(99|38) does not exist"):
        app(["up", "odd.yml", "--check", *host], standalone_mode=False)


def test_a_node_image_of_a_version_that_doesnt_exist() -> None:
    with pytest.raises(DefinitionError, match=r"1\.99 does not exist"):
        app(["image", "build", "1.99"], standalone_mode=False)
    with pytest.raises(HostError, match="no engine answers"):
        app(["image", "build", "1.37"], standalone_mode=False)


@pytest.mark.parametrize(
    ("output", "words"), [("folder", "Is a directory"), ("file/node.tar", "File exists|Not a directory")]
)
def test_a_node_image_that_cant_be_written(output: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(DefinitionError, match=words):
        app(["image", "build", "1.37", "--output", output], standalone_mode=False)
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file"}
