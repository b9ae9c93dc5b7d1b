"""`kubewire versions`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def versions(
    form: Annotated[
        Literal["text", "json"], typer.Option("--format", help="Output format.", metavar="text|json")
    ] = "text",
) -> None:
    """The Kubernetes and kind versions that are known, in the cache, and newly to be had.

    Asks the official releases, else the Go module proxy; fetches nothing. Exit code 0 also where neither
    answers: then it shows what is known and in the cache.

    **Examples**

    `kubewire versions`

    `kubewire versions --format json`
    """
    from kubewire.app.prefetch import known_versions
    from kubewire.core import console

    console.document(known_versions(form))
