"""Neural Redshift: Random Networks are not Random Functions (Teney et al. 2024), arXiv 2403.02241."""

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import line
from analysis.series import against, select
from configs._teney2024 import ACTIVATIONS, BANDS, DEPTH_BANDS, DEPTHS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

MAGNITUDE, DEPTH = 'configs/teney2024_magnitude.py', 'configs/teney2024_depth.py'
SLOW = ()

FOLD = BANDS[-1] / BANDS[0]
GROWING = ('tanh', 'gaussian', 'sine')
KINDS = ('plain', 'residual', 'residual and layer norm')  # in the order in which the config sweeps over them
CHANGED = 'circles of inputs for a grid of the square, weights uniform in balls for weights uniform in intervals'
SIZES = {'six layers of 32': 'deep', 'eight inputs': 'eight', 'the 28 x 28 digits': 'mnist'}
OTHERS = {'Gaussians': 'gaussian', 'branches over the root of their number': 'scaled', 'the 28 x 28 digits': 'mnist'}


def frequencies(get: Get, activation: str) -> np.ndarray:
  """(seed, band): the mean frequency along a circle."""
  return against(select(get(MAGNITUDE, 'complexity'), model__activation=activation), 'band', 'frequency')[1]


def growth(get: Get, activation: str) -> np.ndarray:
  """(seed,): the frequency at the largest weights over that at the smallest."""
  values = frequencies(get, activation)
  return values[:, -1] / values[:, 0]


def by_depth(get: Get, kind: str) -> np.ndarray:
  """(seed, band, depth): the mean frequency along a circle."""
  table = get(DEPTH, 'complexity')
  models = table['model'].unique().reshape(len(DEPTHS), len(KINDS))[:, KINDS.index(kind)]
  return np.stack([against(select(table, model=model), 'band', 'frequency')[1] for model in models], axis=2)


def slopes(values: np.ndarray) -> np.ndarray:
  """(..., depth) -> (...): cycles a turn that every layer adds."""
  return line(np.array(DEPTHS), values).slope


def compared(kind: str):
  """Samples: (seed, band) slopes of this kind of network and of the plain one, at weights above the usual size."""
  return lambda get: tuple(slopes(by_depth(get, name))[:, 1:] for name in (kind, 'plain'))


def ratio(theirs: np.ndarray, plain: np.ndarray) -> np.ndarray:
  """(band,): the median slope over that of plain networks."""
  return np.median(theirs, axis=0) / np.median(plain, axis=0)


CLAIMS = [
  Claim(
    name='1a',
    says=f'The functions of random relu networks turn as fast at {FOLD:g} times larger weights, to three tenths',
    where='section 3',
    kind='paper',
    of=(MAGNITUDE,),
    samples=lambda get: growth(get, 'relu'),
    holds=between(0.7, 1.3),
    unit=f'mean frequency at weights of magnitude {BANDS[-1]:g} over that at {BANDS[0]:g}',
    changed=CHANGED,
    scope=SIZES,
  ),
  Claim(
    name='1b',
    says=f'Those of tanh, Gaussian and sine networks turn at least twice as fast at {FOLD:g} times larger weights',
    where='section 3',
    kind='paper',
    of=(MAGNITUDE,),
    samples=lambda get: np.stack([growth(get, name) for name in GROWING], axis=1),
    statistic=lambda samples: np.median(samples, axis=0),
    holds=at_least(2.0),
    unit=f'mean frequency at weights of magnitude {BANDS[-1]:g} over that at {BANDS[0]:g}, of each activation',
    changed=CHANGED,
    scope=SIZES,
  ),
  Claim(
    name='2a',
    says='With residual connections the frequency of tanh networks grows less with depth',
    where='section 3',
    kind='paper',
    of=(DEPTH,),
    samples=compared(KINDS[1]),
    statistic=ratio,
    holds=at_most(1.0),
    unit='cycles a turn that a layer adds over those of plain networks, at each weight magnitude above 1',
    changed=CHANGED,
    scope=OTHERS,
  ),
  Claim(
    name='2b',
    says='With residual connections and layer normalisation the frequency of tanh networks grows less with depth',
    where='section 3',
    kind='paper',
    of=(DEPTH,),
    samples=compared(KINDS[2]),
    statistic=ratio,
    holds=at_most(1.0),
    unit='cycles a turn that a layer adds over those of plain networks, at each weight magnitude above 1',
    changed=f'{CHANGED}; layer normalisation within residual blocks',
    scope=OTHERS,
  ),
]


def complexity(get: Get) -> Figure:
  magnitude, depth = get(MAGNITUDE, 'complexity'), get(DEPTH, 'complexity')
  figure, axes = plots.canvas(2, height=2.9)
  sizes, layers = axes[0]
  for name in ACTIVATIONS:
    plots.against(sizes, BANDS, frequencies(get, name), name)
  plots.level(sizes, 1, 'linear')
  sizes.set(title='three hidden layers', xlabel='magnitude of the weights', ylabel='mean frequency (cycles a turn)')
  plots.log_axes(sizes)
  plots.ticks(sizes, BANDS)
  plots.ticks(sizes, (1, 2, 5, 10, 20, 30), axis='y')
  sizes.set_ylim(0.85, 200)
  sizes.legend(loc='upper left', ncols=2)
  for color, kind in zip(('C0', 'C1', 'C2'), KINDS, strict=True):
    for style, place in (('--', 1), ('-', 2)):
      values = by_depth(get, kind)[:, place]
      label = f'{kind}, {DEPTH_BANDS[place]:g}'
      plots.against(layers, DEPTHS, values, label, color=color, linestyle=style)
  layers.set(title='tanh, by kind and magnitude', xlabel='hidden layers', ylabel='mean frequency (cycles a turn)')
  plots.log_axes(layers, 'y')
  plots.ticks(layers, DEPTHS)
  plots.ticks(layers, (1, 2, 5, 10, 20, 50), axis='y')
  layers.set_ylim(0.9, 100)
  layers.legend(loc='upper left', handlelength=2.8)
  plots.title(figure, 'Random networks 64 wide along circles of the plane', magnitude, depth)
  return figure


FIGURES = [PaperFigure('teney2024', (MAGNITUDE, DEPTH), complexity, 'How fast random networks turn, by weights and depth.')]
