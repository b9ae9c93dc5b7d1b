"""Action `kubewire.lab.cell_host`; documented in plugins/modules/cell_host.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ..plugin_utils.place import place_of
from ..plugin_utils.step import Step


class ActionModule(Step):
    STEP = "cell_host"
    ARGUMENTS: ClassVar[dict[str, Any]] = {
        "modes": {"type": "list", "elements": "str", "required": True},
        "tools": {"type": "list", "elements": "str", "required": True},
        "install": {"type": "bool", "default": True},
        "become": {"type": "bool", "default": False},
    }

    def place(self, _arguments: dict[str, Any]) -> Any:
        """The play's host, on which this play's own provision put kubewire."""
        return place_of(self._connection, self._task_vars)
