"""Global Convergence of Sub-gradient Method for Robust Matrix Recovery (Ma, Fattahi 2022), arXiv 2202.08788."""

import math

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import band, exponent
from analysis.tables import each_seed, last
from paper_figures.paper import Figure, Get, canvas, curve, seeds_of, select

ALPHA = 'configs/ma2022_alpha.py'
SQUARES = 'configs/ma2022_squares.py'
RANK = 'configs/ma2022_rank.py'
NOISE = 'configs/ma2022_noise.py'
SAMPLES = 'configs/ma2022_samples.py'
SLOW = ()

ALPHAS = (0.1, 0.03, 0.01, 0.003, 0.001)
SMALLEST = 0.0001  # does not leave the start with the shorter schedule
SHORT, LONG = 0.98, 0.99  # decays of the step
COLUMNS = (2, 4, 8, 20)  # of SAMPLES
NOISES = (0.01, 0.1, 1.0)  # standard deviations
FREE, MEASURED = 39, 1500  # numbers that a 20 x 20 positive semi-definite matrix of rank 2 has, and measurements
RECOVERED = 0.05  # |R - M| / |M| below which M counts as recovered
SHARE, GROUP = 0.9, 10  # of seeds; seeds that make one number
OF_ALPHA = 'a in the last |R - M| ~ alpha^a'


# ---- statistics: one number a seed, or a group of ten -------------------------------------------------------------


def errors(get: Get, decay: float, alphas: tuple[float, ...]) -> np.ndarray:
  """(seed, alpha) the last error, with a tenth of outliers and 20 columns."""
  table = select(get(ALPHA, 'recovery'), decay=decay)
  return np.stack([last(select(table, init_scale=alpha), 'error') for alpha in alphas], axis=1)


def squares_over(get: Get, best: bool) -> np.ndarray:
  """(seed,) the error of the squared loss, the last or the best of the run, over the last one of SubGM; alpha = 0.01."""
  _, path = each_seed(get(SQUARES, 'recovery'), 'error')
  return (path.min(axis=1) if best else path[:, -1]) / errors(get, SHORT, (0.01,))[:, 0]


def gross_over(get: Get) -> np.ndarray:
  """(seed,) the last error with outliers of 1000 over that with outliers of 10: a tenth of outliers, 20 columns."""
  table = select(get(RANK, 'recovery'), label_noise=0.1, factor_rank=20.0)
  return last(select(table, data__outlier=1000.0), 'error') / last(select(table, data__outlier=10.0), 'error')


def noisy(get: Get, alpha: float, columns: int) -> np.ndarray:
  """(seed, noise) the last error under Gaussian noise alone."""
  table = select(get(NOISE, 'recovery'), init_scale=alpha, factor_rank=float(columns))
  return np.stack([last(select(table, data__noise=noise), 'error') for noise in NOISES], axis=1)


def regression(noise: np.ndarray) -> np.ndarray:
  """The error of a regression by least absolute deviations that knows the rank: noise sqrt(pi / 2) sqrt(free / measured)."""
  return np.sqrt(np.pi / 2 * FREE / MEASURED) * np.asarray(noise)


def successes(get: Get, alpha: float) -> tuple[np.ndarray, np.ndarray]:
  """(m,) measurements and (columns, m, seed) whether M was recovered."""
  table = select(get(SAMPLES, 'recovery'), init_scale=alpha)
  table = table[table['step'] == table['step'].max()]
  counts = np.sort(table['data.train'].unique())
  found = [[last(select(table, factor_rank=float(k), data__train=m), 'relative') < RECOVERED for m in counts] for k in COLUMNS]
  return counts, np.array(found)


def enough(counts: np.ndarray, share: np.ndarray) -> float:
  """The measurements at which the share (m,) of recovered seeds first reaches 90%, between two counts by a line; inf: never."""
  above = np.flatnonzero(share >= SHARE)
  if not len(above):
    return math.inf
  i = above[0]
  if not i:
    return float(counts[0])
  return float(counts[i - 1] + (SHARE - share[i - 1]) / (share[i] - share[i - 1]) * (counts[i] - counts[i - 1]))


def needed(get: Get, alpha: float) -> np.ndarray:
  """(group, columns) measurements at which nine seeds of ten succeed."""
  counts, found = successes(get, alpha)
  seeds = found.shape[2] // GROUP * GROUP
  shares = found[:, :, :seeds].reshape(*found.shape[:2], -1, GROUP).mean(axis=3)  # (columns, m, group)
  return np.array([[enough(counts, shares[k, :, g]) for k in range(len(COLUMNS))] for g in range(shares.shape[2])])


