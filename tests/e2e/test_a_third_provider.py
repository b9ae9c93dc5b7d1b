"""A provider of another package carries a lab through its life; without that package, its labs stay."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Kubewire

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TOY = Path(__file__).parent / "toy_provider"
UNKNOWN = "provider 'toy' is not known"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site folder with the toy installed as pip installs any package."""
    folder = tmp_path / "site"
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder))
    source = shutil.copytree(TOY, tmp_path / "toy")
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    return folder


def listed(kubewire: Kubewire, lab: str) -> dict[str, str]:
    labs: list[dict[str, str]] = json.loads(kubewire.ok("list", "--format", "json").out)["labs"]
    return next(entry for entry in labs if entry["lab"] == lab)


def test_a_plugin_is_all_that_a_provider_takes(kubewire: Kubewire, site: Path, tmp_path: Path) -> None:
    stranger = Kubewire(kubewire.state)
    kubewire.environment["PYTHONPATH"] = str(site)
    folder = kubewire.state / "kubewire" / "labs" / "iptables"

    made = kubewire.ok("up", "iptables", "--provider", "toy", "--set", "nodes.workers=1", "--verify")
    assert "toy: asked for" in made.err
    assert "provider toy: nothing in it is its own" in made.out
    assert json.loads((folder / "record.json").read_text())["provider"] == "toy"
    row = listed(kubewire, "iptables")
    assert (row["phase"], row["provider"]) == ("ready", "toy")
    assert "-N KUBE-SERVICES" in kubewire.node("iptables", "worker", "iptables", "-t", "nat", "-S")
    assert "nothing to remove" in kubewire.ok("gc").out

    assert listed(stranger, "iptables")["provider"] == UNKNOWN
    for argv in (["down", "iptables"], ["up", "iptables"], ["exec", "iptables", "worker", "--", "true"]):
        refused = stranger.run(*argv)
        assert (refused.code, UNKNOWN in refused.err) == (4, True), refused.text
    assert_left_alone(stranger, folder)
    assert listed(kubewire, "iptables")["phase"] == "ready"

    crashed = shutil.copytree(folder, tmp_path / "crashed", ignore=shutil.ignore_patterns("*.sock"))
    kubewire.ok("down", "iptables")
    assert not folder.exists()

    shutil.copytree(crashed, folder)
    assert listed(kubewire, "iptables")["phase"] == "dead"
    assert_left_alone(stranger, folder)
    assert "removed lab iptables" in kubewire.ok("gc").out
    assert not folder.exists()


def assert_left_alone(stranger: Kubewire, folder: Path) -> None:
    before = sorted(folder.iterdir())
    cleaned = stranger.ok("gc")
    assert f"left alone: lab iptables: {UNKNOWN}" in cleaned.err
    assert "nothing to remove" in cleaned.out
    assert sorted(folder.iterdir()) == before
