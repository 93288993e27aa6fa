"""What a report shows of runs: members told apart by their settings, and medians with bands over the seeds of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from analysis import tables

STEPS, MOMENTS = 300, 40  # times of a curve, and of an array, that are shown
ENTRIES = 1_600  # of an array
LEAVES = 6  # of a reading that every leaf has
SETTINGS = 24


class Run(NamedTuple):
  """One run of a config, as it was found."""

  name: str  # its identity
  settings: pd.DataFrame  # a row a member: seed, hyper values, swept fields
  steps: int  # of its training
  state: str = 'not run'  # or 'running', 'stopped', 'done'
  step: int = 0  # that it has reached
  seconds: float = 0.0  # that its training took, where it is done
  diverged: tuple[int, ...] = ()  # members
  sessions: tuple[Mapping[str, Any], ...] = ()  # of run.json: versions, device, commit, command, time
  readings: Mapping[str, xr.Dataset] = {}  # probe -> (member, step, axes of its own)
  notes: tuple[str, ...] = ()  # what is wrong with it, in sentences


def varied(runs: Sequence[Run]) -> list[str]:
  """The settings in which members differ, but for the seed."""
  members = pd.concat([run.settings for run in runs], ignore_index=True)
  return [name for name in members.columns if name != 'seed' and members[name].map(str).nunique() > 1]


def labels(run: Run, names: Sequence[str]) -> list[str]:
  """'lr 0.1, p 59' for each member: the settings that the run has, each called by the last word of its path."""
  present = [name for name in names if name in run.settings]
  rows = run.settings[present].itertuples(index=False)
  return [
    ', '.join(f'{last(name)} {word(value)}' for name, value in zip(present, row, strict=True)) or 'all members' for row in rows
  ]


def ranges(run: Run, names: Sequence[str]) -> str:
  """'lr 0.1 to 1 (5 values), p 59': what the members of a run have of the settings in which all members differ."""
  parts = []
  for name in [name for name in names if name in run.settings]:
    values = list(dict.fromkeys(map(word, run.settings[name])))
    several = f'{values[0]} to {values[-1]} ({len(values)} values)'
    parts.append(f'{last(name)} {values[0] if len(values) == 1 else several}')
  return ', '.join(parts)


def last(path: str) -> str:
  return path.rpartition('.')[2]


def word(value: Any) -> str:
  """A setting as a reader sees it."""
  return f'{value:g}' if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) else str(tables.text(value))


def settings(runs: Sequence[Run]) -> tuple[list[str], int]:
  """The labels that are shown, evenly spaced among all in the order of the sweep, and how many there are."""
  names = varied(runs)
  every = list(dict.fromkeys(label for run in runs for label in labels(run, names)))
  return _few(every, SETTINGS), len(every)


def probes(runs: Iterable[Run]) -> list[str]:
  """Those of which there are readings, in order."""
  return list(dict.fromkeys(probe for run in runs for probe in run.readings))


def curves(runs: Sequence[Run], probe: str) -> pd.DataFrame:
  """A row a (reading, setting, step): median, low and high over members, how many there are, and of how many it is no number."""
  parts = []
  for each, arrays in _of(runs, probe):
    for reading, values in arrays.data_vars.items():
      if values.ndim == 2:
        parts.append(_long(values, each).assign(reading=reading))
  return _summary(parts, ['reading', 'setting', 'step'])


def moments(runs: Sequence[Run], probe: str) -> tuple[pd.DataFrame, list[str]]:
  """Medians over members of array readings, a row a (reading, setting, step, row, column), and what is too large to show.

  An array of one axis has column 0 alone.
  """
  parts, large = [], []
  for each, arrays in _of(runs, probe):
    for reading, values in arrays.data_vars.items():
      shape = values.shape[2:]
      if values.ndim not in (3, 4) or np.prod(shape) > ENTRIES:
        large += [f'{reading} ({", ".join(map(str, shape))})'] * (values.ndim > 2)
        continue
      for place in np.ndindex(shape):
        row, column = (*place, 0)[:2]
        entry = _long(values[(slice(None), slice(None), *place)], each)
        parts.append(entry.assign(reading=reading, row=row, column=column))
  return _summary(parts, ['reading', 'setting', 'step', 'row', 'column']), sorted(set(large))


def thinned(table: pd.DataFrame, most: int) -> pd.DataFrame:
  """At most so many of the steps of a table, the first and the last among them."""
  steps = np.unique(table['step'])
  if len(steps) <= most:
    return table
  return table[table['step'].isin(steps[np.linspace(0, len(steps) - 1, most).round().astype(int)])]


def shown(readings: Sequence[str]) -> tuple[list[str], int]:
  """Readings to draw, and how many are left out: of those that all leaves have, 'x_of/leaf', a few from the first to the last."""
  families: dict[str, list[str]] = {}
  for reading in readings:
    families.setdefault(reading.partition('/')[0] if '_of/' in reading else reading, []).append(reading)
  chosen = [reading for family in families.values() for reading in _few(family, LEAVES)]
  return chosen, len(readings) - len(chosen)


def _few(values: Sequence[str], most: int) -> list[str]:
  """At most so many, evenly spaced from the first to the last."""
  return [values[i] for i in np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))]


def _of(runs: Sequence[Run], probe: str) -> Iterator[tuple[list[str], xr.Dataset]]:
  """The labels of members, and their readings, of the settings that are shown."""
  names, chosen = varied(runs), set(settings(runs)[0])
  for run in runs:
    if probe in run.readings:
      each = labels(run, names)
      there = [i for i in run.readings[probe]['member'].to_numpy() if each[i] in chosen]
      if there:
        yield each, run.readings[probe].sel(member=there)


def _long(values: xr.DataArray, settings: Sequence[str]) -> pd.DataFrame:
  """(member, step) values as rows of setting, step and value."""
  members, steps = values['member'].to_numpy(), values['step'].to_numpy()
  setting = np.array(settings, object)[members]
  numbers = values.to_numpy().astype(float)
  return pd.DataFrame({'setting': np.repeat(setting, len(steps)), 'step': np.tile(steps, len(members)), 'value': numbers.ravel()})


def _summary(parts: Sequence[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
  columns = ['median', 'low', 'high', 'members', 'lost']
  if not parts:
    return pd.DataFrame(columns=[*keys, *columns])
  rows = pd.concat(parts, ignore_index=True)
  rows['value'] = rows['value'].where(np.isfinite(rows['value']))
  groups = rows.groupby(keys, sort=False)['value']
  table = groups.agg(median='median', low='min', high='max', members='size', count='count').reset_index()
  return table.assign(lost=table['members'] - table.pop('count'))
