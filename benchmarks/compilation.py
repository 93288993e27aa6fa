"""How many programs a run compiles: it must not depend on members, seeds or probe times."""

from collections import Counter

import jax
from jax import monitoring

from benchmarks import problems
from benchmarks.problems import SMALL
from benchmarks.timing import Options, Table
from dynamics import train
from experiments.build import build

COMPILED = '/jax/core/compile/backend_compile_duration'
VARIED = (  # members, first seed, steps, readings spread in log t
  (1, 0, 60, 1),
  (1, 7, 60, 8),
  (1, 0, 60, 60),
  (1, 0, 300, 32),
  (4, 0, 60, 8),
  (16, 100, 60, 32),
)


def compilation(options: Options) -> Table:
  """Runs the small problem from cold caches and counts."""
  rows = [_row(*varied) for varied in (VARIED[::5] if options.quick else VARIED)]
  constant = 'yes' if len({row[4] for row in rows}) == 1 else 'NO'
  notes = [
    f'Constant: {constant}, the programs of members: the start, the steps and one for each probe of the default set. The other '
    'count is the data, and single operations that make keys, place arrays, and take the first member, which are others where '
    'members lie on several devices.'
  ]
  header = ('members', 'first seed', 'steps', 'probe times', 'start, steps, probes', 'data, keys, placing', 'seconds compiling')
  return Table('Compilations of one run, counted from cold caches', header, rows, notes)


def _row(members: int, seed: int, steps: int, points: int) -> tuple:
  chosen = problems.cell(SMALL | dict(steps=steps, schedule=dict(log_points=points)), members)
  study = build(chosen)
  seen, seconds = Counter(), []

  def hear(event, duration, **about):
    if event == COMPILED:
      seen[about.get('fun_name', 'unknown')] += 1
      seconds.append(duration)

  jax.clear_caches()
  monitoring.register_event_duration_secs_listener(hear)
  try:
    train.run(study, range(seed, seed + members), {name: value[0] for name, value in chosen.hyper.items()}, quiet=True)
  finally:
    monitoring.unregister_event_duration_listener(hear)
  times = len({t for times in study.schedule.values() for t in times})
  of_members = seen['jit(of_member)']  # the name of every function of one member in dynamics.train
  return members, seed, steps, times, of_members, seen.total() - of_members, f'{sum(seconds):.1f}'
