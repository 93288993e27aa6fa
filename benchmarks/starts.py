"""What the start of many members costs, beside their first steps."""

import time

import jax

from benchmarks.timing import Options, Table
from dynamics import parallel, plan, train
from experiments.build import build
from experiments.resolve import resolve_config

STEPS = 100


def starts(options: Options) -> Table:
  """Drawing 1,000 members of 64-256-256-256-10 against 100 of their steps, by init."""
  count = 20 if options.quick else 1_000
  rows = []
  for init in ('gaussian', 'orthogonal'):
    config = dict(
      data=dict(name='images', train=1000, test=100),
      model=dict(name='mlp', widths=(256, 256, 256)),
      init=dict(name=init),
      loss=dict(name='cross_entropy'),
      optimizer=dict(name='sgd'),
      batch=dict(size=128),
      hyper=dict(lr=0.1),
      steps=STEPS,
      seeds=tuple(range(count)),
      layout='map',
      probes={},
    )
    (cell,) = plan.cells(config, resolve_config)
    programs = train.compile_programs(build(cell), parallel.mesh(count, 1), layout='map')
    members = programs.place(train.join(cell.seeds, cell.hyper, None))
    data = programs.data(members)
    began = lambda data=data, members=members, programs=programs: programs.start(members, data)
    ran = lambda state, frozen, last, data=data, members=members, programs=programs: programs.advance(
      state, frozen, members, data, 0, last
    )
    jax.block_until_ready(ran(*began(), 1))  # compiles both
    start, (state, frozen) = _timed(began)
    steps, _ = _timed(lambda state=state, frozen=frozen, ran=ran: ran(state, frozen, STEPS))
    rows.append((init, f'{count:,}', f'{start:.2f}', f'{steps:.1f}', f'{100 * start / steps:.1f}'))
  header = ('init', 'members', 'start, s', f'{STEPS} steps, s', 'percent')
  notes = ['Members one after the other on each device, batches of 128. Orthogonal is Haar-random.']
  return Table('What the start of members costs', header, rows, notes)


def _timed(call):
  began = time.perf_counter()
  result = jax.block_until_ready(call())
  return time.perf_counter() - began, result
