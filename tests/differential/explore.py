"""Generated states for the oracle, and the smallest case of a difference."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence

from cluster_states import State, sequences
from difference import Difference
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky
from oracle import HASTY, Oracle
from tally import LEAST
from variants import variants

ENOUGH = 200  # a run of so many states must hold each feature at least LEAST times
FEW, FEWER = 6, 4  # configurations of each kube-proxy in a shorter run, and where starting it takes long
MOST = 3  # times round all configurations, for features that are still rare


class Held:
    """Holds sequences of states for hypothesis; once one differs, for `budget` seconds more while it shrinks.

    After that only what is known to differ does, so that hypothesis ends with the smallest case so far.
    """

    def __init__(self, oracle: Oracle, until: float, budget: float = 120.0) -> None:
        self.oracle, self.until, self.budget = oracle, until, budget
        self.known: dict[str, Difference] = {}
        self.end = math.inf

    def hold(self, steps: Sequence[State]) -> None:
        key = repr(steps)
        if key in self.known:
            raise self.known[key]
        if time.monotonic() > self.end or time.time() > self.until:
            return
        try:
            for state in steps:
                self.oracle.check(state)
        except Difference as difference:
            if not self.known:
                self.end = time.monotonic() + self.budget
                self.oracle.patience *= HASTY
            self.known[key] = difference
            raise


def explore(oracle: Oracle, wanted: int, first_seed: int, until: float = math.inf) -> None:
    """Hold at least `wanted` generated states; hypothesis shrinks a case that differs, then it is raised.

    A run of ENOUGH goes round all configurations, and on until no feature is rare. None begins after `until`.
    """
    full = wanted >= ENOUGH
    rounds = max(len(variants(node.version, node.mode)) for node in oracle.nodes)
    if not full:
        rounds = FEW if oracle.limits.many else FEWER
    examples = math.ceil(max(wanted / rounds, LEAST if full else 0) / 2) + 1
    held = Held(oracle, until)
    turn, started = 0, time.monotonic()
    while turn < rounds or oracle.tally.states < wanted or (full and oracle.tally.rare()):
        if time.time() > until:
            print(f"NOT ALL: the time limit was reached after {oracle.tally.states} of {wanted} states")
            return
        if turn == MOST * rounds:
            return
        oracle.restart(turn)

        @seed(first_seed + turn)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @given(sequences(oracle.limits))
        def hold(steps: list[State]) -> None:
            held.hold(steps)

        try:
            hold()
        except Flaky as flaky:
            raise next(reversed(held.known.values())) from flaky
        turn += 1
        print(
            f"{time.monotonic() - started:.0f} s: {oracle.tally.states} states", file=sys.stderr, flush=True
        )
