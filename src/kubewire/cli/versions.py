"""`kubewire versions`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def versions(
    form: Annotated[
        Literal["text", "json"], typer.Option("--format", help="How to tell it.", metavar="text|json")
    ] = "text",
) -> None:
    """The Kubernetes and kind versions that are known, in the cache, and newly to be had.

    Asks the official releases, else the Go module proxy; fetches nothing. Exit code 0 also where neither
    answers: then it tells what is known and in the cache.

    **Examples**

    `kubewire versions`

    `kubewire versions --format json`
    """
    from kubewire.app.display import Display
    from kubewire.binaries import store
    from kubewire.binaries.catalog import KIND, KUBE_PROXY
    from kubewire.binaries.offers import offers
    from kubewire.binaries.overview import kind_line, kubernetes_lines
    from kubewire.core import console
    from kubewire.report.versions_text import to_json, to_text

    display = Display()
    with display.running("asking for newer versions"):
        kubernetes, kind = offers(progress=display.tell)
    lines = kubernetes_lines(store.complete_versions((KUBE_PROXY,)), kubernetes)
    own = kind_line(KIND, store.complete_versions(("kind",), "kind"), kind)
    tell = to_json if form == "json" else to_text
    console.document(tell(lines, own, kubernetes, kind))
