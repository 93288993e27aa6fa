"""Exact Learning of Permutations for Nonzero Binary Inputs (Giapitzakis, Back de Luca, Fountoulakis 2025), arXiv 2502.16763."""

import functools
import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, between
from analysis.fits import power_law
from analysis.series import by, last, select
from configs._giapitzakis2025 import BITS, unseen
from configs.giapitzakis2025_ensemble import WIDTH
from dynamics.theory import permutation
from dynamics.theory.relu_limit import GaussianProcess
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

WIDTHS = 'configs/giapitzakis2025_widths.py'
ENSEMBLE = 'configs/giapitzakis2025_ensemble.py'
SLOW = ()

KS = np.arange(5, 13)  # numbers of bits of claim 2
REPETITIONS = 400
SEED = 300  # of these draws; 100 of seed 200 left claim 2 undecided


# ---- statistics ---------------------------------------------------------------------------------------------------


def bits_of(table: pd.DataFrame) -> int:
  """k, of (2^k - 1 - k) unseen inputs with k outputs each."""
  count = len(table.filter(regex='^outputs/').columns)
  return next(k for k in range(2, 17) if unseen(k) * k == count)


def outputs(table: pd.DataFrame) -> np.ndarray:
  """(seed, n, k) the outputs at the unseen inputs after the last step."""
  values = last(table, 'outputs')
  return values.reshape(len(values), -1, bits_of(table))


def truth(bits: int) -> np.ndarray:
  """(n, k) whether a bit of the permuted input is 1."""
  return permutation.permuted(permutation.inputs(bits)[1]) == 1


def trained(get: Get, centred: bool) -> dict[int, pd.DataFrame]:
  """Width -> its rows; centred: less the function at step 0."""
  tables = by(select(get(WIDTHS, 'predictions'), transforms__centred__on=centred), 'model.widths')
  return {widths[0]: rows for widths, rows in tables.items()}


def on_the_right_side(get: Get) -> np.ndarray:
  """(seed, n k) outputs of the widest networks, times 1 where the bit should be 1 and -1 where it should be 0."""
  tables = trained(get, centred=True)
  table = tables[max(tables)]
  signed = outputs(table) * np.where(truth(bits_of(table)), 1, -1)
  return signed.reshape(len(signed), -1)


def gaps(get: Get, centred: bool) -> tuple[np.ndarray, np.ndarray]:
  """(w,) widths and (seed, w) the rms distance of a network's outputs from the mean of the infinite network."""
  tables = trained(get, centred)
  errors = [outputs(rows) - permutation.law(bits_of(rows)).mean for rows in tables.values()]
  return np.array(list(tables)), np.stack([np.sqrt(np.square(e).mean(axis=(1, 2))) for e in errors], axis=1)


@functools.cache
def sizes(process: Callable[[int], GaussianProcess] = permutation.law_of_pairs, repetitions: int = REPETITIONS) -> np.ndarray:
  """(repetition, k) the number of infinitely wide networks at the first exact mean."""
  draws = [permutation.first_exact(k, repetitions, np.random.default_rng((SEED, k)), process) for k in map(int, KS)]
  return np.stack(draws, axis=1)


def exponent(sizes: np.ndarray) -> float:
  """a of median size ~ k^a."""
  return power_law(KS, np.median(sizes, axis=0)).slope


def sizes_of_finite(get: Get) -> np.ndarray:
  """(200,) the same for random orders of the runs' networks; inf where all of them are not enough."""
  rng, networks = np.random.default_rng(SEED), outputs(get(ENSEMBLE, 'predictions'))
  chosen = permutation.pairs_of_ones(BITS)
  networks, right = networks[:, chosen], truth(BITS)[chosen]
  orders = (np.cumsum(networks[rng.permutation(len(networks))], axis=0) for _ in range(200))
  exact = np.array([((totals > 0) == right).all(axis=(1, 2)) for totals in orders])
  return np.where(exact.any(axis=1), exact.argmax(axis=1) + 1, math.inf)


over_seeds = functools.partial(np.mean, axis=0)
CENTRED = 'width 4,096 for 50,000, less the function at step 0 (of mean zero)'