def growth(get: Get, alpha: float, least: int) -> np.ndarray:
  """(group,) the exponent of the needed measurements in the number of columns from `least` on; inf where one is never reached."""
  kept = [i for i, k in enumerate(COLUMNS) if k >= least]
  some = needed(get, alpha)[:, kept]
  finite = np.isfinite(some).all(axis=1)
  return np.where(finite, exponent([COLUMNS[i] for i in kept], np.where(np.isfinite(some), some, 1.0)), math.inf)


CLAIMS = [
  Claim(
    'ma2022/1a',
    'The error that SubGM reaches grows with the scale alpha of the start: the smaller, the better',
    'main theorem on outliers',
    (ALPHA,),
    lambda get: exponent(ALPHAS, errors(get, SHORT, ALPHAS)),
    0.7,
    2.0,
    f'{OF_ALPHA}, 0.1 to 0.001, steps 0.15 x 0.98^t',
  ),
  Claim(
    'ma2022/1b',
    'With steps that fall too fast for its start it does not leave it',
    'ours: a limit of claim 1a',
    (ALPHA,),
    lambda get: errors(get, SHORT, (SMALLEST,))[:, 0],
    0.5,
    math.inf,
    'last |R - M| from alpha 0.0001, steps 0.15 x 0.98^t (|M| is 1.41)',
  ),
  Claim(
    'ma2022/1c',
    'With steps that reach twice as far the error follows alpha to there',
    'ours: the schedule of claim 1b, corrected',
    (ALPHA,),
    lambda get: exponent((*ALPHAS, SMALLEST), errors(get, LONG, (*ALPHAS, SMALLEST))),
    0.7,
    2.0,
    f'{OF_ALPHA}, 0.1 to 0.0001, steps 0.15 x 0.99^t',
  ),
  Claim(
    'ma2022/2a',
    'On the same data with gross outliers the squared loss ends far from M',
    'motivation of the absolute loss',
    (SQUARES, ALPHA),
    lambda get: squares_over(get, best=False),
    10.0,
    math.inf,
    'last |R - M| of gradient descent on squares over that of SubGM, a tenth of outliers, 20 columns, alpha 0.01',
  ),
  Claim(
    'ma2022/2b',
    'and does not come near M on its way',
    'ours: the same with the best moment to stop',
    (SQUARES, ALPHA),
    lambda get: squares_over(get, best=True),
    10.0,
    math.inf,
    'the same with the smallest |R - M| along the run of squares',
  ),
  Claim(
    'ma2022/3a',
    'From a small start the number of measurements that SubGM needs does not grow with the number of columns',
    'corollary on Gaussian measurements',
    (SAMPLES,),
    lambda get: growth(get, 1e-4, 2),
    -math.inf,
    0.1,
    'a in (measurements for 9 of 10 seeds with |R - M| < 0.05 |M|) ~ columns^a, 2 to 20 columns, alpha 0.0001',
  ),
  Claim(
    'ma2022/3b',
    'The same among factors of more columns than the rank',
    'corollary on Gaussian measurements; without the exact case, as tuning seeds led us to ask',
    (SAMPLES,),
    lambda get: growth(get, 1e-4, 4),
    -math.inf,
    0.1,
    'the same, 4 to 20 columns',
  ),
  Claim(
    'ma2022/3c',
    'From a larger start it does',
    'ours: that it is the small start which makes 3a',
    (SAMPLES,),
    lambda get: growth(get, 1e-2, 4),
    0.1,
    math.inf,
    'the same, 4 to 20 columns, alpha 0.01',
  ),
  Claim(
    'ma2022/4',
    'The size of the outliers does not matter',
    'abstract (arbitrarily large noise values)',
    (RANK,),
    gross_over,
    0.8,
    1.25,
    'last |R - M| with outliers N(0, 1000^2) over that with N(0, 10^2), a tenth of outliers, 20 columns, alpha 0.01',
  ),
  Claim(
    'ma2022/5a',
    'Under dense Gaussian noise too the number of columns does not matter from a small start',
    'abstract (agnostic to over-parametrisation and noise)',
    (NOISE,),
    lambda get: noisy(get, 0.001, 20)[:, 1] / noisy(get, 0.001, 2)[:, 1],
    0.8,
    1.25,
    'last |R - M| with 20 columns over that with 2, noise 0.1, alpha 0.001',
  ),
  Claim(
    'ma2022/5b',
    'and the error is in proportion to the noise',
    'theorem on Gaussian noise, as we remember it',
    (NOISE,),
    lambda get: exponent(NOISES, noisy(get, 0.001, 20)),
    0.9,
    1.1,
    'a in last |R - M| ~ noise^a, 0.01 to 1, 20 columns, alpha 0.001',
  ),
  Claim(
    'ma2022/5c',
    'It is the error of a regression that knows the rank',
    'ours: sqrt(pi / 2) for least absolute deviations, 39 free numbers',
    (NOISE,),
    lambda get: noisy(get, 0.001, 20)[:, 1] / regression(0.1),
    0.8,
    1.25,
    'last |R - M| over noise sqrt(pi / 2) sqrt(39 / 1500), noise 0.1, 20 columns, alpha 0.001',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def start(get: Get) -> Canvas:
  table, squares = get(ALPHA, 'recovery'), get(SQUARES, 'recovery')
  figure, axes = canvas(3, height=3.0, sharey=True)
  for ax, decay in zip(axes[0], (SHORT, LONG), strict=False):
    for number, alpha in enumerate((0.1, 0.01, 0.001, SMALLEST)):
      curve(ax, select(table, decay=decay, init_scale=alpha), 'error', rf'{alpha:g}', color=f'C{number}')
    curve(ax, squares, 'error', r'squares, 0.01', color='black')
    ax.set(title=f'steps 0.15 x {decay:g}$^t$', xlabel='step t', yscale='log', ylim=(1e-7, 1e5), xlim=(-20, 1220))
  axes[0, 0].set_ylabel('error $|R - M|$')
  axes[0, 1].legend(loc='upper right', ncols=2, title=r'SubGM from $\alpha$ =', title_fontsize=7.5)
  final = axes[0, 2]
  alphas = (*ALPHAS, SMALLEST)
  for number, decay in enumerate((SHORT, LONG)):
    points(final, alphas, errors(get, decay, alphas), f'0.15 x {decay:g}$^t$', f'C{number}')
  final.plot(alphas, 0.03 * np.array(alphas), 'k--', linewidth=0.8, label=r'in proportion to $\alpha$')
  final.set(xscale='log', yscale='log', xlabel=r'scale of the start $\alpha$', title='the last error')
  final.legend(loc='upper right')
  figure.suptitle(
    f'SubGM, 20 columns, 1500 measurements, a tenth with gross outliers; median and range of {seeds_of([table, squares])}',
    fontsize=9,
  )
  return figure


def subspaces(get: Get) -> Canvas:
  table = get(ALPHA, 'recovery')
  figure, axes = canvas(3, height=2.9, sharey=True)
  arms = ((LONG, 0.01), (LONG, 0.001), (SHORT, SMALLEST))
  for ax, (decay, alpha) in zip(axes[0], arms, strict=True):
    some = select(table, decay=decay, init_scale=alpha)
    for reading, name in (('signal', 'signal'), ('cross', 'cross'), ('residual', 'residual')):
      curve(ax, some, reading, name)
    curve(ax, some, 'weakest', 'weakest direction of R', color='black', linestyle='--')
    ax.axhline(alpha, color='gray', linewidth=0.8, linestyle=':', label=r'$\alpha$')
    ax.set(title=rf'$\alpha$ = {alpha:g}, steps 0.15 x {decay:g}$^t$', xlabel='step t', yscale='log', ylim=(1e-10, 1e4))
  axes[0, 0].set_ylabel('parts of $R - M$ (Frobenius norm)')
  axes[0, 1].legend(loc='upper right', ncols=2)
  note = 'signal lies in rows and columns of M, cross in one of them, residual in neither'
  figure.suptitle(f'SubGM, 20 columns: {note}; range of {seeds_of([table])}', fontsize=9)
  return figure


def rank(get: Get) -> Canvas:
  table = get(RANK, 'recovery')
  figure, axes = canvas(3, height=2.9, sharey=True)
  panels = (
    ('columns', [(f'{k}', dict(label_noise=0.1, factor_rank=float(k), data__outlier=10.0)) for k in (2, 3, 5, 10, 20)]),
    ('share of outliers', [(f'{p:g}', dict(label_noise=p, factor_rank=20.0, data__outlier=10.0)) for p in (0.0, 0.1, 0.3)]),
    ('size of outliers', [(f'{s:g}', dict(label_noise=0.1, factor_rank=20.0, data__outlier=s)) for s in (10.0, 1000.0)]),
  )
  for ax, (title, arms) in zip(axes[0], panels, strict=True):
    for name, arm in arms:
      curve(ax, select(table, **arm), 'error', name, linestyle='--' if name == '1000' else '-')
    ax.axhline(0.01, color='gray', linewidth=0.8, linestyle=':', label=r'$\alpha$')
    ax.set(title=title, xlabel='step t', yscale='log', ylim=(1e-8, 3e2))
    ax.legend(loc='upper right', ncols=3)
  axes[0, 0].set_ylabel('error $|R - M|$')
  setting = r'SubGM from $\alpha$ = 0.01: 20 columns, a tenth of outliers of size 10 unless told'
  figure.suptitle(f'{setting}; median and range of {seeds_of([table])}', fontsize=9)
  return figure


def noise(get: Get) -> Canvas:
  table = get(NOISE, 'recovery')
  figure, axes = canvas(2, height=2.9)
  paths, ends = axes[0]
  for number, columns in enumerate((2, 5, 20)):
    for alpha, style in ((0.001, '-'), (0.1, '--')):
      some = select(table, data__noise=0.1, init_scale=alpha, factor_rank=float(columns))
      curve(paths, some, 'error', rf'{columns} columns, $\alpha$ = {alpha:g}', color=f'C{number}', linestyle=style)
      share = noisy(get, alpha, columns) / np.array(NOISES)
      points(ends, NOISES, share, None, f'C{number}', style)
  for ax, level in ((paths, regression(0.1)), (ends, regression(1.0))):
    ax.axhline(level, color='black', linewidth=0.8, linestyle=':', label='regression of known rank')
  paths.set(title='noise 0.1', xlabel='step t', ylabel='error $|R - M|$', yscale='log', ylim=(0.01, 2))
  ends.set(title='the last error', xscale='log', xlabel='noise (standard deviation)', ylabel='error / noise', ylim=(0, 0.75))
  ends.legend(*paths.get_legend_handles_labels(), loc='upper left', bbox_to_anchor=(1, 1))
  figure.set_size_inches(8.0, 2.9)
  figure.suptitle(f'SubGM under Gaussian noise (full lines coincide); median and range of {seeds_of([table])}', fontsize=9)
  return figure


def samples(get: Get) -> Canvas:
  table = get(SAMPLES, 'recovery')
  figure, axes = canvas(3, height=2.9)
  for ax, alpha in zip(axes[0], (1e-4, 1e-2), strict=False):
    counts, found = successes(get, alpha)
    for number, columns in enumerate(COLUMNS):
      ax.plot(counts, found[number].mean(axis=1), '.-', color=f'C{number}', label=f'{columns} columns')
      error = np.sqrt(found[number].mean(axis=1) * (1 - found[number].mean(axis=1)) / found.shape[2])
      middle = found[number].mean(axis=1)
      ax.fill_between(counts, middle - error, middle + error, color=f'C{number}', alpha=0.2, linewidth=0)
    ax.axhline(SHARE, color='gray', linewidth=0.8, linestyle=':', label='90%')
    ax.set(title=rf'$\alpha$ = {alpha:g}', xlabel='measurements m', ylim=(-0.05, 1.05))
  axes[0, 0].set_ylabel(f'share with $|R - M| < {RECOVERED:g} |M|$')
  axes[0, 0].legend(loc='lower right')
  for number, alpha in enumerate((1e-4, 1e-2)):
    points(axes[0, 2], COLUMNS, needed(get, alpha), rf'$\alpha$ = {alpha:g}', f'C{number}')
  middle = np.median(needed(get, 1e-4)[:, 0])
  if np.isfinite(middle):
    guide = middle * (np.array(COLUMNS) / COLUMNS[0]) ** 0.1
    axes[0, 2].plot(COLUMNS, guide, 'k--', linewidth=0.8, label='claims 3a, 3b: columns$^{0.1}$')
  axes[0, 2].set(title='measurements for 90%', xscale='log', xlabel='columns', ylabel='measurements m', ylim=(0, 230))
  axes[0, 2].set_xticks(COLUMNS, [str(k) for k in COLUMNS])
  axes[0, 2].minorticks_off()
  axes[0, 2].legend(loc='lower right')
  note = f'bands: a standard error; right: median and range over groups of {GROUP} seeds'
  figure.suptitle(f'SubGM with a tenth of outliers, {seeds_of([table])}; {note}', fontsize=9)
  return figure


def points(ax, x, values: np.ndarray, label: str | None, colour: str, style: str = '-') -> None:
  """Median and range over seeds of (seed, x) values."""
  middle, low, high = band(values)
  ax.plot(x, middle, '.', linestyle=style, color=colour, label=label)
  ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


FIGURES = [
  Figure('ma2022_start', (ALPHA, SQUARES), start, 'Error of SubGM by the scale of the start and the schedule, and of squares.'),
  Figure('ma2022_subspaces', (ALPHA,), subspaces, 'Where the error lies: signal, residual and cross terms.'),
  Figure('ma2022_rank', (RANK,), rank, 'Error by columns, and by share and size of outliers.'),
  Figure('ma2022_noise', (NOISE,), noise, 'Error under Gaussian noise, by columns and start.'),
  Figure('ma2022_samples', (SAMPLES,), samples, 'How many measurements SubGM needs, by columns.'),
]
