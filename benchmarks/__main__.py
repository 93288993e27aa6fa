"""python -m benchmarks [NAME ...] [--OPTION ...]: prints tables and writes nothing.

NAME        of paper, small, ensemble, large, compilation, probing, resume, checkpoints, readings, ntk, ntk_memory,
            ntk_growth, curvature, language, cells, looks, members, growing_cells,
            growing_readings, starts; all of them without a name
--markdown  tables for a README
--rounds N  A B rounds (default: 9)
--cores N   the first N cores only: one is the steadiest where others share the machine
--quick     short runs: to see that everything works, not for numbers
--peer_python PATH  a python that has neural-tangents, for ntk and ntk_memory (default: the variable NTK_PEER_PYTHON)
"""

import os
import sys
from collections.abc import Sequence

import jax

from benchmarks import compilation, curvature, growth, language, ntk, probing, scale, starts, storage, timing, training

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
  'ntk': ntk.speed,
  'ntk_memory': ntk.memory,
  'ntk_growth': ntk.growth,
  'curvature': curvature.curvature,
  'language': language.language,
  'cells': scale.cells,
  'looks': scale.looks,
  'members': growth.members,
  'growing_cells': growth.cells,
  'growing_readings': growth.readings,
  'starts': starts.starts,
}


def main(argv: Sequence[str]) -> int:
  words, names, markdown, options = list(argv), [], False, timing.Options(peer_python=os.environ.get('NTK_PEER_PYTHON', ''))
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
    elif word == '--peer_python' and words:
      options = options._replace(peer_python=words.pop(0))
    elif word in BENCHMARKS:
      names.append(word)
    else:
      print(f'error: {word} is no benchmark here; there are {", ".join(BENCHMARKS)}, and --help', file=sys.stderr)
      return 2
  cores = len(os.sched_getaffinity(0))  # as experiments.cores.spread does, which would be too late here
  jax.config.update('jax_num_cpu_devices', cores)
  os.environ.setdefault('NPROC', str(2 * cores))
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
