"""How Over-Parameterization Slows Down Gradient Descent in Matrix Sensing (Xiong, Ding, Du 2023), arXiv 2310.01769."""

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import band, exponent
from analysis.tables import each_seed
from paper_figures.paper import Figure, Get, canvas, curve, seeds_of, select

SYMMETRIC = 'configs/xiong2023_symmetric.py'
ASYMMETRIC = 'configs/xiong2023_asymmetric.py'
ONE_STEP = 'configs/xiong2023_one_step.py'
BALANCE = 'configs/xiong2023_balance.py'
SLOW = ()

RANK, OVER = 2, (3, 5, 10)  # columns of X
ALPHAS = (0.1, 0.2, 0.4, 0.8)
COLUMNS = 5  # of F and G, where they are more than the rank
WINDOW = (1e-25, 1e-5)  # the squared errors between which a linear rate is fitted
FLOOR = 1e-35  # below any squared error that float64 can hold here
RATES = (0.01, 0.02, 0.05, 0.1, 0.2)  # learning rates of BALANCE
STEPS = 'a in |R - M|^2 ~ T^a over the last decade of 40,000 steps'


def squared(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
  """(t,) steps and (seed, t) squared errors of one setting."""
  steps, error = each_seed(table, 'error')
  return steps, np.maximum(error**2, FLOOR)


def with_square(table: pd.DataFrame) -> pd.DataFrame:
  """The table with a column of squared errors, for figures."""
  return table.assign(squared=np.maximum(table['error'] ** 2, FLOOR))


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def last_decade(get: Get, columns: int) -> np.ndarray:
  """(seed,) the exponent of the squared error in steps, from a tenth of the run on, of X X^T."""
  steps, error = squared(select(get(SYMMETRIC, 'recovery'), factor_rank=float(columns)))
  late = steps >= steps[-1] / 10
  return exponent(steps[late], error[:, late])


def least(get: Get) -> np.ndarray:
  """(seed,) log10 of the last squared error of X X^T with as many columns as the rank."""
  return np.log10(squared(select(get(SYMMETRIC, 'recovery'), factor_rank=float(RANK)))[1][:, -1])


def line(steps: np.ndarray, error: np.ndarray) -> tuple[float, float]:
  """The rate a step at which the log of a squared error (t,) falls within the window, and R^2; NaN with under five readings."""
  inside = (error > WINDOW[0]) & (error < WINDOW[1])
  if inside.sum() < 5:
    return math.nan, math.nan
  t, log = steps[inside].astype(float), np.log(error[inside])
  return -np.polyfit(t, log, 1)[0], np.corrcoef(t, log)[0, 1] ** 2


def lines(get: Get, config: str, columns: int = COLUMNS) -> np.ndarray:
  """(seed, alpha, 2) rate a step and R^2 of F G^T."""
  found = []
  for alpha in ALPHAS:
    steps, error = squared(select(get(config, 'recovery'), factor_rank=float(columns), init_scale=alpha))
    found.append([line(steps, e) for e in error])
  return np.array(found).transpose(1, 0, 2)


def unevenness(rates: np.ndarray) -> np.ndarray:
  """(seed,) the largest over the smallest rate of all alphas."""
  return rates.max(axis=1) / rates.min(axis=1)


def drift(get: Get) -> np.ndarray:
  """(seed, alpha, lr) the largest relative change of the imbalance along a run."""
  table = get(BALANCE, 'balance')
  return np.stack(
    [
      np.stack([each_seed(select(table, init_scale=a, lr=lr), 'drift_of/left')[1].max(axis=1) for lr in RATES], axis=1)
      for a in ALPHAS[:3]
    ],
    axis=1,
  )


CLAIMS = [
  *(
    Claim(
      f'xiong2023/1{letter}',
      f'X X^T with {columns} columns for a rank of {RANK} converges no faster than the square of the number of steps',
      'theorem on the symmetric case, and figure 1',
      (SYMMETRIC,),
      lambda get, columns=columns: last_decade(get, columns),
      -2.3,
      -1.7,
      STEPS,
    )
    for letter, columns in zip('abc', OVER, strict=True)
  ),
  Claim(
    'xiong2023/1d',
    'X X^T with as many columns as the rank converges linearly',
    'known before; figure 1',
    (SYMMETRIC,),
    least,
    -math.inf,
    -25.0,
    'log10 of |R - M|^2 after 40,000 steps, in float64',
  ),
  Claim(
    'xiong2023/2a',
    'F G^T with 5 columns for a rank of 2 converges linearly',
    'theorem on the asymmetric case, and figure 1',
    (ASYMMETRIC,),
    lambda get: lines(get, ASYMMETRIC)[..., 1].min(axis=1),
    0.99,
    1.0,
    'smallest R^2, over alpha 0.1 to 0.8, of a line through ln |R - M|^2 against steps, from 1e-5 to 1e-25',
  ),
  Claim(
    'xiong2023/2b',
    'at a rate in proportion to the square of the scale alpha of the start',
    'theorem on the asymmetric case',
    (ASYMMETRIC,),
    lambda get: exponent(ALPHAS, lines(get, ASYMMETRIC)[..., 0]),
    1.7,
    2.3,
    'a in rate ~ alpha^a, alpha 0.1 to 0.8, the same draw rescaled',
  ),
  Claim(
    'xiong2023/2c',
    'With as many columns as the rank the rate does not depend on alpha',
    'theorem on exact parametrisation',
    (ASYMMETRIC,),
    lambda get: unevenness(lines(get, ASYMMETRIC, RANK)[..., 0]),
    1.0,
    1.5,
    'largest over smallest rate, alpha 0.1 to 0.8 (a factor of 64 in alpha^2)',
  ),
  Claim(
    'xiong2023/3a',
    'The imbalance of F and G is all but conserved by small steps',
    'proof idea of the asymmetric case',
    (BALANCE,),
    lambda get: drift(get)[..., 0].max(axis=1),
    0.0,
    0.05,
    f'largest |D - D0| / |D0| along a run, D = F^T F - G^T G, alpha 0.1 to 0.4, learning rate {RATES[0]:g}',
  ),
  Claim(
    'xiong2023/3b',
    'Its drift is one of the size of the steps: gradient flow has none',
    'ours: what small means in 3a',
    (BALANCE,),
    lambda get: exponent(RATES, drift(get)[:, 1]),
    0.8,
    1.2,
    f'a in drift ~ (learning rate)^a, {RATES[0]:g} to {RATES[-1]:g}, alpha 0.2',
  ),
  Claim(
    'xiong2023/4a',
    'One step that moves the imbalance to order 1 makes the rate independent of alpha',
    'abstract (one modified step)',
    (ONE_STEP,),
    lambda get: unevenness(lines(get, ONE_STEP)[..., 0]),
    1.0,
    1.5,
    'largest over smallest rate, alpha 0.1 to 0.8',
  ),
  Claim(
    'xiong2023/4b',
    'and so much faster from a small start',
    'abstract (one modified step)',
    (ONE_STEP, ASYMMETRIC),
    lambda get: lines(get, ONE_STEP)[:, 0, 0] / lines(get, ASYMMETRIC)[:, 0, 0],
    10.0,
    math.inf,
    'rate with the step over the rate without, alpha 0.1',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def errors(get: Get) -> Canvas:
  figure, axes = canvas(3, height=3.0, sharey=True)
  tables = [with_square(get(config, 'recovery')) for config in (SYMMETRIC, ASYMMETRIC, ONE_STEP)]
  power, linear, step = axes[0]
  power.set_xscale('log')
  for columns in (RANK, *OVER):
    curve(power, select(tables[0], factor_rank=float(columns)), 'squared', f'{columns} columns')
  t = np.array([1e3, 4e4])
  power.plot(t, 0.3 * (t / 100) ** -2.0, 'k--', linewidth=0.8, label='theory: $T^{-2}$')
  power.set_title('$X X^T$')
  for ax, table in zip((linear, step), tables[1:], strict=True):
    for number, alpha in enumerate(ALPHAS):
      some = select(table, factor_rank=float(COLUMNS), init_scale=alpha)
      curve(ax, some, 'squared', rf'$\alpha$ = {alpha:g}', color=f'C{number}')
  exact = select(tables[1], factor_rank=float(RANK), init_scale=ALPHAS[0])
  curve(linear, exact, 'squared', rf'2 columns, $\alpha$ = {ALPHAS[0]:g}', color='C4')
  linear.set(title='$F G^T$, 5 columns', xlim=(-200, 10_000), xticks=(0, 4000, 8000))
  step.axvline(200, ymax=0.72, color='black', linewidth=0.8, linestyle=':', label='the modified step')
  step.set(title='the same, one step modified', xlim=(-20, 900))
  for ax in axes[0]:
    ax.set(xlabel='step T', yscale='log', ylim=(1e-32, 1e14))
  power.legend(loc='lower left')
  linear.legend(loc='upper right', ncols=2)
  step.legend(loc='upper right', ncols=2)
  power.set_ylabel('squared error $|R - M|^2$')
  figure.suptitle(f'20 x 20 matrix of rank 2, 500 measurements; median and range of {seeds_of(tables)}', fontsize=9)
  return figure


def rates(get: Get) -> Canvas:
  table = get(BALANCE, 'balance')
  figure, axes = canvas(2, height=2.9)
  speed, change = axes[0]
  arms = {
    'F $G^T$, 5 columns': lines(get, ASYMMETRIC)[..., 0],
    'one step modified': lines(get, ONE_STEP)[..., 0],
    '2 columns': lines(get, ASYMMETRIC, RANK)[..., 0],
  }
  for number, (name, values) in enumerate(arms.items()):
    points(speed, ALPHAS, values, name, f'C{number}')
  middle = np.nanmedian(arms['F $G^T$, 5 columns'][:, 0]) if np.isfinite(arms['F $G^T$, 5 columns'][:, 0]).any() else 1e-3
  guide = middle * (np.array(ALPHAS) / ALPHAS[0]) ** 2
  speed.plot(ALPHAS, guide, 'k--', linewidth=0.8, label=r'theory: $\alpha^2$')
  speed.set(title='linear rate', xlabel=r'scale of the start $\alpha$', ylabel=r'rate of $\ln |R - M|^2$ (per step)')
  speed.set_xticks(ALPHAS, [f'{a:g}' for a in ALPHAS])
  moved = drift(get)
  for number, alpha in enumerate(ALPHAS[:3]):
    points(change, RATES, moved[:, number], rf'$\alpha$ = {alpha:g}', f'C{number}')
  start = np.median(moved[:, 1, 0])
  change.plot(RATES, start * np.array(RATES) / RATES[0], 'k--', linewidth=0.8, label='in proportion')
  change.axhline(0.05, color='gray', linewidth=0.8, linestyle=':', label='claim 3a: 5%')
  change.set(title='drift of the imbalance', xlabel='learning rate', ylabel='largest $|D - D_0| / |D_0|$')
  for ax in axes[0]:
    ax.set(xscale='log', yscale='log')
    ax.minorticks_off()
  speed.set_ylim(3e-4, 30)
  speed.set_xticks(ALPHAS, [f'{a:g}' for a in ALPHAS])
  change.set_xticks(RATES, [f'{r:g}' for r in RATES])
  speed.legend(loc='upper left', ncols=2)
  change.legend(loc='upper left', ncols=2)
  change.set_ylim(1e-3, 3)
  figure.suptitle(f'Factors F, G and imbalance $D = F^T F - G^T G$; median and range of {seeds_of([table])}', fontsize=9)
  return figure


def points(ax, x, values: np.ndarray, label: str, colour: str) -> None:
  """Median and range over seeds of (seed, x) values."""
  middle, low, high = band(values)
  ax.plot(x, middle, '.-', color=colour, label=label)
  ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


FIGURES = [
  Figure('xiong2023_errors', (SYMMETRIC, ASYMMETRIC, ONE_STEP), errors, 'Squared error over steps (figure 1).'),
  Figure(
    'xiong2023_rates', (ASYMMETRIC, ONE_STEP, BALANCE), rates, 'Rates by the scale of the start, and the drift of the imbalance.'
  ),
]
