"""The strokes that figures share. An axis comes first, then what is drawn, then its label; other style goes to matplotlib."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.series import each_seed
from analysis.statistics import median_and_range

REFERENCE = dict(color='gray', linewidth=0.8, linestyle=':')


# ---- the figure -----------------------------------------------------------------------------------------------------


def canvas(
  columns: int = 1, rows: int = 1, height: float = 2.4, width: float | None = None, **kwargs
) -> tuple[Figure, np.ndarray]:
  """A figure with a grid of axes (rows, columns), which no list of open figures keeps alive. Sizes in inches, height a row."""
  figure = Figure(figsize=(width or 1.2 + 2.5 * columns, height * rows), layout='constrained')
  return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def title(figure: Figure, text: str, *tables: pd.DataFrame, note: str = 'median and range of {seeds}') -> None:
  """The figure's title, which ends with what lines and bands are: `note`, with {seeds} counted in the tables."""
  figure.suptitle(f'{text}; {note.format(seeds=seeds_of(tables))}', fontsize=9)


def seeds_of(tables: Sequence[pd.DataFrame]) -> str:
  """'5 seeds'."""
  counts = sorted({table['seed'].nunique() for table in tables})
  return f'{counts[0]} seeds' if len(counts) == 1 else f'{counts[0]} to {counts[-1]} seeds'


def ticks(ax: Axes, values: Sequence[float], text: Callable[[float], str] = '{:g}'.format, axis: str = 'x') -> None:
  """These ticks and no others, for axes in logarithms."""
  set_ticks = {'x': ax.set_xticks, 'y': ax.set_yticks}[axis]
  set_ticks(values, [text(value) for value in values])
  set_ticks([], minor=True)


def log_axes(ax: Axes, axes: str = 'xy') -> None:
  """Log axes, after drawing. An axis that shows nothing positive stays as it is: matplotlib finds no ticks for it."""
  for name, smallest in zip('xy', ax.dataLim.minpos, strict=True):
    if name in axes and np.isfinite(smallest):
      ax.set(**{f'{name}scale': 'log'})


# ---- lines with a band over seeds -----------------------------------------------------------------------------------


