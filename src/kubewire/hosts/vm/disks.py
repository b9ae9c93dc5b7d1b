"""A VM's disks beside its root: Python packages, binaries, kubewire itself, and the seed disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kubewire.binaries import store
from kubewire.binaries.fetchplan import Need
from kubewire.core import bundle
from kubewire.core.progress import Progress
from kubewire.hosts.vm import recipe
from kubewire.hosts.vm.cache import STEP, part, run_tool
from kubewire.hosts.vm.debian import Tools

SITE, SEED = "/opt/kubewire/site-packages", "/opt/kubewire/seed"
MIB = 2**20
STARTED = ("init", "sshd_config", "modules")
"""Files of `guest/` on each seed disk."""


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


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 key pair as OpenSSH writes it."""

    private: str
    public: str


def new_key() -> KeyPair:
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    return KeyPair(private, key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


def write_seed(target: Path, library: Path, hostname: str, host_key: KeyPair, login: str) -> None:
    """The seed disk of one VM, a plain tar: keys, settings and kubewire itself.

    `login` is the public key that may log in as root.
    """
    texts = {
        "hostname": f"{hostname}\n",
        "host_key": host_key.private,
        "authorized_keys": f"{login}\n",
        **{name: recipe.guest_file(name) for name in STARTED},
    }
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        _add_texts(tar, texts)
        tar.add(library, "lib", filter=_as_root)


def _add_texts(tar: tarfile.TarFile, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        data = text.encode()
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(data), 0o700 if name == "init" else 0o600
        tar.addfile(member, io.BytesIO(data))


def _as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
