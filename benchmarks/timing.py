"""Sides in turn, A B A B, in one process; medians and spreads; tables. Nothing here asserts on time."""

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np


class Table(NamedTuple):
  title: str
  header: Sequence[str]
  rows: Sequence[Sequence[str]]
  notes: Sequence[str] = ()


class Options(NamedTuple):
  """What a command line may change."""

  rounds: int = 9
  quick: bool = False  # short runs, to see that everything works; the numbers mean little
  peer_python: str = ''  # the interpreter of an environment with neural-tangents; without it its benchmarks are left out


class Disagreement(RuntimeError):
  """Two sides that should compute the same do not, so their times cannot be compared."""


class Rates(NamedTuple):
  """Units a second of one side, (rounds,): by the clock, and by the processor time of the whole process."""

  wall: np.ndarray
  processor: np.ndarray


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Rates]:
  """Calls each side in turn, `rounds` times over. A side works for a while and returns how much it did.

  One round before the first is not counted: it compiles and warms caches.
  """
  for work in sides.values():
    work()
  series = {name: [] for name in sides}
  for _ in range(rounds):
    for name, work in sides.items():
      wall, processor = time.perf_counter(), time.process_time()
      done = work()
      series[name].append((done / (time.perf_counter() - wall), done / (time.process_time() - processor)))
  return {name: Rates(*np.array(rounds).T) for name, rounds in series.items()}


def agree(ours: float, theirs: float, tolerance: float, what: str) -> str:
  """'2e-07': the relative difference.

  Raises:
    Disagreement: it is larger than `tolerance`, or not a number.
  """
  apart = abs(ours - theirs) / abs(theirs)
  if not apart <= tolerance:
    raise Disagreement(f'{what}: ours is {ours!r} and the peer has {theirs!r}, {apart:.1g} apart; {tolerance:.0g} was allowed')
  return f'{apart:.0e} < {tolerance:.0e}'


@contextlib.contextmanager
def exact() -> Iterator[None]:
  """Full float32 products, for agreement on devices that would round them. On a CPU they are exact anyway."""
  with contextlib.nullcontext() if jax.default_backend() == 'cpu' else jax.default_matmul_precision('float32'):
    yield


COMPARED = (
  'what', 'target', 'ours', 'peer', 'ratio: median', 'min - max', 'met', 'ratio, processor time', 'losses apart by',
  'ours, of a matrix product',
)  # fmt: skip


def compared(
  what: str, target: float, rates: Mapping[str, Rates], side: str, agreement: str, threads: int, flops: int
) -> tuple[str, ...]:
  """A row of the header COMPARED: rates of `side` and of 'peer', and the ratios of neighbours in time.

  `flops` is what one step of a member takes; 'product' is the side of `flops.square_product`.
  """
  ours, peer = rates[side], rates['peer']
  ratios = ours.wall / peer.wall
  middle = float(np.median(ratios))
  return (
    what,
    f'>= {target:g}x',
    f'{np.median(ours.wall):,.0f}/s',
    f'{np.median(peer.wall):,.0f}/s, {threads} thread{"s" if threads > 1 else ""}',
    f'{middle:.2f}x',
    f'{ratios.min():.2f} - {ratios.max():.2f}',
    'yes' if middle >= target else 'no',
    f'{spread(ours.processor / peer.processor)}x',
    agreement,
    f'{spread(100 * flops * ours.wall / rates["product"].wall)} %',
  )


def spread(values: Sequence[float], form: str = '.3g') -> str:
  """'1.2 (1.1 - 1.4)': median and range."""
  return f'{np.median(values):{form}} ({np.min(values):{form}} - {np.max(values):{form}})'


def surroundings() -> str:
  """One line: device, cores, versions, and how busy the machine was."""
  device = jax.devices()[0]
  versions = [f'python {platform.python_version()}', f'jax {jax.__version__}', _torch_version()]
  cores = len(os.sched_getaffinity(0))
  load = os.getloadavg()[0]
  place = f'{device.platform} ({device.device_kind}), {cores} cores ({_processor()})'
  return f'{place}; {", ".join(versions)}; load {load:.1f} at the start'


def show(table: Table, markdown: bool) -> str:
  """A table as text, or as markdown."""
  cells = [tuple(map(str, row)) for row in (table.header, *table.rows)]
  widths = [max(len(row[i]) for row in cells) for i in range(len(table.header))]
  if markdown:
    lines = [f'| {" | ".join(row)} |' for row in cells]
    lines.insert(1, f'|{"---|" * len(table.header)}')
    return '\n'.join([f'### {table.title}', '', *lines, '', *table.notes, ''])
  lines = ['  '.join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in cells]
  return '\n'.join([table.title, *(f'  {line}' for line in lines), *(f'  {note}' for note in table.notes), ''])


def _torch_version() -> str:
  try:
    import torch
  except ModuleNotFoundError:
    return 'no torch'
  return f'torch {torch.__version__}' + ('' if torch.version.cuda else ' (CPU build)')


def _processor() -> str:
  with contextlib.suppress(OSError), open('/proc/cpuinfo') as file:
    for line in file:
      if line.startswith('model name'):
        return line.partition(':')[2].strip()
  return platform.processor() or 'unknown'
