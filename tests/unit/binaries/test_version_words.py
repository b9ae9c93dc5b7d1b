"""What a user may write as a version, and which control plane runs beside a kube-proxy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewire.binaries import store, web
from kubewire.binaries.catalog import (
    COMPLETE,
    CONTROL_PLANE,
    KUBE_PROXY_ONLY,
    MINORS,
    NEWEST,
    Artifact,
    Origins,
)
from kubewire.binaries.fetchplan import components_of, needs
from kubewire.binaries.versions import Components, Wanted, components, parse
from kubewire.core.errors import DefinitionError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1.34", Wanted(34)),
        ("v1.34", Wanted(34)),
        ("1.34.2", Wanted(34, 2)),
        ("v1.29.0", Wanted(29, 0)),
        (" 1.30 ", Wanted(30)),
        ("", Wanted(37)),
        ("1.38", Wanted(38)),
        ("v1.99.4", Wanted(99, 4)),
    ],
)
def test_a_version_is_written_with_or_without_v_and_patch(written: str, meant: Wanted) -> None:
    assert parse(written) == meant


@pytest.mark.parametrize(
    ("written", "nearest"),
    [
        ("1.28", "1.29"),
        ("1.100", "1.37"),
        ("2.1", "1.37"),
        ("1.3", "1.30"),
        ("latest", "1.37"),
        ("1.34.x", "1.37"),
        ("1.34.2.1", "1.37"),
        ("1.34-rc.1", "1.37"),
        ("../../etc", "1.37"),
    ],
)
def test_what_is_no_version_is_refused_with_the_nearest(written: str, nearest: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        parse(written)
    assert refused.value.exit_code == 2
    assert nearest in refused.value.hint
    assert "1.29 to 1.37" in refused.value.hint


def test_an_unquoted_1_30_in_yaml_is_recognised() -> None:
    with pytest.raises(DefinitionError, match="quote it"):
        parse("1.3")


@given(st.text(max_size=12))
def test_no_text_gets_through_that_is_not_a_version(text: str) -> None:
    try:
        wanted = parse(text)
    except DefinitionError:
        return
    assert MINORS[0] <= wanted.minor < 100


def test_the_tables_agree() -> None:
    assert tuple(range(29, 38)) == MINORS
    assert COMPLETE[max(MINORS)] == NEWEST
    for minor, version in (COMPLETE | KUBE_PROXY_ONLY).items():
        assert parse(version).minor == minor


def test_a_version_brings_its_own_control_plane() -> None:
    assert components("v1.34.4", whole=False, cached=["v1.35.4"]) == Components("v1.34.4", "v1.34.4")


@pytest.mark.parametrize(
    ("cached", "control_plane"),
    [
        ([], "v1.30.4"),
        (["v1.32.2"], "v1.32.2"),
        (["v1.37.2", "v1.32.2", "v1.31.0"], "v1.31.0"),
        (["v1.33.13", "v1.29.1"], "v1.30.4"),
    ],
)
def test_a_kube_proxy_without_control_plane_gets_the_nearest_newer_within_the_skew_policy(
    cached: list[str], control_plane: str
) -> None:
    chosen = components("v1.29.6", whole=False, cached=cached)
    assert (chosen.kube_proxy, chosen.control_plane) == ("v1.29.6", control_plane)
    assert "skew" in chosen.reason


def test_a_control_plane_that_is_asked_for_is_taken() -> None:
    nowhere = Origins(kubernetes="https://not.a.host.invalid", github="")
    chosen = components_of("v1.34.4", nowhere, "v1.37.2")
    assert (chosen.kube_proxy, chosen.control_plane) == ("v1.34.4", "v1.37.2")
    assert needs(chosen, dns=False)[:2] == (
        (Artifact("kubernetes", "v1.34.4"), ("kube-proxy",)),
        (Artifact("kubernetes", "v1.37.2"), CONTROL_PLANE),
    )


def test_an_official_release_of_it_is_whole() -> None:
    assert components("v1.29.6", whole=True, cached=["v1.30.4"]) == Components("v1.29.6", "v1.29.6")


def test_what_the_cache_decides_asks_no_network(cache: Path) -> None:
    for version, binaries in (("v1.29.6", ("kube-proxy",)), ("v1.31.0", CONTROL_PLANE)):
        for binary in binaries:
            file = cache / binary
            cache.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x")
            store.add(Artifact("kubernetes", version), binary, file, "test")
    nowhere = Origins(kubernetes="https://not.a.host.invalid", github="")
    assert components_of("v1.29.6", nowhere).control_plane == "v1.31.0"
    assert web._probe.cache_info().currsize == 0
