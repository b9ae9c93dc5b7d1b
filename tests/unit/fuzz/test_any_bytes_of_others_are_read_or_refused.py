"""Every reader of others' data, with any damage: a value, or one error with the right exit code."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kubewire.cluster.api import Api
from kubewire.core.errors import KubewireError
from kubewire.core.processes import Outcome
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.iptables.observed import parse_iptables_save
from kubewire.dataplane.ipvs.ipset import parse_ipset_save
from kubewire.dataplane.ipvs.ipvsadm import parse_ipvsadm_save
from kubewire.dataplane.nftables.observed import parse_nft_json
from kubewire.lab.loading import load_lab
from kubewire.matrix.loading import load_matrix
from kubewire.nightly.folder import RunFolder, read_run
from kubewire.snapshot.archive import pack_snapshot, read_archive
from kubewire.snapshot.folder import read_snapshot
from kubewire.snapshot.node import node_snapshot, split_sections
from repository import ROOT

GOLDEN = ROOT / "tests" / "golden" / "verify"
FUZZ = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
RUN = (
    '{"schema": 1, "kubewire": "0.1.0", "matrix": "m.yml", "started": "", "finished": "", "status": "passed",'
    ' "machine": {"cpus": 2, "memory_bytes": 1, "kernel": "6"}, "cells": [{"id": "a", "lab": "iptables",'
    ' "mode": "iptables", "provider": "netns", "kubernetes": "v1.37.2", "status": "passed"}]}'
)
ORDER = '{"schema": 1, "matrix": "m.yml", "started": "", "deadline": 5.0, "cells": []}'
KUBECONFIG = """apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: a, user: {token: x}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
"""


def _golden(name: str) -> bytes:
    return next(iter(GOLDEN.glob(f"*/nodes/*-worker/{name}"))).read_bytes()


def _archive() -> bytes:
    return gzip.decompress(pack_snapshot(read_snapshot(next(iter(sorted(GOLDEN.iterdir()))))))


def _read_archive(path: Path) -> object:
    path.write_bytes(gzip.compress(path.read_bytes(), 1))
    return read_archive(path)


READERS: dict[str, tuple[Callable[[], bytes], Callable[[Path], object], int]] = {
    "lab": ((ROOT / "labs/iptables.yml").read_bytes, lambda path: load_lab(str(path)), 2),
    "matrix": ((ROOT / "labs/matrix.yml").read_bytes, load_matrix, 2),
    "run.json": (RUN.encode, read_run, 2),
    "order.json": (ORDER.encode, lambda path: RunFolder(path.parent).read_order(), 2),
    "archive": (_archive, _read_archive, 4),
    "kubeconfig": (KUBECONFIG.encode, lambda path: Api(path).close(), 4),
    "kube-proxy.yaml": (
        lambda: _golden("kube-proxy.yaml"),
        lambda path: ProxyConfig.parse(path.read_bytes().decode(errors="backslashreplace")),
        4,
    ),
}
DUMPS: dict[str, Callable[[str], object]] = {
    "iptables-save.txt": lambda text: parse_iptables_save(text, "ipv4"),
    "nft-ip.json": lambda text: parse_nft_json(text, "ipv4"),
    "ipset-save.txt": parse_ipset_save,
    "ipvsadm-save.txt": parse_ipvsadm_save,
}


def damaged(data: st.DataObject, whole: bytes) -> bytes:
    at = data.draw(st.integers(0, len(whole)))
    upto = at + data.draw(st.integers(0, 200))
    put = data.draw(
        st.binary(max_size=30)
        | st.sampled_from([b"[" * 3000, b"9" * 400, b"\xff\xfe", b"&a [*a]", b"null", b"-1", b"{}", b'""'])
    )
    return whole[:at] + put + whole[upto:]


@pytest.mark.parametrize("name", READERS)
@FUZZ
@given(data=st.data())
def test_files(name: str, tmp_path: Path, data: st.DataObject) -> None:
    sample, read, code = READERS[name]
    path = tmp_path / (name if "." in name else f"{name}.yml")
    path.write_bytes(damaged(data, sample()))
    try:
        read(path)
    except KubewireError as error:
        assert error.what
        assert error.exit_code == code


@pytest.mark.parametrize("name", DUMPS)
@FUZZ
@given(data=st.data())
def test_dumps(name: str, data: st.DataObject) -> None:
    found = [path.read_bytes() for path in GOLDEN.glob(f"*/nodes/*-worker/{name}") if path.stat().st_size]
    whole = found[0] if found else b"-A -t 10.0.0.1:80 -s rr\n"
    with contextlib.suppress(KubewireError):
        DUMPS[name](damaged(data, whole).decode(errors="backslashreplace"))


@FUZZ
@given(data=st.data())
def test_what_a_node_prints(data: st.DataObject) -> None:
    parts = [f"m out {n}\nx\nm err {n} 0\n\n" for n in ("kube-proxy.yaml", "sysctls", "tools", "route4")]
    answer = Outcome(0, damaged(data, "".join([*parts, "m end\n"]).encode()))
    sections, _ = split_sections(answer.out, "m")
    assert node_snapshot("n", sections, "").name == "n"
