"""The configuration that kind gets: the lab's rendered one, and the mark that says whose cluster it is."""

from __future__ import annotations

from pathlib import Path

import yaml

from kubewire.kind.state import OWNER_MOUNT
from kubewire.lab.rendering import dump_yaml, render_kind
from kubewire.lab.schema import Lab


def kind_config(lab: Lab, owner: Path) -> str:
    """kind's Cluster for this lab. The node image is given to kind by its option, for all nodes alike."""
    config = yaml.safe_load(render_kind(lab))
    for node in config["nodes"]:
        node.pop("image", None)
        node["extraMounts"] = [{"hostPath": str(owner), "containerPath": OWNER_MOUNT, "readOnly": True}]
    return dump_yaml(config)
