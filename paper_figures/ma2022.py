"""Global Convergence of Sub-gradient Method for Robust Matrix Recovery (Ma, Fattahi 2022), arXiv 2202.08788."""

import math

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import power_law
from analysis.series import against, crossing, last, lowest, select
from analysis.statistics import resample
from configs import ma2022_alpha, ma2022_noise, ma2022_rank, ma2022_samples
from configs._ma2022 import MEASUREMENTS, OUTLIERS, RANK, SIDE, STEP
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

START = 'configs/ma2022_alpha.py'
SQUARES = 'configs/ma2022_squares.py'
COLUMNS = 'configs/ma2022_rank.py'
NOISE = 'configs/ma2022_noise.py'
SAMPLES = 'configs/ma2022_samples.py'
SLOW = ()

*ALPHAS, SMALLEST = ma2022_alpha.ALPHAS  # the last does not leave the start with the shorter schedule
SHORT, LONG = ma2022_alpha.DECAYS  # of the step
SMALL, LARGE = ma2022_samples.ALPHAS
NARROW, *_, WIDE = ma2022_noise.COLUMNS
FREE = SIDE * RANK - RANK * (RANK - 1) // 2  # numbers that a positive semi-definite matrix of this rank has: 39
RECOVERED = 0.05  # |R - M| / |M| below which M counts as recovered
SHARE = 0.9  # of seeds


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def errors(get: Get, decay: float) -> tuple[np.ndarray, np.ndarray]:
  """(alpha,) scales of the start, falling, and (seed, alpha) the last error, with a tenth of outliers and 20 columns."""
  alphas, values = against(select(get(START, 'recovery'), decay=decay), 'init_scale', 'error')
  return alphas[::-1], values[:, ::-1]


def squares_over(get: Get, read) -> np.ndarray:
  """(seed,) the error of the squared loss, the last or the lowest, over the last one of SubGM; alpha = 0.01."""
  subgradient = last(select(get(START, 'recovery'), decay=SHORT, init_scale=0.01), 'error')
  return read(get(SQUARES, 'recovery'), 'error') / subgradient


def gross_over(get: Get) -> np.ndarray:
  """(seed,) the last error with outliers of 1000 over that with outliers of 10: a tenth of outliers, 20 columns."""
  table = select(get(COLUMNS, 'recovery'), outlier_share=OUTLIERS, factor_rank=WIDE)
  small, large = (last(select(table, data__outlier=size), 'error') for size in ma2022_rank.SIZES)
  return large / small


def noisy(get: Get, alpha: float, columns: float) -> tuple[np.ndarray, np.ndarray]:
  """(noise,) standard deviations and (seed, noise) the last error under Gaussian noise alone."""
  return against(select(get(NOISE, 'recovery'), init_scale=alpha, factor_rank=columns), 'data.noise', 'error')


def at_middle_noise(get: Get, columns: float) -> np.ndarray:
  """(seed,) the last error under noise 0.1 from alpha 0.001."""
  return noisy(get, 0.001, columns)[1][:, 1]


def regression(noise: float) -> float:
  """The error of a regression by least absolute deviations that knows the rank: noise sqrt(pi / 2) sqrt(free / measured)."""
  return noise * np.sqrt(np.pi / 2 * FREE / MEASUREMENTS)


def successes(get: Get, alpha: float, columns: float) -> tuple[np.ndarray, np.ndarray]:
  """(m,) measurements and (seed, m) whether M was recovered."""
  table = select(get(SAMPLES, 'recovery'), init_scale=alpha, factor_rank=columns)
  counts, values = against(table, 'data.train', 'relative')
  return counts, values < RECOVERED


def recoveries(get: Get, alpha: float, least: int) -> np.ndarray:
  """(seed, columns, m) whether M was recovered, for factors of `least` columns or more."""
  return np.stack([successes(get, alpha, k)[1] for k in ma2022_samples.COLUMNS if k >= least], axis=1).astype(float)


