"""Action `kubewire.lab.provision`; documented in plugins/modules/provision.py."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, ClassVar

from kubewire.app.steps.outcome import Outcome
from kubewire.hosts import records
from kubewire.hosts.provision import provision
from kubewire.lab.loading import find_lab
from kubewire.lab.lookup import lab_name
from kubewire.providers.base import Change

from ..plugin_utils.place import place_of
from ..plugin_utils.step import Step


class ActionModule(Step):
    ARGUMENTS: ClassVar[dict[str, Any]] = {"lab": {"type": "str"}}

    def perform(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if not self.is_away:
            return Outcome().result()
        place = place_of(self._connection, self._task_vars)
        done: list[str] = []
        if not place.python:
            python = str(self._task_vars.get("ansible_python_interpreter") or "")
            found, done = provision(self.on_host, place.name, python=python, check=self.check)
            place = replace(place, python=found)
        if arguments["lab"] and not self.check:
            lab = lab_name(arguments["lab"])
            sources = tuple(str(source) for source in self._task_vars.get("ansible_inventory_sources") or ())
            records.write(records.Away(lab, str(find_lab(arguments["lab"])), place, sources))
        facts = {"ansible_facts": {"kubewire_python": place.python}, "place": asdict(place)}
        return Outcome([Change(place.name, what) for what in done], facts).result(check=self.check)