CLAIMS = [
  Claim(
    name='1',
    kind='paper',
    says='The mean over networks is positive on every bit that should be 1 and negative on every other, at every input with two '
    'ones or more, none of which was seen',
    where='the theorem on the mean of the output law',
    of=(WIDTHS,),
    samples=on_the_right_side,
    statistic=over_seeds,
    holds=at_least(0.0),
    unit='mean output of the widest networks on its right side of zero, for each bit of each unseen input',
    changed=CENTRED,
    scope={'4 bits': 'bits4', '6 bits': 'bits6', 'tanh': 'tanh', 'two hidden layers of 1,024': 'deep'},
  ),
  Claim(
    name='2',
    kind='paper',
    says='The number of infinitely wide networks, added one by one until their mean is right on all inputs with two ones, grows '
    'polynomially with the number of bits',
    where='abstract (quadratic in k is enough) and figure 1',
    of=(),
    samples=lambda get: sizes(),
    statistic=exponent,
    holds=between(1.3, 3.0),
    unit='a in (median number of networks at the first exact mean) ~ k^a, k = 5 to 12, inputs divided by sqrt(k)',
    changed='draws of the law of infinite width for networks of width 50,000',
    reason='tested: 400 ensembles give an exponent beside the lower bound of 1.3; growth is slower than the quadratic bound',
  ),
  Claim(
    name='3',
    kind='extension',
    says='A finite network, less its function at step 0, comes to the mean of the infinite one as it widens',
    where='section on experiments, which takes width 50,000',
    of=(WIDTHS,),
    samples=lambda get: power_law(*gaps(get, centred=True)).slope,
    holds=between(-0.8, -0.3),
    unit='a in (rms distance of a network from the mean of the infinite one) ~ width^a, widths 64 to 4,096',
    scope={'4 bits': 'bits4', '6 bits': 'bits6'},
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def complexity(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.8)
  margin, size = axes[0]
  ks = np.arange(3, 11)
  low, high = np.array([permutation.margins(int(k)) for k in ks]).T
  margin.plot(ks, low, 'o-', color='C0', markersize=3, label='ones: smallest mean')
  margin.plot(ks, -high, 'o-', color='C3', markersize=3, label='zeros: minus the largest')
  margin.set(title='margins of the mean', xlabel='bits k', ylabel='distance from zero', yscale='log', ylim=(0.005, 2))
  margin.legend(loc='center right', fontsize=6)
  plots.against(size, KS, sizes(), f'infinite width: k^{exponent(sizes()):.2f}')
  median, low, high = np.quantile(sizes_of_finite(get), [0.5, 0.25, 0.75], method='nearest')
  if np.isfinite(high):
    reach = [[median - low], [high - median]]
    size.errorbar([BITS], [median], reach, fmt='s', markersize=4, label=f'width {WIDTH}: median, quartiles')
  first = (KS[0], np.median(sizes()[:, 0]))
  plots.guide(size, KS, 1, first, 'k^1', linestyle=':')
  plots.guide(size, KS, 2, first, 'k^2 (as the bound)')
  size.set(title='until the first exact mean', xlabel='bits k', ylabel='networks', xscale='log', yscale='log')
  size.set_ylim(10, 2000)
  plots.ticks(size, KS)
  plots.ticks(size, (10, 50, 200, 1000), axis='y')
  size.legend(loc='lower right', fontsize=6)
  figure.suptitle(f'Infinite width; right: inputs with two ones, median and range of {REPETITIONS} ensembles', fontsize=9)
  return figure


def finite(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.8)
  gap, exact = axes[0]
  mean, covariance = permutation.law(BITS)
  for centred, name in ((True, 'less the function at step 0'), (False, 'as they are')):
    widths, values = gaps(get, centred)
    plots.against(gap, widths, values, name)
    if centred:
      plots.guide(gap, widths, -0.5, (widths[0], np.median(values[:, 0])), 'width^(-1/2)', linewidth=1.5)
  plots.level(gap, np.diag(covariance).mean() ** 0.5, 'infinite width, as they are')
  gap.set(title='one network', xlabel='width', ylabel='rms distance from the limit', xscale='log', yscale='log')
  gap.set_ylim(bottom=0.004)
  gap.legend(loc='lower left', fontsize=6)

  networks, rng = outputs(get(ENSEMBLE, 'predictions')), np.random.default_rng(0)
  counts = [size for size in 2 ** np.arange(0, 9) if size <= len(networks)]
  right = lambda means: ((means > 0) == truth(BITS)).all(axis=2).mean()
  drawn = lambda size: rng.multivariate_normal(np.zeros(len(mean)), covariance / size, (400, BITS), method='cholesky')
  infinite = [right(mean + np.swapaxes(drawn(size), 1, 2)) for size in counts]
  plots.theory(exact, counts, infinite, 'infinite width', linewidth=1.5)
  ensembles = lambda size: networks[: len(networks) // size * size].reshape(-1, size, *networks.shape[1:]).mean(axis=1)
  measured = [right(ensembles(size)) for size in counts]
  exact.plot(counts, measured, 'o', markersize=4, label=f'width {WIDTH}, {len(networks)} networks')
  exact.set(title='inputs with all bits right', xlabel='networks in an ensemble', ylabel='share of unseen inputs', xscale='log')
  exact.set(ylim=(-0.03, 1.03))
  exact.legend(loc='lower right')
  note = 'left: median and range of {seeds}'
  plots.title(figure, f'Permutation of {BITS} bits, 26 unseen inputs', get(WIDTHS, 'predictions'), note=note)
  return figure


FIGURES = [
  PaperFigure(
    'giapitzakis2025_finite', (WIDTHS, ENSEMBLE), finite, 'Finite networks and ensembles against the limit (figure 1).'
  ),
  PaperFigure(
    'giapitzakis2025_complexity', (ENSEMBLE,), complexity, 'How many networks it takes, by the number of bits (figure 1).'
  ),
]
