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
    """What would be used, every default filled in: the lab, kind's configuration, an Ansible inventory.

    **Examples**

    `kubewire render iptables`

    `kubewire render ipvs --as kind`
    """
    from kubewire.binaries.resolving import require_exists
    from kubewire.core import console
    from kubewire.lab import rendering
    from kubewire.lab.loading import load_lab

    loaded = load_lab(lab, options.overrides(kubernetes, mode, replicas, settings))
    require_exists(loaded.kubernetes, loaded.control_plane)
    to_text = {
        Form.LAB: rendering.render_lab,
        Form.KIND: rendering.render_kind,
        Form.INVENTORY: rendering.render_inventory,
    }
    console.document(to_text[form](loaded))
