"""The use cases: up, verify, down, list, gc, doctor and the rest, each a function that a command, a
playbook or a test calls.
"""

from kubewire.lab.providers import hand_over
from kubewire.providers.registry import lab_problems

hand_over(lab_problems)
