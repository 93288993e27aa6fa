"""Curves of one run, in letters for a terminal and as a figure. Readings are DataArrays (member, step)."""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of the dots of a letter
SEVERAL = 10  # settings that get a colour and a name each


def places(steps: np.ndarray) -> np.ndarray:
  """Where steps lie between 0 and 1: along log(1 + t) where most readings are early, else along t."""
  steps = np.asarray(steps, float)
  x = np.log1p(steps) if is_early(steps) else steps
  return (x - x[0]) / max(x[-1] - x[0], 1e-12)


def is_early(steps: np.ndarray) -> bool:
  """Whether more than half of the readings lie in the first tenth."""
  return len(steps) > 4 and bool(np.median(steps) < steps[0] + 0.1 * (steps[-1] - steps[0]))


def lines(name: str, steps: np.ndarray, values: np.ndarray, width: int, height: int, plain: bool = False) -> list[str]:
  """Curves (m, t) as a heading and `height` lines of at most `width` letters; `plain` keeps to ASCII."""
  finite = values[np.isfinite(values)]
  if not len(finite):
    return [f'{name}: no finite value yet']
  low, high = finite.min(), finite.max()
  dots = np.zeros((height, width) if plain else (4 * height, 2 * width), bool)
  columns = np.linspace(0, 1, dots.shape[1])
  for row in values:
    known = np.isfinite(row)
    if known.any():
      x = places(steps)[known]
      level = (np.interp(columns, x, row[known]) - low) / max(high - low, 1e-300)
      inside = (columns >= x[0]) & (columns <= x[-1] + 1e-9)
      dots[np.rint((1 - level[inside]) * (len(dots) - 1)).astype(int), np.flatnonzero(inside)] = True
  axis = 'log t' if is_early(steps) else 't'
  last = np.nanmedian(values[:, -1]) if np.isfinite(values[:, -1]).any() else np.nan
  return [f'{name}  {low:.4g} .. {high:.4g}, now {last:.4g}, steps {steps[0]}..{steps[-1]} along {axis}', *_letters(dots, plain)]


def _letters(dots: np.ndarray, plain: bool) -> list[str]:
  if plain:
    return [''.join('*' if dot else ' ' for dot in row).rstrip() for row in dots]
  height, width = dots.shape[0] // 4, dots.shape[1] // 2
  codes = np.einsum('hawb,ab->hw', dots.reshape(height, 4, width, 2).astype(int), BRAILLE)
  return [''.join(chr(0x2800 + code) if code else ' ' for code in row).rstrip() for row in codes]


def figure(title: str, readings: Mapping[str, 'xarray.DataArray'], differing: Sequence[str]):  # noqa: F821
  """A matplotlib Figure with a panel a reading: a thin line a member, and a thick one for the median of each setting.

  Args:
    title: stands above all panels.
    readings: name -> (member, step).
    differing: the coordinates, beside the seed, in which members differ.
  """
  from matplotlib.figure import Figure

  drawn = Figure(figsize=(4 * len(readings), 3.2), layout='constrained')
  for panel, (name, values) in zip(drawn.subplots(1, len(readings), squeeze=False)[0], readings.items(), strict=True):
    steps = values['step'].to_numpy()
    groups: dict[tuple, list[int]] = {}
    for i in range(values.sizes['member']):
      groups.setdefault(tuple(values[label].values[i] for label in differing), []).append(i)
    for number, (setting, members) in enumerate(groups.items()):
      colour, curves = f'C{number % SEVERAL}', values.to_numpy()[members]
      text = ', '.join(f'{label} {value}' for label, value in zip(differing, setting, strict=True)) or 'median'
      panel.plot(steps, curves.T, color=colour, linewidth=0.6, alpha=0.4)
      panel.plot(steps, np.median(curves, axis=0), color=colour, linewidth=1.8, label=text if len(groups) <= SEVERAL else None)
    panel.set(xlabel='step', title=name, xscale='symlog' if is_early(steps) else 'linear')
  if len(groups) <= SEVERAL:
    panel.legend(fontsize='small')
  drawn.suptitle(title)
  return drawn


def write(drawn, path: pathlib.Path) -> None:
  """The figure as a PNG, whole or not at all: who looks at it never sees half a picture."""
  temporary = path.with_name(f'.{path.name}.{os.getpid()}')
  try:
    drawn.savefig(temporary, format='png', dpi=120)
    temporary.replace(path)
  finally:
    temporary.unlink(missing_ok=True)
