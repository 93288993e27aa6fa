"""What a paper's file is made of, and the few strokes that all figures share."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis.statistics import band
from analysis.tables import cube

STYLE = str(pathlib.Path(__file__).with_name('paper.mplstyle'))

Get = Callable[[str, str], pd.DataFrame]  # (config, probe) -> tidy table


class Figure(NamedTuple):
  """A figure: its name, the configs it asks for, and how it is drawn."""

  name: str  # file name, 'prieto2025_accuracy'
  configs: tuple[str, ...]
  draw: Callable[[Get], Canvas]
  caption: str


def select(table: pd.DataFrame, **where) -> pd.DataFrame:
  """The rows with these values; dots in column names are written as double underscores.

  Raises:
    LookupError: no row has them, so a figure cannot silently be drawn without a curve.
  """
  for name, value in where.items():
    column = name.replace('__', '.')
    chosen = table[table[column] == value]
    if chosen.empty:
      raise LookupError(f'no row has {column} = {value!r}; there are: {sorted(table[column].unique())}')
    table = chosen
  return table


def curve(axes: Axes, table: pd.DataFrame, reading: str, label: str, **style) -> None:
  """Median over seeds against steps, with a band from the lowest to the highest seed. Step 0 stands at 1/2 on log axes."""
  arrays = cube(table)
  steps = np.maximum(arrays['step'].to_numpy().astype(float), 0.5 if axes.get_xscale() == 'log' else 0.0)
  middle, low, high = band(arrays[reading].transpose('seed', 'step').to_numpy())
  (drawn,) = axes.plot(steps, middle, label=label, **style)
  axes.fill_between(steps, low, high, color=drawn.get_color(), alpha=0.2, linewidth=0)


def canvas(columns: int = 1, rows: int = 1, height: float = 2.4, **kwargs) -> tuple[Canvas, np.ndarray]:
  """A figure with a grid of axes, in the house style."""
  with plt.style.context(STYLE):
    figure, axes = plt.subplots(
      rows, columns, figsize=(1.2 + 2.5 * columns, height * rows), squeeze=False, layout='constrained', **kwargs
    )
  return figure, axes


def seeds_of(tables: Sequence[pd.DataFrame]) -> str:
  """'5 seeds', for a figure's note."""
  counts = sorted({table['seed'].nunique() for table in tables})
  return f'{counts[0]} seeds' if len(counts) == 1 else f'{counts[0]} to {counts[-1]} seeds'
