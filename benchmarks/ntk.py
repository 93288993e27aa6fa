"""Our empirical tangent kernel against neural-tangents and torch.func: seconds, peak memory, and growth with n."""

import contextlib
import os
import pathlib
import sys
import tempfile
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from benchmarks import timing, worker
from benchmarks.timing import Options, Rates, Table
from benchmarks.worker import Worker

PEERS = ('structured', 'contraction', 'products')  # the three methods of neural-tangents
OTHERS = ('torch.func',)
OTHER_METHODS = (*PEERS[1:], *OTHERS)
SIZES = (64, 128, 256)
QUICK = (16,)  # of 8, torch sums the four million terms of an entry in a way that is 2e-4 off; ours is 2e-7 from float64
TOLERANCE = 1e-4  # of the largest entry
SECONDS = 0.3  # of one side's turn, about
SLOW = 2.0  # seconds from which one call is all that is timed
LIMIT = 20.0  # seconds that a peer's call may take; three times those at half the n are expected
MOST = 8 * 2**30  # bytes that it may take; four times those at half the n are expected


class Case(NamedTuple):
  """A network and a kind of kernel, with the least ratio of speeds that is wanted."""

  name: str
  shapes: tuple[tuple[int, ...], ...]  # of the layers' weights
  inputs: tuple[int, ...]
  trace: bool
  target: float

  @property
  def parameters(self) -> int:
    return sum(int(np.prod(shape)) + shape[-1] for shape in self.shapes)


MLP = dict(shapes=((784, 512), (512, 512), (512, 10)), inputs=(784,))
CNN = dict(shapes=((3, 3, 1, 16), (3, 3, 16, 32), (1568, 10)), inputs=(28, 28, 1))
CASES = (
  Case('MLP, trace', **MLP, trace=True, target=1.8),
  Case('MLP, full', **MLP, trace=False, target=1.5),
  Case('CNN, trace', **CNN, trace=True, target=1.5),
  Case('CNN, full', **CNN, trace=False, target=1.5),
)


class Measured(NamedTuple):
  """One case at one n."""

  case: Case
  n: int
  first: Mapping[str, Mapping]  # method -> what its fresh worker said
  milliseconds: Mapping[str, float]  # of a call, in a first look
  best: str  # the fastest of PEERS
  ours: Rates
  peer: Rates
  apart: float  # the kernels of ours and of every peer, the worst


def speed(options: Options) -> Table:
  """Ours against the fastest method of neural-tangents, in turn, and one look at the others."""
  header = (
    'kernel', 'n', 'target', 'ours, ms', 'peer, ms', 'ratio: median', 'min - max', 'met', 'ratio, processor time',
    'kernels apart by', *(f'{name}, ms' for name in (*PEERS, *OTHERS)),
  )  # fmt: skip
  return Table(f'Empirical NTK: {_networks()}', header, *_rows(options, _fast))


def memory(options: Options) -> Table:
  """The peaks of a fresh process for each method: of all of it, beyond its imports and arguments, and of one call alone."""
  header = (
    'kernel', 'n', 'ours: all', 'compiling and calling', 'a call', 'peer: all', 'compiling and calling', 'a call',
    'ours/peer: all', 'compiling and calling', 'a call', 'target', 'met by a call',
    *(f'{name}: a call' for name in OTHER_METHODS),
  )  # fmt: skip
  return Table('Peak memory of an empirical NTK, MiB', header, *_rows(options._replace(rounds=1), _large))


def growth(options: Options) -> Table:
  """The exponent of n in our time, from a line through the logarithms."""
  sizes, rows = (8, 16) if options.quick else (*SIZES, 512), []
  for case in CASES:
    with contextlib.ExitStack() as stack:
      folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
      workers = {n: _start(stack, folder, case, n, 'ours', options) for n in sizes}
      rates = _alternate(workers, options.rounds)
    times = {n: 1e3 / rate.wall for n, rate in rates.items()}
    slopes = [np.polyfit(np.log(sizes), np.log([times[n][i] for n in sizes]), 1)[0] for i in range(options.rounds)]
    middle = [float(np.median(times[n])) for n in sizes]
    met = 'yes' if np.median(slopes) <= 2 else 'no'
    rows.append((case.name, *(f'{value:.3g}' for value in middle), timing.spread(slopes), '<= 2', met))
  header = ('kernel', *(f'n = {n}, ms' for n in sizes), 'exponent of n', 'target', 'met')
  return Table('How the time of our kernel grows', header, rows)


def measure(case: Case, n: int, options: Options, before: Measured | None = None) -> Measured:
  """All methods once, then ours and the best of neural-tangents in turn. `before` is the same at half the n.

  Raises:
    timing.Disagreement: a kernel differs from ours by more than TOLERANCE of the largest entry.
  """
  with contextlib.ExitStack() as stack:
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
    own = _start(stack, folder, case, n, 'ours', options)
    first, looks, apart = {'ours': own.first}, {'ours': _look(own)}, 0.0
    kept = {'ours': own}
    for name in (*PEERS, *OTHERS):
      if name != 'structured' and _hopeless(case, n, name, before):
        continue
      side = _start(stack, folder, case, n, name, options)
      apart = max(apart, _apart(folder, name))
      first[name], looks[name] = side.first, _look(side)
      best = min((m for m in PEERS if m in looks), key=looks.get)
      if name == best:
        kept['peer'].close() if 'peer' in kept else None
        kept['peer'] = side
      else:
        side.close()
    rates = _alternate(kept, options.rounds)
  return Measured(case, n, first, looks, best, rates['ours'], rates['peer'], apart)


