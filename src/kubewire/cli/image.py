"""`kubewire image build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Node images for kind, made without a registry.", no_args_is_help=True)


@app.callback()
def image() -> None:
    """Node images for kind, made without a registry."""


@app.command("build")
def build(
    version: Annotated[str, typer.Argument(help="Kubernetes version, as 1.37 (its newest patch) or 1.37.2.")],
    overlay: Annotated[
        Path | None,
        typer.Option(help="A folder whose files are copied over the node's root.", metavar="DIR"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write an archive for `docker load` there, instead of loading it into the engine here.",
            metavar="FILE",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Rebuild it, for Debian's updates, even if it exists.")
    ] = False,
) -> None:
    """Make a kind node image from Debian packages and Kubernetes binaries.

    For rooms without a registry, and versions that nobody published an image of. httpbin and the node tools
    are in it, so a lab needs no network. Its archive stays in the cache: the same version and overlay are
    built once. Building needs root and mmdebstrap.

    **Examples**

    `sudo kubewire image build 1.37`

    `sudo kubewire image build 1.34 --output node.tar`
    """
    from kubewire.app.prefetch import build_image

    build_image(version, overlay=overlay, output=output, fresh=fresh)
