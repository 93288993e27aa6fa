"""Measuring the Intrinsic Dimension of Objective Landscapes (Li, Farkhoor, Liu, Yosinski 2018), arXiv 1804.08838."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, between
from analysis.series import against, by, crossing, last, select
from analysis.statistics import fold, median_and_range
from configs._li2018 import WIDTHS as NETWORKS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

TOY = 'configs/li2018_toy.py'
WIDTHS, WIDTHS_FULL = 'configs/li2018_widths.py', 'configs/li2018_widths_full.py'
PIXELS, PIXELS_FULL = 'configs/li2018_pixels.py', 'configs/li2018_pixels_full.py'
LABELS, LABELS_FULL = 'configs/li2018_labels.py', 'configs/li2018_labels_full.py'
SLOW = (PIXELS,)

SOLVED = 1e-6  # loss below which the toy problem counts as solved
SHARE = 0.9  # of the performance with all weights free
READING = {WIDTHS: 'test_accuracy', PIXELS: 'test_accuracy', LABELS: 'train_accuracy'}
FREE = {WIDTHS: WIDTHS_FULL, PIXELS: PIXELS_FULL, LABELS: LABELS_FULL}
NETWORK = 'model__widths'


def weights(hidden: tuple[int, ...]) -> int:
  """The number of weights and biases of a dense network from 64 pixels to 10 classes."""
  return sum((a + 1) * b for a, b in itertools.pairwise((64, *hidden, 10)))


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def accuracies(get: Get, config: str, **where) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(d,) dimensions, (seed, d) last accuracies in subspaces, and (seed,) with all weights free, for one setting."""
  free = last(select(get(FREE[config], 'performance'), **where), READING[config])
  return *against(select(get(config, 'performance'), **where), 'dimension', READING[config]), free


def d_int90(get: Get, config: str, **where) -> np.ndarray:
  """(seed,) the dimension at which a setting reaches 90%, by a line in log d between two dimensions.

  inf where it never does; the smallest dimension where it does from the start.
  """
  dimensions, inside, free = accuracies(get, config, **where)
  logs = np.log(dimensions)
  return np.exp([crossing(logs, path, SHARE * goal, start=logs[0]) for path, goal in zip(inside, free, strict=True)])


def disagreements(get: Get) -> np.ndarray:
  """(seed,) the number of pairs (s, d) where the loss is below 1e-6 with d < s, or is not with d >= s."""
  count = 0
  for s, rows in by(get(TOY, 'performance'), 'data.number').items():
    dimensions, losses = against(rows, 'dimension', 'train_loss')
    count = count + np.sum((losses < SOLVED) != (dimensions >= s)[None], axis=1)
  return count.astype(float)


def of_networks(get: Get, networks: Sequence[tuple[int, ...]] = ()) -> np.ndarray:
  """(seed, network) d_int90 of dense networks; of all that were run unless some are named."""
  networks = networks or list(by(get(WIDTHS, 'performance'), 'model.widths'))
  return np.stack([d_int90(get, WIDTHS, **{NETWORK: hidden}) for hidden in networks], axis=1)


def ratio(large: np.ndarray, small: np.ndarray) -> np.ndarray:
  """large / small; inf where only the first was never reached, NaN where the second was not."""
  return np.where(np.isinf(small), np.nan, large / np.where(np.isinf(small), 1.0, small))


