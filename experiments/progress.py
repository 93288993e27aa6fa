"""What a running job shows: step, rate, time left and the last readings. Lines in a file, one moving line in a terminal."""

import time
from collections.abc import Callable, Mapping

import numpy as np
from rich.console import Console

from dynamics.train import Event

PATIENCE = 2.0  # seconds until a silent job says something
PAUSE = 10.0  # seconds between lines where the output is a file
SHOWN = ('train_loss', 'train_accuracy', 'test_accuracy')


def reporter(steps: int, members: int, console: Console) -> Callable[[Event], None]:
  """A function that takes events and shows how far the run is."""
  terminal = console.is_terminal
  begun = time.monotonic()
  shown, seen, last = begun + PATIENCE - (0.2 if terminal else PAUSE), [], {}

  def show(event: Event) -> None:
    nonlocal shown
    now = time.monotonic()
    seen.append((now, event.step))
    del seen[:-200]
    last.update(_medians(event.readings.get('performance', {})))
    if now - shown >= (0.2 if terminal else PAUSE):
      shown = now
      console.print(line(event.step, steps, members, seen, last), end='\r' if terminal else '\n', highlight=False)
    if terminal and event.step == steps:
      console.print(' ' * (console.width - 1), end='\r')

  return show


def line(step: int, steps: int, members: int, seen: list[tuple[float, int]], last: Mapping[str, float]) -> str:
  """'step 120/300  40%  410 member-steps/s  2 s left  test_accuracy 0.98'."""
  (t0, s0), (t1, s1) = seen[0], seen[-1]
  rate = (s1 - s0) / (t1 - t0) if t1 > t0 else 0.0
  left = f'{duration((steps - step) / rate)} left' if rate > 0 else 'compiling'
  words = [f'  step {step}/{steps}', f'{100 * step // steps}%', f'{rate * members:,.0f} member-steps/s', left]
  return '  '.join(words + [f'{name} {value:.4g}' for name, value in last.items()])


def duration(seconds: float) -> str:
  """'45 s', '3 min 20 s', '2 h 5 min'."""
  whole = round(seconds)
  if whole < 60:
    return f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60} s'
  return f'{whole // 3600} h {whole % 3600 // 60} min'


def size(count: float) -> str:
  """'3.2 MB'."""
  for unit in ('B', 'kB', 'MB', 'GB'):
    if count < 1000 or unit == 'GB':
      return f'{count:.3g} {unit}'
    count /= 1000
  raise AssertionError('the last unit takes everything')


def _medians(reading: Mapping[str, np.ndarray]) -> dict[str, float]:
  return {name: float(np.median(reading[name])) for name in SHOWN if name in reading}
