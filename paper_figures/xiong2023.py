"""How Over-Parameterization Slows Down Gradient Descent in Matrix Sensing (Xiong, Ding, Du 2023), arXiv 2310.01769."""

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import Line, exponential, power_law
from analysis.series import against, each_seed, highest, last, select
from analysis.statistics import fold
from configs import xiong2023_balance, xiong2023_one_step, xiong2023_symmetric
from configs._xiong2023 import COLUMNS, RANK
from configs.xiong2023_asymmetric import ALPHAS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

SYMMETRIC = 'configs/xiong2023_symmetric.py'
ASYMMETRIC = 'configs/xiong2023_asymmetric.py'
ONE_STEP = 'configs/xiong2023_one_step.py'
BALANCE = 'configs/xiong2023_balance.py'
SLOW = ()

_, *OVER = xiong2023_symmetric.COLUMNS  # columns of X, more than the rank
RATES = sorted(xiong2023_balance.RATES)
WINDOW = (1e-25, 1e-5)  # the squared errors between which a linear rate is fitted
FLOOR = 1e-35  # below any squared error that float64 can hold here


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def recovery(get: Get, config: str, **where) -> pd.DataFrame:
  """Readings of `recovery` with a column of squared errors; `factor_rank` is the number of columns."""
  table = select(get(config, 'recovery'), **where)
  return table.assign(squared=np.maximum(table['error'] ** 2, FLOOR))


def last_decade(get: Get, columns: int) -> np.ndarray:
  """(seed,) the exponent of the squared error in steps, from a tenth of the run on, of X X^T."""
  steps, error = each_seed(recovery(get, SYMMETRIC, factor_rank=columns), 'squared')
  late = steps >= steps[-1] / 10
  return power_law(steps[late], error[:, late]).slope


def linear_phase(steps: np.ndarray, error: np.ndarray) -> Line:
  """The exponential fit of a squared error (t,) within the window; NaN with under five readings."""
  inside = (error > WINDOW[0]) & (error < WINDOW[1])
  return exponential(steps[inside], error[inside]) if inside.sum() >= 5 else Line(math.nan, math.nan, math.nan)


