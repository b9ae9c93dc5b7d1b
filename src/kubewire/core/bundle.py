"""Pack kubewire as a wheel holds it, to unpack it on another host: the same bytes for the same tree."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from kubewire.core import resources
from kubewire.core.errors import HostError

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
"""The parts of the collection's root that the wheel also holds (pyproject's force-include)."""
LOCK = Path("requirements") / "runtime.txt"


@cache
def members() -> Mapping[str, bytes]:
    """Every file by its name in site-packages."""
    files = dict(_files(resources.PACKAGE, "kubewire"))
    root = resources.root()
    for name in TREE:
        files |= _files(root / name, f"kubewire/_tree/{name}")
    files[f"kubewire/_tree/{LOCK}"] = lock()
    number = version("kubewire")
    metadata = f"Metadata-Version: 2.1\nName: kubewire\nVersion: {number}\n"
    files[f"kubewire-{number}.dist-info/METADATA"] = metadata.encode()
    return dict(sorted(files.items()))


def lock() -> bytes:
    """The locked dependencies, as pip reads them."""
    path = resources.root() / LOCK
    try:
        return path.read_bytes()
    except OSError as error:
        raise HostError(
            f"kubewire's locked dependencies can't be read: {error.strerror}",
            where=str(path),
            hint="install kubewire again, or run it from a complete checkout",
        ) from error


def picked(requirements: str, python: str, wanted: Callable[[str], bool] = lambda _: True) -> str:
    """The lock file's lines, with hashes, of the wanted packages for `python` (such as 3.13) on Linux.

    The markers are evaluated by this function: pip evaluates them for the Python that it runs under, even if
    it downloads for another one.
    """
    environment = {"python_version": python, "python_full_version": f"{python}.0"}

    def applies(pin: str) -> bool:
        found = Requirement(pin.rstrip("\\ "))
        return wanted(found.name) and (found.marker is None or found.marker.evaluate(environment))

    blocks: list[list[str]] = []
    for line in requirements.splitlines():
        if line[:1].isalnum() or not blocks:
            blocks.append([])
        blocks[-1].append(line)
    lines = ["\n".join([re.sub(r" ;[^\\]*", " ", pin), *hashes]) for pin, *hashes in blocks if applies(pin)]
    return "\n".join(lines) + "\n"


def digest() -> str:
    """The digest that identifies this tree: equal for equal files."""
    found = hashlib.sha256()
    for name, data in members().items():
        found.update(f"{name}\0{len(data)}\0".encode() + data)
    return found.hexdigest()[:16]


def lock_digest() -> str:
    return hashlib.sha256(lock()).hexdigest()[:16]


def archive(files: Mapping[str, bytes]) -> bytes:
    """A compressed tar of these files, without times, owners or modes of this machine."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=3) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return target.getvalue()


def pip() -> bytes:
    """This machine's pip as a zip file that any Python can run: `python pip.zip/pip install …`."""
    spec = find_spec("pip")
    if spec is None or spec.origin is None:
        raise HostError("pip, which kubewire copies to the host, is missing", hint="python -m ensurepip")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in _files(Path(spec.origin).parent, "pip"):
            packed.writestr(name, data)
    return target.getvalue()


def _files(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    if path.is_file():
        yield name, path.read_bytes()
        return
    for entry in sorted(path.iterdir()):
        if entry.name not in ("__pycache__", "_tree") and not entry.name.endswith(".pyc"):
            yield from _files(entry, f"{name}/{entry.name}")
