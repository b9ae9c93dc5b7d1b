"""Building and choosing versions with the real `go`, against a module proxy of our own with tiny modules."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from moduleproxy import MAIN, ModuleProxy
from releasehost import Heard

from kubewire.binaries import build, catalog, store, sums
from kubewire.binaries.build import module_file
from kubewire.binaries.catalog import COSTS, Artifact, Cost, Origins
from kubewire.binaries.resolving import resolve
from kubewire.binaries.supply import ensure_kube_proxy, plan
from kubewire.binaries.toolchain import find_go, go_at_hand
from kubewire.binaries.workspace import leftovers, workspace
from kubewire.core.errors import DefinitionError, HostError

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="no go on PATH")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleProxy:
    proxy = ModuleProxy(tmp_path / "modules")
    monkeypatch.setenv("GOPROXY", proxy.url)
    monkeypatch.setenv("GOSUMDB", "off")
    monkeypatch.setitem(COSTS, "kubernetes", Cost(1, 1, 1))
    return proxy


@needs_go
def test_all_commands_are_built_at_once_with_their_version(
    modules: ModuleProxy, heard: Heard, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=vendor -tags=whatever")
    monkeypatch.setenv("GOOS", "plan9")
    monkeypatch.setenv("GOWORK", "/nowhere/go.work")
    modules.publish_kubernetes("v1.34.4")
    modules.withhold("k8s.io/sample-apiserver", "v0.34.4", "info", "mod", "zip")
    artifact = Artifact("kubernetes", "v1.34.4")
    with workspace("test", heard) as space:
        built = build.build(find_go(space, heard), artifact, artifact.binaries, heard)
        for binary in artifact.binaries:
            said = subprocess.run([built[binary]], capture_output=True, text=True, check=True).stderr
            assert said == f"{binary} v1.34.4\n"
    assert list((cache / "build").iterdir()) == [cache / "build" / ".lock"]


@needs_go
def test_kube_proxy_alone_needs_no_module_that_it_does_not_import(
    modules: ModuleProxy, heard: Heard, unreachable: Origins
) -> None:
    modules.publish_kubernetes("v1.29.6")
    modules.withhold("k8s.io/endpointslice", "v0.29.6", "zip")
    path = ensure_kube_proxy("1.29", progress=heard, origins=unreachable)
    assert os.access(path, os.X_OK)
    assert any("no official release (127.0.0.1 can't be reached" in line for line in heard)
    assert store.missing(Artifact("kubernetes", "v1.29.6"), ("kube-proxy", "kubectl")) == ("kubectl",)


@needs_go
def test_what_a_build_has_compiled_stays_in_the_users_gocache(
    modules: ModuleProxy,
    heard: Heard,
    unreachable: Origins,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cache: Path,
) -> None:
    monkeypatch.setenv("GOCACHE", str(tmp_path / "compiled"))
    modules.publish_kubernetes("v1.34.4")
    ensure_kube_proxy("1.34", progress=heard, origins=unreachable)
    assert (tmp_path / "compiled" / "README").exists()
    assert list((cache / "build").iterdir()) == [cache / "build" / ".lock"]


@needs_go
def test_code_that_does_not_compile_is_told_in_gos_words_and_leaves_nothing(
    modules: ModuleProxy, heard: Heard, unreachable: Origins, cache: Path
) -> None:
    modules.publish_kubernetes("v1.34.4", main="package main\n\nfunc main() { nonsense }\n")
    with pytest.raises(HostError, match=r"undefined: nonsense|nonsense.*is not used") as failed:
        ensure_kube_proxy("1.34.4", progress=heard, origins=unreachable)
    assert failed.value.exit_code == 3
    assert list((cache / "build").iterdir()) == [cache / "build" / ".lock"]
    assert not (cache / "bin").exists()


@needs_go
def test_a_minor_is_its_newest_patch_with_complete_modules(
    modules: ModuleProxy, heard: Heard, unreachable: Origins
) -> None:
    for version in ("v1.34.4", "v1.34.5", "v1.34.6", "v1.34.7"):
        modules.publish_kubernetes(version)
    modules.withhold("k8s.io/endpointslice", "v0.34.7", "zip")
    modules.withhold("k8s.io/component-base", "v0.34.6", "info", "mod", "zip")
    modules.withhold("k8s.io/sample-apiserver", "v0.34.5", "info", "mod", "zip")
    assert resolve("1.34", progress=heard, origins=unreachable) == "v1.34.5"
    assert any("1.34 is v1.34.5: the newest with complete Go modules" in line for line in heard)


@needs_go
def test_it_falls_back_to_the_known_complete_patch_and_says_what_lacks(
    modules: ModuleProxy, heard: Heard, unreachable: Origins
) -> None:
    for version in ("v1.34.4", "v1.34.7"):
        modules.publish_kubernetes(version)
    modules.withhold("k8s.io/endpointslice", "v0.34.7", "zip")
    assert resolve("v1.34", progress=heard, origins=unreachable) == "v1.34.4"
    assert "v1.34.7 lacks k8s.io/endpointslice@v0.34.7" in heard[-1]


@needs_go
def test_a_patch_beyond_the_newest_does_not_exist(
    modules: ModuleProxy, heard: Heard, unreachable: Origins
) -> None:
    modules.publish_kubernetes("v1.34.7")
    with pytest.raises(DefinitionError) as refused:
        resolve("1.34.8", progress=heard, origins=unreachable)
    assert "v1.34.7" in refused.value.hint
    assert resolve("1.34.6", progress=heard, origins=unreachable) == "v1.34.6"


@needs_go
@pytest.mark.parametrize(
    "argv", [["render", "iptables"], ["render", "ipvs", "--as", "kind"], ["up", "iptables", "--check"]]
)
@pytest.mark.parametrize("version", ["1.99", "1.34.99"])
def test_what_only_tells_refuses_a_version_that_does_not_exist(
    modules: ModuleProxy, tmp_path: Path, argv: list[str], version: str
) -> None:
    modules.publish_kubernetes("v1.34.4")
    done = subprocess.run(
        [sys.executable, "-m", "kubewire", *argv, "--kubernetes", version],
        env=os.environ | {"XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "does not exist" in done.stderr
    assert "1.29 to 1.37 are known" in done.stderr
    assert done.stdout == ""


@needs_go
def test_a_new_minor_needs_no_code(modules: ModuleProxy, heard: Heard, unreachable: Origins) -> None:
    modules.publish_kubernetes("v1.38.0")
    modules.publish_kubernetes("v1.38.1")
    modules.withhold("k8s.io/endpointslice", "v0.38.1", "zip")
    assert resolve("1.38", progress=heard, origins=unreachable) == "v1.38.0"
    assert resolve("1.38.0", progress=heard, origins=unreachable) == "v1.38.0"
    with pytest.raises(DefinitionError, match=r"1\.38\.2 does not exist") as refused:
        resolve("1.38.2", progress=heard, origins=unreachable)
    assert "v1.38.1" in refused.value.hint
    modules.withhold("k8s.io/endpointslice", "v0.38.0", "zip")
    with pytest.raises(HostError, match=r"no source gives it: .*v1\.38\.1 lacks k8s\.io/endpointslice"):
        resolve("1.38", progress=heard, origins=unreachable)


@needs_go
@pytest.mark.parametrize("wanted", ["1.39", "1.39.0"])
def test_a_minor_that_no_source_lists_does_not_exist(
    modules: ModuleProxy, heard: Heard, unreachable: Origins, wanted: str
) -> None:
    modules.publish_kubernetes("v1.38.0")
    with pytest.raises(DefinitionError, match=r"does not exist, as far as can be seen from here") as refused:
        resolve(wanted, progress=heard, origins=unreachable)
    assert f"{catalog.NEWEST}; kubewire versions lists" in refused.value.hint


def test_without_any_network_a_new_minor_is_what_the_cache_has(
    heard: Heard, unreachable: Origins, nothing_to_build_with: None, cache: Path
) -> None:
    with pytest.raises(HostError, match=r"1\.38 is newer than what kubewire knows, and no source gives it"):
        resolve("1.38", progress=heard, origins=unreachable)
    cache.mkdir(parents=True, exist_ok=True)
    for binary in Artifact("kubernetes", "v1.38.0").binaries:
        (cache / binary).write_bytes(b"x")
        store.add(Artifact("kubernetes", "v1.38.0"), binary, cache / binary, "test")
    assert resolve("1.38", progress=heard, origins=unreachable) == "v1.38.0"
    assert resolve("1.38", progress=heard, origins=unreachable, fresh=True) == "v1.38.0"


def test_without_any_network_a_known_version_is_chosen(
    heard: Heard, unreachable: Origins, nothing_to_build_with: None
) -> None:
    assert resolve("1.34", progress=heard, origins=unreachable) == catalog.COMPLETE[34]
    assert resolve("1.34.2", progress=heard, origins=unreachable) == "v1.34.2"


@needs_go
def test_the_plan_says_what_would_be_built(
    modules: ModuleProxy, heard: Heard, unreachable: Origins, cache: Path
) -> None:
    modules.publish_kubernetes("v1.29.6")
    planned = plan("1.29.6", progress=heard, origins=unreachable)
    assert [(s.artifact.key, s.binaries[0], s.source) for s in planned.steps[:2]] == [
        ("v1.29.6", "kube-proxy", "modules"),
        ("v1.30.4", "kube-apiserver", "modules"),
    ]
    assert not (cache / "bin").exists()


@needs_go
def test_too_small_a_disk_is_told_before_anything_is_fetched(
    modules: ModuleProxy, heard: Heard, unreachable: Origins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COSTS, "kubernetes", Cost(1, 1, 1 << 60))
    with pytest.raises(HostError, match=r"needs 1073741824\.0 GiB of free disk, and there is \d+") as failed:
        ensure_kube_proxy("1.34.4", progress=heard, origins=unreachable)
    assert failed.value.exit_code == 3


@needs_go
def test_an_unreachable_module_proxy_is_told_at_once(
    heard: Heard, unreachable: Origins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:9,direct")
    with pytest.raises(HostError, match=r"Go modules: the Go module proxy: 127\.0\.0\.1 can't be reached"):
        ensure_kube_proxy("1.34.4", progress=heard, origins=unreachable)


def test_go_older_than_needed_is_not_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heard: Heard
) -> None:
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with workspace("test", heard) as space:
        assert go_at_hand(space) is None
    assert leftovers() == ()


def test_runtime_defaults_and_staging_are_taken_over() -> None:
    upstream = (
        "module k8s.io/kubernetes\n\ngo 1.24.0\n\ngodebug (\n\tdefault=go1.24\n\twinsymlink=0\n)\n\n"
        "require (\n\tgithub.com/x/y v1.2.3\n\tk8s.io/api v0.0.0\n\tk8s.io/klog/v2 v2.130.1\n"
        "\tk8s.io/sample-apiserver v0.0.0\n)\n\nreplace k8s.io/api => ./staging/src/k8s.io/api\n"
    )
    assert module_file(Artifact("kubernetes", "v1.34.4"), upstream) == (
        "module kubewire.invalid/build\ngo 1.24.0\ngodebug (\n\tdefault=go1.24\n\twinsymlink=0\n)\n"
        "require k8s.io/kubernetes v1.34.4\nreplace k8s.io/api => k8s.io/api v0.34.4\n"
        "replace k8s.io/sample-apiserver => ./absent\n"
    )


@needs_go
def test_settings_that_leave_modules_unchecked_are_told_loudly(
    modules: ModuleProxy, heard: Heard, unreachable: Origins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONOSUMDB", "k8s.io/*")
    monkeypatch.setenv("GOFLAGS", "-insecure")
    modules.publish_kubernetes("v1.34.4")
    ensure_kube_proxy("1.34.4", progress=heard, origins=unreachable)
    assert sorted(line for line in heard if line.startswith("warning: ")) == [
        "warning: GOFLAGS=-insecure: left out, modules are checked all the same",
        "warning: GONOSUMDB=k8s.io/*: these Go modules are not checked against the checksum database",
        "warning: GOSUMDB=off: no Go module is checked against the checksum database",
    ]


@needs_go
def test_a_module_that_changes_after_the_first_build_is_refused(
    modules: ModuleProxy, heard: Heard, unreachable: Origins
) -> None:
    modules.publish_kubernetes("v1.34.4")
    path = ensure_kube_proxy("1.34.4", progress=heard, origins=unreachable)
    assert "k8s.io/kubernetes v1.34.4 h1:" in sums.kept_file().read_text()
    path.unlink()
    modules.publish_kubernetes("v1.34.4", main=MAIN.replace("println(", 'println("and more", '))
    with pytest.raises(HostError, match=r"kubernetes@v1\.34\.4 is not the one whose hash is known"):
        ensure_kube_proxy("1.34.4", progress=heard, origins=unreachable)
    assert not path.exists()


@needs_go
def test_a_module_that_is_not_the_one_whose_hash_ships_is_refused(
    modules: ModuleProxy, heard: Heard, unreachable: Origins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "SHIPPED", Path(sums.__file__).with_name("go.sum"))
    sums.shipped.cache_clear()
    modules.publish_kubernetes("v1.34.4")
    with pytest.raises(HostError, match="is not the one whose hash is known"):
        ensure_kube_proxy("1.34.4", progress=heard, origins=unreachable)
