"""Labs on other hosts: any SSH host of an Ansible inventory that runs the same labs as this machine.

Only SSH and a POSIX shell are asked of it, and a Python. Here (the controller) the playbooks run; there
(the lab host) a session does their steps, and the command `kubewire` what other commands ask for.
"""
