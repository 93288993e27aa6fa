"""What probing costs: the same run with and without the default probes at the default schedule."""

import jax
import numpy as np

from benchmarks import problems, timing
from benchmarks.problems import LARGE, PAPER, SMALL, Subject
from benchmarks.timing import Options, Rates, Table
from dynamics import probes, train
from dynamics import study as studies

HEADER = ('problem, one member', 'steps', 'readings of each', 'cost: median', 'min - max', 'target', 'met', 'processor time')
TARGET = 10.0  # percent
KERNEL_TARGET = 15.0  # percent
METERED = {name: {} for name in (*probes.USUAL, 'meters')}
KERNEL = dict(batch=dict(size=64), steps=10_000, probes=dict(kernel={}))


def probing(options: Options) -> Table:
  """A step and a reading, measured alone and in turn, and scaled to the length of a run."""
  paper, digits = 'p = 113, 226-200-200-113, full batch', 'digits 64-32-10, batch 32'
  rows, notes = _scaled(options, PAPER, paper, 15, (300, 2_000, 80_000))
  for name, chosen in ((digits, {}), (f'{digits}, and the meters of every step', METERED)):
    more, words = _scaled(options, SMALL | dict(probes=chosen), name, 3_000, (SMALL['steps'],))
    rows, notes = [*rows, *more], [*notes, *words]
  for name, config, steps in (('64-32-10', SMALL, 3_000), ('64-256-256-10', LARGE, 500)):
    config = config | KERNEL
    more, words = _scaled(options, config, f'digits {name}, batch 64, the kernel alone', steps, (config['steps'],), KERNEL_TARGET)
    rows, notes = [*rows, *more], [*notes, *words]
  how = (
    'A bare step, a step of a run with probes, and a reading of all of them in turn, scaled to the length of a run: '
    '(steps x what a step takes more + readings x a reading) / (steps x a bare step).'
  )
  return Table('What probing costs, in percent of the run without it', HEADER, rows, [how, *notes])


def _scaled(options: Options, config: dict, name: str, steps: int, lengths: tuple[int, ...], target: float = TARGET):
  steps = 3 if options.quick else steps
  bare, full = problems.subject(config, probes=False), problems.subject(config)
  sides = {'bare': problems.steady(bare, steps), 'full': problems.steady(full, steps), 'reading': _reading(full)}
  rates = timing.alternate(sides, options.rounds)
  inside = _over(rates, lambda bare, full, reading: 100 * (bare / full - 1))
  rows = []
  for length in lengths:
    n = len(studies.times(length))
    cost = _over(rates, lambda bare, full, reading, n=n, t=length: 100 * (bare / full - 1 + n / reading * bare / t))
    rows.append(_row(name, length, n, cost, target))
  notes = [
    f'{name}: what a step takes more, alone: {timing.spread(inside.wall)} percent, in processor time '
    f'{timing.spread(inside.processor)}.',
    f'{name}: milliseconds of a reading by Event.seconds: {_spent(full, 4 if options.quick else 12)}.',
  ]
  return rows, notes


def _over(rates: dict[str, Rates], formula) -> Rates:
  """A formula of the sides' rates, round by round, on each clock."""
  return Rates(*(formula(**dict(zip(rates, values, strict=True))) for values in zip(*rates.values(), strict=True)))


def _row(name: str, length: int, readings: int, cost: Rates, target: float):
  middle = float(np.median(cost.wall))
  reach = f'{cost.wall.min():.1f} - {cost.wall.max():.1f}'
  met = 'yes' if middle < target else 'no'
  return name, f'{length:,}', readings, f'{middle:.1f}', reach, f'< {target:.0f}', met, timing.spread(cost.processor)


def _reading(item: Subject):
  """A side that reads all probes once, as `train.events` does."""
  state, frozen = item.start()
  state = item.advance(state, frozen, 0, 3)

  def work():
    for measure in item.programs.measure.values():
      jax.tree.map(np.asarray, measure(state, frozen, item.members, item.data, 3)[0])
    return 1

  return work


def _spent(item: Subject, readings: int) -> str:
  """Milliseconds of a reading of each probe; the first two, in which it compiles, are left out."""
  times = tuple(range(readings + 2))
  dense = item.study._replace(steps=readings + 1, schedule=dict.fromkeys(item.study.schedule, times))
  seen = [event.seconds for event in train.events(dense, item.members, item.programs)]
  each = {probe: [1e3 * seconds[probe] for seconds in seen if probe in seconds][2:] for probe in dense.schedule}
  return ', '.join(f'{probe} {timing.spread(series)}' for probe, series in each.items())
