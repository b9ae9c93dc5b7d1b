"""The filter `lab_group`; see lab_group.yml."""

from __future__ import annotations

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from kubewire.app.node_inventory import lab_group
from kubewire.core.errors import KubewireError
from kubewire.lab.lookup import lab_name


def group_of(lab: str) -> str:
    try:
        return lab_group(lab_name(str(lab)))
    except KubewireError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"lab_group": group_of}
