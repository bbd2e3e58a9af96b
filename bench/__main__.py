"""`python -m bench`: print every figure, its target, and whether it is reached."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator

from bench import aws, commands, exchange, inside, memory, roundtrip, vault
from bench.figures import Figure
from bench.home import bench_home


def main() -> int:
    """Measure; a target that is not reached is said, and is no failure: machines differ."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead")
    as_json = parser.parse_args().json
    figures: list[Figure] = []
    for figure in _measure():
        figures.append(figure)
        if not as_json:
            print(figure.line(), flush=True)
    load = round(os.getloadavg()[0], 1)
    if as_json:
        document = {"load": load, "figures": [each.as_json() for each in figures]}
        print(json.dumps(document, indent=2))
    else:
        print(f"\nLoad while measuring: {load}. What each figure is: bench/README.md")
    return 0


def _measure() -> Iterator[Figure]:
    with bench_home() as home:
        for part in (memory, roundtrip, commands, inside, exchange, vault, aws):
            yield from part.measure(home)


if __name__ == "__main__":
    sys.exit(main())
