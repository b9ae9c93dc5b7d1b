"""Real labs: each test, or each module, has a state folder of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Kubewire, adopt_orphans

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it to what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)

adopt_orphans()


@pytest.fixture(scope="module", autouse=True)
def _engine_only_for_kind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Embedded labs are embedded also where a Docker engine answers, without each test saying so."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.node.get_closest_marker("kind"):
            patch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        yield


@pytest.fixture
def kubewire(tmp_path: Path) -> Iterator[Kubewire]:
    """A command whose labs are all removed when the test ends, however it ends."""
    command = Kubewire(tmp_path / "state")
    yield command
    labs = command.state / "kubewire" / "labs"
    for lab in sorted(labs.iterdir()) if labs.is_dir() else ():
        command.run("down", lab.name)
    command.run("gc")


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubewire]:
    """A command with the lab that the module's LAB names up, shared by the module's tests."""
    name: str = request.module.LAB
    command = Kubewire(tmp_path_factory.mktemp("state"))
    command.ok("up", name)
    yield command
    command.run("down", name)
