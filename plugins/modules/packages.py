"""Documentation of the action of the same name; it has no code of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Name the OS packages that a lab lacks on this machine
description:
  - Looks for every tool that the lab, its provider and its mode need.
  - Fails, naming exactly the missing packages, where O(install) is off or nothing here can install them.
options:
  lab:
    description: The lab's name, or the path of its file.
    type: str
    required: true
  overrides:
    description: Values over those of the lab's file, by dotted key.
    type: dict
    default: {}
  provider:
    description: What makes the nodes; V(auto) chooses what this machine offers and says why.
    type: str
    default: auto
  install:
    description: Whether the next task may install packages; if not, a missing one is a failure.
    type: bool
    default: true
  become:
    description: Whether the installing task gets root rights by Ansible's become.
    type: bool
    default: false
author: The kubewire authors
"""

EXAMPLES = r"""
- name: Name the OS packages that a lab lacks on this machine
  kubewire.lab.packages:
    lab: iptables
"""

RETURN = r"""
missing:
  description: Debian packages to install, none if nothing is missing.
  type: list
  elements: str
  returned: always
binaries:
  description: Whether the lab's nodes run Kubernetes binaries of the host's cache.
  type: bool
  returned: always
"""
