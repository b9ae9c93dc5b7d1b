"""Documentation of the action of the same name; it has no code of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remove
short_description: Remove a lab and all that belongs to it
description:
  - Removes the lab's nodes, processes, files and record.
  - A lab that isn't there is no failure and no change, also where no file says what it was.
options:
  lab:
    description: The lab's name, or the path of its file.
    type: str
    required: true
author: The kubewire authors
"""

EXAMPLES = r"""
- name: Remove a lab and all that belongs to it
  kubewire.lab.remove:
    lab: iptables
"""

RETURN = r"""
changes:
  description: One line where a lab was removed, none where there was nothing.
  type: list
  elements: str
  returned: always
"""