def needed(recovered: np.ndarray) -> np.ndarray:
  """(columns,) measurements at which nine seeds of ten succeed, between two counts by a line; inf: never."""
  counts = np.array(ma2022_samples.MEASUREMENTS, float)
  return np.array([crossing(counts, share, SHARE, start=counts[0]) for share in recovered.mean(axis=0)])


def growth(recovered: np.ndarray) -> float:
  """Exponent of the needed measurements in the number of columns, of which the most are there; inf for one that never does."""
  columns, numbers = ma2022_samples.COLUMNS[-recovered.shape[1] :], needed(recovered)
  return math.inf if np.isinf(numbers).any() else float(power_law(columns, numbers).slope)


OF_ALPHA = 'a in the last |R - M| ~ alpha^a'
ENOUGH = 'a in (measurements at which 90% of all seeds have |R - M| < 0.05 |M|) ~ columns^a'
OVER_SUBGM = 'of SubGM, a tenth of outliers, 20 columns, alpha 0.01'
CHANGED = '20 x 20 of rank 2, a Gaussian start'
UNEVEN = {'singular values 1 and 0.5': 'uneven'}
RARER = {**UNEVEN, 'a twentieth of outliers': 'rarer'}
ELSEWHERE = {**UNEVEN, '500 measurements': 'fewer'}

