#!/usr/bin/env python3
"""Break every step of a forming cloud in every way, and print the table: `make faults`.

`--only TEXT` takes cells whose name holds TEXT, `--sample N --seed S` takes some, `--labs N` works side by
side. Each cell forms a cloud of real services in the lab; all of them take hours. With `--record FILE` each
outcome is kept there as it comes: started again, cells that survived are not tried again, and the table
shows all.
"""

import argparse
import dataclasses
import json
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "lab"))

import clouds
import faults

from mcloud.lab import Lab


def main() -> None:
    """Try the cells, say how each went as it ends, and end with the table."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    labs = [Lab(f"f{os.getpid()}-{number}") for number in range(options.labs)]
    try:
        record = Outcomes(options.record)
        cells = [cell for cell in _all_cells(labs[0]) if options.only in str(cell)]
        if options.sample:
            cells = _sample(cells, options.sample, options.seed)
        print(f"{len(cells)} cells, of which {len(record.survivors(cells))} are on record", flush=True)
        free = list(labs)
        began = time.monotonic()

        def one(cell: faults.Cell) -> faults.Outcome:
            lab = free.pop()
            try:
                outcome = faults.try_out(lab, cell)
            except Exception as error:  # noqa: BLE001 - the other cells are tried all the same
                outcome = faults.Outcome(cell=cell, seconds=0.0, checked=(), amiss=[repr(error)])
            finally:
                free.append(lab)
            record.add(outcome)
            spent = time.monotonic() - began
            print(f"{spent:7.0f} s  {outcome.word:10} {outcome.seconds:5.0f} s  {cell}", flush=True)
            for line in outcome.amiss:
                print(f"    {line}", flush=True)
            return outcome

        with ThreadPoolExecutor(options.labs) as pool:
            known = record.survivors(cells)
            try:
                tried = list(pool.map(one, [cell for cell in cells if cell not in known]))
            except (KeyboardInterrupt, SystemExit):
                print("stopping: the cells in hand come to their end", flush=True)
                pool.shutdown(cancel_futures=True)
                raise
            outcomes = [known[cell] for cell in cells if cell in known] + tried
    finally:
        for lab in labs:
            lab.down()
    _print_table(outcomes)
    sys.exit(any(outcome.amiss for outcome in outcomes))


def _sample(cells: Sequence[faults.Cell], number: int, seed: str) -> list[faults.Cell]:
    """Return some cells, the same for a seed: one of changed names, for what that costs if it fails."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    renamed = [cell for cell in cells if cell.fault == faults.NAMES_CHANGE]
    first = [chance.choice(renamed)] if renamed else []
    others = [cell for cell in cells if cell not in first]
    return first + chance.sample(others, min(number - len(first), len(others)))


Place = tuple[str, str, str]
"""Machine, step and fault of a cell."""


def _place(cell: faults.Cell) -> Place:
    return (cell.machine, cell.key, cell.fault)


class Outcomes:
    """What came of cells, kept in a file, a line each; the last one of a cell counts."""

    def __init__(self, path: Path | None) -> None:
        """Read what is there."""
        self._path, self._lock = path, Lock()
        self._known: dict[Place, faults.Outcome] = {}
        for line in path.read_text().splitlines() if path and path.exists() else ():
            said = json.loads(line)
            cell = faults.Cell(**said.pop("cell"))
            self._known[_place(cell)] = faults.Outcome(cell=cell, **said)

    def survivors(self, cells: Sequence[faults.Cell]) -> dict[faults.Cell, faults.Outcome]:
        """Return those of some cells that are known to survive."""
        return {
            cell: one for cell in cells if (one := self._known.get(_place(cell))) and one.word == "survived"
        }

    def add(self, outcome: faults.Outcome) -> None:
        """Keep one more."""
        if self._path is not None:
            with self._lock, self._path.open("a") as file:
                file.write(json.dumps(dataclasses.asdict(outcome)) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="cells whose name holds this text")
    parser.add_argument("--sample", type=int, default=0, help="so many cells, chosen by the seed")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--record", type=Path, help="file to keep outcomes in, and to go on from")
    parser.add_argument("--labs", type=int, default=1, help="labs side by side")
    return parser.parse_args()


def _all_cells(lab: Lab) -> list[faults.Cell]:
    """Form one cloud without faults, to see which steps there are."""
    lab.down()
    lab.up(machines=3)
    clouds.formed(lab, faults.file_of())
    found = faults.cells(list(faults.steps(lab)))
    lab.down()
    return found


def _print_table(outcomes: Sequence[faults.Outcome]) -> None:
    columns = list(faults.FAULTS)
    by_place = {_place(one.cell): one for one in outcomes}
    rows = dict.fromkeys((one.cell.machine, one.cell.key) for one in outcomes)
    width = max(len(f"{machine} {key}") for machine, key in rows)
    print("\n" + " " * width + "".join(f"  {name:16}" for name in columns))
    for machine, key in rows:
        marks = []
        for column in columns:
            one = by_place.get((machine, key, column))
            marks.append("" if one is None else f"{one.word.replace('survived', 'ok')} {one.cell.ending}")
        print(f"{f'{machine} {key}':{width}}" + "".join(f"  {mark:16}" for mark in marks))
    survived, moot = (sum(one.word == word for one in outcomes) for word in ("survived", "not needed"))
    skipped = f", {moot} had steps that were not needed this time" if moot else ""
    print(f"\n{survived} of {len(outcomes)} cells survived{skipped}. What was looked at, by ending:")
    for ending, checked in sorted({(one.cell.ending, tuple(one.checked)) for one in outcomes if one.checked}):
        print(f"  {ending:7} {'; '.join(checked)}")


if __name__ == "__main__":
    main()
