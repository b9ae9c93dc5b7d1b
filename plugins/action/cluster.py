"""Action `kubewire.lab.cluster`; documented in plugins/modules/cluster.py."""

from __future__ import annotations

from typing import Any, ClassVar

from kubewire.steps.cluster import make_cluster
from kubewire.steps.outcome import Outcome

from ..plugin_utils.step import DEFINITION, Step


class ActionModule(Step):
    ARGUMENTS: ClassVar[dict[str, Any]] = DEFINITION | {"recreate": {"type": "bool", "default": False}}

    def step(self, arguments: dict[str, Any]) -> Outcome:
        return make_cluster(**arguments, check=self.check)
