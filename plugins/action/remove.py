"""Action `kubewire.lab.remove`; documented in plugins/modules/remove.py."""

from __future__ import annotations

from typing import Any

from kubewire.app.steps.outcome import Outcome

from ..plugin_utils.step import Step


class ActionModule(Step):
    STEP = "remove"

    def perform(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.is_away and not self._was_made(arguments["lab"]):
            return Outcome().result()
        return super().perform(arguments)

    def _was_made(self, lab: str) -> bool:
        """Whether kubewire is on the play's host, by its inventory or because the lab was made there."""
        from kubewire.hosts import records
        from kubewire.lab.lookup import name_to_remove

        from ..plugin_utils.place import place_of

        place = place_of(self._connection, self._task_vars)
        return bool(place.python) or place.name in records.read(name_to_remove(lab))
