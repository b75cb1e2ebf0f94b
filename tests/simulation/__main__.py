"""Play seeds: ``python -m tests.simulation 17`` one of them, ``--seeds 20000 [--from 0] [--jobs 2]`` many."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice

from tests.simulation.simulation import Outcome, simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="one seed, with its story")
    parser.add_argument("--seeds", type=int, default=300, help="how many (default 300)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one (default 0)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    args = parser.parse_args()
    if args.seed is not None:
        outcome = simulate(args.seed)
        print("\n".join(outcome.story))
        print_outcome(outcome)
        return bool(outcome.wrong)
    began = time.perf_counter()
    failed: list[Outcome] = []
    played = reservations = connections = faults = 0
    with ProcessPoolExecutor(args.jobs) as pool:
        seeds = iter(range(args.first, args.first + args.seeds))
        while batch := list(islice(seeds, 500)):
            for outcome in pool.map(simulate, batch, chunksize=10):
                played += 1
                reservations += outcome.reservations
                connections += outcome.connections
                faults += outcome.faults
                if outcome.wrong:
                    failed.append(outcome)
                    print_outcome(outcome)
            print(f"{played} seeds, {len(failed)} failed, {time.perf_counter() - began:.0f} s", flush=True)
    print(
        f"{played} seeds: {reservations} reservations over {connections} connections under {faults} faults; "
        f"{len(failed)} seeds failed"
    )
    return bool(failed)


def print_outcome(outcome: Outcome) -> None:
    for line in outcome.wrong:
        print(f"seed {outcome.seed}: {line}")
    if outcome.wrong:
        print(f"again: python -m tests.simulation {outcome.seed}")
    else:
        print(
            f"seed {outcome.seed}: {outcome.reservations} reservations, nothing lost, doubled or out of order"
        )


if __name__ == "__main__":
    sys.exit(main())
