"""The locked dependencies and the readers of others' data under the Python of a newer Debian."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubewire.core.bundle import picked
from repository import ROOT
from waiting import DEADLINE

SUITE = "trixie"
READERS = ("core", "snapshot", "lab", "fuzz", "hosts/test_answers_are_known_or_refused.py", "providers/kind")
NOT_COPIED = (".git", ".venv*", ".*_cache", ".hypothesis", ".local", "__pycache__", "*.egg-info")
SECONDS = 4 * DEADLINE
INSIDE = """
set -eu
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
exec chroot "$1" env -i HOME=/root PATH=/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -euc "$2"
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="a Debian root is made by root"),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap"),
]


def inside(root: Path, script: str) -> str:
    """What a shell script prints in the root, in namespaces of its own."""
    argv = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        INSIDE,
        "sh",
        str(root),
        script,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def debian() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="kubewire-test-") as folder:
        root = Path(folder, "root")
        options = ("--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", "--include=python3-venv")
        made = subprocess.run(
            ["mmdebstrap", *options, SUITE, str(root)], capture_output=True, text=True, timeout=SECONDS
        )
        if made.returncode:
            pytest.skip(f"mmdebstrap can't make {SUITE} here: {made.stderr.strip()[-200:]}")
        yield root


@pytest.fixture(scope="module")
def python(debian: Path) -> str:
    """The root's Python version, with the locked dependencies and this tree."""
    version = inside(debian, "python3 -c 'import platform; print(platform.python_version())'").strip()
    lock = debian / "lock.txt"
    minor = version.rpartition(".")[0]
    lock.write_text(picked((ROOT / "requirements" / "dev.txt").read_text(), minor))
    tags = (f"--platform=manylinux{tag}_{platform.machine()}" for tag in ("2014", "_2_28"))
    fetch = (*("download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"), *tags)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", *fetch, f"--python-version={minor}", "--implementation=cp"),
            *("--dest", str(debian / "wheels"), "-r", str(lock)),
        ],
        check=True,
        timeout=SECONDS,
    )
    shutil.copytree(ROOT, debian / "repo", symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
    inside(
        debian,
        "python3 -m venv /venv; pip='pip install --quiet --no-index --find-links /wheels'; "
        "$pip --require-hashes -r /repo/requirements/runtime.txt -r /repo/requirements/dev.txt; "
        "$pip --no-deps --no-build-isolation -e /repo; pip check",
    )
    return version


def test_the_readers_of_others_data(debian: Path, python: str) -> None:
    assert python.startswith("3.13.")
    folders = " ".join(f"tests/unit/{name}" for name in READERS)
    said = inside(debian, f"cd /repo; pytest -q -n 2 -p no:cacheprovider -m 'not e2e and not slow' {folders}")
    assert " passed" in said
    assert " failed" not in said
