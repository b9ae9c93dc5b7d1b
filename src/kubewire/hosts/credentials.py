"""A lab's admin credentials as sent between hosts: single values, each validated, not a kubeconfig."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Annotated

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from msgspec import Meta, Struct

from kubewire.cluster.kubeconfig import KeyPair, kubeconfig
from kubewire.core.bounded_yaml import read_yaml
from kubewire.core.errors import LabError
from kubewire.core.files import RECORD_LIMIT, read_own
from kubewire.core.rpc import decode
from kubewire.core.serialization import encode

Pem = Annotated[str, Meta(max_length=1 << 16)]


class Credentials(Struct, forbid_unknown_fields=True):
    """The apiserver's port on the lab host's loopback, and PEM strings."""

    port: Annotated[int, Meta(ge=1, le=65535)]
    authority: Pem
    certificate: Pem
    key: Pem


def read_credentials(path: Path) -> Credentials:
    """The credentials in one of our kubeconfigs, with embedded certificates; LabError for any other."""
    try:
        config = read_yaml(read_own(path, RECORD_LIMIT).decode())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        return Credentials(
            port=int(cluster["server"].rpartition(":")[2]),
            authority=_pem(cluster["certificate-authority-data"]),
            certificate=_pem(user["client-certificate-data"]),
            key=_pem(user["client-key-data"]),
        )
    except (OSError, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise LabError(f"the kubeconfig can't be read: {error}", where=str(path)) from error


def to_json(credentials: Credentials) -> str:
    return encode(credentials).decode() + "\n"


def received(data: bytes, host: str) -> Credentials:
    """The credentials that a lab host sent, each parsed and serialized again; LabError for anything else."""
    sent = decode(data, Credentials, host, "kubeconfig")
    try:
        return Credentials(
            port=sent.port,
            authority=_certificate(sent.authority),
            certificate=_certificate(sent.certificate),
            key=_key(sent.key),
        )
    except (ValueError, TypeError) as error:
        raise LabError("kubeconfig answered certificates that aren't PEM", where=host) from error


def to_kubeconfig(credentials: Credentials, lab: str, host: str, port: int) -> str:
    """A kubeconfig for this port of this machine; only certificates and key come from the host."""
    pair = KeyPair(credentials.certificate, credentials.key)
    return kubeconfig(f"kubewire-{lab}-{host}", f"https://127.0.0.1:{port}", credentials.authority, pair)


def _pem(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("ascii")
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def _certificate(pem: str) -> str:
    found = x509.load_pem_x509_certificates(pem.encode())
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in found)


def _key(pem: str) -> str:
    return (
        serialization.load_pem_private_key(pem.encode(), password=None)
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )
