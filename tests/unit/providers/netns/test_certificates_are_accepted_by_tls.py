"""The cluster's certificates hold in a real TLS handshake, and name every address a client may use."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from kubewire.lab.schema import Lab
from kubewire.providers.netns.certificates import Authority, KeyPair
from kubewire.providers.netns.control_plane import issue_credentials
from kubewire.providers.netns.topology import nodes


def handshake(tmp_path: Path, authority: str, server: KeyPair, client: KeyPair | None, name: str) -> None:
    def stored(file: str, text: str) -> str:
        (tmp_path / file).write_text(text)
        return str(tmp_path / file)

    ca = stored("ca", authority)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(stored("server", server.certificate + server.key))
    serving.load_verify_locations(ca)
    serving.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cafile=ca)
    for side in (serving, asking):
        side.verify_flags |= ssl.VERIFY_X509_STRICT  # Python's default from 3.13 on
    if client:
        asking.load_cert_chain(stored("client", client.certificate + client.key))
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            with serving.wrap_socket(there, server_side=True) as connection:
                connection.sendall(b"hello")
        except ssl.SSLError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with asking.wrap_socket(here, server_hostname=name) as connection:
            if connection.recv(5) != b"hello":
                raise ssl.SSLError("the server refused the client")
    finally:
        thread.join()


def test_client_and_server_trust_each_other(tmp_path: Path) -> None:
    authority = Authority("test")
    server = authority.issue("server", hosts=["172.18.0.2", "fc00::2", "kubernetes.default"], server=True)
    for name in ("172.18.0.2", "fc00::2", "kubernetes.default"):
        handshake(tmp_path, authority.certificate, server, authority.issue("someone"), name)


def test_a_name_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    authority = Authority("test")
    server = authority.issue("server", hosts=["172.18.0.2"], server=True)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, authority.certificate, server, authority.issue("someone"), "172.18.0.3")


def test_a_client_of_another_authority_is_refused(tmp_path: Path) -> None:
    authority = Authority("test")
    server = authority.issue("server", hosts=["172.18.0.2"], server=True)
    with pytest.raises(ssl.SSLError):
        handshake(tmp_path, authority.certificate, server, Authority("other").issue("x"), "172.18.0.2")


def test_the_apiserver_serves_its_service_address_and_every_control_plane(dual_lab: Lab) -> None:
    credentials = issue_credentials(dual_lab, nodes(dual_lab))
    certificate = x509.load_pem_x509_certificate(credentials.api_server.certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(ip) for ip in names.get_values_for_type(x509.IPAddress)}
    assert {"10.96.0.1", "fd00:10:96::1", "127.0.0.1", "172.18.0.2", "fc00:f853:ccd:e793::2"} <= addresses
    assert "172.18.0.3" in addresses, "the second control plane"
    assert "172.18.0.4" not in addresses, "a worker"
