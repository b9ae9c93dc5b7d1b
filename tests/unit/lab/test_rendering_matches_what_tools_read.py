"""Golden renderings; the article's kind configurations; and a rendered lab loads back as itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewire.lab.loading import available_labs, load_lab
from kubewire.lab.rendering import lab_data, render_inventory, render_lab
from kubewire.lab.schema import Lab, node_names
from kubewire.providers.kind.config import render_kind
from repository import GOLDEN

RECORDED = GOLDEN / "lab" / "render"
SOURCES = [*sorted(RECORDED.glob("*.yml")), *available_labs().values()]
ARTICLE = """
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
- role: worker
"""
ARTICLE_IPVS = (
    ARTICLE
    + """
networking:
  kubeProxyMode: 'ipvs'
"""
)


def test_a_lab_is_rendered_with_all_its_keys(golden: Callable[[Path, str], None]) -> None:
    golden(RECORDED / "dual-everything.lab", render_lab(load_lab(RECORDED / "dual-everything.yml")))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
@pytest.mark.parametrize("render", [render_kind, render_inventory], ids=lambda render: render.__name__)
def test_golden(source: Path, render: Callable[[Lab], str], golden: Callable[[Path, str], None]) -> None:
    kind = render.__name__.removeprefix("render_")
    golden(RECORDED / f"{source.stem}.{kind}", render(load_lab(source)))


@pytest.mark.parametrize(("name", "article"), [("iptables", ARTICLE), ("ipvs", ARTICLE_IPVS)])
def test_kind_gets_the_articles_configuration_and_a_name(name: str, article: str) -> None:
    assert yaml.safe_load(render_kind(load_lab(name))) == {**yaml.safe_load(article), "name": name}


def test_patches_of_kind_are_text_that_is_yaml() -> None:
    cluster = yaml.safe_load(render_kind(load_lab(RECORDED / "ipv6-ipvs.yml")))
    assert yaml.safe_load(cluster["kubeadmConfigPatches"][0]) == {
        "kind": "KubeProxyConfiguration",
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "ipvs": {"scheduler": "sh", "strictARP": True},
    }


def test_inventory_groups_hold_every_node() -> None:
    lab = load_lab("no-endpoints")
    groups = yaml.safe_load(render_inventory(lab))["all"]["children"]
    assert tuple(groups["lab_no_endpoints"]["hosts"]) == node_names(lab)
    assert {*groups["control_planes"]["hosts"], *groups["workers"]["hosts"]} == {*node_names(lab)}
    assert {*groups["nodes"]["children"]} == {"control_planes", "workers"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_rendered_lab_is_the_same_lab(source: Path, tmp_path: Path) -> None:
    lab = load_lab(source)
    again = tmp_path / "another-name.yml"
    again.write_text(render_lab(lab))
    assert load_lab(again) == lab


SETTINGS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"mode": st.sampled_from(["iptables", "ipvs", "nftables"])},
    optional={
        "description": st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))),
        "kubernetes": st.sampled_from(["1.30", "1.34.4", "v1.29"]),
        "nodes": st.fixed_dictionaries({"workers": st.integers(0, 50), "controlPlanes": st.integers(1, 9)}),
        "ipFamily": st.sampled_from(["ipv4", "ipv6", "dual"]),
        "apiServerPort": st.integers(0, 65535),
        "dns": st.booleans(),
        "kubeProxy": st.fixed_dictionaries(
            {},
            optional={
                "masqueradeAll": st.booleans(),
                "masqueradeBit": st.integers(0, 31),
                "syncPeriod": st.sampled_from(["1m30s", "5s"]),
                "featureGates": st.dictionaries(st.from_regex(r"\A[A-Za-z][A-Za-z0-9]*\Z"), st.booleans()),
            },
        ),
        "httpbin": st.fixed_dictionaries(
            {"type": st.sampled_from(["NodePort", "LoadBalancer"])},
            optional={
                "replicas": st.integers(0, 200),
                "nodePort": st.integers(30000, 32767),
                "externalTrafficPolicy": st.sampled_from(["Local", "Cluster"]),
                "portName": st.sampled_from(["http", "no", "1", "null", "0x1f"]),
            },
        ),
        "tools": st.lists(st.sampled_from(["ipset", "nftables", "tcpdump"]), unique=True),
    },
)


@settings(max_examples=60, deadline=None)
@given(SETTINGS)
def test_any_lab_survives_being_rendered_and_loaded(data: dict[str, Any]) -> None:
    lab = Lab.model_validate({"name": "any", **data})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "other.yml"
        path.write_text(render_lab(lab))
        assert load_lab(path) == lab
    assert Lab.model_validate(lab_data(lab)) == lab
    assert yaml.safe_load(render_kind(lab))["name"] == "any"
