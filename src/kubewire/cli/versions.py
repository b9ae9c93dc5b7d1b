"""`kubewire versions`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def versions(
    form: Annotated[
        Literal["text", "json"], typer.Option("--format", help="The output format.", metavar="text|json")
    ] = "text",
) -> None:
    """List the Kubernetes and kind versions that are known, cached, and newly released.

    Queries the official releases, else the Go module proxy; downloads nothing. If neither answers, it shows
    the known and cached versions, with exit code 0.

    **Examples**

    `kubewire versions`

    `kubewire versions --format json`
    """
    from kubewire.app.prefetch import known_versions
    from kubewire.core import console

    console.document(known_versions(form))