CLAIMS = [
  Claim(name='1a', kind='paper', where='main theorem on outliers', of=(START,), holds=between(0.7, 2.0),
        changed=CHANGED, scope=ELSEWHERE,
        says='The error that SubGM reaches grows with the scale alpha of the start: the smaller, the better',
        samples=lambda get: power_law(ALPHAS, errors(get, SHORT)[1][:, :-1]).slope,
        unit=f'{OF_ALPHA}, 0.1 to 0.001, steps {STEP:g} x {SHORT:g}^t'),
  Claim(name='1b', kind='extension', where='a limit of claim 1a', of=(START,), holds=at_least(0.5),
        changed=CHANGED,
        says='With steps that fall too fast for a small start SubGM does not leave it',
        samples=lambda get: errors(get, SHORT)[1][:, -1],
        unit=f'last |R - M| from alpha {SMALLEST:g}, steps {STEP:g} x {SHORT:g}^t (|M| is 1.41)'),
  Claim(name='1c', kind='extension', where='the schedule of claim 1b, corrected', of=(START,), holds=between(0.7, 2.0),
        changed=CHANGED, scope=ELSEWHERE,
        says='With steps that reach twice as far the error follows alpha down to the smallest start',
        samples=lambda get: power_law(*errors(get, LONG)).slope,
        unit=f'{OF_ALPHA}, 0.1 to 0.0001, steps {STEP:g} x {LONG:g}^t'),
  Claim(name='2a', kind='paper', where='motivation of the absolute loss', of=(SQUARES, START), holds=at_least(10.0),
        changed=CHANGED, scope=ELSEWHERE,
        says='On the same data with gross outliers the squared loss ends far from M',
        samples=lambda get: squares_over(get, last), unit=f'last |R - M| of gradient descent on squares over that {OVER_SUBGM}'),
  Claim(name='2b', kind='extension', where='claim 2a with the best moment to stop', of=(SQUARES, START), holds=at_least(10.0),
        changed=CHANGED,
        says='On the same data with gross outliers the squared loss does not come near M on its way',
        samples=lambda get: squares_over(get, lowest),
        unit=f'smallest |R - M| along a run of gradient descent on squares, over the last |R - M| {OVER_SUBGM}'),
  Claim(name='3a', kind='paper', where='corollary on Gaussian measurements', of=(SAMPLES,), holds=at_most(0.1),
        changed=CHANGED, scope=RARER,
        reason='tested: among 4 to 20 columns the exponent is 0.06 (claim 3b); what decides is the step from 2 '
        'columns, 95 measurements, to 4, 110',
        says='From a small start the number of measurements that SubGM needs does not grow with the number of columns',
        samples=lambda get: recoveries(get, SMALL, 2), statistic=growth, unit=f'{ENOUGH}, 2 to 20 columns, alpha {SMALL:g}'),
  Claim(name='3b', kind='extension',
        where='corollary on Gaussian measurements, without the exact case, as tuning seeds led us to ask',
        changed=CHANGED, scope=RARER,
        of=(SAMPLES,), holds=at_most(0.1),
        says='From a small start the number of measurements that SubGM needs does not grow with the number of columns, among '
        'factors of more columns than the rank',
        samples=lambda get: recoveries(get, SMALL, 4), statistic=growth, unit=f'{ENOUGH}, 4 to 20 columns, alpha {SMALL:g}'),
  Claim(name='3c', kind='extension', where='that it is the small start which makes 3a', of=(SAMPLES,), holds=at_least(0.1),
        changed=CHANGED,
        says='From a larger start the number of measurements that SubGM needs grows with the number of columns',
        samples=lambda get: recoveries(get, LARGE, 4), statistic=growth, unit=f'{ENOUGH}, 4 to 20 columns, alpha {LARGE:g}'),
  Claim(name='4', kind='paper', where='abstract (arbitrarily large noise values)', of=(COLUMNS,), holds=between(0.8, 1.25),
        changed=CHANGED, scope=ELSEWHERE,
        says='The size of the outliers does not matter', samples=gross_over,
        unit='last |R - M| with outliers N(0, 1000^2) over that with N(0, 10^2), a tenth of outliers, 20 columns, alpha 0.01'),
  Claim(name='5a', kind='paper', where='abstract (agnostic to over-parametrisation and noise)', of=(NOISE,),
        holds=between(0.8, 1.25), changed=CHANGED, scope=ELSEWHERE,
        says='Under dense Gaussian noise too the number of columns does not matter from a small start',
        samples=lambda get: at_middle_noise(get, WIDE) / at_middle_noise(get, NARROW),
        unit='last |R - M| with 20 columns over that with 2, noise 0.1, alpha 0.001'),
  Claim(name='5b', kind='paper', where='theorem on Gaussian noise, as we remember it', of=(NOISE,), holds=between(0.9, 1.1),
        changed=CHANGED, scope=ELSEWHERE,
        says='Under dense Gaussian noise the error is in proportion to the noise',
        samples=lambda get: power_law(*noisy(get, 0.001, WIDE)).slope,
        unit='a in last |R - M| ~ noise^a, 0.01 to 1, 20 columns, alpha 0.001'),
  Claim(name='5c', kind='extension', where='sqrt(pi / 2) for least absolute deviations, 39 free numbers', of=(NOISE,),
        changed=CHANGED,
        says='Under dense Gaussian noise the error is that of a regression that knows the rank',
        samples=lambda get: at_middle_noise(get, WIDE) / regression(0.1), holds=between(0.8, 1.25),
        unit='last |R - M| over noise sqrt(pi / 2) sqrt(39 / 1500), noise 0.1, 20 columns, alpha 0.001'),
]  # fmt: skip


# ---- figures ------------------------------------------------------------------------------------------------------


def start(get: Get) -> Figure:
  table, squares = get(START, 'recovery'), get(SQUARES, 'recovery')
  figure, axes = plots.canvas(3, height=3.0, sharey=True)
  *paths, final = axes[0]
  for ax, decay in zip(paths, (SHORT, LONG), strict=True):
    for alpha in (0.1, 0.01, 0.001, SMALLEST):
      plots.steps(ax, select(table, decay=decay, init_scale=alpha), 'error', f'{alpha:g}')
    plots.steps(ax, squares, 'error', 'squares, 0.01', color='black')
    ax.set(title=f'steps {STEP:g} x {decay:g}$^t$', xlabel='step t', yscale='log', ylim=(1e-7, 1e5), xlim=(-20, 1220))
    plots.against(final, *errors(get, decay), f'{STEP:g} x {decay:g}$^t$')
  plots.guide(final, ma2022_alpha.ALPHAS, 1, (1.0, 0.03), r'in proportion to $\alpha$')
  final.set(xscale='log', yscale='log', xlabel=r'scale of the start $\alpha$', title='the last error')
  final.legend(loc='upper right')
  paths[0].set_ylabel('error $|R - M|$')
  paths[1].legend(loc='upper right', ncols=2, title=r'SubGM from $\alpha$ =', title_fontsize=7.5)
  plots.title(figure, 'SubGM, 20 columns, 1500 measurements, a tenth with gross outliers', table, squares)
  return figure


