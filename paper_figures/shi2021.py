"""Fast Certified Robust Training with Short Warmup (Shi et al. 2021), arXiv 2103.17268."""

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import power_law
from analysis.series import against, last
from configs._shi2021 import LAYERS, RATES, STEPS, WIDTH, WIDTHS
from dynamics.theory.interval_growth import gaussian_growth
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

BOUNDS, SIZES, TRAINING = 'configs/shi2021_bounds.py', 'configs/shi2021_widths.py', 'configs/shi2021_training.py'
SLOW = ()

CHANCE = 0.1
ARMS = {'own': ('mlp', 'ibp'), 'normalised': ('normalised_mlp', 'ibp'), 'usual': ('mlp', 'recommended')}
CHANGED = 'dense layers on 8 x 8 digits for convolutions on CIFAR-10'
NETWORKS = {'the 28 x 28 digits': 'mnist', '100 units': 'narrow', 'convolutions': 'conv'}
OTHERS = {'the 28 x 28 digits': 'mnist', 'six layers': 'six'}


def layers(table, reading: str) -> np.ndarray:
  """(seed, layer)."""
  names = ['after_input', *(f'after_hidden_{i}' for i in range(1, LAYERS))]
  return np.stack([last(table, f'{reading}/{name}') for name in names], axis=1)


def of_init(table, name: str):
  """The rows of one of the two inits."""
  return table[table['init'].str.startswith(name)]


def widening(get: Get, name: str) -> np.ndarray:
  """(seed,): the mean width of the bounds in the last hidden layer over that in the first."""
  widths = layers(of_init(get(BOUNDS, 'interval_bounds'), name), 'width_of')
  return widths[:, -1] / widths[:, 0]


def accuracies(get: Get, arm: str) -> np.ndarray:
  """(seed, learning rate): training accuracy at the end."""
  table, (model, init) = get(TRAINING, 'performance'), ARMS[arm]
  rows = table[table['model'].str.startswith(f'{model}(') & table['init'].str.startswith(init)]
  return against(rows, 'lr', 'train_accuracy', last)[1]


def best(samples: np.ndarray) -> float:
  """The largest median over learning rates."""
  return np.max(np.median(samples, axis=0))


CLAIMS = [
  Claim(
    name='1a',
    says=f'With weights of variance 2 pi/n^2 interval bounds are as wide in layer {LAYERS} as in layer 1, to a factor of two',
    where='section 3',
    kind='paper',
    of=(BOUNDS,),
    samples=lambda get: widening(get, 'ibp'),
    holds=between(0.5, 2.0),
    unit=f'mean width of the bounds on activations in layer {LAYERS} over that in layer 1, {WIDTH} units each',
    changed=CHANGED,
    scope=NETWORKS,
  ),
  Claim(
    name='1b',
    says=f'With the usual weights of variance 2/n they are a million times wider in layer {LAYERS}',
    where='figure 1 and section 3',
    kind='paper',
    of=(BOUNDS,),
    samples=lambda get: widening(get, 'recommended'),
    holds=at_least(1e6),
    unit=f'mean width of the bounds on activations in layer {LAYERS} over that in layer 1, {WIDTH} units each',
    changed=CHANGED,
    scope=NETWORKS,
  ),
  Claim(
    name='2',
    says='From the usual weights every layer widens the bounds by the root of its width',
    where='section 3',
    kind='paper',
    of=(SIZES,),
    samples=lambda get: against(get(SIZES, 'interval_bounds'), 'model.widths', 'growth')[1],
    statistic=lambda growth: power_law(np.array(WIDTHS), np.median(growth, axis=0)).slope,
    holds=between(0.45, 0.55),
    unit=f'exponent of the factor a layer by the number of units, {WIDTHS[0]} to {WIDTHS[-1]}',
    changed=CHANGED,
    scope=OTHERS,
  ),
  Claim(
    name='3a',
    says=f'Without batch normalisation {LAYERS} layers from variance 2 pi/n^2 do not learn by plain training',
    where='ours',
    kind='extension',
    of=(TRAINING,),
    samples=lambda get: accuracies(get, 'own'),
    statistic=best,
    holds=at_most(0.2),
    unit=f'training accuracy after {STEPS} steps at the best of three learning rates',
    changed=f'{CHANGED}; the plain loss for the certified one',
    scope=OTHERS,
  ),
  Claim(
    name='3b',
    says='With batch normalisation, which the authors add to every layer, they do',
    where='section 4, in part',
    kind='extension',
    of=(TRAINING,),
    samples=lambda get: accuracies(get, 'normalised'),
    statistic=best,
    holds=at_least(0.9),
    unit=f'training accuracy after {STEPS} steps at the best of three learning rates',
    changed=f'{CHANGED}; the plain loss for the certified one',
    scope=OTHERS,
  ),
]


def bounds(get: Get) -> Figure:
  table, sizes, scores = get(BOUNDS, 'interval_bounds'), get(SIZES, 'interval_bounds'), get(TRAINING, 'performance')
  figure, axes = plots.canvas(3, height=2.9)
  width, factor, learning = axes[0]
  layer = np.arange(1, LAYERS + 1)
  deviations = {'ibp': np.sqrt(2 * np.pi) / WIDTH, 'recommended': np.sqrt(2 / WIDTH)}
  names = {'ibp': 'variance 2 pi/n^2', 'recommended': 'variance 2/n'}
  for color, (name, label) in zip(('C0', 'C1'), names.items(), strict=True):
    values = layers(of_init(table, name), 'width_of')
    plots.against(width, layer, values / values[:, :1], label, color=color)
    law = gaussian_growth(WIDTH, deviations[name]) ** (layer - 1)
    plots.theory(width, layer, law, None if color == 'C1' else 'n E|w| / 2 a layer')
  width.set(title=f'{WIDTH} relu units a layer', xlabel='layer', ylabel='mean width of bounds over layer 1')
  plots.log_axes(width, 'y')
  plots.ticks(width, (1, 4, 7, 10))
  width.legend(loc='upper left')
  plots.against(factor, WIDTHS, against(sizes, 'model.widths', 'growth')[1], 'variance 2/n', color='C1')
  plots.theory(factor, WIDTHS, gaussian_growth(WIDTHS, np.sqrt(2 / np.array(WIDTHS))), 'sqrt(n / pi)')
  factor.set(title='widening a layer', xlabel='units a layer, n', ylabel='factor a layer')
  plots.log_axes(factor)
  plots.ticks(factor, WIDTHS)
  plots.ticks(factor, (5, 7, 9, 12), axis='y')
  factor.legend(loc='upper left')
  texts = {'own': '2 pi/n^2', 'normalised': '2 pi/n^2, batch norm', 'usual': '2/n'}
  for color, (arm, text) in zip(('C0', 'C2', 'C1'), texts.items(), strict=True):
    plots.against(learning, RATES, accuracies(get, arm), text, color=color)
  plots.level(learning, CHANCE, 'chance')
  learning.set(title=f'plain training, {STEPS} steps', xlabel='learning rate', ylabel='training accuracy (share)')
  learning.set(ylim=(-0.03, 1.75), yticks=(0, 0.5, 1))
  plots.log_axes(learning, 'x')
  plots.ticks(learning, RATES)
  learning.legend(loc='upper left')
  plots.title(figure, 'Ten relu layers on digits, inputs within 0.1', table, sizes, scores)
  return figure


FIGURES = [
  PaperFigure(
    'shi2021', (BOUNDS, SIZES, TRAINING), bounds, 'How wide interval bounds become, and what trains from where they do not.'
  )
]
