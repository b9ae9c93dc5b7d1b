"""`kubewire render`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from kubewire.cli import options


class Form(StrEnum):
    LAB = "lab"
    KIND = "kind"
    INVENTORY = "inventory"


def render(
    lab: options.Lab,
    *,
    form: Annotated[Form, typer.Option("--as", help="What to render.")] = Form.LAB,
    kubernetes: options.Kubernetes = None,
    mode: options.Mode = None,
    replicas: options.Replicas = None,
    settings: options.Set = None,
) -> None:
    """Print the effective lab with all defaults, or its kind configuration or Ansible inventory.

    **Examples**

    `kubewire render iptables`

    `kubewire render ipvs --as kind`
    """
    from kubewire.app.labs import rendered
    from kubewire.app.placement import Request
    from kubewire.core import console

    overrides = options.overrides(kubernetes, mode, replicas, settings)
    console.document(rendered(Request(lab, overrides=overrides), form.value))
