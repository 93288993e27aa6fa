"""Writes docs/reliability.md from the junit report of `make faults`: python -m tests.experiments.faults.reliability REPORT ..."""

import collections
import pathlib
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable

PAGE = pathlib.Path(__file__).parents[3] / 'docs' / 'reliability.md'
HEAD = """# Reliability

Written by `make faults`: what was done to runs, how many times, and how many of them came out right. A run came out right where,
after the same command was given again, its parameters and its tables equal those of a run that was left alone, to the bit. Where
a harmed file leaves nothing to go on from, one sentence that says so is right too; a traceback or another number never is.

Random moments are drawn with a seed, uniformly in the processor time that a whole command takes, from the first instruction of
the process on. Kills come five in a row: each command goes on where the one before was killed, and the sixth ends. A command
that ends before its moment comes is not counted. The counts are those of the last time that the checks were run, or a part of
them: what has no row was not run then.

| what was done | times | right |
|---|---|---|
"""


def counts(reports: Iterable[str]) -> dict[str, tuple[int, int]]:
  """Fault -> (times, right), summed over the tests of junit reports, by name."""
  sums = collections.defaultdict(lambda: (0, 0))
  for entry in (entry for report in reports for entry in ET.fromstring(report).iter('property')):
    if entry.get('name') == 'fault':
      times, right, fault = entry.get('value').split(' ', 2)
      sums[fault] = (sums[fault][0] + int(times), sums[fault][1] + int(right))
  return dict(sorted(sums.items()))


def page(sums: dict[str, tuple[int, int]]) -> str:
  """The page: a line a fault, and their sum."""
  rows = [*sums.items(), ('all', tuple(map(sum, zip((0, 0), *sums.values(), strict=True))))]
  return HEAD + ''.join(f'| {fault} | {times} | {right} |\n' for fault, (times, right) in rows)


def main(reports: Iterable[str]) -> int:
  PAGE.write_text(page(counts(pathlib.Path(report).read_text() for report in reports)))
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
