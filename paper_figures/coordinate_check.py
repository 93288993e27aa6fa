"""Coordinate check of six parametrizations (Yang, Hu et al. 2022), arXiv 2203.03466.

`python -m paper_figures.coordinate_check [results]` prints the verdicts as the table of docs/coordinate_check.md.
"""

import functools
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import power_law
from analysis.scaling import BAND, Scaling, check, points
from analysis.series import select
from configs._coordinate_check import STEPS
from configs.coordinate_check import WIDTHS
from configs.coordinate_check_depth import DEPTHS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

SLOW = ()
WIDTH, DEPTH = 'configs/coordinate_check.py', 'configs/coordinate_check_depth.py'
IN_WIDTH = {  # name -> its runs, by width
  'standard': WIDTH,
  **{name: f'{WIDTH}:{name}' for name in ('ntk', 'mean_field', 'mup', 'depth_mup', 'u_mup')},
}
IN_DEPTH = {'mup': DEPTH, 'depth_mup': f'{DEPTH}:depth_mup', 'power 1': f'{DEPTH}:ode'}
OPTIMIZERS = {'sgd': 'SGD', 'adam': 'Adam'}
LAST = ('feature_change', 'output_change')  # of the last hidden layer, and of the outputs


# ---- readings and their exponents -------------------------------------------------------------------------------


def size_of(table: pd.DataFrame) -> str:
  """The column of the size that a table sweeps over."""
  return next(field for field in ('model.widths', 'model.width', 'model.depth') if field in table)


def layers(table: pd.DataFrame) -> dict[str, str]:
  """Name for the reader -> name of its readings, from the inputs to the outputs."""
  features = [column.removeprefix('feature_of/') for column in table if column.startswith('feature_of/')]
  each = sorted(features, key=lambda layer: (layer != 'after_input', layer))
  named = {layer.removeprefix('after_'): f'feature{{}}_of/{layer}' for layer in each} or {'last hidden': 'feature{}'}
  return {**named, 'outputs': 'output{}'}


def exponents(table: pd.DataFrame, change: bool, step: int = STEPS) -> dict[str, Scaling]:
  """Layer -> how its size at the start, or its change after `step` steps, scales; the table is of one optimizer."""
  field, of = size_of(table), layers(table)
  readings = {layer: name.format('_change' if change else '') for layer, name in of.items()}
  fits = check(table, (field,), tuple(readings.values()), step if change else 0)
  return {layer: fits[reading, field] for layer, reading in readings.items()}


def rows(get: Get) -> Iterator[dict]:
  """The verdicts: a row for each parametrization, optimizer and layer."""
  for along, arms in (('width', IN_WIDTH), ('depth', IN_DEPTH)):
    for name, config in arms.items():
      table = get(config, 'coordinates')
      start = exponents(select(table, optimizer__name='sgd'), change=False)
      for layer in layers(table):
        row = {'against': along, 'parametrization': name, 'layer': layer, 'size at the start': text(start[layer])}
        for optimizer, label in OPTIMIZERS.items():
          row[f'change, {label}'] = text(exponents(select(table, optimizer__name=optimizer), change=True)[layer])
        yield row


def text(fit: Scaling) -> str:
  """'stays, -0.01 ± 0.02'."""
  return f'{fit.verdict}, {round(fit.slope, 2) + 0:.2f} ± {fit.error:.2f}' if np.isfinite(fit.slope) else fit.verdict


# ---- claims -----------------------------------------------------------------------------------------------------


def curves(get: Get, config: str, optimizers: tuple[str, ...], readings: tuple[str, ...]) -> np.ndarray:
  """(seed, arm, size) readings after the last step, an arm for each optimizer and reading."""
  table = get(config, 'coordinates')
  each = [select(table, optimizer__name=optimizer) for optimizer in optimizers]
  return np.stack([points(part, (size_of(part),), name, STEPS)[1] for part in each for name in readings], axis=1)


def slopes(sizes: tuple[int, ...], values: np.ndarray) -> np.ndarray:
  """(arm,) the power of the size in medians over seeds of (seed, arm, size)."""
  return power_law(sizes, np.median(values, axis=0)).slope