def linear_phases(get: Get, config: str, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
  """(seed, alpha) rates a step at which ln of the squared error of F G^T falls, and R^2."""
  rates, r2 = [], []
  for alpha in ALPHAS:
    steps, errors = each_seed(recovery(get, config, factor_rank=columns, init_scale=alpha), 'squared')
    fits = [linear_phase(steps, error) for error in errors]
    rates.append([-fit.slope for fit in fits])
    r2.append([fit.r2 for fit in fits])
  return np.array(rates).T, np.array(r2).T


def rates_of(get: Get, config: str, columns: int = COLUMNS) -> np.ndarray:
  return linear_phases(get, config, columns)[0]


def drift(get: Get, alpha: float) -> np.ndarray:
  """(seed, lr) the largest relative change of the imbalance along a run, by rising learning rate."""
  return against(select(get(BALANCE, 'balance'), init_scale=alpha), 'lr', 'drift_of/left', highest)[1]


ASYMMETRIC_CASE = 'theorem on the asymmetric case'
CHANGED = '20 x 20 of rank 2, 500 measurements'
ELSEWHERE = {'every entry seen': 'entries', 'singular values 1 and 0.5': 'uneven'}

CLAIMS = [
  *(
    Claim(
      name=f'1{letter}',
      kind='paper',
      changed=CHANGED,
      scope=ELSEWHERE,
      says=f'X X^T with {columns} columns for a rank of {RANK} converges no faster than the square of the number of steps',
      where='theorem on the symmetric case, and figure 1',
      of=(SYMMETRIC,),
      samples=lambda get, columns=columns: last_decade(get, columns),
      holds=between(-2.3, -1.7),
      unit=f'a in |R - M|^2 ~ T^a over the last decade of {xiong2023_symmetric.STEPS:,} steps',
    )
    for letter, columns in zip('abc', OVER, strict=True)
  ),
  Claim(name='1d', kind='paper', where='known before; figure 1', of=(SYMMETRIC,), holds=at_most(-25.0),
        changed=CHANGED, scope=ELSEWHERE,
        says='X X^T with as many columns as the rank converges linearly',
        samples=lambda get: np.log10(last(recovery(get, SYMMETRIC, factor_rank=RANK), 'squared')),
        unit=f'log10 of |R - M|^2 after {xiong2023_symmetric.STEPS:,} steps, in float64'),
  Claim(name='2a', kind='paper', where=f'{ASYMMETRIC_CASE}, and figure 1', of=(ASYMMETRIC,), holds=between(0.99, 1.0),
        changed=CHANGED, scope=ELSEWHERE,
        says=f'F G^T with {COLUMNS} columns for a rank of {RANK} converges linearly',
        samples=lambda get: linear_phases(get, ASYMMETRIC)[1].min(axis=1),
        unit='smallest R^2, over alpha 0.1 to 0.8, of a line through ln |R - M|^2 against steps, from 1e-5 to 1e-25'),
  Claim(name='2b', kind='paper', where=ASYMMETRIC_CASE, of=(ASYMMETRIC,), holds=between(1.7, 2.3),
        changed=CHANGED, scope=ELSEWHERE,
        says=f'F G^T with {COLUMNS} columns for a rank of {RANK} converges at a rate in proportion to the square of the scale '
        'alpha of the start',
        samples=lambda get: power_law(ALPHAS, rates_of(get, ASYMMETRIC)).slope,
        unit='a in rate ~ alpha^a, alpha 0.1 to 0.8, the same draw rescaled'),
  Claim(name='2c', kind='paper', where='theorem on exact parametrisation', of=(ASYMMETRIC,), holds=between(1.0, 1.5),
        changed=CHANGED, scope=ELSEWHERE,
        says='With as many columns as the rank the rate of F G^T does not depend on alpha',
        samples=lambda get: fold(rates_of(get, ASYMMETRIC, RANK)),
        unit='largest over smallest rate, alpha 0.1 to 0.8 (a factor of 64 in alpha^2)'),
  Claim(name='3a', kind='paper', where='proof idea of the asymmetric case', of=(BALANCE,), holds=between(0.0, 0.05),
        changed=CHANGED,
        says='The imbalance of F and G is all but conserved by small steps',
        samples=lambda get: np.max([drift(get, alpha)[:, 0] for alpha in xiong2023_balance.ALPHAS], axis=0),
        unit=f'largest |D - D0| / |D0| along a run, D = F^T F - G^T G, alpha 0.1 to 0.4, learning rate {RATES[0]:g}'),
  Claim(name='3b', kind='extension', where='what small means in 3a', of=(BALANCE,), holds=between(0.8, 1.2),
        changed=CHANGED,
        says='The drift of the imbalance is in proportion to the size of the steps: gradient flow has none',
        samples=lambda get: power_law(RATES, drift(get, xiong2023_balance.ALPHAS[1])).slope,
        unit=f'a in drift ~ (learning rate)^a, {RATES[0]:g} to {RATES[-1]:g}, alpha 0.2'),
  Claim(name='4a', kind='paper', where='abstract (one modified step)', of=(ONE_STEP,), holds=between(1.0, 1.5),
        changed=CHANGED, scope=ELSEWHERE,
        says='One step that moves the imbalance to order 1 makes the rate independent of alpha',
        samples=lambda get: fold(rates_of(get, ONE_STEP)), unit='largest over smallest rate, alpha 0.1 to 0.8'),
  Claim(name='4b', kind='paper', where='abstract (one modified step)', of=(ONE_STEP, ASYMMETRIC), holds=at_least(10.0),
        changed=CHANGED, scope=ELSEWHERE,
        says='One step that moves the imbalance to order 1 makes the rate much faster from a small start',
        samples=lambda get: rates_of(get, ONE_STEP)[:, 0] / rates_of(get, ASYMMETRIC)[:, 0],
        unit='rate with the step over the rate without, alpha 0.1'),
]  # fmt: skip


# ---- figures ------------------------------------------------------------------------------------------------------


def errors(get: Get) -> Figure:
  figure, axes = plots.canvas(3, height=3.0, sharey=True)
  power, linear, step = axes[0]
  power.set_xscale('log')
  for columns in (RANK, *OVER):
    plots.steps(power, recovery(get, SYMMETRIC, factor_rank=columns), 'squared', f'{columns} columns')
  plots.guide(power, (1e3, 4e4), -2, (100, 0.3), 'theory: $T^{-2}$')
  plots.mark(power, xiong2023_symmetric.STEPS / 10, 'fitted from here', ymax=0.72)
  for ax, config in ((linear, ASYMMETRIC), (step, ONE_STEP)):
    for place, edge in enumerate(WINDOW):
      plots.level(ax, edge, None if place else 'fitted between')
    for alpha in ALPHAS:
      rows = recovery(get, config, factor_rank=COLUMNS, init_scale=alpha)
      plots.steps(ax, rows, 'squared', rf'$\alpha$ = {alpha:g}')
  exact = recovery(get, ASYMMETRIC, factor_rank=RANK, init_scale=ALPHAS[0])
  plots.steps(linear, exact, 'squared', rf'2 columns, $\alpha$ = {ALPHAS[0]:g}')
  plots.mark(step, xiong2023_one_step.STEP, 'the modified step', ymax=0.72, color='black')
  for ax in axes[0]:
    ax.set(xlabel='step T', yscale='log', ylim=(1e-32, 1e14))
  power.set(title='$X X^T$', ylabel='squared error $|R - M|^2$')
  linear.set(title='$F G^T$, 5 columns', xlim=(-200, 10_000), xticks=(0, 4000, 8000))
  step.set(title='the same, one step modified', xlim=(-20, 900))
  power.legend(loc='lower left')
  for ax in (linear, step):
    ax.legend(loc='upper right', ncols=2, fontsize=6.5, handlelength=1.5, columnspacing=0.8)
  tables = (get(config, 'recovery') for config in (SYMMETRIC, ASYMMETRIC, ONE_STEP))
  plots.title(figure, '20 x 20 matrix of rank 2, 500 measurements', *tables)
  return figure


def rates(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.9)
  speed, change = axes[0]
  slow = rates_of(get, ASYMMETRIC)
  plots.against(speed, ALPHAS, slow, 'F $G^T$, 5 columns')
  plots.against(speed, ALPHAS, rates_of(get, ONE_STEP), 'one step modified')
  plots.against(speed, ALPHAS, rates_of(get, ASYMMETRIC, RANK), '2 columns')
  first = np.nanmedian(slow[:, 0]) if np.isfinite(slow[:, 0]).any() else 1e-3
  plots.guide(speed, ALPHAS, 2, (ALPHAS[0], first), r'theory: $\alpha^2$')
  for alpha in xiong2023_balance.ALPHAS:
    plots.against(change, RATES, drift(get, alpha), rf'$\alpha$ = {alpha:g}')
  plots.guide(change, RATES, 1, (RATES[0], np.median(drift(get, 0.2)[:, 0])), 'in proportion')
  plots.level(change, 0.05, 'claim 3a: 5%')
  for ax in axes[0]:
    ax.set(xscale='log', yscale='log')
    ax.minorticks_off()
    ax.legend(loc='upper left', ncols=2)
  speed.set(title='linear rate', xlabel=r'scale of the start $\alpha$', ylabel=r'rate of $\ln |R - M|^2$ (per step)')
  change.set(title='drift of the imbalance', xlabel='learning rate', ylabel='largest $|D - D_0| / |D_0|$')
  speed.set_ylim(3e-4, 30)
  change.set_ylim(1e-3, 3)
  plots.ticks(speed, ALPHAS)
  plots.ticks(change, RATES)
  plots.title(figure, 'Factors F, G and imbalance $D = F^T F - G^T G$', get(BALANCE, 'balance'))
  return figure


FIGURES = [
  PaperFigure('xiong2023_errors', (SYMMETRIC, ASYMMETRIC, ONE_STEP), errors, 'Squared error over steps (figure 1).'),
  PaperFigure(
    'xiong2023_rates', (ASYMMETRIC, ONE_STEP, BALANCE), rates, 'Rates by the scale of the start, and the drift of the imbalance.'
  ),
]
