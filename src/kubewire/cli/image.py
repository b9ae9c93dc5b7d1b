"""`kubewire image build`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="image", no_args_is_help=True, rich_markup_mode="markdown", add_completion=False)


@app.callback()
def image() -> None:
    """Build node images for kind without a registry."""


@app.command("build")
def build(
    version: Annotated[str, typer.Argument(help="Kubernetes version, as 1.37 (its newest patch) or 1.37.2.")],
    overlay: Annotated[
        Path | None,
        typer.Option(help="A folder with files to copy into the image's root.", metavar="DIR"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write an archive for `docker load` to this file instead of loading the image.",
            metavar="FILE",
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Rebuild it, for Debian's updates, even if it exists.")
    ] = False,
) -> None:
    """Build a kind node image from Debian packages and Kubernetes binaries.

    For networks without a registry, and for versions without a published image. It includes httpbin and the
    node tools, so a lab needs no network. Its archive is cached: each version and overlay is built once.
    Building needs root and mmdebstrap.

    **Examples**

    `sudo kubewire image build 1.37`

    `sudo kubewire image build 1.34 --output node.tar`
    """
    from kubewire.app.prefetch import build_image

    build_image(version, overlay=overlay, output=output, fresh=fresh)