def band(ax: Axes, x: np.ndarray, values: np.ndarray, label: str | None, summary: Callable = median_and_range, **style) -> Line2D:
  """A line with a band: `summary` of values (seed, x) gives the middle, the lower and the upper edge. Gaps where NaN."""
  middle, low, high = summary(values)
  (line,) = ax.plot(x, middle, label=label, **style)
  ax.fill_between(x, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
  return line


def steps(ax: Axes, table: pd.DataFrame, reading: str, label: str | None, rate: float = 1.0, **style) -> None:
  """A reading against steps, or against time = rate x steps. Step 0 stands at 1/2 on log axes."""
  step, values = each_seed(table, reading)
  band(ax, rate * np.maximum(step.astype(float), 0.5 if ax.get_xscale() == 'log' else 0.0), values, label, **style)


def against(ax: Axes, x: np.ndarray, values: np.ndarray, label: str | None, **style) -> None:
  """Readings (seed, x) against a swept value: `band` with its points marked. A value that is not finite makes a gap."""
  values = np.asarray(values, float)
  band(ax, x, np.where(np.isfinite(values), values, np.nan), label, **{'marker': '.', **style})


def seeds(ax: Axes, x: Sequence[float], values: np.ndarray, label: str | None, color: str, **style) -> None:
  """The median of readings (seed, x) as a line, and a point a seed."""
  ax.plot(x, np.median(values, axis=0), label=label, color=color, **style)
  ax.plot(np.tile(x, len(values)), np.ravel(values), '.', color=color)


def never(ax: Axes, x: Sequence[float], times: np.ndarray, budget: float, label: str | None, color: str) -> None:
  """A triangle at the budget where the time (seed, x) of a seed is inf."""
  missing = np.isinf(times).any(axis=0)
  ax.plot(np.asarray(x, float)[missing], np.full(missing.sum(), budget), '^', color=color, label=label)


def accuracies(panels: Mapping[str, pd.DataFrame], text: str, chance: float) -> Figure:
  """Training and test accuracy over steps, a panel a table of `performance`."""
  figure, axes = canvas(len(panels), sharex=True, sharey=True)
  for ax, (name, table) in zip(axes[0], panels.items(), strict=True):
    ax.set_xscale('log')
    steps(ax, table, 'train_accuracy', 'train', linestyle='--')
    steps(ax, table, 'test_accuracy', 'test')
    level(ax, chance, 'chance')
    ax.set(title=name, xlabel='step', ylim=(-0.03, 1.03))
  axes[0, 0].set_ylabel('accuracy (share)')
  axes[0, 0].legend(loc='center left')
  title(figure, text, *panels.values())
  return figure


# ---- arms beside each other, and planes -----------------------------------------------------------------------------


def arms(ax: Axes, values: Mapping[str, np.ndarray], label: str | None, **style) -> None:
  """A point a seed for each arm; the names of the arms stand under the x axis."""
  for place, samples in enumerate(values.values()):
    ax.plot(np.full(len(samples), place), samples, '.', label=None if place else label, **style)
  ax.set_xticks(range(len(values)), list(values), rotation=35, ha='right')


def intervals(
  ax: Axes, values: Mapping[str, np.ndarray], summary: Callable, label: str | None, axis: str = 'x', first: int = 0, **style
) -> None:
  """A point with an error bar for each arm, at places first, first + 1, ... along an axis; `summary` as in `band`."""
  middle, low, high = np.array([summary(samples) for samples in values.values()]).T
  places, error = np.arange(first, first + len(values)), [middle - low, high - middle]
  where = dict(x=places, y=middle, yerr=error) if axis == 'x' else dict(x=middle, y=places, xerr=error)
  ax.errorbar(**where, fmt='o', label=label, **{'markersize': 4, 'capsize': 3, **style})


def heat(ax: Axes, table: pd.DataFrame, text: Callable[[float], str], place: Callable | None = None, **style) -> None:
  """A plane of cells with a colour bar: rows of `table` upwards, columns to the right; gray where NaN.

  All cells are of one size; with `place`, such as a logarithm, a cell lies about place(value) and reaches half way to the next.
  """
  values = np.ma.masked_invalid(table.to_numpy(float))
  columns, rows = (place(np.asarray(axis)) if place else np.arange(len(axis)) for axis in (table.columns, table.index))
  mesh = ax.pcolormesh(columns, rows, values, rasterized=True, **{'cmap': 'viridis', **(style if values.count() else {})})
  ax.set_facecolor('lightgray')
  ax.grid(visible=False)
  ax.set_xticks(columns, [text(value) for value in table.columns])
  ax.set_yticks(rows, [text(value) for value in table.index])
  ax.figure.colorbar(mesh, cax=ax.inset_axes([1.03, 0, 0.05, 1]))


# ---- references -----------------------------------------------------------------------------------------------------


def level(ax: Axes, y: float, label: str | None, **style) -> None:
  """A horizontal line at the paper's value or at the bound of a claim."""
  ax.axhline(y, label=label, **{**REFERENCE, **style})


def mark(ax: Axes, x: float, label: str | None, **style) -> None:
  """A vertical line at a step or a value of the sweep."""
  ax.axvline(x, label=label, **{**REFERENCE, **style})


def theory(ax: Axes, x: np.ndarray, y: np.ndarray, label: str | None, **style) -> None:
  """The curve that theory gives."""
  ax.plot(x, y, label=label, **{'color': 'black', 'linestyle': '--', 'linewidth': 0.9, **style})


def guide(ax: Axes, x: Sequence[float], power: float, through: tuple[float, float], label: str | None, **style) -> None:
  """A slope guide: y ~ x^power through a point (x, y)."""
  x = np.asarray(x, float)
  theory(ax, x, through[1] * (x / through[0]) ** power, label, **style)
