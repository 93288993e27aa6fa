"""python -m benchmarks [NAME ...] [--markdown] [--rounds N] [--cores N] [--quick]: prints tables and writes nothing.

NAME        of paper, small, ensemble, large, compilation, probing, resume, checkpoints, readings; all of them without a name
--markdown  tables for a README
--rounds N  A B rounds (default: 9)
--cores N   the first N cores only: one is the steadiest where others share the machine
--quick     short runs: to see that everything works, not for numbers
"""

import os
import sys
from collections.abc import Sequence

from benchmarks import compilation, probing, storage, timing, training

BENCHMARKS = {
  'paper': training.paper,
  'small': training.small,
  'ensemble': training.ensemble,
  'large': training.large,
  'compilation': compilation.compilation,
  'probing': probing.probing,
  'resume': storage.resuming,
  'checkpoints': storage.checkpoints,
  'readings': storage.readings,
}


def main(argv: Sequence[str]) -> int:
  words, names, markdown, options = list(argv), [], False, timing.Options()
  while words:
    word = words.pop(0)
    if word in ('--help', '-h'):
      print(__doc__)
      return 0
    if word == '--markdown':
      markdown = True
    elif word == '--quick':
      options = options._replace(quick=True, rounds=2)
    elif word == '--rounds' and words and words[0].isdigit():
      options = options._replace(rounds=max(1, int(words.pop(0))))
    elif word == '--cores' and words and words[0].isdigit():
      os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: max(1, int(words.pop(0)))])  # before jax counts them
    elif word in BENCHMARKS:
      names.append(word)
    else:
      print(f'error: {word} is no benchmark here; there are {", ".join(BENCHMARKS)}, and --help', file=sys.stderr)
      return 2
  print(timing.surroundings(), end='\n\n', flush=True)
  for name in names or BENCHMARKS:
    try:
      print(timing.show(BENCHMARKS[name](options), markdown), flush=True)
    except timing.Disagreement as error:
      print(f'error: {name}: {error}', file=sys.stderr)
      return 1
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
