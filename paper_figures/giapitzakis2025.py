"""Exact Learning of Permutations for Nonzero Binary Inputs (Giapitzakis, Back de Luca, Fountoulakis 2025), arXiv 2502.16763."""

import functools
import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.claims import Claim, between
from analysis.fits import power_law
from analysis.series import by, last, select
from configs._giapitzakis2025 import BITS
from configs.giapitzakis2025_ensemble import WIDTH
from dynamics.theory import permutation
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

WIDTHS = 'configs/giapitzakis2025_widths.py'
ENSEMBLE = 'configs/giapitzakis2025_ensemble.py'
SLOW = ()

MEMBERS = 10  # networks of an ensemble in claim 3
KS = np.arange(5, 13)  # numbers of bits of claim 2
GROUPS, DRAWS = 5, 51  # estimates of the ensemble size, and draws of the infinite network in each
SEED = 100  # of these draws; 0 was used for tuning


# ---- statistics ---------------------------------------------------------------------------------------------------


def outputs(table: pd.DataFrame) -> np.ndarray:
  """(seed, n, k) the outputs at the unseen inputs after the last step."""
  values = last(table, 'outputs')
  return values.reshape(len(values), -1, BITS)


def margins() -> np.ndarray:
  """(8,) for k = 3 to 10 the smaller of the two margins: of bits that are 1 above zero, of those that are 0 below."""
  return np.array([min(low, -high) for low, high in map(permutation.margins, range(3, 11))])


@functools.cache
def sizes() -> np.ndarray:
  """(group, k) the median over draws of the ensemble size at which every bit of every unseen input is right."""
  draws = [permutation.ensemble_sizes(k, GROUPS * DRAWS, np.random.default_rng((SEED, k))) for k in map(int, KS)]
  return np.stack([np.median(values.reshape(GROUPS, DRAWS), axis=1) for values in draws], axis=1)


def truth() -> np.ndarray:
  """(n, k) whether a bit of the permuted input is 1."""
  return permutation.permuted(permutation.inputs(BITS)[1]) == 1


def size_of_finite(get: Get) -> float:
  """The first size at which half of random ensembles of the runs' networks are exact; inf for none up to 400."""
  rng, networks = np.random.default_rng(SEED), outputs(get(ENSEMBLE, 'predictions'))
  for size in range(20, min(400, len(networks)), 10):
    means = (networks[rng.permutation(len(networks))[:size]].mean(axis=0) for _ in range(200))
    if np.mean([((mean > 0) == truth()).all() for mean in means]) >= 0.5:
      return size
  return math.inf


