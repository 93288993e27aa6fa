"""Exact Learning of Permutations for Nonzero Binary Inputs (Giapitzakis, Back de Luca, Fountoulakis 2025), arXiv 2502.16763."""

import functools
import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import band, exponent
from dynamics.theory import permutation
from paper_figures.paper import Figure, Get, canvas, select

WIDTHS = 'configs/giapitzakis2025_widths.py'
ENSEMBLE = 'configs/giapitzakis2025_ensemble.py'
SLOW = ()

BITS = 5  # of both configs
MEMBERS = 10  # networks of an ensemble in claim 3
SIZES = np.arange(5, 13)  # k of claim 2
GROUPS, DRAWS = 5, 51  # estimates of the ensemble size, and draws of the infinite network in each
SEED = 100  # of these draws; 0 was used for tuning


def outputs(rows: pd.DataFrame) -> np.ndarray:
  """(seed, n, k) the outputs at the unseen inputs after the last step."""
  rows = rows[rows['step'] == rows['step'].max()].sort_values('seed')
  count = sum(name.startswith('outputs/') for name in rows)
  return rows[[f'outputs/{i}' for i in range(count)]].to_numpy(float).reshape(len(rows), -1, BITS)


# ---- statistics ---------------------------------------------------------------------------------------------------


def signs(get: Get) -> np.ndarray:
  """(8,) for k = 3 to 10 the smaller of the two margins: of bits that are 1 above zero, of those that are 0 below."""
  return np.array([min(low, -high) for low, high in map(permutation.margins, range(3, 11))])


@functools.cache
def sizes() -> np.ndarray:
  """(group, k) the median over draws of the ensemble size at which every bit of every unseen input is right."""
  found = [permutation.ensemble_sizes(k, GROUPS * DRAWS, np.random.default_rng((SEED, k))) for k in map(int, SIZES)]
  return np.stack([np.median(each.reshape(GROUPS, DRAWS), axis=1) for each in found], axis=1)


def size_of_finite(get: Get) -> float:
  """The first size at which half of random ensembles of the runs' networks are exact; inf for none up to 400."""
  truth, rng = permutation.permuted(permutation.inputs(BITS)[1]) == 1, np.random.default_rng(SEED)
  networks = outputs(get(ENSEMBLE, 'predictions'))
  for m in range(20, min(400, len(networks)), 10):
    some = (networks[rng.permutation(len(networks))[:m]].mean(axis=0) for _ in range(200))
    if np.mean([((mean > 0) == truth).all() for mean in some]) >= 0.5:
      return m
  return math.inf


