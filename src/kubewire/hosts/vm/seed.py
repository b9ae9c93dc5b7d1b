"""The seed disk of one VM, a plain tar: keys, settings and kubewire itself."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kubewire.hosts.vm import recipe

STARTED = ("init", "sshd_config", "modules")
"""Files of `guest/` on each seed disk."""


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
    """The seed disk; `login` is the public key that may log in as root."""
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
