"""Measuring the Intrinsic Dimension of Objective Landscapes (Li, Farkhoor, Liu, Yosinski 2018), arXiv 1804.08838."""

import itertools
import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import band
from analysis.tables import last
from paper_figures.paper import Figure, Get, canvas, seeds_of, select

TOY = 'configs/li2018_toy.py'
WIDTHS, WIDTHS_FULL = 'configs/li2018_widths.py', 'configs/li2018_widths_full.py'
PIXELS, PIXELS_FULL = 'configs/li2018_pixels.py', 'configs/li2018_pixels_full.py'
LABELS, LABELS_FULL = 'configs/li2018_labels.py', 'configs/li2018_labels_full.py'
SLOW = ()

SOLVED = 1e-6  # loss below which the toy problem counts as solved
SHARE = 0.9  # of the performance with all weights free
NETWORKS = ((12,), (25,), (50,), (100,), (200,), (384,), (50, 50), (100, 100))


def weights(hidden: tuple[int, ...]) -> int:
  """The number of weights and biases of a dense network from 64 pixels to 10 classes."""
  sides = (64, *hidden, 10)
  return sum((a + 1) * b for a, b in itertools.pairwise(sides))


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def by_dimension(table: pd.DataFrame, reading: str) -> tuple[np.ndarray, np.ndarray]:
  """(d,) dimensions and (seed, d) last readings of one setting."""
  found = np.array(sorted(table['dimension'].unique()))
  return found, np.stack([last(select(table, dimension=d), reading) for d in found], axis=1)


def intrinsic(dimensions: np.ndarray, values: np.ndarray, level: np.ndarray) -> np.ndarray:
  """(seed,) the dimension at which `values` (seed, d) first reach `level` (seed,), by a line in log d between two dimensions.

  inf where they never do; the smallest dimension where they do from the start.
  """
  out = []
  for path, goal in zip(values, level, strict=True):
    above = np.flatnonzero(path >= goal)
    if not len(above) or not above[0]:
      out.append(dimensions[0] if len(above) else math.inf)
      continue
    (x0, x1), (y0, y1) = np.log(dimensions[above[0] - 1 : above[0] + 1]), path[above[0] - 1 : above[0] + 1]
    out.append(math.exp(x0 + (goal - y0) / (y1 - y0) * (x1 - x0)))
  return np.array(out)


def d_int90(get: Get, inside: str, free: str, reading: str, **where) -> np.ndarray:
  """(seed,) the intrinsic dimension of one setting, from runs in subspaces and with all weights free."""
  goal = SHARE * last(select(get(free, 'performance'), **where), reading)
  return intrinsic(*by_dimension(select(get(inside, 'performance'), **where), reading), goal)


def disagreements(get: Get) -> np.ndarray:
  """(seed,) the number of pairs (s, d) where the loss is below 1e-6 with d < s, or is not with d >= s."""
  count = 0
  for s, table in get(TOY, 'performance').groupby('data.number'):
    dimensions, losses = by_dimension(table, 'train_loss')
    count = count + np.sum((losses < SOLVED) != (dimensions >= s)[None], axis=1)
  return count.astype(float)


def of_network(get: Get, hidden: tuple[int, ...]) -> np.ndarray:
  """(seed,) d_int90 of a dense network, by its test accuracy."""
  return d_int90(get, WIDTHS, WIDTHS_FULL, 'test_accuracy', model__widths=str(hidden))


def spread(get: Get) -> np.ndarray:
  """(seed,) the largest d_int90 of all networks over the smallest."""
  found = np.stack([of_network(get, hidden) for hidden in NETWORKS])
  return over(found.max(axis=0), found.min(axis=0))


def of_pixels(get: Get, pixels: str) -> np.ndarray:
  return d_int90(get, PIXELS, PIXELS_FULL, 'test_accuracy', data__pixels=pixels)


def of_labels(get: Get, noise: float) -> np.ndarray:
  return d_int90(get, LABELS, LABELS_FULL, 'train_accuracy', label_noise=noise)


