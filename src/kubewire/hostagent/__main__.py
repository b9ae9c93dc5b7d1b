"""The entry point of the agent: `python -m kubewire.hostagent --protocol N VERB …`, run over SSH."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from kubewire.core import console
from kubewire.hosts.agent import MODULE, OTHER_VERSION, PROTOCOL

VERBS = {
    "call": "pass the step on standard input to this SSH connection's session; print the answer",
    "session": "run steps, one after another, until the SSH connection ends; started by call",
    "run": "COMMAND…: run kubewire COMMAND, and end it when the caller ends",
    "wait": "LAB: wait until the lab is gone",
    "cell": "run the nightly cell on standard input; print its result and its snapshot",
}
"""Each is a module of this package with a `main(arguments)`."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kubewire.hostagent",
        usage="%(prog)s --protocol N VERB [ARGUMENT…]",
        description="Runs requests of a remote kubewire on a lab host.",
        epilog="\n".join(["verbs:", *(f"  {verb:8} {text}" for verb, text in VERBS.items())]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--protocol", type=int, required=True, help=f"the caller's protocol; this version speaks {PROTOCOL}"
    )
    parser.add_argument("verb")
    options = parser.parse_args(arguments[:3])
    if options.protocol != PROTOCOL:
        console.err(
            f"kubewire here is another version: it speaks protocol {PROTOCOL}, not {options.protocol}"
        )
        return OTHER_VERSION
    if options.verb not in VERBS:
        parser.error(f"no verb {options.verb!r}")
    return int(import_module(f"{MODULE}.{options.verb}").main(arguments[3:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