CLAIMS = [
  Claim(
    name='1',
    kind='paper',
    scope={'a sparse projection': 'sparse', '4,000 weights': 'larger'},
    says='Where the solutions have codimension s, a random subspace holds one if and only if its dimension is at least s',
    where='toy example',
    of=(TOY,),
    samples=disagreements,
    holds=between(0, 0),
    unit=f'pairs of s in 5, 10, 20 and d in 1 to 30 where (loss < {SOLVED:g}) is not (d >= s), of 90',
  ),
  Claim(
    name='2',
    kind='paper',
    changed='8 x 8 digits for MNIST',
    scope={'10,000 MNIST digits': 'mnist', 'tanh': 'tanh'},
    says='The intrinsic dimension of dense networks hardly depends on their size',
    where='figure 3',
    of=(WIDTHS, WIDTHS_FULL),
    samples=lambda get: fold(of_networks(get)),
    holds=between(1.0, 3.0),
    unit=f'largest d_int90 over smallest, {len(NETWORKS)} networks of {weights(NETWORKS[0]):,} to {weights(NETWORKS[5]):,} '
    'weights',
  ),
  Claim(
    name='3a',
    kind='paper',
    changed='8 x 8 digits and a small network for MNIST and LeNet',
    scope={'10,000 MNIST digits': 'mnist', 'tanh': 'tanh'},
    reason='untested: on 8 x 8 pixels a window of 3 x 3 has little neighbourhood to lose, and 90% of the free accuracy is lower',
    says='A convolutional network needs more dimensions once the pixels are shuffled',
    where='shuffled pixels',
    of=(PIXELS, PIXELS_FULL),
    samples=lambda get: ratio(d_int90(get, PIXELS, data__pixels='shuffled'), d_int90(get, PIXELS, data__pixels='kept')),
    holds=at_least(1.0),
    unit='d_int90 with shuffled pixels over that with pixels as they are',
  ),
  Claim(
    name='3b',
    kind='paper',
    changed='300 digits of 8 x 8 for MNIST',
    scope={'150 examples': 'fewer', '50 hidden units': 'narrow'},
    says='Random labels need more than three times the dimension of true ones',
    where='random labels',
    of=(LABELS, LABELS_FULL),
    samples=lambda get: ratio(d_int90(get, LABELS, label_noise=1.0), d_int90(get, LABELS, label_noise=0.0)),
    holds=at_least(3.0),
    unit='d_int90 by training accuracy, random labels over true ones (300 digits)',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def by_dimension(ax: Axes, *ticks: float) -> None:
  """A log axis of dimensions, with the level that defines d_int90."""
  plots.level(ax, SHARE, '90%', linestyle='--')
  ax.set(xscale='log', xlabel='subspace dimension d')
  plots.ticks(ax, ticks)


def relative(ax: Axes, get: Get, config: str, label: str, color: str, **where) -> None:
  """Accuracies in subspaces over those with all weights free, by dimension."""
  dimensions, inside, free = accuracies(get, config, **where)
  plots.against(ax, dimensions, inside / free[:, None], label, color=color)


def toy(get: Get) -> Figure:
  table = get(TOY, 'performance')
  figure, axes = plots.canvas(width=5.6, height=3.0)
  ax = axes[0, 0]
  for number, (s, rows) in enumerate(by(table, 'data.number').items()):
    plots.against(ax, *against(rows, 'dimension', 'train_loss'), f's = {s} constraints')
    plots.mark(ax, s, None if number else 'd = s', color=f'C{number}')
  plots.level(ax, SOLVED, 'solved: below', linestyle='--')
  ax.set(yscale='log', xlabel='subspace dimension d', ylabel='loss at step 20,000')
  ax.legend(loc='upper left', bbox_to_anchor=(1, 1))
  plots.title(figure, '1,000 weights', table)
  return figure


def widths(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=3.0)
  curves, sizes = axes[0]
  shown = {NETWORKS[0]: 'C0', NETWORKS[3]: 'C3', NETWORKS[5]: 'C5', NETWORKS[7]: 'black'}
  for hidden, color in shown.items():
    label = f'{"-".join(map(str, hidden))}: {weights(hidden):,}'
    relative(curves, get, WIDTHS, label, color, **{NETWORK: hidden})
  by_dimension(curves, 40, 80, 160, 320)
  curves.set(title='hidden widths: weights', ylabel='relative test accuracy')
  curves.legend(loc='lower right')
  for layers, marker, label in ((1, 'o', 'one hidden layer'), (2, 's', 'two hidden layers')):
    networks = [hidden for hidden in NETWORKS if len(hidden) == layers]
    middle, low, high = median_and_range(of_networks(get, networks))
    sizes.errorbar(
      [weights(hidden) for hidden in networks],
      middle,
      [middle - low, high - middle],
      fmt=marker,
      markersize=4,
      capsize=2,
      label=label,
    )
  middle = np.median(of_networks(get))
  if np.isfinite(middle):
    sizes.axhspan(middle / 3**0.5, middle * 3**0.5, color='gray', alpha=0.2, linewidth=0, label='claim 2: within a factor 3')
    sizes.set_ylim(0, 3 * middle)
  sizes.set(title='intrinsic dimension', xscale='log', xlabel='weights D', ylabel='d_int90')
  sizes.legend(loc='upper left')
  plots.title(figure, 'Dense networks on digits, relative to all weights free', get(WIDTHS, 'performance'))
  return figure


def structure(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=3.0)
  pixels, labels = axes[0]
  for ax, config, where, name, color in (
    (pixels, PIXELS, dict(data__pixels='kept'), 'pixels as they are', 'C0'),
    (pixels, PIXELS, dict(data__pixels='shuffled'), 'pixels shuffled', 'C1'),
    (labels, LABELS, dict(label_noise=0.0), 'true labels', 'C0'),
    (labels, LABELS, dict(label_noise=1.0), 'random labels', 'C1'),
  ):
    relative(ax, get, config, name, color, **where)
    middle = np.median(d_int90(get, config, **where))
    if math.isfinite(middle):
      plots.mark(ax, middle, None, color=color)
  by_dimension(pixels, 80, 160, 320)
  by_dimension(labels, 40, 80, 160, 320, 640)
  pixels.set(title='convolutional network', ylabel='relative test accuracy', ylim=(0.68, 1.15))
  labels.set(title='dense network, 300 examples', ylabel='relative training accuracy', ylim=(0.05, 1.45))
  for ax in axes[0]:
    ax.legend(loc='upper left', frameon=True, edgecolor='none', framealpha=1.0)
  tables = (get(PIXELS, 'performance'), get(LABELS, 'performance'))
  plots.title(figure, 'Relative to all weights free; d_int90 dotted', *tables)
  return figure


FIGURES = [
  PaperFigure('li2018_toy', (TOY,), toy, 'A problem whose solutions have codimension s (toy example).'),
  PaperFigure('li2018_widths', (WIDTHS, WIDTHS_FULL), widths, 'Intrinsic dimension of dense networks by size (figure 3).'),
  PaperFigure(
    'li2018_structure',
    (PIXELS, PIXELS_FULL, LABELS, LABELS_FULL),
    structure,
    'Shuffled pixels under a convolutional network, and random labels.',
  ),
]
