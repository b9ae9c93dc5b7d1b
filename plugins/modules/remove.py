"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remove
short_description: Remove a lab and all that belongs to it
description:
  - Removes the lab's nodes, processes, files and record.
  - A lab that doesn't exist is no failure and no change, even without its file.
extends_documentation_fragment: kubewire.lab.lab
"""

EXAMPLES = r"""
- name: Remove a lab and all that belongs to it
  kubewire.lab.remove:
    lab: iptables
"""

RETURN = r"""
changes:
  description: One line if a lab was removed, else none.
  type: list
  elements: str
  returned: always
"""
