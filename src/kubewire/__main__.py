"""`python -m kubewire` is the command `kubewire`."""

from kubewire.cli.main import run

if __name__ == "__main__":
    run()
