"""What a running job shows: step, rate, time left and the last readings. Lines in a file, one moving line in a terminal."""

import contextlib
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

import numpy as np

PATIENCE = 2.0  # seconds until a silent job says something
LONGEST = 60.0  # seconds between lines where the output is a file: the pause doubles from PATIENCE up to this
TICK = 0.2  # seconds between looks at the clock, and between moves of a terminal's line
SHOWN = ('train_loss', 'train_accuracy', 'test_accuracy')


class Screen:
  """A stream: lines that stay (`say`), and what is going on (`show`), told by a thread when nothing was heard for a while."""

  def __init__(self, stream: TextIO):
    self._stream, self._terminal = stream, stream.isatty()
    self._lock = threading.RLock()
    self._text, self._since, self._moving = '', time.monotonic(), False
    self._due, self._pause = self._since + PATIENCE, PATIENCE

  def say(self, text: str) -> None:
    """A line that stays."""
    with self._lock:
      self.clear()
      print(text, file=self._stream, flush=True)
      self._due, self._pause = time.monotonic() + PATIENCE, PATIENCE

  def show(self, text: str) -> None:
    """What is going on from now on."""
    with self._lock:
      self._text, self._since = text, time.monotonic()

  def tick(self) -> None:
    """Tells what is going on, where that is due."""
    with self._lock:
      now = time.monotonic()
      if not self._text or now < self._due:
        return
      gone = now - self._since
      text = f'  {self._text}' + (f'  +{duration(gone)}' if gone >= PATIENCE else '')
      if self._terminal:
        width = shutil.get_terminal_size().columns - 1
        print(text[:width].ljust(width), end='\r', file=self._stream, flush=True)
        self._moving, self._due = True, now + TICK
      else:
        print(text, file=self._stream, flush=True)
        self._pause = min(2 * self._pause, LONGEST)
        self._due = now + self._pause

  def clear(self) -> None:
    """Wipes the moving line."""
    with self._lock:
      if self._moving:
        print(' ' * (shutil.get_terminal_size().columns - 1), end='\r', file=self._stream, flush=True)
        self._moving = False


@contextlib.contextmanager
def opened(stream: TextIO | None = None) -> Iterator[Screen]:
  """A screen on standard output, or on another stream, with its clock running."""
  screen, ended = Screen(stream or sys.stdout), threading.Event()

  def run():
    with contextlib.suppress(OSError, ValueError):  # nobody reads any more: the main thread will be told
      while not ended.wait(TICK):
        screen.tick()

  thread = threading.Thread(target=run, daemon=True)
  thread.start()
  try:
    yield screen
  finally:
    ended.set()
    thread.join()
    screen.clear()


@contextlib.contextmanager
def reporting(steps: int, members: int, quiet: bool = False) -> Iterator[Callable[['Event'], None]]:  # noqa: F821
  """A function that takes events of `dynamics.train` and shows them on standard error; where `quiet`, it shows nothing."""
  if quiet:
    yield lambda event: None
    return
  with opened(sys.stderr) as screen:
    screen.show('compiling')
    yield reporter(steps, members, screen)


def reporter(steps: int, members: int, screen: Screen) -> Callable[['Event'], None]:  # noqa: F821
  """A function that takes events of `dynamics.train` and keeps the screen told of how far the run is."""
  warm, recent, last, before = set(), deque(maxlen=50), {}, 0

  def take(event):
    nonlocal before
    known = {part: seconds for part, seconds in event.seconds.items() if part in warm}  # a program's first call compiles it
    if 'train' in known:
      recent.append((event.step - before, sum(known.values())))
    warm.update(event.seconds)
    before = event.step
    last.update(_medians(event.readings.get('performance', {})))
    screen.show(line(event.step, steps, members, recent, last))

  return take


def line(step: int, steps: int, members: int, recent, last: Mapping[str, float]) -> str:
  """'step 120/300  40%  410 member-steps/s  2 s left  test_accuracy 0.98'; `recent` holds (steps, seconds)."""
  seconds = sum(s for _, s in recent)
  rate = sum(n for n, _ in recent) / seconds if seconds > 0 else 0.0
  pace = [f'{rate * members:,.0f} member-steps/s', f'{duration((steps - step) / rate)} left'] if rate > 0 else ['compiling']
  words = [f'step {step}/{steps}', f'{100 * step // max(steps, 1)}%', *pace]
  return '  '.join(words + [f'{name} {value:.4g}' for name, value in last.items()])


def stopwatch() -> Callable[[], float]:
  """A function that gives the seconds since it was last called."""
  last = time.perf_counter()

  def lap():
    nonlocal last
    before, last = last, time.perf_counter()
    return last - before

  return lap


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
  for unit in ('B', 'kB', 'MB'):
    if count < 1000:
      return f'{count:.3g} {unit}'
    count /= 1000
  return f'{count:.3g} GB'


def _medians(reading: Mapping[str, np.ndarray]) -> dict[str, float]:
  return {name: float(np.median(reading[name])) for name in SHOWN if name in reading}
