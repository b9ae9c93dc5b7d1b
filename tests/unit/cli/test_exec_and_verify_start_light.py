"""`kubewire exec` and `verify --snapshot` load little before they work; how `exec` finds a node."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kubewire.core.errors import DefinitionError
from kubewire.providers.base import NodeHandle, find_node
from repository import GOLDEN

HEAVY = ("pydantic", "ansible", "ansible_runner", "httpx", "docker", "cryptography", "jinja2", "yaml")
NODES = tuple(
    NodeHandle(name, "worker", ("nsenter",), ())
    for name in ("a-b-control-plane", "a-b-worker", "a-b-worker2")
)


def test_its_way_imports_nothing_heavy() -> None:
    code = (
        "import sys, kubewire.cli.main, kubewire.app.enter, kubewire.app.placement;"
        "import kubewire.providers.registry, kubewire.providers.netns.provider;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_verify_of_a_snapshot_imports_nothing_heavy() -> None:
    command = [
        "-X",
        "importtime",
        "-m",
        "kubewire",
        "verify",
        "--snapshot",
        str(next((GOLDEN / "verify").iterdir())),
    ]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "kubewire.verify.offline" in imported
    assert not imported.intersection({*HEAVY, "rich", "kubewire.hosts", "kubewire.lab"})


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("worker", "a-b-worker"),
        ("worker2", "a-b-worker2"),
        ("control-plane", "a-b-control-plane"),
        ("a-b-worker2", "a-b-worker2"),
    ],
)
def test_a_node_by_its_short_or_full_name(wanted: str, found: str) -> None:
    assert find_node("a-b", wanted, NODES).name == found


def test_an_unknown_node_lists_them() -> None:
    with pytest.raises(DefinitionError) as caught:
        find_node("a-b", "worker22", NODES)
    assert "did you mean worker2?" in caught.value.what
    assert caught.value.hint == "its nodes: control-plane, worker, worker2"
