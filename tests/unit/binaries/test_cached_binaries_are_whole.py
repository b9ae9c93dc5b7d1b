"""Nothing is taken from the cache that is not what was put there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kubewire.binaries import store
from kubewire.binaries.catalog import CONTROL_PLANE, Artifact

KUBERNETES = Artifact("kubernetes", "v1.37.2")
BOTH = ("kube-proxy", "kubectl")


@pytest.fixture
def stored(cache: Path) -> Path:
    for binary in BOTH:
        file = cache / "incoming"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(binary.encode() * 1000)
        store.add(KUBERNETES, binary, file, "test")
    return store.folder(KUBERNETES)


def test_what_was_stored_is_there_and_runs(stored: Path) -> None:
    assert store.missing(KUBERNETES, (*BOTH, "kube-scheduler")) == ("kube-scheduler",)
    assert os.access(stored / "kubectl", os.X_OK)
    assert not list(stored.glob(".*"))


def test_each_artifact_has_a_folder_of_its_own(cache: Path) -> None:
    assert store.folder(KUBERNETES) == cache / "bin" / "v1.37.2"
    assert store.folder(Artifact("etcd", "v3.7.3")) == cache / "bin" / "etcd-v3.7.3"


def _truncate(file: Path) -> None:
    os.truncate(file, 10)


def _corrupt(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(100)
        stream.write(b"\0")
    os.utime(file, ns=(1, 1))


def _not_executable(file: Path) -> None:
    file.chmod(0o644)


def _forget(file: Path) -> None:
    file.with_name("manifest.json").write_text('{"files": {"kubectl": ')


@pytest.mark.parametrize("harm", [_truncate, _corrupt, _not_executable, _forget, Path.unlink])
def test_a_harmed_file_is_missing(stored: Path, harm: object) -> None:
    assert callable(harm)
    harm(stored / "kube-proxy")
    assert "kube-proxy" in store.missing(KUBERNETES, BOTH)


def test_a_file_that_was_not_stored_is_not_there(stored: Path) -> None:
    shutil.copy(stored / "kubectl", stored / "kube-scheduler")
    assert store.missing(KUBERNETES, ("kube-scheduler",)) == ("kube-scheduler",)


def test_a_copied_cache_is_whole_and_hashed_only_once(stored: Path) -> None:
    before = (stored / "kubectl").stat().st_mtime_ns
    os.utime(stored / "kubectl", ns=(1, 1))
    assert store.missing(KUBERNETES, BOTH) == ()
    assert (stored / "kubectl").stat().st_mtime_ns == before


def test_only_whole_versions_are_listed(stored: Path, cache: Path) -> None:
    (cache / "bin" / "v1.36.0").mkdir()
    assert store.complete_versions(BOTH) == ("v1.37.2",)
    assert store.complete_versions(CONTROL_PLANE) == ()