def gaps(get: Get, centred: bool) -> tuple[np.ndarray, np.ndarray]:
  """(w,) widths and (ensemble, w) the rms distance of an ensemble's mean from that of the infinite network."""
  table = select(get(WIDTHS, 'predictions'), predictor__centred=centred)
  groups = {int(text.strip('(),')): rows for text, rows in table.groupby('model.widths')}
  mean, out = permutation.law(BITS).mean, []
  for _, rows in sorted(groups.items()):
    found = outputs(rows)
    each = found[: len(found) // MEMBERS * MEMBERS].reshape(-1, min(MEMBERS, len(found)), *mean.shape).mean(axis=1)
    out.append(np.sqrt(np.square(each - mean).mean(axis=(1, 2))))
  return np.array(sorted(groups)), np.stack(out, axis=1)


CLAIMS = [
  Claim(
    'giapitzakis2025/1',
    'The mean over infinitely wide networks is positive on the bits that should be 1 and negative on the others, at every '
    'input that was not seen',
    'the theorem on the mean of the output law',
    (),
    signs,
    1e-9,  # far above the rounding of the closed form
    1.0,
    'smallest distance of a mean from zero on its right side, one value for each k from 3 to 10 (closed form, no runs)',
  ),
  Claim(
    'giapitzakis2025/2',
    'The number of networks whose mean is right on all unseen inputs grows polynomially with the number of bits',
    'abstract: quadratic in k is enough',
    (),
    lambda get: exponent(SIZES, sizes()),
    1.3,
    3.0,
    'a in (ensemble size at which half of the ensembles are exact) ~ k^a, k = 5 to 12 (output law of infinite width, no runs)',
  ),
  Claim(
    'giapitzakis2025/2b',
    'The same with inputs that are not divided by sqrt(k), as our pilot had them: deviations are sqrt(k) times as large, means '
    'the same',
    'no claim of the paper',
    (),
    lambda get: exponent(SIZES, SIZES * sizes()),
    1.3,
    3.0,
    'a in (ensemble size at which half of the ensembles are exact) ~ k^a, k = 5 to 12 (output law of infinite width, no runs)',
  ),
  Claim(
    'giapitzakis2025/3',
    'The mean of an ensemble of finite networks comes to that of the infinite one as they widen',
    'section on experiments, which takes width 50,000',
    (WIDTHS,),
    lambda get: exponent(*gaps(get, centred=True)),
    -0.8,
    -0.3,
    'a in (rms distance of the mean of ten networks, each less its function at step 0) ~ width^a, widths 64 to 4096',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def complexity(get: Get) -> Canvas:
  figure, axes = canvas(2, height=2.8)
  margins, needed = axes[0]
  ks = np.arange(3, 11)
  low, high = np.array([permutation.margins(int(k)) for k in ks]).T
  margins.plot(ks, low, 'o-', color='C0', markersize=3, label='bits that are 1: smallest mean')
  margins.plot(ks, -high, 'o-', color='C3', markersize=3, label='bits that are 0: minus the largest')
  margins.set(title='margins of the mean', xlabel='bits k', ylabel='distance from zero', yscale='log', ylim=(0.005, 2))
  margins.legend(loc='upper right', fontsize=6)
  found = sizes()
  middle, least, most = band(found)
  needed.plot(SIZES, middle, 'o-', color='C0', markersize=3, label=f'half are exact: k^{np.median(exponent(SIZES, found)):.2f}')
  needed.fill_between(SIZES, least, most, color='C0', alpha=0.2, linewidth=0)
  needed.plot(BITS, size_of_finite(get), 's', color='C1', markersize=5, label='512 networks of width 1024')
  for power, style in ((1, ':'), (2, '--')):
    line = middle[0] * (SIZES / SIZES[0]) ** power
    needed.plot(
      SIZES, line, color='black', linewidth=0.9, linestyle=style, label=f'k^{power}' + (' (as the bound)' if power == 2 else '')
    )
  needed.set(title='ensemble size', xlabel='bits k', ylabel='networks', xscale='log', yscale='log')
  needed.set_xticks(SIZES, [str(k) for k in SIZES], minor=False)
  needed.set_yticks([250, 500, 1000, 2000], ['250', '500', '1000', '2000'], minor=False)
  needed.minorticks_off()
  needed.legend(loc='upper left', fontsize=6)
  figure.suptitle(f'Networks of infinite width, all unseen inputs; {GROUPS} estimates from {DRAWS} draws each', fontsize=9)
  return figure


def finite(get: Get) -> Canvas:
  figure, axes = canvas(2, height=2.8)
  gap, right = axes[0]
  for colour, centred, name in (('C0', True, 'less the function at step 0'), ('C1', False, 'as they are')):
    width, values = gaps(get, centred)
    middle, least, most = band(values)
    gap.plot(width, middle, 'o-', color=colour, markersize=3, label=name)
    gap.fill_between(width, least, most, color=colour, alpha=0.2, linewidth=0)
    if centred:
      gap.plot(width, middle[0] * (width / width[0]) ** -0.5, color='black', linestyle='--', label='width^(-1/2)')
  spread = np.diag(permutation.law(BITS).covariance).mean()
  gap.axhline((spread / MEMBERS) ** 0.5, color='gray', linewidth=0.8, linestyle=':', label='infinite width, as they are')
  gap.set(title=f'mean of {MEMBERS} networks', xlabel='width', ylabel='rms distance from the limit', xscale='log', yscale='log')
  gap.legend(loc='lower left', fontsize=6)

  mean, covariance = permutation.law(BITS)
  truth = permutation.permuted(permutation.inputs(BITS)[1]) == 1
  found, rng = outputs(get(ENSEMBLE, 'predictions')), np.random.default_rng(0)
  counts = [m for m in 2 ** np.arange(0, 9) if m <= len(found)]
  networks, infinite = [], []
  for m in counts:
    each = found[: len(found) // m * m].reshape(-1, m, *mean.shape).mean(axis=1)
    networks.append(((each > 0) == truth).all(axis=2).mean())
    drawn = rng.multivariate_normal(np.zeros(len(mean)), covariance / m, (400, BITS), method='cholesky')
    infinite.append(((mean + np.swapaxes(drawn, 1, 2) > 0) == truth).all(axis=2).mean())
  right.plot(counts, infinite, color='black', linestyle='--', label='infinite width')
  right.plot(counts, networks, 'o', color='C0', markersize=4, label=f'width 1024, {len(found)} networks')
  right.set(title='inputs with all bits right', xlabel='networks in an ensemble', ylabel='share of unseen inputs', xscale='log')
  right.set(ylim=(-0.03, 1.03))
  right.legend(loc='lower right')
  figure.suptitle(f'Permutation of {BITS} bits, trained on its {BITS} single bits, asked on the other 26 inputs', fontsize=9)
  return figure


FIGURES = [
  Figure('giapitzakis2025_finite', (WIDTHS, ENSEMBLE), finite, 'Finite networks and ensembles against the limit (figure 1).'),
  Figure('giapitzakis2025_complexity', (ENSEMBLE,), complexity, 'How many networks it takes, by the number of bits (figure 1).'),
]
