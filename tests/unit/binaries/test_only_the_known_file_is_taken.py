"""Real TLS servers that lie: left for plain http, of another authority, changed, cut off, too large."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from releasehost import Heard, ReleaseHost, body, served, server_side, tgz

from kubewire.app import doctor
from kubewire.binaries import download, hashes, lock_binaries, store, sums
from kubewire.binaries.catalog import ETCD, KIND, Artifact, Origins, recipe
from kubewire.binaries.hashes import Entry
from kubewire.binaries.lock_binaries import artifacts, filled, official
from kubewire.binaries.offers import latest_tag
from kubewire.binaries.supply import ensure_artifact, ensure_kube_proxy
from kubewire.binaries.toolchain import architecture
from kubewire.binaries.web import SourceFailed
from kubewire.core.errors import HostError, KubewireError
from kubewire.providers.netns.certificates import Authority

pytestmark = pytest.mark.usefixtures("nothing_to_build_with")
VERSION = "v1.37.2"
PROXY = f"/release/{VERSION}/bin/linux/{architecture()}/kube-proxy"
SHIPPED_LOCK, SHIPPED_SUMS = (Path(hashes.__file__).with_name(n) for n in ("binaries.lock", "go.sum"))


@pytest.fixture
def published(release_host: ReleaseHost) -> ReleaseHost:
    release_host.publish_kubernetes(VERSION)
    release_host.publish_beside()
    return release_host


def fetched(host: ReleaseHost, heard: Heard) -> Path:
    return ensure_kube_proxy(VERSION, progress=heard, origins=host.origins())


def nothing_stored() -> bool:
    return store.missing(Artifact("kubernetes", VERSION), ("kube-proxy",)) == ("kube-proxy",)


def change(host: ReleaseHost, content: bytes) -> None:
    """Another file under the same name, its published checksum changed with it."""
    host.files[PROXY] = content
    host.files[f"{PROXY}.sha256"] = hashlib.sha256(content).hexdigest().encode()


def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> None:
    (tmp_path / "binaries.lock").write_text(hashes.text(entries))
    monkeypatch.setattr(hashes, "LOCK", tmp_path / "binaries.lock")
    hashes.shipped.cache_clear()


@pytest.mark.parametrize("what", [PROXY, f"{PROXY}.sha256"])
def test_a_redirect_to_http_is_refused(
    published: ReleaseHost, plain_host: ReleaseHost, heard: Heard, what: str
) -> None:
    plain_host.files = dict(published.files)
    published.redirects[what] = plain_host.url + what
    with pytest.raises(HostError, match=rf"leads to {plain_host.url}\S+, which is not https"):
        fetched(published, heard)
    assert plain_host.asked == []
    assert nothing_stored()
    assert any(line.startswith("warning: Kubernetes") and "not https" in line for line in heard)


def test_a_host_without_tls_is_refused(plain_host: ReleaseHost, heard: Heard) -> None:
    plain_host.publish_kubernetes(VERSION)
    with pytest.raises(HostError, match="is not https"):
        fetched(plain_host, heard)
    assert plain_host.asked == []


def test_the_page_that_names_the_newest_release_is_asked_over_tls_only(plain_host: ReleaseHost) -> None:
    with pytest.raises(SourceFailed, match="is not https"):
        latest_tag(plain_host.url, "kubernetes-sigs/kind")


def test_a_redirect_to_another_host_over_tls_is_followed(
    published: ReleaseHost, heard: Heard, authority: Authority, tmp_path: Path
) -> None:
    with served(ReleaseHost(files=dict(published.files)), server_side(authority, tmp_path)) as other:
        published.redirects[PROXY] = other.url + PROXY
        assert fetched(published, heard).read_bytes() == other.files[PROXY]


def test_another_authority_is_refused(
    published: ReleaseHost, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ca.pem").write_text(Authority("another").certificate)
    with pytest.raises(HostError, match="certificate verify failed"):
        fetched(published, heard)
    assert published.asked == []


def test_what_is_in_no_lock_is_told_and_remembered_and_a_change_is_refused(
    published: ReleaseHost, heard: Heard
) -> None:
    first = fetched(published, heard).read_bytes()
    assert "download: kube-proxy: no hash in binaries.lock, taken with its published checksum" in heard
    assert hashes.remembered() == {PROXY: hashlib.sha256(first).hexdigest()}

    shutil.rmtree(store.folder(Artifact("kubernetes", VERSION)))
    change(published, body("a changed kube-proxy", 200_000))
    with pytest.raises(
        HostError, match="kube-proxy is published with another checksum than at first"
    ) as refused:
        fetched(published, heard)
    assert str(hashes.known_file()) in refused.value.hint
    assert nothing_stored()

    change(published, first)
    assert fetched(published, heard).read_bytes() == first


@pytest.mark.parametrize("damage", ["not JSON", "[]"])
def test_a_damaged_memory_is_no_memory_to_trust(published: ReleaseHost, heard: Heard, damage: str) -> None:
    hashes.known_file().parent.mkdir(parents=True)
    hashes.known_file().write_text(damage)
    with pytest.raises(KubewireError, match="JSON") as refused:
        fetched(published, heard)
    assert str(hashes.known_file()) in str(refused.value)


def test_a_memory_that_others_can_write_is_refused(published: ReleaseHost, heard: Heard) -> None:
    fetched(published, heard)
    hashes.known_file().chmod(0o666)
    shutil.rmtree(store.folder(Artifact("kubernetes", VERSION)))
    with pytest.raises(KubewireError, match="others can write to it"):
        fetched(published, heard)


def test_a_locked_file_needs_no_published_checksum(
    published: ReleaseHost, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = hashlib.sha256(published.files[PROXY]).hexdigest()
    lock(tmp_path, monkeypatch, Entry("kubernetes", VERSION, architecture(), PROXY, right))
    fetched(published, heard)
    assert published.times_asked(f"{PROXY}.sha256") == 0
    assert not any("binaries.lock" in line for line in heard)
    assert hashes.remembered() == {}


def test_a_file_that_is_not_the_locked_one_is_refused(
    published: ReleaseHost, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = hashlib.sha256(published.files[PROXY]).hexdigest()
    lock(tmp_path, monkeypatch, Entry("kubernetes", VERSION, architecture(), PROXY, right))
    change(published, body("a changed kube-proxy", 200_000))
    with pytest.raises(HostError, match=r"kube-proxy does not have the hash that kubewire's binaries\.lock"):
        fetched(published, heard)
    assert nothing_stored()


def test_what_is_announced_as_too_large_is_not_begun(
    published: ReleaseHost, heard: Heard, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(download, "LIMIT", 100_000)
    published.claims_length[PROXY] = 1 << 40
    with pytest.raises(HostError, match="is larger than 97 KiB"):
        fetched(published, heard)
    assert published.times_asked(PROXY) == 1
    assert list((cache / "download").iterdir()) == []


def test_what_never_ends_is_ended(
    published: ReleaseHost, heard: Heard, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(download, "LIMIT", 100_000)
    published.without_length = True
    with pytest.raises(HostError, match="is larger than 97 KiB"):
        fetched(published, heard)
    assert list((cache / "download").iterdir()) == []


def test_a_checksum_file_of_any_size_is_not_read(published: ReleaseHost, heard: Heard) -> None:
    published.files[f"{PROXY}.sha256"] = b"0" * (2 << 20)
    with pytest.raises(HostError, match=r"kube-proxy\.sha256 is larger than 1 MiB"):
        fetched(published, heard)


def test_what_always_breaks_off_is_no_file(published: ReleaseHost, heard: Heard) -> None:
    published.files[PROXY] = published.files[PROXY][:150_000]
    published.claims_length[PROXY] = 200_000
    with pytest.raises(HostError, match=r"peer closed connection|does not have its published checksum"):
        fetched(published, heard)
    assert nothing_stored()


def test_an_archive_that_unpacks_to_too_much_is_refused(
    published: ReleaseHost, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "UNPACKED_LIMIT", 1 << 20)
    folder = f"etcd-{ETCD}-linux-{architecture()}"
    archive = tgz({f"{folder}/README.md": bytes(2 << 20), f"{folder}/etcd": body("etcd")})
    base = f"/etcd-io/etcd/releases/download/{ETCD}"
    published.files[f"{base}/{folder}.tar.gz"] = archive
    published.files[f"{base}/SHA256SUMS"] = (
        f"{hashlib.sha256(archive).hexdigest()}  {folder}.tar.gz\n".encode()
    )
    with pytest.raises(HostError, match=r"etcd-.* unpacks to more than 1 MiB"):
        ensure_artifact(Artifact("etcd", ETCD), ("etcd",), progress=heard, origins=published.origins())


def test_the_lock_is_filled_from_the_hosts_and_never_changed_by_them(
    published: ReleaseHost,
    heard: Heard,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lock(tmp_path, monkeypatch)
    monkeypatch.setattr(sums, "SHIPPED", tmp_path / "go.sum")
    assert lock_binaries.main(published.origins()) == 1
    first = hashes.LOCK.read_text()
    right = hashlib.sha256(published.files[PROXY]).hexdigest()
    assert f"kubernetes {VERSION} {architecture()} {right} {PROXY}\n" in first
    assert [entry.path for entry in hashes.parse(first)] == [entry.path for entry, _ in official()]
    assert any(not entry.sha256 for entry in hashes.parse(first) if entry.name == "kind")
    assert (
        f"/kind/releases/download/{KIND}/kind-linux-amd64.sha256sum answered 404" in capsys.readouterr().out
    )

    change(published, body("a changed kube-proxy"))
    hashes.shipped.cache_clear()
    entries, problems = filled(published.origins(), heard)
    assert hashes.text(entries) == first
    assert any(
        "kube-proxy is published with another checksum than binaries.lock holds" in p for p in problems
    )


def test_a_machine_that_reaches_no_host_leaves_the_lock_as_it_is(
    unreachable: Origins, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [Entry(e.name, e.version, e.arch, e.path, "a" * 64) for e, _ in official()]
    lock(tmp_path, monkeypatch, *known)
    entries, problems = filled(unreachable, heard)
    assert entries == known
    assert len(problems) == 1


def test_the_lock_that_ships_names_every_official_file() -> None:
    assert [entry.path for entry in hashes.parse(SHIPPED_LOCK.read_text())] == [e.path for e, _ in official()]


def test_the_go_sum_that_ships_names_every_module_that_is_built() -> None:
    modules = {tuple(line.split()[:2]) for line in SHIPPED_SUMS.read_text().splitlines()}
    for artifact in artifacts():
        assert (recipe(artifact).module, artifact.version) in modules


@pytest.mark.parametrize(
    "line", ["kubernetes", "kubernetes v1.37.2 amd64 abc /x", "kind v1 amd64 - x", "\x1b[31m"]
)
def test_a_lock_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(HostError, match=r"not a lock entry") as refused:
        hashes.parse(f"# head\n{line}\n")
    assert refused.value.where.endswith(":2")


def test_doctor_tells_how_many_hashes_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("kind", KIND, "amd64", "/kind")
    lock(tmp_path, monkeypatch, entry, Entry("kind", KIND, "arm64", "/kind-arm", "a" * 64))
    (finding,) = [f for f in doctor._cache() if f.name == "hashes of binaries"]
    assert finding.state == "note"
    assert finding.detail.startswith("1 of 2 official files have none in binaries.lock")
    assert "make lock-binaries" in finding.hint
