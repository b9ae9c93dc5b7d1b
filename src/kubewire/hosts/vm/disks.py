"""What a VM has beside its root: disks of Python packages and of binaries, and kubewire itself."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from kubewire.binaries import store
from kubewire.binaries.fetchplan import Need
from kubewire.core import bundle
from kubewire.core.progress import Progress
from kubewire.hosts.vm import recipe
from kubewire.hosts.vm.cache import STEP, part, run_tool
from kubewire.hosts.vm.debian import Tools

SITE, SEED = "/opt/kubewire/site-packages", "/opt/kubewire/seed"
MIB = 2**20


def packages(tools: Tools, progress: Progress) -> Path:
    """The disk of kubewire's locked Python dependencies, compiled for the guest's Python."""
    locked = bundle.lock().decode()

    def make(folder: Path) -> None:
        progress(STEP, f"installing kubewire's locked packages for Python {recipe.PYTHON} (once)")
        site = folder / "site"
        install(recipe.installable(locked), site, folder / "requirements.txt")
        tools.compile(site, SITE)
        tools.make_image(site, folder / "disk.img", _room(site))
        shutil.rmtree(site)

    return part("packages", recipe.packages_key(locked), 0.6, make, progress) / "disk.img"


def install(requirements: str, site: Path, written: Path) -> None:
    """The wheels of a lock file's packages for the guest's Python, into `site`; the file is `written`."""
    written.write_text(requirements)
    options = ("--quiet", "--no-deps", "--no-compile", "--require-hashes", "--only-binary=:all:")
    guest = (f"--python-version={recipe.PYTHON}", *(f"--platform={name}" for name in recipe.PLATFORMS))
    pip = (sys.executable, "-m", "pip", "install", "--disable-pip-version-check")
    run_tool(
        [*pip, *options, *guest, f"--target={site}", f"--requirement={written}"],
        "the guest's Python packages could not be installed",
    )


def binaries(tools: Tools, needs: Iterable[Need], progress: Progress) -> Path:
    """The disk of these binaries, which must be in the cache, with the cache's layout."""
    wanted = dict(needs)
    listed = {
        artifact.key: {name: store.read_manifest(store.folder(artifact)).files[name] for name in names}
        for artifact, names in wanted.items()
    }
    key = hashlib.sha256(
        json.dumps(
            {k: {n: e.sha256 for n, e in v.items()} for k, v in listed.items()}, sort_keys=True
        ).encode()
    ).hexdigest()[:16]

    def make(folder: Path) -> None:
        progress(STEP, f"writing the disk of {', '.join(a.title for a in wanted)}")
        staged = folder / "bin"
        for artifact, names in wanted.items():
            for name in names:
                _copy(store.path(artifact, name), staged / artifact.key / name)
            store.write_manifest(staged / artifact.key, _as_copied(listed[artifact.key]))
        tools.make_image(staged, folder / "disk.img", _room(staged))
        shutil.rmtree(staged)

    size = sum(entry.size for files in listed.values() for entry in files.values())
    return part("binaries", key, 0.2 + 2.2 * size / 2**30, make, progress, keep=4) / "disk.img"


def _copy(source: Path, target: Path) -> None:
    """With a time in whole seconds, since mkfs.ext4 keeps no fractions."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755)
    seconds = source.stat().st_mtime_ns // 10**9 * 10**9
    os.utime(target, ns=(seconds, seconds))


def _as_copied(files: dict[str, store.Entry]) -> store.Manifest:
    """The manifest of the copies, so that the guest needn't hash them again."""
    whole = {
        name: entry.model_copy(update={"mtime_ns": entry.mtime_ns // 10**9 * 10**9})
        for name, entry in files.items()
    }
    return store.Manifest(files=whole)


def _room(tree: Path) -> str:
    """The size of an image that holds the tree."""
    files = [path.lstat().st_size for path in tree.rglob("*")]
    return f"{(sum(files) + 6144 * len(files)) * 11 // 10 // MIB + 16}M"


def library(tools: Tools, progress: Progress) -> Path:
    """A folder for the guest's `sys.path`, recreated when one of kubewire's files has changed."""

    def make(folder: Path) -> None:
        for name, data in bundle.members().items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        tools.compile(folder, f"{SEED}/lib")

    return part("source", bundle.digest(), 0.1, make, progress)
