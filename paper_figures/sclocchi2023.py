"""Dissecting the Effects of SGD Noise in Distinct Regimes of Deep Learning (Sclocchi, Geiger, Wyart 2023), arXiv 2301.13703."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, between
from analysis.fits import Broken, broken_power_law, power_law
from analysis.series import by, crossing, ends, select
from analysis.statistics import median_and_quartiles
from configs import _sclocchi2023, sclocchi2023_perceptron, sclocchi2023_perceptron_sizes
from configs.sclocchi2023_perceptron_sizes import LARGE, SMALL
from configs.sclocchi2023_sizes import SIZES as BUDGETS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

WEIGHTS = 'configs/sclocchi2023_weights.py'
SIZES = 'configs/sclocchi2023_sizes.py'
PHASES = 'configs/sclocchi2023_phases.py'
PERCEPTRON = 'configs/sclocchi2023_perceptron.py'
PERCEPTRON_SIZES = 'configs/sclocchi2023_perceptron_sizes.py'
SLOW = ()

DIGITS = (WEIGHTS, SIZES, PHASES)
BATCH = {
  **dict.fromkeys(DIGITS, _sclocchi2023.BATCH),
  PERCEPTRON: sclocchi2023_perceptron.BATCH,
  PERCEPTRON_SIZES: sclocchi2023_perceptron_sizes.BATCH,
}
CHIS = tuple(chi for chi, _ in sclocchi2023_perceptron.CHIS)
PAIRS = ((0, 1, SMALL), (1, 2, LARGE))  # chi, the next chi, and the training set sizes on which they are compared
ESCAPE = 0.1  # relative change of the weights at which a network has left the lazy regime
NOISY = 0.999  # temperature (1, and rounding) above which the noise of the perceptron, about 16 T, is far above the margin


# ---- the last readings ----------------------------------------------------------------------------------------------


def members(get: Get, config: str) -> pd.DataFrame:
  """A row a member at the end of its run, with its temperature, and the time t* at which it had fitted all (inf: never).

  Where a member has not fitted its examples, readings of digits are NaN, and the signal is inf, as it only grows.
  """
  probe, reading = ('distance', 'relative') if config in DIGITS else ('signal', 'along')
  final = lambda probe: ends(get(config, probe)).set_index(['cell', 'member'])
  rows = final('performance').join(final('rest')[['rested']]).join(final(probe)[[reading]])
  rate = rows['lr'] * (rows['alpha'] if config in DIGITS else 1.0)  # eta: hyper.lr is eta / alpha of the scaled networks
  fitted = rows['train_loss'] == 0
  return rows.assign(
    temperature=rate / BATCH[config],
    time=np.where(fitted, rate * rows['rested'], math.inf),
    test_error=(1 - rows['test_accuracy']).where(fitted),
    **{reading: rows[reading].where(fitted, math.nan if config in DIGITS else math.inf)},
  )


def series(rows: pd.DataFrame, field: str, reading: str) -> tuple[np.ndarray, np.ndarray]:
  """(x,) values of a column and (seed, x) readings."""
  table = rows.pivot(index='seed', columns=field, values=reading)
  return table.columns.to_numpy(float), table.to_numpy(float)


# ---- statistics: one number a seed ----------------------------------------------------------------------------------


def breaks(get: Get) -> list[Broken]:
  """(seed,) the broken power law of the relative weight change in T."""
  x, change = series(members(get, WEIGHTS), 'temperature', 'relative')
  return [broken_power_law(x, y) for y in change]


def escape(x: np.ndarray, change: np.ndarray) -> float:
  """T_c as the temperature at which the network leaves the lazy regime."""
  return np.exp(crossing(np.log(x), np.log(change), np.log(ESCAPE)))


def onset(x: np.ndarray, change: np.ndarray) -> float:
  """T_c as the temperature from which on the noise moves the weights further."""
  return broken_power_law(x, change).place


def critical(get: Get, law: Callable[..., float]) -> tuple[np.ndarray, np.ndarray]:
  """(size,) training set sizes and (seed, size) critical temperatures."""
  curves = {size: series(rows, 'temperature', 'relative') for size, rows in by(members(get, SIZES), 'data.train').items()}
  return np.array(list(curves), float), np.array([[law(x, y) for y in change] for x, change in curves.values()]).T


def decreasing(get: Get, law: Callable[..., float]) -> np.ndarray:
  """(seed,) R^2 of the power law of T_c in the size, with a minus where it grows."""
  fit = power_law(*critical(get, law))
  return np.copysign(fit.r2, -fit.slope)


def of_chis(rows: pd.DataFrame, field: str, reading: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
  """chi -> (x,) values of a column and (seed, x) readings."""
  return {chi: series(select(rows, data__chi=chi), field, reading) for chi in CHIS}


def in_temperature(get: Get, reading: str) -> np.ndarray:
  """(seed, chi, T) readings at the temperatures at which the noise is above the margin."""
  rows = members(get, PERCEPTRON)
  curves = of_chis(rows[rows['temperature'] >= NOISY], 'temperature', reading)
  return np.stack([values for _, values in curves.values()], axis=1)


def straight(values: np.ndarray) -> np.ndarray:
  """(chi,) R^2 of a power law in T of the medians over seeds."""
  return power_law([T for T in sclocchi2023_perceptron.TEMPERATURES if T >= NOISY], np.median(values, axis=0)).r2


def in_size(get: Get, reading: str) -> np.ndarray:
  """(seed, pair, 2, size) readings of two neighbouring chi, each pair at sizes of its own."""
  rows = members(get, PERCEPTRON_SIZES)
  of = lambda chi, sizes: series(select(rows[rows['data.train'].isin(sizes)], data__chi=chi), 'data.train', reading)[1]
  return np.stack([np.stack([of(low, sizes), of(high, sizes)], axis=1) for low, high, sizes in PAIRS], axis=1)


def fall_with_chi(values: np.ndarray) -> np.ndarray:
  """(pair,) how much the exponent in P of the medians over seeds falls from one chi to the next."""
  exponents = power_law(SMALL, np.median(values, axis=0)).slope  # of sizes that double; where they begin does not matter
  return exponents[:, 0] - exponents[:, 1]


R2 = f'R^2 over {BUDGETS[0][0]} to {BUDGETS[-1][0]} digits, minus where it grows'
IN_T = 'R^2 of a power law of the median over seeds, T from 1 to 100, 128 examples; each of chi = 0, 1, 2'
IN_P = (
  'fall of the exponent in P of the median over seeds from one chi to the next, T = 10: 0 to 1 at 64 to 512 examples, and 1 to 2 '
  'at 512 to 4096'
)
SMALLER = 'one hidden layer and 8 x 8 digits for deep networks and MNIST or CIFAR10'
ELSEWHERE = {'three hidden layers': 'deep', 'digits below five told from others': 'halves'}
INPUTS = {'8 inputs': 'few_inputs', '32 inputs': 'many_inputs'}

CLAIMS = [
  Claim(name='1a', kind='paper', where='section 3', of=(WEIGHTS,), holds=between(-0.1, 0.1), changed=SMALLER,
        says='In the lazy regime the relative change of the weights does not depend on a small temperature',
        samples=lambda get: np.array([fit.below for fit in breaks(get)]), scope={**ELSEWHERE, '10,000 MNIST digits': 'mnist'},
        unit='exponent in T below the break of two power laws (128 digits, alpha = 64)'),
  Claim(name='1b', kind='paper', where='section 3', of=(WEIGHTS,), holds=at_least(0.2), changed=SMALLER,
        says='Above a critical temperature the relative change of the weights grows as a power of the temperature',
        samples=lambda get: np.array([fit.above for fit in breaks(get)]), scope={**ELSEWHERE, '10,000 MNIST digits': 'mnist'},
        unit='exponent in T above the break of two power laws (128 digits, alpha = 64)'),
  Claim(name='2a', kind='paper', where='section 3', of=(SIZES,), holds=between(0.9, 1.0), changed=SMALLER, scope=ELSEWHERE,
        says='The temperature at which a network leaves the lazy regime falls with the size of the training set as a power law',
        samples=lambda get: decreasing(get, escape), unit=f'{R2}; T_c: the relative weight change reaches {ESCAPE:g}'),
  Claim(name='2b', kind='paper', where='section 3', of=(SIZES,), holds=between(0.9, 1.0), changed=SMALLER,
        says='The temperature from which on the noise moves the weights further falls with the size as a power law',
        samples=lambda get: decreasing(get, onset), unit=f'{R2}; T_c: the break of two power laws of the relative weight change',
        reason='tested: on these digits the weight change grows with the size as P^0.43 at the smallest T and as P^0.32 at '
               'the largest, so the temperature at which the two laws meet rises'),
  Claim(name='3a', kind='paper', where='section 4', of=(PERCEPTRON,), holds=between(0.98, 1.0), unit=IN_T, scope=INPUTS,
        says='In the perceptron the signal w_1 grows as a power of the temperature, whatever chi',
        samples=lambda get: in_temperature(get, 'along'), statistic=straight),
  Claim(name='3b', kind='paper', where='section 4', of=(PERCEPTRON,), holds=between(0.98, 1.0), unit=IN_T, scope=INPUTS,
        says='In the perceptron the time to fit all examples grows as a power of the temperature, whatever chi',
        samples=lambda get: in_temperature(get, 'time'), statistic=straight),
  Claim(name='3c', kind='paper', where='section 4', of=(PERCEPTRON_SIZES,), holds=at_least(0.0), unit=IN_P,
        says='In the perceptron the signal grows with the size of the training set by an exponent that falls with chi',
        samples=lambda get: in_size(get, 'along'), statistic=fall_with_chi, changed='chi = 0 at up to 512 examples only'),
  Claim(name='3d', kind='paper', where='section 4', of=(PERCEPTRON_SIZES,), holds=at_least(0.0), unit=IN_P,
        says='In the perceptron the time to fit all examples grows with the size by an exponent that falls with chi',
        samples=lambda get: in_size(get, 'time'), statistic=fall_with_chi, changed='chi = 0 at up to 512 examples only'),
]  # fmt: skip


# ---- figures --------------------------------------------------------------------------------------------------------

CHANGE, FIT_TIME, TEMPERATURE = '|w - w(0)| / |w(0)|', 't* = eta x steps', 'temperature T = eta / B'
LAZY = 'Odd and even digits, MLP 64-64-1, alpha = 64, B = 16'


def below(ax: Axes, x: np.ndarray, last: float, power: float, label: str, color: str) -> None:
  """A guide of the slope that theory has, under the last point."""
  plots.guide(ax, x, power, (x[-1], 0.6 * last), label, color=color, linestyle=':', linewidth=0.8)


def weights(get: Get) -> Figure:
  rows = members(get, WEIGHTS)
  x, change = series(rows, 'temperature', 'relative')
  _, times = series(rows, 'temperature', 'time')
  figure, axes = plots.canvas(2, height=2.8)
  moved, time = axes[0]
  plots.against(moved, x, change, '128 digits')
  median = np.median(change, axis=0)
  fit = broken_power_law(x, median)
  bent = np.exp(fit.shape(x) + np.mean(np.log(median) - fit.shape(x)))
  plots.theory(moved, x, bent, f'exponents {fit.below:.2f} and {fit.above:.2f}', linestyle=':')
  plots.mark(moved, fit.place, f'break: T = {fit.place:.2g}', linestyle='--', ymax=0.6)
  moved.set(title='change of the weights', xlabel=TEMPERATURE, ylabel=CHANGE)
  plots.against(time, x, times, '128 digits', color='C1')
  below(time, x[-6:], np.median(times, axis=0)[-1], 1.0, 'in proportion to T', 'black')
  time.set(title='time to fit all examples', xlabel=TEMPERATURE, ylabel=FIT_TIME)
  for ax in axes[0]:
    plots.log_axes(ax)
    ax.legend()
  plots.title(figure, LAZY, rows)
  return figure


def sizes(get: Get) -> Figure:
  rows = members(get, SIZES)
  count, temperatures = critical(get, escape)
  power = power_law(count, np.median(temperatures, axis=0)).slope
  figure, axes = plots.canvas(3, height=2.8)
  plain, collapsed, place = axes[0]
  for size, of_size in by(rows, 'data.train').items():
    x, change = series(of_size, 'temperature', 'relative')
    plots.against(plain, x, change, None)
    plots.against(collapsed, x * (size / 64) ** -power if np.isfinite(power) else x, change, f'P = {size}')
  for law, label, style in ((escape, f'change of {ESCAPE:g} reached (2a)', '-'), (onset, 'break (2b)', '--')):
    _, values = critical(get, law)
    exponent = power_law(count, np.median(values, axis=0)).slope
    plots.against(place, count, values, f'{label}: P^{exponent:.2f}', linestyle=style)
  for ax in axes[0]:
    plots.log_axes(ax)
  plots.level(plain, ESCAPE, 'level of claim 2a', linestyle='--')
  plain.set(title='change of the weights', xlabel='temperature T', ylabel=CHANGE)
  collapsed.set(title='rescaled', xlabel=f'T (P / 64)^{-power:.2f}', ylabel=CHANGE)
  place.set(title='critical temperature', xlabel='training set size P', ylabel='T_c')
  plain.legend(loc='lower right')
  collapsed.legend(loc='lower right')
  place.legend(loc='center')
  plots.title(figure, LAZY, rows)
  return figure


def phases(get: Get) -> Figure:
  rows, power_of_two = members(get, PHASES), lambda x: f'$2^{{{round(math.log2(x))}}}$'
  figure, axes = plots.canvas(2, height=3.0, sharey=True)
  for ax, reading, name, style in (
    (axes[0, 0], 'test_error', 'test error (share)', {}),
    (axes[0, 1], 'relative', CHANGE, dict(norm=LogNorm())),
  ):
    # A cell is shown where every seed has fitted its examples.
    medians = rows.groupby(['temperature', 'alpha'])[reading].agg(lambda v: v.median(skipna=False)).unstack()
    plots.heat(ax, medians, power_of_two, np.log2, **style)
    box = ax.axis()
    ends_of_line = np.array([max(box[0], -box[3]), min(box[1], -box[2])])
    plots.theory(ax, ends_of_line, -ends_of_line, 'alpha T = 1', color='red', linewidth=1.2)
    ax.axis(box)
    ax.set(title=name, xlabel='alpha')
  axes[0, 0].set_ylabel(TEMPERATURE)
  axes[0, 0].legend(loc='upper center', bbox_to_anchor=(0.5, -0.18))
  note = 'median of {seeds}; gray: not all fitted in 5,000 steps'
  plots.title(figure, '256 digits, odd and even, MLP 64-64-1', rows, note=note)
  return figure


def perceptron(get: Get) -> Figure:
  figure, axes = plots.canvas(2, rows=2, height=2.6)
  by_temperature, by_size = axes.T
  theory = {'along': lambda chi: 1 / (1 + chi), 'time': lambda chi: (3 + chi) / (1 + chi)}  # exponents in P; 1 in T
  runs, of_size = members(get, PERCEPTRON), members(get, PERCEPTRON_SIZES)
  judged = {chi: [sizes for *pair, sizes in PAIRS if chi in pair] for chi in CHIS}
  for column, rows, field, name, letter in (
    (by_temperature, runs, 'temperature', TEMPERATURE, 'T, from T = 1 on'),
    (by_size, of_size, 'data.train', 'training set size P', 'P, 64 to 512 and 512 to 4096'),
  ):
    for ax, reading, title in zip(column, ('along', 'time'), ('signal |w_1|', FIT_TIME), strict=True):
      for chi, (x, values) in of_chis(rows, field, reading).items():
        expected = 1.0 if field == 'temperature' else theory[reading](chi)
        median = np.median(values, axis=0)
        fitted = [x >= NOISY] if field == 'temperature' else [np.isin(x, sizes) for sizes in judged[chi]]
        exponents = ', '.join(f'{power_law(x[where], median[where]).slope:.2f}' for where in fitted)
        label = f'chi = {chi}: {exponents} (theory: {expected:.2f})'
        line = plots.band(ax, x, values, label, summary=median_and_quartiles, marker='.')
        below(ax, x, median[-1], expected, '_', line.get_color())
      plots.log_axes(ax)
      low, high = ax.get_ylim()
      if 0 < low < high:
        ax.set_ylim(low, high * (high / low) ** 0.6)  # room for the legend
      ax.set(xlabel=name, ylabel=title)
      ax.legend(loc='upper left', title=f'exponent in {letter}', title_fontsize=7.5, alignment='left')
  axes[0, 0].set_title('128 examples of 16 inputs, B = 2')
  axes[0, 1].set_title('8 inputs, B = 1, T = 10')
  plots.title(figure, 'Perceptron, margin 1', runs, of_size, note='median and quartiles of {seeds}; dotted: theory')
  return figure


FIGURES = [
  PaperFigure('sclocchi2023_phases', (PHASES,), phases, 'Test error and weight change in the plane of alpha and T (figure 1).'),
  PaperFigure('sclocchi2023_weights', (WEIGHTS,), weights, 'Weight change and training time against T in the lazy regime.'),
  PaperFigure('sclocchi2023_sizes', (SIZES,), sizes,
              'Weight change against T by training set size, and the critical temperature.'),
  PaperFigure('sclocchi2023_perceptron', (PERCEPTRON, PERCEPTRON_SIZES), perceptron,
              'Signal and training time of the perceptron.'),
]  # fmt: skip
