"""`kubewire explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kubewire.cli import options
from kubewire.cli.forwarding import where_the_lab_is


@where_the_lab_is
def explain(
    lab: Annotated[str, typer.Argument(help="A running lab.", autocompletion=options.complete_up)] = "",
    *,
    service: Annotated[str, typer.Option(help="The Service.", metavar="[NAMESPACE/]NAME[:PORT]")],
    node: Annotated[str, typer.Option(help="The node; by default the last worker.", metavar="NODE")] = "",
    snapshot: Annotated[
        Path | None, typer.Option(help="Use this snapshot folder instead of a lab.", metavar="DIR")
    ] = None,
) -> None:
    """Show a Service's path on a node: every chain, set and rule that kube-proxy must have written for it, as
    the tool prints it, and why it is there.

    The output is derived from the API objects and the node's configuration, whatever the node really has:
    `kubewire verify` compares the two.

    **Examples**

    `kubewire explain iptables --service default/httpbin`

    `kubewire explain --snapshot my-snapshot --service kube-system/kube-dns:dns --node control-plane`
    """
    from kubewire.app.observe import observe
    from kubewire.core.console import Screen
    from kubewire.dataplane.explain_service import explain_service
    from kubewire.report.explain_text import print_explanation

    print_explanation(explain_service(observe(lab, snapshot), service, node), Screen())