def subspaces(get: Get) -> Figure:
  table = get(START, 'recovery')
  figure, axes = plots.canvas(3, height=2.9, sharey=True)
  for ax, (decay, alpha) in zip(axes[0], ((LONG, 0.01), (LONG, 0.001), (SHORT, SMALLEST)), strict=True):
    rows = select(table, decay=decay, init_scale=alpha)
    for reading in ('signal', 'cross', 'residual'):
      plots.steps(ax, rows, reading, reading)
    plots.steps(ax, rows, 'weakest', 'weakest direction of R', color='black', linestyle='--')
    plots.level(ax, alpha, r'$\alpha$')
    title = rf'$\alpha$ = {alpha:g}, steps {STEP:g} x {decay:g}$^t$'
    ax.set(title=title, xlabel='step t', yscale='log', ylim=(1e-10, 1e4))
  axes[0, 0].set_ylabel('parts of $R - M$ (Frobenius norm)')
  axes[0, 1].legend(loc='upper right', ncols=2)
  text = 'SubGM, 20 columns: signal lies in rows and columns of M, cross in one of them, residual in neither'
  plots.title(figure, text, table, note='range of {seeds}')
  return figure


def rank(get: Get) -> Figure:
  table, usual = get(COLUMNS, 'recovery'), dict(outlier_share=OUTLIERS, factor_rank=WIDE, data__outlier=10.0)
  figure, axes = plots.canvas(3, height=2.9, sharey=True)
  panels = (
    ('columns', 'factor_rank', ma2022_rank.COLUMNS),
    ('share of outliers', 'outlier_share', ma2022_rank.SHARES),
    ('size of outliers', 'data__outlier', ma2022_rank.SIZES),
  )
  for ax, (title, field, values) in zip(axes[0], panels, strict=True):
    for value in values:
      style = '--' if value == 1000 else '-'  # the line of 10 would hide it
      plots.steps(ax, select(table, **{**usual, field: value}), 'error', f'{value:g}', linestyle=style)
    plots.level(ax, ma2022_rank.ALPHA, r'$\alpha$')
    ax.set(title=title, xlabel='step t', yscale='log', ylim=(1e-8, 3e2))
    ax.legend(loc='upper right', ncols=3)
  axes[0, 0].set_ylabel('error $|R - M|$')
  text = r'SubGM from $\alpha$ = 0.01: 20 columns, a tenth of outliers of size 10 unless it says otherwise'
  plots.title(figure, text, table)
  return figure


