"""The command itself: for each way to fail, its exit code and one clear message on standard error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kubewire.cli.main import app
from repository import ROOT


def kubewire(state: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XDG_STATE_HOME": str(state), "NO_COLOR": "1", "COLUMNS": "120"} | more
    return subprocess.run(
        [sys.executable, "-m", "kubewire", *argv], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["bogus"], 2, "No such command"),
        (["up"], 2, "Missing argument"),
        (["up", "iptabels"], 2, "iptables"),
        (["up", "iptables", "--replicas", "-1"], 2, "--replicas -1"),
        (["up", "iptables", "--set", "httpbin"], 2, "it must be KEY=VALUE"),
        (["up", "iptables", "--mode", "userspace"], 2, "1.26"),
        (["up", "iptables", "--provider", "lxc"], 2, "no provider"),
        (["up", "iptables", "--provider", "kind"], 3, "--provider netns"),
        (["up", "iptables", "--host", "nobody", "-i", "nowhere.yml"], 2, "can't be read"),
        (["verify"], 2, "needs either a lab or --snapshot DIR"),
        (["verify", "iptables", "--snapshot", "x"], 2, "needs either a lab or --snapshot DIR"),
        (["verify", "iptables"], 4, "kubewire up iptables"),
        (["exec", "iptables", "worker", "--", "true"], 4, "kubewire up iptables"),
        (["exec", "iptables", "worker", "--"], 2, "CMD"),
        (["kubeconfig", "iptables"], 4, "kubewire up iptables"),
        (["status", "iptables"], 4, "kubewire up iptables"),
        (["snapshot", "iptables", "there"], 4, "kubewire up iptables"),
    ],
)
def test_failures(tmp_path: Path, argv: list[str], code: int, words: str) -> None:
    done = kubewire(tmp_path, *argv)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_exception_is_exit_4_with_its_traceback_kept(tmp_path: Path) -> None:
    code = (
        "import kubewire.app.labs as labs, kubewire.cli.main as main;labs.listed = lambda: 1 / 0; main.run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "list"],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4
    assert "unexpected ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr
    (log,) = (tmp_path / "kubewire" / "errors").iterdir()
    assert "ZeroDivisionError" in log.read_text()
    assert "removed the traceback" in kubewire(tmp_path, "gc").stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("folders", "where"),
    [
        ({"XDG_STATE_HOME": "/dev/null"}, "/dev/null/kubewire/locks"),
        ({"XDG_CACHE_HOME": "/dev/null"}, r"/dev/null/kubewire/\S+"),
    ],
    ids=["state", "cache"],
)
def test_folders_that_cannot_be_written_are_the_machines_fault(
    tmp_path: Path, folders: dict[str, str], where: str
) -> None:
    done = kubewire(tmp_path, "up", "iptables", **folders)
    assert done.returncode == 3
    assert re.search(f"{where}: this machine refuses: Not a directory", done.stderr)
    assert "XDG_STATE_HOME" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_the_machines_fault(tmp_path: Path) -> None:
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "kubewire", "list"],
            cwd=ROOT,
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 3
    assert "No space left on device\n  free some space" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_locale_without_our_signs_still_gets_words(tmp_path: Path) -> None:
    done = kubewire(tmp_path, "up", "iptabels", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "there is no lab ?iptabels?" in done.stderr


def test_a_relative_xdg_folder_counts_as_not_given(tmp_path: Path) -> None:
    code = "from kubewire.core.paths import cache_dir, state_dir; print(cache_dir(), state_dir())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"XDG_STATE_HOME": "there", "XDG_CACHE_HOME": "./c", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [f"{tmp_path}/.cache/kubewire", f"{tmp_path}/.local/state/kubewire"]


@pytest.mark.parametrize(
    "command", ["up", "verify", "down", "exec", "shell", "kubeconfig", "snapshot", "render", "prefetch"]
)
def test_help_teaches_by_examples(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert (
        f"kubewire {command} "
        in done.stdout.partition("Examples" if "Examples" in done.stdout else "Example")[2]
    )


def test_render_needs_no_lab(tmp_path: Path) -> None:
    done = kubewire(tmp_path, "render", "ipvs", "--as", "kind")
    assert done.returncode == 0
    assert "kubeProxyMode: ipvs" in done.stdout


def test_list_shows_every_lab(tmp_path: Path) -> None:
    done = kubewire(tmp_path, "list")
    labs = {path.stem for path in (ROOT / "labs").glob("*.yml")} - {"matrix"}
    assert labs <= set(done.stdout.split())
