"""kubewire itself as the guest runs it: the package and its collection's files, compiled for the guest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from kubewire import resources
from kubewire.progress import Progress
from kubewire.vm import recipe
from kubewire.vm.cache import part
from kubewire.vm.debian import Tools

SEED = "/opt/kubewire/seed"
TREE = (
    "ansible.cfg",
    "galaxy.yml",
    "inventories",
    "labs",
    "meta",
    "playbooks",
    "plugins",
    "roles",
    "schemas",
)
"""What the wheel keeps in `kubewire/_tree`."""
_IGNORED = shutil.ignore_patterns("__pycache__", "_tree", "*.pyc")


def library(tools: Tools, progress: Progress) -> Path:
    """A folder for the guest's `sys.path`, made anew when a file of kubewire's has changed."""

    def make(folder: Path) -> None:
        shutil.copytree(resources.PACKAGE, folder / "kubewire", ignore=_IGNORED)
        for name in TREE:
            source, target = resources.root() / name, folder / "kubewire" / "_tree" / name
            target.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=_IGNORED)
            else:
                shutil.copyfile(source, target)
        _write_metadata(folder)
        tools.compile(folder, f"{SEED}/lib")

    return part("source", _key(), 0.1, make, progress)


def _write_metadata(folder: Path) -> None:
    """What importlib.metadata tells of the version."""
    try:
        text = distribution("kubewire").read_text("METADATA") or ""
    except PackageNotFoundError:
        return
    target = folder / "kubewire.dist-info"
    target.mkdir()
    (target / "METADATA").write_text(text)


def _key() -> str:
    digest = hashlib.sha256(recipe.PYTHON.encode())
    for path in sorted(_files()):
        digest.update(f"{path}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files() -> Iterator[Path]:
    for base in (resources.PACKAGE, *(resources.root() / name for name in TREE)):
        for path in (base, *base.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
