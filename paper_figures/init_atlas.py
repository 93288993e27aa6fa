"""The atlas of inits (readings of Poole et al. 2016, arXiv 1606.05340, and Pennington et al. 2017, arXiv 1711.04735)."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.series import select
from configs._init_atlas import ACTIVATIONS, DEPTHS, INITS, RATES, STEPS, WIDTH
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

CONFIG = 'configs/init_atlas.py'
SLOW = (CONFIG,)
CLAIMS = []

NAMES = [init['name'] for init in INITS]
SETTINGS = [(activation, depth) for activation in ACTIVATIONS for depth in DEPTHS]
CLIP = 8  # orders of magnitude that the colours tell apart


def plane(table: pd.DataFrame, value: Callable[[pd.DataFrame, int], float]) -> pd.DataFrame:
  """value(rows of one init, depth) -> a row an init, the first on top, and a column a setting."""
  named = table.assign(init=table['init'].str.partition('(')[0])
  cells = {}
  for activation, depth in SETTINGS:
    rows = select(named, model__activation=activation, model__widths=str((WIDTH,) * depth))
    cells[f'{activation} {depth}'] = {name: value(select(rows, init=name), depth) for name in NAMES}
  return pd.DataFrame(cells).loc[NAMES[::-1]]


def start(table: pd.DataFrame) -> pd.DataFrame:
  """The rows of step 0, once: what begins does not depend on the learning rate."""
  return select(table, step=0, lr=RATES[0])


def orders(ratio: np.ndarray) -> float:
  """The median of log10, at most CLIP in size; a ratio of 0 or infinity is at the end of the scale, 0 over 0 is NaN."""
  with np.errstate(divide='ignore', invalid='ignore'):
    return float(np.clip(np.median(np.log10(np.asarray(ratio, float))), -CLIP, CLIP))


def along(reading: str, forward: bool) -> Callable[[pd.DataFrame, int], float]:
  """log10 of a reading at the far end over that at the near end, in the direction in which the signal goes."""

  def value(rows, depth):
    last, first = rows[f'{reading}_of/after_hidden_{depth - 1}'], rows[f'{reading}_of/after_input']
    return orders(last / first if forward else first / last)

  return value


def best(rows: pd.DataFrame) -> tuple[float, np.ndarray]:
  """The learning rate of the least median training loss after all steps, and its losses (seed,); diverged is infinite."""
  ended = rows[rows['step'] == STEPS]
  losses = {lr: np.nan_to_num(ended[ended['lr'] == lr]['train_loss'].to_numpy(), nan=np.inf) for lr in RATES}
  lr = min(losses, key=lambda lr: np.median(losses[lr]))
  return lr, losses[lr]


def learns(rows: pd.DataFrame) -> bool:
  """Whether the best learning rate is a tenth of a nat or more below the loss of guessing."""
  return float(np.median(best(rows)[1])) < np.log(10) - 0.1


def drawn(ax: Axes, table: pd.DataFrame, title: str, **style) -> None:
  plots.heat(ax, table, str, **style)
  ax.set_xticks(range(len(SETTINGS)), [str(depth) for _, depth in SETTINGS], fontsize=7)
  ax.tick_params(axis='y', labelsize=7)
  for i in range(1, len(ACTIVATIONS)):
    ax.axvline(i * len(DEPTHS) - 0.5, color='white', linewidth=2)
  for i, activation in enumerate(ACTIVATIONS):
    place = (i + 0.5) / len(ACTIVATIONS)
    ax.text(place, 1.01, activation, transform=ax.transAxes, ha='center', va='bottom', fontsize=7)
  ax.set_title(title, fontsize=8, pad=14)
  ax.set_xlabel('depth (layers)', fontsize=7)


def atlas(get: Get) -> Figure:
  signals, jacobian, kernel = (start(get(CONFIG, probe)) for probe in ('activations', 'input_jacobian', 'kernel'))
  performance = get(CONFIG, 'performance')
  figure, axes = plots.canvas(4, 2, height=4.6, sharey=True)
  across = dict(cmap='RdBu_r', vmin=-CLIP, vmax=CLIP)
  upward = dict(cmap='magma', vmin=0, vmax=CLIP)
  correlated = lambda rows, depth: float(rows[f'correlation_of/after_hidden_{depth - 1}'].median())
  rate = lambda rows, depth: np.log10(best(rows)[0]) if learns(rows) else np.nan
  panels = [
    ('mean square of activations,\nlast over first layer (log10)', plane(signals, along('mean_square', True)), across),
    ('mean square of gradients,\nfirst over last layer (log10)', plane(signals, along('gradient_mean_square', False)), across),
    ('correlation of two inputs in the\nlast layer; gray: all zero', plane(signals, correlated), dict(vmin=-0.2, vmax=1)),
    ('condition of the input-output\nJacobian (log10)', plane(jacobian, lambda r, _: orders(np.exp(r['log_condition']))), upward),
    ('condition of the tangent kernel\n(log10)', plane(kernel, lambda rows, _: orders(rows['condition'])), upward),
    (
      'best learning rate (log10);\ngray: none learns',
      plane(performance, rate),
      dict(vmin=np.log10(RATES[0]), vmax=np.log10(RATES[-1])),
    ),
    (
      f'training loss at it after {STEPS} steps\n(nats; guessing: 2.3; gray: diverged)',
      plane(performance, lambda rows, _: float(np.median(best(rows)[1]))),
      dict(cmap='viridis_r', vmin=0, vmax=np.log(10)),
    ),
    (
      'spread of that loss over seeds\n(largest less smallest, nats)',
      plane(performance, lambda rows, _: float(np.ptp(best(rows)[1]))),
      dict(cmap='magma', vmin=0, vmax=1),
    ),
  ]
  for ax, (title, table, style) in zip(axes.ravel(), panels, strict=True):
    drawn(ax, table, title, **style)
  for ax in axes[:, 0]:
    ax.set_ylabel('init')
  plots.title(figure, f'Inits of dense networks, {WIDTH} wide, on 8 x 8 digits', performance, note='medians of {seeds}')
  return figure


FIGURES = [PaperFigure('init_atlas', (CONFIG,), atlas, 'How every init begins and trains, by activation and depth.')]
