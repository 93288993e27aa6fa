"""Micro-Batch Training with Batch-Channel Normalization and Weight Standardization (Qiao et al. 2019), arXiv 1903.10520."""

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least
from analysis.series import against, each_seed, last, select
from configs._qiao2019 import ARMS, MICRO
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

SMALL = 'configs/qiao2019_micro.py'
SLOW = (SMALL,)

GN, STANDARDISED, BCN = ARMS


def arm(get: Get, probe: str, name: str):
  norm, on = ARMS[name]
  return select(get(SMALL, probe), model__norm=norm, transforms__weight_standardization__on=on)


def ends(table) -> tuple[np.ndarray, np.ndarray]:
  """(lr,) rates and (seed, lr) the training loss at the end, infinite where it is not finite."""
  rates, values = against(table, 'lr', 'train_loss', last)
  return rates, np.where(np.isfinite(values), values, np.inf)


def at_best(table, values: np.ndarray) -> np.ndarray:
  """(seed,) of values (seed, lr) those at the rate of the least training loss, by the table of `performance`."""
  return np.take_along_axis(values, ends(table)[1].argmin(axis=1)[:, None], axis=1)[:, 0]


def loss(get: Get, name: str) -> np.ndarray:
  """(seed,) the training loss at the end, at the best rate."""
  return ends(arm(get, 'performance', name))[1].min(axis=1)


def typical(get: Get, name: str, reading: str) -> np.ndarray:
  """(seed,) the geometric mean over training of a reading of `smoothness`, at the rate of the least training loss."""

  def mean(rows, reading):
    with np.errstate(divide='ignore'):
      return np.exp(np.log(each_seed(rows, reading)[1]).mean(axis=1))

  return at_best(arm(get, 'performance', name), against(arm(get, 'smoothness', name), 'lr', reading, mean)[1])


CHANGED = f'8 x 8 digits and four convolutions of 16 channels, batches of {MICRO} in all, two epochs'
ELSEWHERE = {'MNIST digits, 28 x 28': 'mnist', 'batches of one': 'one'}
AT_BEST = 'each at its best of six rates'
OVER = 'geometric mean over eleven looks, group normalisation alone over that with weight standardisation, each at its best rate'

CLAIMS = [
  Claim(
    name='1a',
    kind='paper',
    where='abstract, section 6.1',
    says='In batches of one or two, weight standardisation with group normalisation trains to a lower loss than group '
    'normalisation alone',
    of=(SMALL,),
    samples=lambda get: loss(get, GN) / loss(get, STANDARDISED),
    holds=at_least(1.0),
    unit=f'training loss of group normalisation alone over that with weight standardisation, {AT_BEST}',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='1b',
    kind='paper',
    where='abstract, section 6.1',
    says='With weight standardisation, batch-channel normalisation trains to a lower loss than group normalisation in batches of '
    'one or two',
    of=(SMALL,),
    samples=lambda get: loss(get, STANDARDISED) / loss(get, BCN),
    holds=at_least(1.0),
    unit=f'training loss of group over that of batch-channel normalisation, both with weight standardisation, {AT_BEST}',
    changed=f'{CHANGED}; training loss where the paper compares test errors',
    scope=ELSEWHERE,
  ),
  Claim(
    name='2a',
    kind='paper',
    where='section 3.3',
    says='Weight standardisation makes the loss smoother: its gradient changes less along itself',
    of=(SMALL,),
    samples=lambda get: typical(get, GN, 'scaled') / typical(get, STANDARDISED, 'scaled'),
    holds=at_least(1.0),
    unit=f'|change of the gradient| / |step| |w|^2 of the convolutions, steps of 0.01 to 0.3 |w|, {OVER}',
    changed=f'{CHANGED}; in the unit of |w|',
    scope=ELSEWHERE,
  ),
  Claim(
    name='2b',
    kind='paper',
    where='section 3.3',
    says='Weight standardisation makes the loss less steep: its gradient is smaller',
    of=(SMALL,),
    samples=lambda get: typical(get, GN, 'steepness') / typical(get, STANDARDISED, 'steepness'),
    holds=at_least(1.0),
    unit=f'|gradient| |w| of the convolutions, {OVER}',
    changed=f'{CHANGED}; in the unit of |w|',
    scope=ELSEWHERE,
  ),
]

COLORS = dict(zip(ARMS, ('black', 'C0', 'C1'), strict=True))


def micro(get: Get) -> Figure:
  figure, axes = plots.canvas(3, height=3.0)
  sweep, learning, smooth = axes[0]
  for name, color in COLORS.items():
    performance, curves = arm(get, 'performance', name), arm(get, 'smoothness', name)
    rates, losses = ends(performance)
    plots.against(sweep, rates, losses, name, color=color)
    rate = rates[np.median(losses, axis=0).argmin()]
    plots.steps(learning, select(performance, lr=rate), 'train_loss', f'{name}, {rate:.2g}', color=color)
    plots.steps(smooth, select(curves, lr=rate), 'scaled', f'{name}, {rate:.2g}', color=color)
  plots.level(learning, np.log(10), 'guessing')
  plots.log_axes(sweep)
  sweep.set(title='two epochs', xlabel='learning rate', ylabel='training loss at the end (nats)', ylim=(None, 30))
  plots.ticks(sweep, (0.1, 1, 10), axis='y')
  plots.ticks(sweep, (0.002, 0.008, 0.03))
  plots.log_axes(learning, 'y')
  plots.ticks(learning, (0.1, 0.3, 1, 3), axis='y')
  learning.set(title='at the best rate', xlabel='step', ylabel='training loss (nats)', ylim=(None, 12))
  plots.log_axes(smooth, 'y')
  plots.ticks(smooth, (200, 500, 1000, 2000), axis='y')
  low, high = smooth.get_ylim()
  smooth.set(title='the convolutions', xlabel='step', ylabel='gradient change / step, |w|² (nats)', ylim=(low, high**1.2))
  for ax in axes[0]:
    ax.legend(loc='upper left', fontsize=6)
  plots.title(figure, f'8 x 8 digits, four convolutions, batches of {MICRO}', get(SMALL, 'performance'))
  return figure


FIGURES = [
  PaperFigure(
    'qiao2019',
    (SMALL,),
    micro,
    'Batches of two: group normalisation with and without weight standardisation, and batch-channel normalisation.',
  )
]