def over(large: np.ndarray, small: np.ndarray) -> np.ndarray:
  """large / small; inf where only the first was never reached, NaN where the second was not."""
  with np.errstate(invalid='ignore'):
    return np.where(np.isinf(small), np.nan, large / small)


CLAIMS = [
  Claim(
    'li2018/1',
    'Where the solutions have codimension s, a random subspace holds one if and only if its dimension is at least s',
    'toy example',
    (TOY,),
    disagreements,
    0,
    0,
    f'pairs of s in 5, 10, 20 and d in 1 to 30 where (loss < {SOLVED:g}) is not (d >= s), of 90',
  ),
  Claim(
    'li2018/2',
    'The intrinsic dimension of dense networks hardly depends on their size',
    'figure 3',
    (WIDTHS, WIDTHS_FULL),
    spread,
    1.0,
    3.0,
    f'largest d_int90 over smallest, {len(NETWORKS)} networks of {weights(NETWORKS[0]):,} to {weights(NETWORKS[5]):,} weights',
  ),
  Claim(
    'li2018/3a',
    'A convolutional network needs more dimensions once the pixels are shuffled',
    'shuffled pixels',
    (PIXELS, PIXELS_FULL),
    lambda get: over(of_pixels(get, 'shuffled'), of_pixels(get, 'kept')),
    1.0,
    math.inf,
    'd_int90 with shuffled pixels over that with pixels as they are',
  ),
  Claim(
    'li2018/3b',
    'Random labels need more than three times the dimension',
    'random labels',
    (LABELS, LABELS_FULL),
    lambda get: over(of_labels(get, 1.0), of_labels(get, 0.0)),
    3.0,
    math.inf,
    'd_int90 by training accuracy, random labels over true ones (300 digits)',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def drawn(ax: Axes, x: np.ndarray, values: np.ndarray, label: str, colour: str, **style) -> None:
  """Median and range over seeds of (seed, x) values."""
  middle, low, high = band(values)
  ax.plot(x, middle, '.-', color=colour, label=label, **style)
  ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def by_d(ax: Axes, ticks: tuple[int, ...]) -> None:
  """A log axis of dimensions."""
  ax.set(xscale='log', xlabel='subspace dimension d')
  ax.set_xticks(ticks, [str(t) for t in ticks])
  ax.minorticks_off()


def toy(get: Get) -> Canvas:
  table = get(TOY, 'performance')
  figure, axes = canvas(1, height=3.0)
  ax = axes[0, 0]
  for number, (s, rows) in enumerate(table.groupby('data.number')):
    drawn(ax, *by_dimension(rows, 'train_loss'), f's = {s} constraints', f'C{number}')
    ax.axvline(s, color=f'C{number}', linewidth=0.8, linestyle=':', label=None if number else 'd = s')
  ax.axhline(SOLVED, color='gray', linewidth=0.8, linestyle='--', label='solved: below')
  ax.set(yscale='log', xlabel='subspace dimension d', ylabel='loss at step 20,000')
  ax.legend(loc='upper left', bbox_to_anchor=(1, 1))
  figure.set_size_inches(5.6, 3.0)
  figure.suptitle(f'1,000 weights; median and range of {seeds_of([table])}', fontsize=9)
  return figure


def widths(get: Get) -> Canvas:
  inside, free = get(WIDTHS, 'performance'), get(WIDTHS_FULL, 'performance')
  figure, axes = canvas(2, height=3.0)
  curves, sizes = axes[0]
  for hidden in (NETWORKS[0], NETWORKS[3], NETWORKS[5], NETWORKS[7]):
    where = dict(model__widths=str(hidden))
    goal = last(select(free, **where), 'test_accuracy')
    d, values = by_dimension(select(inside, **where), 'test_accuracy')
    colour = f'C{NETWORKS.index(hidden)}' if hidden != NETWORKS[7] else 'black'
    drawn(curves, d, values / goal[:, None], f'{"-".join(map(str, hidden))}: {weights(hidden):,}', colour)
  curves.axhline(SHARE, color='gray', linewidth=0.8, linestyle='--', label='90%')
  curves.set(title='hidden widths: weights', ylabel='relative test accuracy')
  by_d(curves, (40, 80, 160, 320))
  curves.legend(loc='lower right')
  for one_layer, marker, label in ((True, 'o', 'one hidden layer'), (False, 's', 'two hidden layers')):
    some = [hidden for hidden in NETWORKS if (len(hidden) == 1) == one_layer]
    middle, low, high = band(np.stack([of_network(get, hidden) for hidden in some], axis=1))
    error = np.stack([middle - low, high - middle])
    sizes.errorbar([weights(hidden) for hidden in some], middle, error, fmt=marker, markersize=4, capsize=2, label=label)
  middle = np.median([of_network(get, hidden) for hidden in NETWORKS])
  if np.isfinite(middle):
    sizes.axhspan(middle / 3**0.5, middle * 3**0.5, color='gray', alpha=0.2, linewidth=0, label='claim 2: within a factor 3')
    sizes.set_ylim(0, 3 * middle)
  sizes.set(title='intrinsic dimension', xscale='log', xlabel='weights D', ylabel='d_int90')
  sizes.legend(loc='upper left')
  figure.suptitle(f'Dense networks on digits, relative to all weights free; median and range of {seeds_of([inside])}', fontsize=9)
  return figure


def structure(get: Get) -> Canvas:
  pixels, labels = get(PIXELS, 'performance'), get(LABELS, 'performance')
  figure, axes = canvas(2, height=3.0)
  left, right = axes[0]
  for number, (kind, name) in enumerate((('kept', 'pixels as they are'), ('shuffled', 'pixels shuffled'))):
    where = dict(data__pixels=kind)
    share(left, select(pixels, **where), select(get(PIXELS_FULL, 'performance'), **where), 'test_accuracy', name, f'C{number}')
    mark(left, of_pixels(get, kind), f'C{number}')
  for number, (noise, name) in enumerate(((0.0, 'true labels'), (1.0, 'random labels'))):
    where = dict(label_noise=noise)
    share(right, select(labels, **where), select(get(LABELS_FULL, 'performance'), **where), 'train_accuracy', name, f'C{number}')
    mark(right, of_labels(get, noise), f'C{number}')
  left.set(title='convolutional network', ylabel='relative test accuracy', ylim=(0.68, 1.15))
  right.set(title='dense network, 300 examples', ylabel='relative training accuracy', ylim=(0.05, 1.45))
  by_d(left, (80, 160, 320))
  by_d(right, (40, 80, 160, 320, 640))
  for ax in axes[0]:
    ax.axhline(SHARE, color='gray', linewidth=0.8, linestyle='--', label='90%')
    ax.legend(loc='upper left', frameon=True, edgecolor='none', framealpha=1.0)
  note = 'relative to all weights free; d_int90 dotted'
  figure.suptitle(f'Median and range of {seeds_of([pixels, labels])}; {note}', fontsize=9)
  return figure


def share(ax: Axes, inside: pd.DataFrame, free: pd.DataFrame, reading: str, label: str, colour: str) -> None:
  """A reading over that with all weights free, by dimension."""
  d, values = by_dimension(inside, reading)
  drawn(ax, d, values / last(free, reading)[:, None], label, colour)


def mark(ax: Axes, found: np.ndarray, colour: str) -> None:
  """A dotted line at the median intrinsic dimension."""
  middle = np.median(found)
  if np.isfinite(middle):
    ax.axvline(middle, color=colour, linewidth=0.8, linestyle=':')


FIGURES = [
  Figure('li2018_toy', (TOY,), toy, 'A problem whose solutions have codimension s (toy example).'),
  Figure('li2018_widths', (WIDTHS, WIDTHS_FULL), widths, 'Intrinsic dimension of dense networks by size (figure 3).'),
  Figure(
    'li2018_structure',
    (PIXELS, PIXELS_FULL, LABELS, LABELS_FULL),
    structure,
    'Shuffled pixels under a convolutional network, and random labels.',
  ),
]
