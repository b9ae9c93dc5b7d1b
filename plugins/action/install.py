"""Action `kubewire.lab.install`; documented in plugins/modules/install.py.

Not ansible.builtin.apt: Ansible takes a module's result from a lab host as it comes, add_host included.
"""

from __future__ import annotations

import shlex
from typing import Any, ClassVar

from kubewire.app.steps.outcome import Outcome
from kubewire.app.steps.packages import PACKAGE
from kubewire.core.errors import HostError
from kubewire.hosts import scripts
from kubewire.hosts.provision import checked
from kubewire.providers.base import Change

from ..plugin_utils.step import Step


class ActionModule(Step):
    ARGUMENTS: ClassVar[dict[str, Any]] = {"packages": {"type": "list", "elements": "str", "required": True}}

    def perform(self, arguments: dict[str, Any]) -> dict[str, Any]:
        host, packages = str(self._task_vars["inventory_hostname"]), tuple(arguments["packages"])
        if odd := [package for package in packages if not PACKAGE.fullmatch(package)]:
            raise HostError(f"{odd[0]!r} is no name of a Debian package", where=host)
        if not self.check:
            checked(self._run, host, scripts.PACKAGES, packages)
        done = "would be installed" if self.check else "installed"
        return Outcome([Change(host, f"{package} {done}") for package in packages]).result()

    def _run(self, command: str, data: bytes) -> tuple[int, str, str]:
        if self.is_away:
            return self.on_host(command, data)
        answer = self._low_level_execute_command(shlex.join(["sh", "-c", command]))
        return int(answer["rc"]), str(answer["stdout"]), str(answer["stderr"])
