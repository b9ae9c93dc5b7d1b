"""All that `up` on kind will need: the kind command, the node image, node tools, httpbin."""

from __future__ import annotations

from kubewire.core.progress import Progress
from kubewire.lab.schema import Lab
from kubewire.lab.workload import IMAGE
from kubewire.providers.kind import httpbin, pull, tool, tools
from kubewire.providers.kind.engine import engine
from kubewire.providers.kind.images import choose_image

BAKED = "kubewire/node:"
"""Node images of our own hold the tools already."""


def prefetch(lab: Lab, progress: Progress) -> list[str]:
    """Get everything into the cache and the engine; a line for each. HostError where one can't be had."""
    tool.require_docker_command()
    lines = [f"kind: {tool.find(progress)}"]
    with engine() as docker:
        image = choose_image(lab, docker.images())
        if not image.present:
            pull.pull(docker, image.reference, progress)
        lines.append(f"node image: {image.reference}")
        if not image.reference.startswith(BAKED) and lab.tools:
            progress("packages", ", ".join(lab.tools))
            lines.append(f"node tools: {tools.prefetch(image.reference, lab.tools)}")
        wanted = lab.httpbin.image or IMAGE
        if not (wanted == IMAGE and httpbin.is_baked(docker, image.reference)):
            if docker.image(wanted) is None:
                if wanted == IMAGE:
                    httpbin.build(docker, progress)
                else:
                    pull.pull(docker, wanted, progress)
            lines.append(f"workload image: {wanted}")
    return lines
