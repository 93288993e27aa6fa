"""All you need is a good init (Mishkin and Matas 2015), arXiv 1511.06422."""

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_most, between
from analysis.series import against, by, last, select
from configs._mishkin2015 import LAYERS, RATES, STEPS
from configs.mishkin2015_gaussian import SCALES
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

LSUV, GAUSSIAN = 'configs/mishkin2015_lsuv.py', 'configs/mishkin2015_gaussian.py'
SLOW = ()

XAVIER, SMALL = SCALES
GUESSING = float(np.log(10))
ELSEWHERE = {'tanh': 'tanh', 'gelu': 'gelu', 'the 28 x 28 digits': 'mnist'}
CHANGED = f'{LAYERS} dense layers on 8 x 8 digits for convolutions on CIFAR-10'


def deviations(table) -> np.ndarray:
  """(seed, layer): the standard deviation of the preactivations at the start, of hidden layers and outputs."""
  rows = select(table, lr=RATES[0])
  names = ['input', *(f'hidden_{i}' for i in range(1, LAYERS)), 'readout']
  return np.stack([np.sqrt(last(rows, f'mean_square_of/{name}/kernel')) for name in names], axis=1)


def gaussian(get: Get, probe: str, scale: float):
  return select(get(GAUSSIAN, probe), init_scale=scale)


def lasting(get: Get) -> np.ndarray:
  """(seed,): the standard deviation in the last hidden layer over that in the first."""
  sizes = deviations(gaussian(get, 'preactivations', XAVIER))
  return sizes[:, LAYERS - 1] / sizes[:, 0]


def losses(table) -> np.ndarray:
  """(seed, learning rate): the training loss at the end, infinite where it diverged."""
  ended = against(table, 'lr', 'train_loss', last)[1]
  return np.where(np.isfinite(ended), ended, np.inf)


def best(samples: np.ndarray) -> float:
  """The least median over learning rates."""
  return np.min(np.median(samples, axis=0))


CLAIMS = [
  Claim(
    name='1a',
    says='Layer-sequential unit-variance initialisation gives the outputs of every layer unit variance, to the tolerance of 0.1',
    where='algorithm 1',
    kind='paper',
    of=(LSUV,),
    samples=lambda get: deviations(get(LSUV, 'preactivations')),
    statistic=lambda sizes: np.median(sizes, axis=0),
    holds=between(0.9, 1.1),
    unit='standard deviation of the preactivations, layer by layer',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='1b',
    says=f'With weights of variance 1/fan_in the signal is gone after {LAYERS} layers of relu',
    where='section 1',
    kind='paper',
    of=(GAUSSIAN,),
    samples=lasting,
    holds=at_most(1e-3),
    unit=f'standard deviation of the preactivations in layer {LAYERS} over that in layer 1',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2a',
    says='Thirty layers train from the layer-sequential unit-variance initialisation',
    where='sections 3.1 and 3.2',
    kind='paper',
    of=(LSUV,),
    samples=lambda get: losses(get(LSUV, 'performance')),
    statistic=best,
    holds=at_most(0.1),
    unit=f'training loss (nats) after {STEPS} steps at the best of three learning rates',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2b',
    says='Thirty layers with Gaussian weights of standard deviation 0.01 stay at the loss of guessing',
    where='section 1',
    kind='paper',
    of=(GAUSSIAN,),
    samples=lambda get: losses(gaussian(get, 'performance', SMALL)),
    statistic=best,
    holds=between(GUESSING - 0.02, GUESSING + 0.02),
    unit=f'training loss (nats; ln 10 = 2.303) after {STEPS} steps at the best of three learning rates',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
]


def deep(get: Get) -> Figure:
  arms = {
    'LSUV': (get(LSUV, 'preactivations'), get(LSUV, 'performance')),
    'variance 1/fan_in': (gaussian(get, 'preactivations', XAVIER), gaussian(get, 'performance', XAVIER)),
    'std 0.01': (gaussian(get, 'preactivations', SMALL), gaussian(get, 'performance', SMALL)),
  }
  figure, axes = plots.canvas(2, height=2.8)
  sizes, learning = axes[0]
  learning.set_xscale('log')
  for i, (name, (start, performance)) in enumerate(arms.items()):
    values = deviations(start)
    plots.band(sizes, np.arange(1, values.shape[1] + 1), values, name, color=f'C{i}')
    medians = {rate: np.median(losses(rows)) for rate, rows in by(performance, 'lr').items()}
    rate = min(medians, key=medians.get)
    plots.steps(learning, select(performance, lr=rate), 'train_loss', f'{name}, {rate:g}', color=f'C{i}')
  for y in (0.9, 1.1):
    plots.level(sizes, y, 'tolerance' if y < 1 else None)
  sizes.set(title='at the start', xlabel='layer (31: outputs)', ylabel='standard deviation\nof preactivations', yscale='log')
  sizes.legend(loc='center right')
  plots.level(learning, GUESSING, 'guessing')
  learning.set(title='training at the best rate', xlabel='step', ylabel='training loss (nats)', ylim=(-0.1, 3))
  learning.legend(loc='center left', bbox_to_anchor=(1.0, 0.5), title='init, learning rate')
  tables = [table for pair in arms.values() for table in pair]
  plots.title(figure, f'{LAYERS} layers of relu, 64 wide, on 8 x 8 digits', *tables)
  return figure


FIGURES = [
  PaperFigure('mishkin2015', (LSUV, GAUSSIAN), deep, 'Unit variance in every layer, and what deep networks learn from it.')
]
