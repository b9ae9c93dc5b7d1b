"""Documentation of the action of the same name; it has no code of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: commit
short_description: Let a lab outlive its maker
description:
  - Until this, a lab vanishes with the run that makes it.
  - The roles P(kubewire.lab.workload#role) and P(kubewire.lab.verify#role) end with it.
options:
  lab:
    description: The lab's name, or the path of its file.
    type: str
    required: true
author: The kubewire authors
"""

EXAMPLES = r"""
- name: Let a lab outlive its maker
  kubewire.lab.commit:
    lab: iptables
"""
