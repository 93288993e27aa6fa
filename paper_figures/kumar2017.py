"""On weight initialization in deep neural networks (Kumar 2017), arXiv 1704.08863."""

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.series import against, by, last, select
from analysis.statistics import median_and_range
from configs.kumar2017_sigmoid import LAYERS as SIGMOID_LAYERS
from configs.kumar2017_sigmoid import STEPS
from configs.kumar2017_signal import LAYERS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

SIGNAL, SIGMOID = 'configs/kumar2017_signal.py', 'configs/kumar2017_sigmoid.py'
SLOW = ()

PLAIN, RECOMMENDED = 'gaussian', 'recommended'  # variance 1/N, and that of the paper
CHANCE = 0.1
ELSEWHERE = {'width 128': 'narrow', 'the 28 x 28 digits': 'mnist'}
SIZES = {'width 50': 'narrow', 'six layers': 'six', 'the 28 x 28 digits': 'mnist'}
CHANGED = 'dense layers on 8 x 8 digits for convolutions on CIFAR-10'


def of_init(table, name: str):
  """The rows of one of the two inits."""
  return table[table['init'].str.startswith(name)]


def layers(table) -> np.ndarray:
  """(seed, layer): the mean square of the activations, from the first layer on."""
  names = ['after_input', *(f'after_hidden_{i}' for i in range(1, LAYERS))]
  return np.stack([last(table, f'mean_square_of/{name}') for name in names], axis=1)


def kept(get: Get, name: str) -> np.ndarray:
  """(seed,): the mean square in the last layer over that in the first."""
  sizes = layers(of_init(get(SIGNAL, 'activations'), name))
  return sizes[:, -1] / sizes[:, 0]


def accuracies(get: Get, name: str) -> np.ndarray:
  """(seed, learning rate): training accuracy at the end."""
  return against(of_init(get(SIGMOID, 'performance'), name), 'lr', 'train_accuracy', last)[1]


def best(samples: np.ndarray) -> float:
  """The largest median over learning rates."""
  return np.max(np.median(samples, axis=0))


CLAIMS = [
  Claim(
    name='1a',
    says=f'Weights of variance 2/N keep the size of a signal through {LAYERS} layers of relu',
    where='section 3',
    kind='paper',
    of=(SIGNAL,),
    samples=lambda get: kept(get, RECOMMENDED),
    holds=between(0.3, 3.0),
    unit=f'mean square of activations in layer {LAYERS} over that in layer 1',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2a',
    says='Ten layers of sigmoids learn with weights of standard deviation 3.6/sqrt(N)',
    where='section 4',
    kind='paper',
    of=(SIGMOID,),
    samples=lambda get: accuracies(get, RECOMMENDED),
    statistic=best,
    holds=at_least(0.9),
    unit=f'training accuracy after {STEPS} steps at the best of four learning rates',
    changed=CHANGED,
    scope=SIZES,
  ),
  Claim(
    name='2b',
    says='Ten layers of sigmoids do not learn with weights of standard deviation 1/sqrt(N)',
    where='section 4',
    kind='paper',
    of=(SIGMOID,),
    samples=lambda get: accuracies(get, PLAIN),
    statistic=best,
    holds=at_most(0.2),
    unit=f'training accuracy after {STEPS} steps at the best of four learning rates',
    changed=CHANGED,
    scope=SIZES,
  ),
]


def signal(get: Get) -> Figure:
  table, scores = get(SIGNAL, 'activations'), get(SIGMOID, 'performance')
  figure, axes = plots.canvas(2, height=2.8)
  sizes, learning = axes[0]
  layer = np.arange(1, LAYERS + 1)
  names = {RECOMMENDED: 'variance 2/N', PLAIN: 'variance 1/N'}
  for color, (name, label) in zip(('C0', 'C1'), names.items(), strict=True):
    values = layers(of_init(table, name))
    plots.band(sizes, layer, values / values[:, :1], label, median_and_range, color=color, marker='.')
  plots.theory(sizes, layer, 2.0 ** (1 - layer), 'half a layer')
  plots.level(sizes, 1, None)
  sizes.set(title='relu: the signal at the start', xlabel='layer', ylabel='mean square over layer 1', yscale='log')
  plots.ticks(sizes, (1, 5, 10, 15, 20))
  sizes.legend(loc='lower left')
  learning.set_xscale('log')
  rates = sorted(scores['lr'].unique())
  for color, (name, label) in zip(('C0', 'C1'), {RECOMMENDED: '3.6/sqrt(N)', PLAIN: '1/sqrt(N)'}.items(), strict=True):
    medians = {rate: np.median(last(rows, 'train_accuracy')) for rate, rows in by(of_init(scores, name), 'lr').items()}
    rate = max(rates, key=medians.get)
    rows = select(of_init(scores, name), lr=rate)
    plots.steps(learning, rows, 'train_accuracy', f'{label}, learning rate {rate:g}', color=color)
  plots.level(learning, CHANCE, 'chance')
  learning.set(
    title=f'{SIGMOID_LAYERS} layers of sigmoids', xlabel='step', ylabel='training accuracy (share)', ylim=(-0.03, 1.03)
  )
  learning.legend(loc='upper left')
  plots.title(figure, 'Dense layers on digits, relu 256 and sigmoid 100 wide', table, scores)
  return figure


FIGURES = [
  PaperFigure('kumar2017', (SIGNAL, SIGMOID), signal, 'Variances that keep a signal, and what sigmoids learn with them.')
]