def claim(
  name: str, says: str, config: str, holds, optimizers=tuple(OPTIMIZERS), readings: tuple[str, ...] = LAST, **fields
) -> Claim:
  """A claim about the exponents of changes, of the last hidden layer and of the outputs if nothing else is said."""
  depth = config.startswith(DEPTH)
  fields = {'kind': 'extension', 'where': 'not in the paper', 'changed': 'small networks on digits', **fields}
  return Claim(
    name=name, says=says, of=(config,), holds=holds, **fields,
    samples=lambda get: curves(get, config, optimizers, readings),
    statistic=functools.partial(slopes, DEPTHS if depth else WIDTHS),
    unit=f'power of the {"depth" if depth else "width"} in the change after {STEPS} steps, '
    f'{" and ".join(OPTIMIZERS[o] for o in optimizers)}, {len(readings)} layers',
  )  # fmt: skip


FIRST, SECOND = 'feature_change_of/after_input', 'feature_change_of/after_hidden_1'
CHAIN = (FIRST, SECOND, 'output_change')
SAME = between(-BAND, BAND)
PAPER = dict(kind='paper', where='appendix D.1 and figure 5')
CLAIMS = [
  claim('1', 'With muP features of every layer and outputs change by the same amount at every width, under SGD and Adam',
        IN_WIDTH['mup'], SAME, readings=CHAIN, **PAPER),
  claim('2', 'With the standard parametrization the outputs change the more the wider the network, under SGD and Adam',
        IN_WIDTH['standard'], at_least(BAND), readings=('output_change',), **PAPER),
  claim('3a', 'With the NTK parametrization features change the less under SGD the wider the network',
        IN_WIDTH['ntk'], at_most(-BAND), ('sgd',), (FIRST, SECOND)),
  claim('3b', 'With the NTK parametrization outputs change by the same amount under SGD at every width',
        IN_WIDTH['ntk'], SAME, ('sgd',), ('output_change',)),
  claim('3c', 'With the NTK parametrization the second layer changes the more under Adam the wider the network',
        IN_WIDTH['ntk'], at_least(BAND), ('adam',), (SECOND,)),
  claim('4', 'With the mean-field parametrization one hidden layer and the outputs change by the same amount at every width',
        IN_WIDTH['mean_field'], SAME),
  claim('5a', 'With depth-muP the last state and the outputs of a residual network change by the same amount at every width',
        IN_WIDTH['depth_mup'], SAME),
  claim('5b', 'With depth-muP they change by the same amount at every depth from 4 to 64', IN_DEPTH['depth_mup'], SAME),
  claim('5c', 'With muP alone, which knows no depth, they change the more under Adam the deeper the network',
        IN_DEPTH['mup'], at_least(BAND), ('adam',), kind='control'),
  claim('6a', 'With u-muP the second layer and the outputs change by the same amount under Adam at every width',
        IN_WIDTH['u_mup'], SAME, ('adam',), (SECOND, 'output_change')),
  claim('6b', 'With u-muP, whose rate of input weights is 1/sqrt(width), the first layer changes the less under Adam the wider',
        IN_WIDTH['u_mup'], at_most(-BAND), ('adam',), (FIRST,)),
]  # fmt: skip


# ---- figures ----------------------------------------------------------------------------------------------------

MARKERS = {'SGD': dict(color='C0', fmt='o'), 'Adam': dict(color='C1', fmt='s')}


def color(layer: str) -> str:
  """One for each layer, the same in all panels."""
  named = {'outputs': 'black', 'last hidden': 'C0', 'input': 'C0', 'hidden_1': 'C1'}
  return named.get(layer) or f'C{2 + int(layer.rpartition("_")[2])}'


def lines(ax: Axes, table: pd.DataFrame, change: bool) -> None:
  """Sizes at the start or changes at the end against the size of the network, a line a layer."""
  field, of = size_of(table), layers(table)
  for layer, name in of.items():
    reading = name.format('_change' if change else '')
    sizes, values = points(table, (field,), reading, STEPS if change else 0)
    plots.against(ax, sizes[field], values, layer, color=color(layer), linestyle='--' if layer == 'outputs' else '-')
  plots.log_axes(ax)
  plots.ticks(ax, sizes[field][::2])