def _rows(options: Options, row) -> tuple[list[tuple[str, ...]], list[str]]:
  if not options.peer_python:
    return [], ['Not run: --peer_python says which python has neural-tangents; see benchmarks/README.md.']
  rows = []
  for case in CASES:
    found = None
    for n in QUICK if options.quick else SIZES:
      found = measure(case, n, options, found)
      rows.append(row(found))
  return rows, [*_versions(found), *NOTES]


NOTES = (
  'peer: the fastest of the three methods of neural-tangents. Last columns: a first look at each method, of one call or few.',
  f'"-": not run, because by what it took at half the n a call would need over {LIMIT:.0f} s or {MOST >> 30} GiB.',
)


def _fast(found: Measured) -> tuple[str, ...]:
  ratios = found.ours.wall / found.peer.wall
  middle = float(np.median(ratios))
  looks = found.milliseconds
  return (
    found.case.name, f'{found.n}', f'>= {found.case.target:g}x', f'{1e3 / np.median(found.ours.wall):.1f}',
    f'{1e3 / np.median(found.peer.wall):.1f}, {found.best}', f'{middle:.2f}x', f'{ratios.min():.2f} - {ratios.max():.2f}',
    'yes' if middle >= found.case.target else 'no', f'{timing.spread(found.ours.processor / found.peer.processor)}x',
    f'{found.apart:.0e} < {TOLERANCE:.0e}', *(f'{looks[m]:,.0f}' if m in looks else '-' for m in (*PEERS, *OTHERS)),
  )  # fmt: skip


def _large(found: Measured) -> tuple[str, ...]:
  parts = lambda said: np.array([said['peak'], said['peak'] - said['before'], said['extra']])
  ours, peer = parts(found.first['ours']), parts(found.first[found.best])
  others = (found.first.get(name) for name in OTHER_METHODS)
  return (
    found.case.name, f'{found.n}', *(f'{value:,.0f}' for value in ours), f'{peer[0]:,.0f}, {found.best}',
    *(f'{value:,.0f}' for value in peer[1:]), *(f'{value:.2f}' for value in ours / np.maximum(peer, 1)),
    '<= 0.5', 'yes' if ours[2] <= 0.5 * peer[2] else 'no', *(f'{said["extra"]:,.0f}' if said else '-' for said in others),
  )  # fmt: skip


def _alternate(workers: Mapping, rounds: int) -> dict:
  """As timing.alternate does, by the clocks of the workers: calls a second."""
  numbers = {name: max(1, round(SECONDS / side.calls(1)[0])) for name, side in workers.items()}
  rates = {name: [] for name in workers}
  for _ in range(rounds):
    for name, side in workers.items():
      rates[name].append(numbers[name] / np.array(side.calls(numbers[name])))
  return {name: Rates(*np.array(some).T) for name, some in rates.items()}


def _look(side: Worker) -> float:
  """Milliseconds of a call: the least of a few, or the only one where it is slow."""
  seconds = side.calls(1)[0]
  return 1e3 * (seconds if seconds > SLOW else min(seconds, *(side.calls(1)[0] for _ in range(3))))


def _hopeless(case: Case, n: int, method: str, before: Measured | None) -> bool:
  """Whether a method is left out: too slow or too large at half the n, or its Jacobian alone too large."""
  if 4 * n * case.shapes[-1][-1] * case.parameters > MOST:
    return True
  if before is None:
    return False
  said = before.first.get(method)
  return said is None or 3 * before.milliseconds[method] > 1e3 * LIMIT or 4 * (said['peak'] - said['before']) * worker.MIB > MOST


def _start(stack: contextlib.ExitStack, folder: pathlib.Path, case: Case, n: int, method: str, options: Options) -> Worker:
  """A worker that has made the kernel of this case once; it ends with the stack."""
  problem = folder / f'{n}.npz'
  if not problem.exists():
    np.savez(problem, **_problem(case, n))
  python, module = (sys.executable, 'own_ntk') if method not in PEERS else (options.peer_python, 'peer_ntk')
  environment = {name: value for name, value in os.environ.items() if name != 'NPROC'}  # both with jax's own threads
  side = worker.start(python, [f'benchmarks.{module}', method, str(problem), str(folder / f'{method}.npy')], **environment)
  stack.callback(side.close)
  return side


def _problem(case: Case, n: int) -> dict[str, np.ndarray]:
  """Weights of variance 1/fan-in, small biases, and standard normal examples: the same for all sides."""
  draw = np.random.default_rng(0).standard_normal
  arrays = {'trace': np.array(case.trace)}
  for i, shape in enumerate(case.shapes):
    arrays[f'w{i}'] = (draw(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)
    arrays[f'b{i}'] = (0.1 * draw(shape[-1])).astype(np.float32)
  return arrays | {'x': draw((n, *case.inputs)).astype(np.float32)}


def _apart(folder: pathlib.Path, name: str) -> float:
  """The largest difference from our kernel, relative to its largest entry."""
  ours, theirs = np.load(folder / 'ours.npy'), np.load(folder / f'{name}.npy')
  if ours.shape != theirs.shape:
    raise timing.Disagreement(f'the kernel of {name} has shape {theirs.shape}, and ours {ours.shape}')
  apart = float(np.abs(ours - theirs).max() / np.abs(ours).max())
  if not apart <= TOLERANCE:
    raise timing.Disagreement(
      f'the kernel of {name} differs from ours by {apart:.1g} of its largest entry; {TOLERANCE:.0g} was allowed'
    )
  return apart


def _networks() -> str:
  by_name = {case.name.partition(',')[0]: case.parameters for case in CASES}
  return ' and '.join(f'{name} ({count:,} parameters)' for name, count in by_name.items())


def _versions(found: Measured) -> list[str]:
  return [', '.join(dict.fromkeys(f'{said["versions"]}' for said in found.first.values())) + '.']
