"""Member-steps a second against an eager PyTorch loop, from the same weights on the same data."""

from collections.abc import Callable

from benchmarks import flops, problems, timing
from benchmarks.problems import LARGE, PAPER, SMALL, Subject
from benchmarks.timing import Options, Table

CHECKED = 10  # steps after which both sides must have the same loss


def paper(options: Options) -> Table:
  """The paper's full-batch step, for one member and for eight; the peer trains its eight one after another."""
  from benchmarks import peer

  rows = []
  for members, layouts in ((1, ('vmap',)), (8, ('vmap', 'map'))):
    steps = 4 if options.quick else max(4, 40 // members)
    subjects = {layout: problems.subject(PAPER, members, layout=layout, probes=False) for layout in layouts}
    sides = {layout: problems.steady(item, steps) for layout, item in subjects.items()}
    threads = peer.fastest(_eager_full(subjects[layouts[0]], 1, 3))
    agreements = {layout: _agree_full(item, members) for layout, item in subjects.items()}
    sides |= {'peer': _eager_full(subjects[layouts[0]], members, steps), 'product': flops.square_product()}
    rates, needed = timing.alternate(sides, options.rounds), problems.step_flops(subjects[layouts[0]])
    for layout in layouts:
      what = f'{members} member{"s" if members > 1 else ""}, {layout}'
      rows.append(timing.compared(what, 1.4, rates, layout, agreements[layout], threads, needed))
  title = 'Modular addition p = 113, 226-200-200-113, full batch of 5,107, AdamW, perpendicular gradient: member-steps'
  return Table(title, timing.COMPARED, rows, [SHARE])


SHARE = (
  f'of a matrix product: the operations of the matrix products of our steps, a second, over those of a float32 product of '
  f'{flops.SIDE} x {flops.SIDE} matrices, in the same rounds.'
)
PROBED = 'ours: train.events from step 0 to the end, the default probes at the default schedule, in the time'


def small(options: Options) -> Table:
  """A network that is bound by dispatch: whole runs of ours, probes at the default schedule and all."""
  rows = _whole_runs(SMALL, 1, 18, 50_000, 2_000, options)
  return Table('64-32-10 on digits, batch 32, SGD: steps', timing.COMPARED, rows, [PROBED, SHARE])


def ensemble(options: Options) -> Table:
  """Sixteen of the small networks."""
  rows = _whole_runs(SMALL, 16, 25, 10_000, 2_000, options)
  return Table('Sixteen times 64-32-10 on digits, batch 32, SGD: member-steps', timing.COMPARED, rows, [PROBED, SHARE])


def large(options: Options) -> Table:
  """A network that is bound by its products."""
  rows = _whole_runs(LARGE, 1, 1.5, 3_000, 500, options)
  return Table('64-256-256-10 on digits, batch 128, SGD: steps', timing.COMPARED, rows, [PROBED, SHARE])


def _whole_runs(config, members: int, target: float, steps: int, peer_steps: int, options: Options):
  from benchmarks import peer

  if options.quick:
    steps, peer_steps = 200, 20
  draws = ('epochs', 'independent')
  size = config['batch']['size']
  items = {d: problems.subject(config | dict(batch=dict(size=size, draw=d), steps=steps), members) for d in draws}
  sides: dict[str, Callable[[], float]] = {draw: lambda item=item: problems.run(item) for draw, item in items.items()}
  data = problems.data_of(items['epochs'], 0).train
  x, y = peer.tensor(data.x), peer.tensor(data.y)
  theirs = _peer(items['epochs'], 0)

  def eager():
    peer.minibatches(theirs, x, y, size, peer_steps)
    return peer_steps

  threads = peer.fastest(lambda: peer.minibatches(theirs, x, y, size, min(peer_steps, 100)))
  agreements = {draw: _agree_batches(item, members) for draw, item in items.items()}
  rates = timing.alternate({**sides, 'peer': eager, 'product': flops.square_product()}, options.rounds)
  name, needed = f'{members} member{"s" if members > 1 else ""}', problems.step_flops(items['epochs'])
  row = lambda d: timing.compared(f'{name}, draw={d}, {steps:,} steps', target, rates, d, agreements[d], threads, needed)
  return [row(draw) for draw in draws]


def _eager_full(item: Subject, members: int, steps: int) -> Callable[[], float]:
  from benchmarks import peer

  each = [(_peer(item, i), *_full_batch(item, i)) for i in range(members)]

  def work():
    for theirs, x, y in each:
      for _ in range(steps):
        theirs.step(x, y)
    peer.wait()
    return steps * members

  return work


def _agree_full(item: Subject, members: int) -> str:
  """The loss of every member after CHECKED steps on the full batch; the worst."""
  with timing.exact():
    state = item.advance(*item.start(), 0, CHECKED)
    ours = [problems.loss(item, state, i) for i in range(members)]

  def theirs(i):
    side, x, y = _peer(item, i), *_full_batch(item, i)
    for _ in range(CHECKED):
      side.step(x, y)
    return side.loss(x, y)

  return _worst(ours, [theirs(i) for i in range(members)], 1e-3)


def _agree_batches(item: Subject, members: int) -> str:
  """The same on the minibatches that our sampler draws, for the first and the last member."""
  from benchmarks import peer

  checked = sorted({0, members - 1})

  with timing.exact():
    state = item.advance(*item.start(), 0, CHECKED)
    ours = [problems.loss(item, state, i) for i in checked]

  def theirs(i):
    side, drawn, data = _peer(item, i), problems.batches(item, i, CHECKED), problems.data_of(item, i).train
    for x, y in zip(drawn.x, drawn.y, strict=True):
      side.step(peer.tensor(x), peer.tensor(y))
    return side.loss(peer.tensor(data.x), peer.tensor(data.y))

  return _worst(ours, [theirs(i) for i in checked], 1e-5)


def _worst(ours: list[float], theirs: list[float], tolerance: float) -> str:
  pairs = sorted(zip(ours, theirs, strict=True), key=lambda pair: abs(pair[0] / pair[1] - 1))
  return timing.agree(*pairs[-1], tolerance, f'the loss after {CHECKED} steps')


def _peer(item: Subject, i: int):
  """The peer of member i: its initial weights, and the optimizer that its config names."""
  from benchmarks import peer

  model = peer.network(problems.member(item.start()[0].variables['params'], i))
  hyper = {name: float(value[i]) for name, value in item.members.hyper.items()}
  if 'beta2' in hyper:
    return peer.train(model, peer.adamw(model, hyper['lr'], hyper['beta2'], hyper['eps']), perpendicular=True)
  return peer.train(model, peer.sgd(model, hyper['lr']))


def _full_batch(item: Subject, i: int):
  from benchmarks import peer

  data = problems.data_of(item, i).train
  return peer.one_hot(data.x, 2 * PAPER['data']['p']), peer.tensor(data.y)