def sizes(get: Get, arms: Mapping[str, str], text: str, along: str) -> Figure:
  """A column a parametrization: sizes at the start, changes under SGD, changes under Adam."""
  tables = {name: get(config, 'coordinates') for name, config in arms.items()}
  figure, axes = plots.canvas(len(arms), 3, height=2.0, width=1.0 + 1.75 * len(arms), sharex='col', sharey='row')
  panels = (('sgd', False, 'start: root mean square'), *((o, True, f'change, {label}') for o, label in OPTIMIZERS.items()))
  for row, (optimizer, change, label) in zip(axes, panels, strict=True):
    for ax, table in zip(row, tables.values(), strict=True):
      lines(ax, select(table, optimizer__name=optimizer), change)
      ax.set_xlabel(along)
    row[0].set_ylabel(label)
  for ax, name in zip(axes[0], tables, strict=True):
    ax.set_title(name)
  seen = {line.get_label(): line for ax in axes[0] for line in ax.get_lines() if not line.get_label().startswith('_')}
  axes[2, 0].legend().set_visible(False)
  figure.legend(seen.values(), seen.keys(), loc='outside lower center', ncols=len(seen))
  plots.title(figure, text, *tables.values())
  return figure


def slope_panel(ax: Axes, table: pd.DataFrame) -> None:
  """Exponents with their confidence intervals, layer by layer, and the band in which a reading stays."""
  ax.axhspan(-BAND, BAND, color='gray', alpha=0.2, linewidth=0, label='stays')
  for place, (optimizer, label) in enumerate(OPTIMIZERS.items()):
    fits = exponents(select(table, optimizer__name=optimizer), change=True)
    middle, low, high = (np.array([getattr(fit, end) for fit in fits.values()]) for end in ('slope', 'low', 'high'))
    at = np.arange(len(fits)) + 0.2 * (place - 0.5)
    ax.errorbar(at, middle, (middle - low, high - middle), label=label, markersize=4, capsize=2, **MARKERS[label])
  for half in (-0.5, 0.5, 1.0):
    plots.level(ax, half, None)
  ax.set_xticks(range(len(fits)), list(fits), rotation=40, ha='right')


def verdicts(get: Get, arms: Mapping[str, str], text: str, along: str) -> Figure:
  """The exponents of changes, a panel a parametrization."""
  tables = {name: get(config, 'coordinates') for name, config in arms.items()}
  figure, axes = plots.canvas(len(arms), height=2.9, width=1.0 + 1.75 * len(arms), sharey=True)
  for ax, (name, table) in zip(axes[0], tables.items(), strict=True):
    slope_panel(ax, table)
    ax.set(title=name, xlabel='layer')
  axes[0, 0].set(ylabel=f'power of the {along} in the change')
  axes[0, 0].legend().set_visible(False)
  figure.legend(*axes[0, 0].get_legend_handles_labels(), loc='outside lower center', ncols=3)
  plots.title(figure, text, *tables.values(), note='mean and 95% interval of {seeds}')
  return figure


TEXT = f'Coordinate check after {STEPS} steps'
FIGURES = [
  PaperFigure('coordinate_check', tuple(IN_WIDTH.values()), functools.partial(sizes, arms=IN_WIDTH, text=TEXT, along='width'),
              'Sizes of features and outputs at the start, and of their changes, by width and parametrization.'),
  PaperFigure('coordinate_check_powers', tuple(IN_WIDTH.values()),
              functools.partial(verdicts, arms=IN_WIDTH, text=TEXT, along='width'),
              'The powers of the width in these changes: in the gray band they stay, above they explode, below they vanish.'),
  PaperFigure('coordinate_check_depth', tuple(IN_DEPTH.values()),
              functools.partial(sizes, arms=IN_DEPTH, text=TEXT, along='depth (blocks)'),
              'The same by the depth of residual networks: no multiplier of branches, 1/sqrt(L), and 1/L.'),
]  # fmt: skip


if __name__ == '__main__':
  import pathlib
  import sys

  from analysis import tables
  from experiments import config as configs

  out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else 'results')
  load = lambda config, probe: tables.load(
    configs.cells(config), probe, out, f'python -m paper_figures coordinate_check --out={out}'
  )
  print(pd.DataFrame(rows(load)).to_csv(sep='|', index=False))
