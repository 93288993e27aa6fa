"""Mirrors of a run for other programs: what TensorBoard and Weights & Biases read, a run of theirs for each member.

Only single numbers are mirrored, under 'probe/reading'; tables hold all. Nothing is sent anywhere, and nothing is read back.
"""

import contextlib
import difflib
import importlib.util
import pathlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dynamics.schema import ConfigError
from experiments.disk import StoreError, faults, reason

MOST = 64  # members of a cell; each has a file, and a thread or more, of its own
PROJECT = 'training-dynamics'

Sink = Callable[['Event'], None]  # noqa: F821  # takes the events of `dynamics.train`
Members = Mapping[str, Mapping[str, Any]]  # name -> settings


def parse(text: str) -> tuple[str, ...]:
  """The kinds of `--log=tensorboard,wandb`.

  Raises:
    ConfigError: one that is unknown or not installed.
  """
  kinds = tuple(dict.fromkeys(text.split(',')))
  for kind in kinds:
    if kind not in KINDS:
      near = [f'did you mean {word}? ' for word in difflib.get_close_matches(kind, KINDS, n=1)]
      raise ConfigError(f'--log is {text!r}; {"".join(near)}there are: {", ".join(KINDS)}.')
    if importlib.util.find_spec(KINDS[kind][0]) is None:
      raise ConfigError(f"--log={kind} needs the package {KINDS[kind][0]}, which is not installed: pip install -e '.[log]'.")
  return kinds


def check(kinds: Sequence[str], members: int) -> None:
  """Refuses a cell of too many members."""
  if kinds and members > MOST:
    raise ConfigError(f'--log makes a run of its own for each member, at most {MOST}, and a cell has {members}: leave it out.')


@contextlib.contextmanager
def opened(kinds: Sequence[str], folder: pathlib.Path, members: Members, after: int | None = None) -> Iterator[Sink]:
  """A sink of a run's events that writes below folder/log.

  Args:
    kinds: from `parse`; none writes nothing.
    folder: of the run.
    members: in their order.
    after: the step after which the run goes on, so that what was mirrored of later steps is void.
  """
  with contextlib.ExitStack() as stack:
    sinks = [stack.enter_context(KINDS[kind][1](folder, members, after)) for kind in kinds]

    def take(event):
      numbers = dict(scalars(event.readings)) if sinks else {}
      for sink in sinks if numbers else ():
        sink(event.step, numbers)

    yield take


def scalars(readings: Mapping[str, Any], way: tuple[str, ...] = ()) -> Iterator[tuple[str, np.ndarray]]:
  """('probe/reading', (m,)) of all readings that are single numbers."""
  for name, value in readings.items():
    if isinstance(value, Mapping):
      yield from scalars(value, (*way, name))
    elif np.ndim(value) == 1:
      yield '/'.join((*way, name)), np.asarray(value)


@contextlib.contextmanager
def tensorboard(folder: pathlib.Path, members: Members, after: int | None):
  """Event files under log/tensorboard/<member>."""
  from tensorboardX import SummaryWriter

  purge = None if after is None else after + 1  # TensorBoard then leaves out what earlier files have from there on
  place = folder / 'log' / 'tensorboard'
  with contextlib.ExitStack() as stack:
    with faults(folder):
      names = [re.sub(r'[^\w.+-]+', '_', name) for name in members]
      more = dict(purge_step=purge, flush_secs=10, filename_suffix=f'.{time.time_ns()}')  # else named by the second alone
      writers = [stack.enter_context(SummaryWriter(str(place / name), **more)) for name in names]

    def take(step, numbers):
      for tag, values in numbers.items():
        for writer, value in zip(writers, values, strict=True):
          writer.add_scalar(tag, float(value), step)

    yield take


@contextlib.contextmanager
def wandb(folder: pathlib.Path, members: Members, after: int | None):
  """Offline runs under log/wandb, to be sent by `wandb sync`; the runs of a cell are a group."""
  import wandb as library

  quiet = library.Settings(silent=True, console='off', disable_git=True, disable_code=True, x_disable_stats=True)
  common = dict(project=PROJECT, group=folder.name, mode='offline', resume='allow', reinit='create_new', settings=quiet)
  (folder / 'log').mkdir(parents=True, exist_ok=True)
  with contextlib.ExitStack() as stack:
    try:
      runs = [
        stack.enter_context(library.init(name=name, id=f'{folder.name}-{i}', config=dict(of), dir=folder / 'log', **common))
        for i, (name, of) in enumerate(members.items())
      ]
    except Exception as error:  # whatever its service meets
      raise StoreError(f'--log=wandb cannot start ({reason(error)}): mend that, or leave it out.') from error

    def take(step, numbers):
      for i, run in enumerate(runs):
        run.log({tag: float(values[i]) for tag, values in numbers.items()}, step=step)

    yield take


KINDS = {'tensorboard': ('tensorboardX', tensorboard), 'wandb': ('wandb', wandb)}  # kind -> its package, its sink
