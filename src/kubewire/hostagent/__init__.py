"""The agent: the program that kubewire runs on a lab host, over SSH."""