def noise(get: Get) -> Figure:
  table = get(NOISE, 'recovery')
  figure, axes = plots.canvas(2, width=9.2, height=2.9)
  paths, final = axes[0]
  for columns, width, line in zip(ma2022_noise.COLUMNS, (3.5, 2.0, 0.9), ('-', '--', ':'), strict=True):
    for number, alpha in enumerate(ma2022_noise.ALPHAS):
      rows = select(table, data__noise=0.1, init_scale=alpha, factor_rank=columns)
      style = dict(color=f'C{number}', linestyle=line, linewidth=width)
      plots.steps(paths, rows, 'error', rf'{columns:g} columns, $\alpha$ = {alpha:g}', **style)
  for number, alpha in enumerate(ma2022_noise.ALPHAS):
    for noise, marker in zip(ma2022_noise.NOISES, 'osv', strict=True):
      ended = np.stack([noisy(get, alpha, k)[1][:, ma2022_noise.NOISES.index(noise)] for k in ma2022_noise.COLUMNS], axis=1)
      label = rf'noise {noise:g}, $\alpha$ = {alpha:g}'
      style = dict(color=f'C{number}', marker=marker, markersize=4, linewidth=0.9)
      plots.against(final, np.array(ma2022_noise.COLUMNS), ended / noise, label, **style)
  for ax, level in ((paths, regression(0.1)), (final, regression(1.0))):
    plots.level(ax, level, 'regression of known rank', color='black')
  paths.set(title='noise 0.1', xlabel='step t', ylabel='error $|R - M|$', yscale='log', ylim=(0.01, 20))
  final.set(title='the last error', xscale='log', xlabel='columns', ylabel='error / noise', ylim=(0, 0.8))
  plots.ticks(final, ma2022_noise.COLUMNS)
  paths.legend(loc='upper right', ncols=2, fontsize=6, handlelength=1.6, columnspacing=0.8)
  final.legend(loc='upper left', bbox_to_anchor=(1, 1))
  plots.title(figure, 'SubGM under Gaussian noise, 1500 measurements', table)
  return figure


def share_and_error(recovered: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The share of seeds, and a standard error below and above it."""
  share = recovered.mean(axis=0)
  error = np.sqrt(share * (1 - share) / len(recovered))
  return share, share - error, share + error


def samples(get: Get) -> Figure:
  table, columns = get(SAMPLES, 'recovery'), ma2022_samples.COLUMNS
  figure, axes = plots.canvas(3, height=2.9)
  *shares, counts = axes[0]
  for ax, alpha in zip(shares, (SMALL, LARGE), strict=True):
    for k in columns:
      plots.band(ax, *successes(get, alpha, k), f'{k:g} columns', summary=share_and_error, marker='.')
    plots.level(ax, SHARE, '90%')
    ax.set(title=rf'$\alpha$ = {alpha:g}', xlabel='measurements m', ylim=(-0.05, 1.05))
    recovered = recoveries(get, alpha, 2)
    ends = (needed(recovered), *resample((recovered,), needed).interval())
    middle, low, high = (np.where(np.isfinite(numbers), numbers, np.nan) for numbers in ends)  # never: a gap
    counts.errorbar(columns, middle, [middle - low, high - middle], fmt='.-', capsize=2, label=rf'$\alpha$ = {alpha:g}')
  shares[0].set_ylabel(f'share with $|R - M| < {RECOVERED:g} |M|$')
  shares[0].legend(loc='lower right')
  exact = needed(recoveries(get, SMALL, 2))[0]
  if np.isfinite(exact):
    plots.guide(counts, columns, 0.1, (columns[0], exact), 'claims 3a, 3b: columns$^{0.1}$')
  counts.set(title='measurements for 90%', xscale='log', xlabel='columns', ylabel='measurements m', ylim=(0, 230))
  plots.ticks(counts, columns)
  counts.legend(loc='lower right')
  note = 'bands: a standard error; right: 95% intervals'
  plots.title(figure, 'SubGM with a tenth of outliers', table, note=f'{{seeds}}; {note}')
  return figure


FIGURES = [
  PaperFigure(
    'ma2022_start', (START, SQUARES), start, 'Error of SubGM by the scale of the start and the schedule, and of squares.'
  ),
  PaperFigure('ma2022_subspaces', (START,), subspaces, 'Where the error lies: signal, residual and cross terms.'),
  PaperFigure('ma2022_rank', (COLUMNS,), rank, 'Error by columns, and by share and size of outliers.'),
  PaperFigure('ma2022_noise', (NOISE,), noise, 'Error under Gaussian noise, by columns and start.'),
  PaperFigure('ma2022_samples', (SAMPLES,), samples, 'How many measurements SubGM needs, by columns.'),
]
