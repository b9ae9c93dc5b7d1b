"""Which node image a lab gets: its own, the newest in the engine, the published one."""

from __future__ import annotations

import pytest

from kubewire.binaries.catalog import MINORS
from kubewire.core.errors import DefinitionError
from kubewire.lab.schema import Lab
from kubewire.providers.kind.images import PUBLISHED, VERSION_LABEL, choose_image, fits
from kubewire.providers.kind.records import NodeImage


def lab(kubernetes: str = "1.37", node_image: str | None = None) -> Lab:
    return Lab.model_validate(
        {"name": "x", "mode": "iptables", "kubernetes": kubernetes, "nodeImage": node_image}
    )


def image(*references: str, **labels: str) -> NodeImage:
    return NodeImage("sha256:0", references, labels, "amd64")


def test_every_known_minor_has_a_published_image_by_digest() -> None:
    assert set(PUBLISHED) == set(MINORS)
    for minor, (version, digest) in PUBLISHED.items():
        assert version.startswith(f"v1.{minor}.")
        assert len(digest) == 64
    assert len({digest for _, digest in PUBLISHED.values()}) == len(PUBLISHED)


def test_an_empty_engine_gets_the_published_image_pinned() -> None:
    choice = choose_image(lab("1.34"), [image("nginx:1"), image("kindest/node:v1.35.8")])
    version, digest = PUBLISHED[34]
    assert (choice.reference, choice.present) == (f"kindest/node:{version}@sha256:{digest}", False)
    assert choose_image(lab("1.34.2"), []).reference == "kindest/node:v1.34.2"


def test_a_new_minor_has_the_image_that_was_made_for_it() -> None:
    with pytest.raises(DefinitionError, match=r"no node image of Kubernetes 1\.38 is known") as refused:
        choose_image(lab("1.38"), [])
    assert "kubewire image build 1.38" in refused.value.hint
    assert choose_image(lab("1.38.1"), []).reference == "kindest/node:v1.38.1"


def test_what_is_in_the_engine_is_used_newest_first_our_own_before_a_published_one() -> None:
    images = [image("kindest/node:v1.37.0"), image("kubewire/node:v1.37.2"), image("kindest/node:v1.37.2")]
    assert choose_image(lab(), images).reference == "kubewire/node:v1.37.2"
    assert choose_image(lab("1.37.0"), images).reference == "kindest/node:v1.37.0"
    newer = [*images, image("kindest/node:v1.37.10")]
    assert choose_image(lab(), newer).kubernetes == "v1.37.10"


def test_an_image_that_was_pulled_by_digest_has_no_tag() -> None:
    version, digest = PUBLISHED[36]
    choice = choose_image(lab("1.36"), [image(f"kindest/node@sha256:{digest}")])
    assert (choice.kubernetes, choice.present) == (version, True)


def test_a_labs_own_image_is_taken_as_it_is() -> None:
    own = image("registry.example/node:mine", **{VERSION_LABEL: "v1.37.2"})
    choice = choose_image(lab(node_image="registry.example/node:mine"), [own])
    assert (choice.kubernetes, choice.present) == ("v1.37.2", True)
    assert not choose_image(lab(node_image="other:latest"), [own]).present
    with pytest.raises(DefinitionError, match=r"is Kubernetes v1\.35\.8, and the lab asks for 1\.37"):
        choose_image(lab(node_image="kindest/node:v1.35.8"), [])


def test_minor_34_is_not_patch_3_of_minor_4() -> None:
    assert fits("v1.34.4", "1.34")
    assert fits("v1.34.4", "1.34.4")
    assert not fits("v1.3.4", "1.34")
    assert not fits("v1.34.40", "1.34.4")
