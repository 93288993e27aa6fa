"""What a paper's file is made of, and the few strokes that all figures share."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis.statistics import band
from analysis.tables import cube

STYLE = str(pathlib.Path(__file__).with_name('paper.mplstyle'))  # in force while `output.figure` draws

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
  """A figure with a grid of axes, which no list of open figures keeps alive."""
  made = Canvas(figsize=(1.2 + 2.5 * columns, height * rows), layout='constrained')
  return made, made.subplots(rows, columns, squeeze=False, **kwargs)


def seeds_of(tables: Sequence[pd.DataFrame]) -> str:
  """'5 seeds', for a figure's note."""
  counts = sorted({table['seed'].nunique() for table in tables})
  return f'{counts[0]} seeds' if len(counts) == 1 else f'{counts[0]} to {counts[-1]} seeds'


def arms_of(table: pd.DataFrame, arms: dict[str, dict]) -> dict[str, pd.DataFrame]:
  """A table cut into named arms, each told by the values of some columns."""
  return {name: select(table, **arm) for name, arm in arms.items()}


def accuracy_panels(panels: dict[str, pd.DataFrame], title: str, chance: float) -> Canvas:
  """Training and test accuracy over steps, a panel a table of `performance`."""
  figure, axes = canvas(len(panels), sharey=True)
  for ax, (name, table) in zip(axes[0], panels.items(), strict=True):
    ax.set_xscale('log')
    curve(ax, table, 'train_accuracy', 'train', linestyle='--')
    curve(ax, table, 'test_accuracy', 'test')
    ax.axhline(chance, color='gray', linewidth=0.8, linestyle=':', label='chance')
    ax.set(title=name, xlabel='step', ylim=(-0.03, 1.03))
  axes[0, 0].set_ylabel('accuracy (share)')
  axes[0, 0].legend(loc='center left')
  figure.suptitle(f'{title}; median and range of {seeds_of(list(panels.values()))}', fontsize=9)
  return figure


def groups(values: np.ndarray, size: int) -> np.ndarray:
  """Means of `size` seeds each: (seed, ...) to (seed // size, ...), for a claim about an average of some repetitions."""
  count = len(values) // size
  return values[: count * size].reshape(count, size, *values.shape[1:]).mean(axis=1)
