"""The first line that `up` prints of a lab on kind: why kind, and which node image, pulled or there."""

from __future__ import annotations

from kubewire.lab.schema import Lab
from kubewire.providers.kind.engine import engine
from kubewire.providers.kind.images import DOWNLOAD, choose_image


def explained(why: str, lab: Lab) -> str:
    """Why kind was chosen, with what it costs: nothing is ever pulled without its size being told first.

    HostError where no engine can be used, or where the engine refuses.
    """
    with engine() as docker:
        image = choose_image(lab, docker.images())
    name = image.reference.partition("@")[0]
    if image.present:
        return f"{why}; its nodes run {name}"
    return (
        f"{why}; node image {name} isn't there and is pulled first, {DOWNLOAD} (--provider netns needs none)"
    )
