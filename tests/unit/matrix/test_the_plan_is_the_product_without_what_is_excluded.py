"""From a matrix to its cells: product, excludes, selectors, shards, and the control plane beside each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubewire.binaries.catalog import COMPLETE, KUBE_PROXY_ONLY, MAX_SKEW, MINORS
from kubewire.binaries.versions import parse
from kubewire.core.errors import DefinitionError
from kubewire.matrix.plan import Machine, control_planes, part_of, plan, version_words
from kubewire.matrix.schema import Matrix
from kubewire.matrix.selectors import parse_selector

KNOWN = {f"1.{minor}": version for minor, version in (COMPLETE | KUBE_PROXY_ONLY).items()}
NO_IPVS = Machine({("netns", "ipvs"): "no ip_vs"})
ALL = Matrix(labs=("nodeport",))


def test_all_versions_in_all_modes_newest_first() -> None:
    cells = plan(ALL, KNOWN.values(), NO_IPVS)
    assert len(cells) == len(MINORS) * 3
    assert cells[0].id == "nodeport-iptables-netns-v1.37.2"
    assert cells[-1].kubernetes == "v1.29.6"
    assert {cell.mode for cell in cells if cell.skip} == {"ipvs"}


def test_latest_minors_and_exact_versions_come_each_once() -> None:
    matrix = Matrix(labs=("x",), versions=("1.34.4", "latest 2 minors", "1.37"))
    assert version_words(matrix) == ["1.37", "1.36", "1.34.4"]
    assert version_words(Matrix(labs=("x",), versions=("latest minor",))) == ["1.37"]


def test_only_narrows_what_is_resolved_at_all() -> None:
    assert version_words(ALL, ["kubernetes>=1.36", "mode=ipvs,kubernetes=1.29"]) == ["1.37", "1.36", "1.29"]
    assert version_words(ALL, ["kubernetes=1.34.4"]) == ["1.34"]


def test_selectors_choose_and_exclude() -> None:
    matrix = Matrix(labs=("a", "b"), exclude=("mode=ipvs", "lab=b,kubernetes<1.37"))
    cells = plan(matrix, KNOWN.values(), NO_IPVS, only=["mode=nftables,kubernetes>=1.36"])
    assert [(cell.lab, cell.kubernetes) for cell in cells] == [
        ("a", "v1.37.2"),
        ("b", "v1.37.2"),
        ("a", "v1.36.3"),
    ]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("kubernetes=1.34", True),
        ("kubernetes=1.34.4", True),
        ("kubernetes=1.34.1", False),
        ("kubernetes>1.34", False),
        ("kubernetes>=1.34,kubernetes<1.35", True),
        ("kubernetes!=1.34", False),
        ("mode!=ipvs,lab=nodeport,provider=netns", True),
        (" mode = nftables , kubernetes <= v1.34.4 ", True),
    ],
)
def test_a_version_is_compared_in_as_many_parts_as_are_written(text: str, holds: bool) -> None:
    cell = {"kubernetes": "v1.34.4", "mode": "nftables", "lab": "nodeport", "provider": "netns"}
    assert parse_selector(text).matches(cell) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no selector"),
        ("nftables", "is no selector"),
        ("mod=nftables", "did you mean “mode”"),
        ("colour=red", "known are kubernetes, mode, lab, provider"),
        ("kubernetes=new", "no Kubernetes version"),
        ("mode>ipvs", "no order"),
        ("mode=nftables,", "is no selector"),
        ("mode=nftable", "there is no mode “nftable”; did you mean “nftables”"),
        ("provider!=docker", "there is no provider “docker”; allowed are netns, kind"),
    ],
)
def test_a_wrong_selector_is_refused(text: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said) as caught:
        parse_selector(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("exclude", "only", "said"),
    [
        (("kubernetes>=1.29",), (), "exclude leaves out all 27"),
        ((), ("lab=other",), "none of the 27 is --only"),
        (("mode=ipvs",), ("mode=ipvs",), "is excluded"),
    ],
)
def test_an_empty_matrix_says_what_emptied_it(
    exclude: tuple[str, ...], only: tuple[str, ...], said: str
) -> None:
    with pytest.raises(DefinitionError, match=said) as caught:
        plan(Matrix(labs=("x",), exclude=exclude), KNOWN.values(), NO_IPVS, only=only)
    assert caught.value.exit_code == 2


@given(count=st.integers(1, 60), total=st.integers(1, 60))
def test_shards_are_all_cells_once_and_balanced(count: int, total: int) -> None:
    cells = plan(
        Matrix(labs=tuple(f"l{i}" for i in range(count)), modes=("ipvs",)),
        KNOWN.values(),
        NO_IPVS,
    )
    cells = cells[:count]
    if total > count:
        with pytest.raises(DefinitionError, match="only"):
            part_of(cells, f"1/{total}")
        return
    parts = [part_of(cells, f"{number}/{total}") for number in range(1, total + 1)]
    assert [cell for part in parts for cell in part] == list(cells)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("shard", ["0/5", "6/5", "1/0", "five", "1/2/3", "-1/5"])
def test_a_shard_out_of_range_is_refused(shard: str) -> None:
    with pytest.raises(DefinitionError, match="out of range"):
        plan(ALL, KNOWN.values(), NO_IPVS, shard=shard)


def test_nine_minors_need_three_control_planes() -> None:
    beside = control_planes(KNOWN.values(), "newest-in-skew", releases=False)
    assert {beside[f"v1.{minor}"] for minor in ("37.2", "36.3", "35.4", "34.4")} == {"v1.37.2"}
    assert {beside[f"v1.{minor}"] for minor in ("33.13", "32.2", "31.0", "30.4")} == {"v1.33.13"}
    assert beside["v1.29.6"] == "v1.32.2"


@given(st.sets(st.sampled_from(sorted(KNOWN.values())), min_size=1))
def test_every_control_plane_is_within_the_skew_policy_and_can_be_built(versions: set[str]) -> None:
    for kube_proxy, beside in control_planes(versions, "newest-in-skew", releases=True).items():
        assert 0 <= parse(beside).minor - parse(kube_proxy).minor <= MAX_SKEW
        assert parse(beside).minor in COMPLETE


def test_where_releases_can_be_fetched_each_has_its_own() -> None:
    assert set(control_planes(KNOWN.values(), "auto", releases=True).values()) == {""}
    assert set(control_planes(KNOWN.values(), "same", releases=False).values()) == {""}
    assert "" not in control_planes(KNOWN.values(), "auto", releases=False).values()
    kind = plan(Matrix(labs=("x",), providers=("kind",)), KNOWN.values(), Machine({}))
    assert {cell.control_plane for cell in kind} == {""}, "a node image holds one version of all"
