"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: provision
short_description: Install kubewire on a lab host
description:
  - Installs kubewire's locked dependencies and kubewire itself in the user's cache on the host, once for
    each version; tries the host's package index first, then sends the wheels from this machine.
  - Records on this machine how to reach the lab's host. Does nothing if the host is this machine.
options:
  lab:
    description: The lab's name, or the path of its file; without it nothing is recorded.
    type: str
author: The kubewire authors
"""

EXAMPLES = r"""
- name: Install kubewire on the host
  kubewire.lab.provision:
    lab: iptables
"""

RETURN = r"""
changes:
  description: What was installed, a line each.
  type: list
  elements: str
  returned: always
ansible_facts:
  description: C(kubewire_python), the host's Python that has kubewire.
  type: dict
  returned: for another host
place:
  description: How to reach the host by SSH, and kubewire's path on it.
  type: dict
  returned: for another host
"""