def ensembles(networks: np.ndarray, size: int) -> np.ndarray:
  """(ensemble, n, k) mean outputs of as many disjoint ensembles as there are."""
  size = min(size, len(networks))
  return networks[: len(networks) // size * size].reshape(-1, size, *networks.shape[1:]).mean(axis=1)


def gaps(get: Get, centred: bool) -> tuple[np.ndarray, np.ndarray]:
  """(w,) widths and (ensemble, w) the rms distance of an ensemble's mean from that of the infinite network."""
  tables = by(select(get(WIDTHS, 'predictions'), transforms__centred__on=centred), 'model.widths')
  mean = permutation.law(BITS).mean
  errors = [ensembles(outputs(rows), MEMBERS) - mean for rows in tables.values()]
  return np.array([width for (width,) in tables]), np.stack([np.sqrt(np.square(e).mean(axis=(1, 2))) for e in errors], axis=1)


SIZE = 'a in (ensemble size at which half of the ensembles are exact) ~ k^a, k = 5 to 12 (output law of infinite width, no runs)'

CLAIMS = [
  Claim(
    name='1',
    kind='paper',
    says='The mean over infinitely wide networks is positive on the bits that should be 1 and negative on the others, at every '
    'input that was not seen',
    where='the theorem on the mean of the output law',
    of=(),
    samples=lambda get: margins(),
    holds=between(1e-9, 1.0),  # far above the rounding of the closed form
    unit='smallest distance of a mean from zero on its right side, one value for each k from 3 to 10 (closed form, no runs)',
  ),
  Claim(
    name='2',
    kind='paper',
    says='The number of networks whose mean is right on all unseen inputs grows polynomially with the number of bits',
    where='abstract: quadratic in k is enough',
    of=(),
    samples=lambda get: power_law(KS, sizes()).slope,
    holds=between(1.3, 3.0),
    unit=SIZE,
  ),
  Claim(
    name='2b',
    kind='paper',
    says='The number of networks grows polynomially with inputs that are not divided by sqrt(k) too, as our pilot had them: '
    'deviations are sqrt(k) times as large, means the same',
    where='no claim of the paper',
    of=(),
    samples=lambda get: power_law(KS, KS * sizes()).slope,
    holds=between(1.3, 3.0),
    unit=SIZE,
  ),
  Claim(
    name='3',
    kind='paper',
    says='The mean of an ensemble of finite networks comes to that of the infinite one as they widen',
    where='section on experiments, which takes width 50,000',
    of=(WIDTHS,),
    samples=lambda get: power_law(*gaps(get, centred=True)).slope,
    holds=between(-0.8, -0.3),
    unit='a in (rms distance of the mean of ten networks, each less its function at step 0) ~ width^a, widths 64 to 4096',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def complexity(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.8)
  margin, size = axes[0]
  ks = np.arange(3, 11)
  low, high = np.array([permutation.margins(int(k)) for k in ks]).T
  margin.plot(ks, low, 'o-', color='C0', markersize=3, label='bits that are 1: smallest mean')
  margin.plot(ks, -high, 'o-', color='C3', markersize=3, label='bits that are 0: minus the largest')
  margin.set(title='margins of the mean', xlabel='bits k', ylabel='distance from zero', yscale='log', ylim=(0.005, 2))
  margin.legend(loc='upper right', fontsize=6)
  exponent, first = np.median(power_law(KS, sizes()).slope), (KS[0], np.median(sizes()[:, 0]))
  plots.against(size, KS, sizes(), f'half are exact: k^{exponent:.2f}')
  size.plot(BITS, size_of_finite(get), 's', markersize=5, label=f'512 networks of width {WIDTH}')
  plots.guide(size, KS, 1, first, 'k^1', linestyle=':')
  plots.guide(size, KS, 2, first, 'k^2 (as the bound)')
  size.set(title='ensemble size', xlabel='bits k', ylabel='networks', xscale='log', yscale='log')
  plots.ticks(size, KS)
  plots.ticks(size, (250, 500, 1000, 2000), axis='y')
  size.legend(loc='upper left', fontsize=6)
  figure.suptitle(f'Networks of infinite width, all unseen inputs; {GROUPS} estimates from {DRAWS} draws each', fontsize=9)
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
  plots.level(gap, (np.diag(covariance).mean() / MEMBERS) ** 0.5, 'infinite width, as they are')
  gap.set(title=f'mean of {MEMBERS} networks', xlabel='width', ylabel='rms distance from the limit', xscale='log', yscale='log')
  gap.legend(loc='lower left', fontsize=6)

  networks, rng = outputs(get(ENSEMBLE, 'predictions')), np.random.default_rng(0)
  counts = [size for size in 2 ** np.arange(0, 9) if size <= len(networks)]
  right = lambda means: ((means > 0) == truth()).all(axis=2).mean()
  drawn = lambda size: rng.multivariate_normal(np.zeros(len(mean)), covariance / size, (400, BITS), method='cholesky')
  infinite = [right(mean + np.swapaxes(drawn(size), 1, 2)) for size in counts]
  plots.theory(exact, counts, infinite, 'infinite width', linewidth=1.5)
  measured = [right(ensembles(networks, size)) for size in counts]
  exact.plot(counts, measured, 'o', markersize=4, label=f'width {WIDTH}, {len(networks)} networks')
  exact.set(title='inputs with all bits right', xlabel='networks in an ensemble', ylabel='share of unseen inputs', xscale='log')
  exact.set(ylim=(-0.03, 1.03))
  exact.legend(loc='lower right')
  figure.suptitle(f'Permutation of {BITS} bits, trained on its {BITS} single bits, asked on the other 26 inputs', fontsize=9)
  return figure


FIGURES = [
  PaperFigure(
    'giapitzakis2025_finite', (WIDTHS, ENSEMBLE), finite, 'Finite networks and ensembles against the limit (figure 1).'
  ),
  PaperFigure(
    'giapitzakis2025_complexity', (ENSEMBLE,), complexity, 'How many networks it takes, by the number of bits (figure 1).'
  ),
]
