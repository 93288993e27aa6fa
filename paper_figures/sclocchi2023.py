"""Dissecting the Effects of SGD Noise in Distinct Regimes of Deep Learning (Sclocchi, Geiger, Wyart 2023), arXiv 2301.13703."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import band, broken_power_law, crossing, halves, power_law
from paper_figures.paper import Figure, Get, canvas, seeds_of, select

WEIGHTS = 'configs/sclocchi2023_weights.py'
SIZES = 'configs/sclocchi2023_sizes.py'
PHASES = 'configs/sclocchi2023_phases.py'
PERCEPTRON = 'configs/sclocchi2023_perceptron.py'
PERCEPTRON_SIZES = 'configs/sclocchi2023_perceptron_sizes.py'
SLOW = ()

BATCH = {WEIGHTS: 16, SIZES: 16, PHASES: 16, PERCEPTRON: 2, PERCEPTRON_SIZES: 1}  # of the configs
ESCAPE = 0.1  # relative change of the weights at which a network has left the lazy regime
NOISY = 1.0  # temperature above which the noise of the perceptron, about T times 16 inputs, is far above the margin
CHIS = (0, 1, 2)


# ---- the last readings ----------------------------------------------------------------------------------------------


def ends(get: Get, config: str) -> pd.DataFrame:
  """A row a member at the end of its run, with its temperature, and the time t* at which it had fitted all (inf: never)."""
  final = lambda table: table[table['step'] == table.groupby('cell')['step'].transform('max')].set_index(['cell', 'member'])
  digits = config in (WEIGHTS, SIZES, PHASES)
  rows = final(get(config, 'performance'))
  own = final(get(config, 'distance' if digits else 'signal'))
  rows = rows.join(own[['relative'] if digits else ['along', 'across']]).join(final(get(config, 'rest'))[['rested']])
  rate = rows['lr'] * rows['alpha']  # eta: hyper.lr is eta / alpha
  fitted = rows['train_loss'] == 0
  return rows.assign(
    temperature=rate / BATCH[config],
    fitted=fitted,
    time=np.where(fitted, rate * rows['rested'], math.inf),
    test_error=1 - rows['test_accuracy'],
  )


def by(rows: pd.DataFrame, along: str, reading: str) -> tuple[np.ndarray, np.ndarray]:
  """(x,) values of a column and (seed, x) readings; NaN where a member has not fitted its examples in time."""
  told = rows.assign(value=rows[reading].where(rows['fitted']) if reading != 'time' else rows['time'])
  table = told.pivot(index='seed', columns=along, values='value')
  return table.columns.to_numpy(float), table.to_numpy(float)


# ---- statistics: one number a seed ----------------------------------------------------------------------------------


def bend(get: Get, field: str) -> np.ndarray:
  """(seed,) a part of the broken power law of the relative weight change in T."""
  x, change = by(ends(get, WEIGHTS), 'temperature', 'relative')
  return np.array([getattr(broken_power_law(x, y), field) for y in change])


def escape(x: np.ndarray, change: np.ndarray) -> float:
  """T_c as the temperature at which the network leaves the lazy regime."""
  return crossing(x, change, ESCAPE)


def onset(x: np.ndarray, change: np.ndarray) -> float:
  """T_c as the temperature from which on the noise moves the weights further."""
  return broken_power_law(x, change).place


def critical(get: Get, law: Callable[..., float]) -> tuple[np.ndarray, np.ndarray]:
  """(size,) training set sizes and (seed, size) critical temperatures."""
  found = {size: by(rows, 'temperature', 'relative') for size, rows in ends(get, SIZES).groupby('data.train')}
  return np.array(list(found), float), np.array([[law(x, y) for y in change] for x, change in found.values()]).T


def decreasing(get: Get, law: Callable[..., float]) -> np.ndarray:
  """(seed,) R^2 of the power law of T_c in the size, with a minus where it grows."""
  sizes, found = critical(get, law)
  fits = [power_law(sizes, t) for t in found]
  return np.array([-math.copysign(r2, a) for a, r2 in fits])


def in_temperature(get: Get, reading: str) -> np.ndarray:
  """(seed,) the worst over chi of R^2 of a power law in T, of the median over half of the seeds."""
  rows = ends(get, PERCEPTRON)
  rows = rows[rows['temperature'] >= 0.999 * NOISY]

  def worst(values):  # (seed, chi, T)
    return min(power_law(x, y)[1] for y in np.median(values, axis=0))

  found = [by(select(rows, data__chi=chi), 'temperature', reading) for chi in CHIS]
  x = found[0][0]
  return halves(np.stack([values for _, values in found], axis=1), worst)


def ordered(get: Get, reading: str) -> np.ndarray:
  """(seed,) how much the exponent in P falls from chi = 0 to 1 or from 1 to 2, whichever is less, by medians over half of
  the seeds."""
  rows = ends(get, PERCEPTRON_SIZES)
  found = [by(select(rows, data__chi=chi), 'data.train', reading) for chi in CHIS]

  def least(values):  # (seed, chi, size)
    middles = np.median(values, axis=0)
    return min(-np.diff([power_law(size, y)[0] for (size, _), y in zip(found, middles, strict=True)]))

  return halves(np.stack([values for _, values in found], axis=1), least)


CLAIMS = [
  Claim(
    'sclocchi2023/1a',
    'In the lazy regime the relative change of the weights does not depend on a small temperature',
    'section 3',
    (WEIGHTS,),
    lambda get: bend(get, 'below'),
    -0.1,
    0.1,
    'exponent in T below the break of two power laws (128 digits, alpha = 64)',
  ),
  Claim(
    'sclocchi2023/1b',
    'Above a critical temperature it grows as a power of the temperature',
    'section 3',
    (WEIGHTS,),
    lambda get: bend(get, 'above'),
    0.2,
    math.inf,
    'exponent in T above the break of two power laws (128 digits, alpha = 64)',
  ),
  Claim(
    'sclocchi2023/2a',
    'The temperature at which a network leaves the lazy regime falls with the size of the training set as a power law',
    'section 3',
    (SIZES,),
    lambda get: decreasing(get, escape),
    0.9,
    1.0,
    f'R^2 over 64 to 1024 digits, minus where it grows; T_c: the relative weight change reaches {ESCAPE:g}',
  ),
  Claim(
    'sclocchi2023/2b',
    'The temperature from which on the noise moves the weights further falls with the size as a power law',
    'section 3',
    (SIZES,),
    lambda get: decreasing(get, onset),
    0.9,
    1.0,
    'R^2 over 64 to 1024 digits, minus where it grows; T_c: the break of two power laws of the relative weight change',
  ),
  Claim(
    'sclocchi2023/3a',
    'In the perceptron the signal w_1 grows as a power of the temperature',
    'section 4',
    (PERCEPTRON,),
    lambda get: in_temperature(get, 'along'),
    0.98,
    1.0,
    'worst R^2 over chi = 0, 1, 2, T from 1 to 100, 128 examples, median over half of the seeds',
  ),
  Claim(
    'sclocchi2023/3b',
    'In the perceptron the time to fit all examples grows as a power of the temperature',
    'section 4',
    (PERCEPTRON,),
    lambda get: in_temperature(get, 'time'),
    0.98,
    1.0,
    'worst R^2 over chi = 0, 1, 2, T from 1 to 100, 128 examples, median over half of the seeds',
  ),
  Claim(
    'sclocchi2023/3c',
    'The signal grows with the size of the training set by an exponent that falls with chi',
    'section 4',
    (PERCEPTRON_SIZES,),
    lambda get: ordered(get, 'along'),
    0.0,
    math.inf,
    'least fall of the exponent in P from one chi to the next (64 to 512 examples for chi = 0, else 512 to 4096; T = 10)',
  ),
  Claim(
    'sclocchi2023/3d',
    'The time to fit all examples grows with the size by an exponent that falls with chi',
    'section 4',
    (PERCEPTRON_SIZES,),
    lambda get: ordered(get, 'time'),
    0.0,
    math.inf,
    'least fall of the exponent in P from one chi to the next (64 to 512 examples for chi = 0, else 512 to 4096; T = 10)',
  ),
]


# ---- figures --------------------------------------------------------------------------------------------------------


def drawn(ax: Axes, x: np.ndarray, values: np.ndarray, label: str, colour: str, **style) -> None:
  """Median and range over seeds of (seed, x) values; a gap where a member has not fitted its examples."""
  middle, low, high = band(np.where(np.isfinite(values), values, np.nan))
  ax.plot(x, middle, '.-', label=label, color=colour, **style)
  ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
  if np.isfinite(middle).any():  # a log axis needs a number
    ax.set(xscale='log', yscale='log')


def reference(ax: Axes, x: np.ndarray, at: float, power: float, label: str, colour: str) -> None:
  """A line of the slope that theory has, through the last point, shifted down a little."""
  ax.plot(x, 0.6 * at * (x / x[-1]) ** power, color=colour, linewidth=0.8, linestyle=':', label=label)


def weights(get: Get) -> Canvas:
  rows = ends(get, WEIGHTS)
  x, change = by(rows, 'temperature', 'relative')
  _, times = by(rows, 'temperature', 'time')
  figure, axes = canvas(2, height=2.8)
  left, right = axes[0]
  drawn(left, x, change, '128 digits', 'C0')
  middle = np.median(change, axis=0)
  fit = broken_power_law(x, middle)
  shape = np.where(x < fit.place, fit.below, fit.above) * np.log(x / fit.place)
  bent = np.exp(shape + np.mean(np.log(middle) - shape))
  left.plot(x, bent, 'k:', linewidth=0.9, label=f'exponents {fit.below:.2f} and {fit.above:.2f}')
  left.axvline(fit.place, color='gray', linewidth=0.8, linestyle='--', label=f'break: T = {fit.place:.2g}')
  left.set(title='change of the weights', xlabel='temperature T = eta / B', ylabel='|w - w(0)| / |w(0)|')
  drawn(right, x, times, '128 digits', 'C1')
  reference(right, x[-6:], np.median(times, axis=0)[-1], 1.0, 'in proportion to T', 'black')
  right.set(title='time to fit all examples', xlabel='temperature T = eta / B', ylabel='t* = eta x steps')
  left.legend()
  right.legend()
  figure.suptitle(f'Odd and even digits, MLP 64-64-1, alpha = 64, B = 16; median and range of {seeds_of([rows])}', fontsize=9)
  return figure


def sizes(get: Get) -> Canvas:
  rows = ends(get, SIZES)
  laws = {'escape': (escape, f'change of {ESCAPE:g} reached (2a)', 'C0', 'o-'), 'onset': (onset, 'break (2b)', 'C1', 's--')}
  found = {name: critical(get, law) for name, (law, *_) in laws.items()}
  count, temperatures = found['escape']
  power = power_law(count, np.median(temperatures, axis=0))[0]
  figure, axes = canvas(3, height=2.8)
  plain, collapsed, critical_ = axes[0]
  for i, (size, some) in enumerate(rows.groupby('data.train')):
    x, change = by(some, 'temperature', 'relative')
    drawn(plain, x, change, f'P = {size}', f'C{i}')
    drawn(collapsed, x * (size / 64) ** -power if np.isfinite(power) else x, change, f'P = {size}', f'C{i}')
  plain.axhline(ESCAPE, color='gray', linewidth=0.8, linestyle='--', label='level of claim 2a')
  plain.set(title='change of the weights', xlabel='temperature T', ylabel='|w - w(0)| / |w(0)|')
  collapsed.set(title='rescaled', xlabel=f'T (P / 64)^{-power:.2f}', ylabel='|w - w(0)| / |w(0)|')
  for name, (_, label, colour, style) in laws.items():
    middle, low, high = band(np.where(np.isfinite(found[name][1]), found[name][1], np.nan))
    slope = power_law(count, middle)[0]
    critical_.plot(count, middle, style, color=colour, markersize=4, label=f'{label}: P^{slope:.2f}')
    critical_.fill_between(count, low, high, color=colour, alpha=0.2, linewidth=0)
  critical_.set(title='critical temperature', xlabel='training set size P', ylabel='T_c')
  if np.isfinite(temperatures).any():
    critical_.set(xscale='log', yscale='log')
  plain.legend(loc='lower right')
  critical_.legend(loc='center')
  figure.suptitle(f'Odd and even digits, MLP 64-64-1, alpha = 64, B = 16; median and range of {seeds_of([rows])}', fontsize=9)
  return figure


def phases(get: Get) -> Canvas:
  rows = ends(get, PHASES)
  grid = lambda column: rows.assign(shown=rows[column].where(rows['fitted'])).groupby(['temperature', 'alpha'])['shown']
  # A cell is shown where every seed has fitted its examples.
  table = lambda column: grid(column).agg(lambda v: v.median(skipna=False)).unstack()
  figure, axes = canvas(2, height=3.0, sharey=True)
  for ax, column, name, kind in (
    (axes[0, 0], 'test_error', 'test error (share)', {}),
    (axes[0, 1], 'relative', '|w - w(0)| / |w(0)|', {'norm': LogNorm()}),
  ):
    shown = table(column)
    values = np.ma.masked_invalid(shown.to_numpy(float))
    kind = kind if values.count() else {}
    mesh = ax.pcolormesh(np.arange(shown.shape[1]), np.arange(shown.shape[0]), values, cmap='viridis', rasterized=True, **kind)
    ax.set_facecolor('lightgray')
    ax.grid(visible=False)
    ax.set_xticks(np.arange(shown.shape[1]), [power_of_two(a) for a in shown.columns])
    ax.set_yticks(np.arange(shown.shape[0]), [power_of_two(t) for t in shown.index])
    inverse, rows_at = 1 / shown.columns.to_numpy(float), shown.index.to_numpy(float)
    inside = (inverse >= rows_at.min()) & (inverse <= rows_at.max())
    places = np.interp(np.log2(inverse[inside]), np.log2(rows_at), np.arange(len(rows_at)))
    ax.plot(np.flatnonzero(inside), places, 'w--', linewidth=1.2, label='alpha T = 1')
    ax.set(title=name, xlabel='alpha')
    figure.colorbar(mesh, cax=ax.inset_axes([1.03, 0, 0.05, 1]))
  axes[0, 0].set_ylabel('temperature T = eta / B')
  axes[0, 0].legend(loc='lower right', facecolor='gray', frameon=True, labelcolor='white')
  note = f'256 digits, odd and even, MLP 64-64-1; median of {seeds_of([rows])}; gray: not all fitted in 5,000 steps'
  figure.suptitle(note, fontsize=9)
  return figure


def power_of_two(x: float) -> str:
  return f'$2^{{{round(math.log2(x))}}}$'


def perceptron(get: Get) -> Canvas:
  sweeps = ((ends(get, PERCEPTRON), 'temperature', 'temperature T = eta / B', 'T, from T = 1 on'),
            (ends(get, PERCEPTRON_SIZES), 'data.train', 'training set size P', 'P'))  # fmt: skip
  theory = {'along': lambda chi: 1 / (1 + chi), 'time': lambda chi: (3 + chi) / (1 + chi)}  # in P
  figure, axes = canvas(2, rows=2, height=2.6)
  for column, (rows, along, name, letter) in enumerate(sweeps):
    for row, (reading, title) in enumerate((('along', 'signal |w_1|'), ('time', 't* = eta x steps'))):
      ax = axes[row, column]
      for chi in CHIS:
        x, values = by(select(rows, data__chi=chi), along, reading)
        middle, judged = np.median(values, axis=0), x >= 0.999 * NOISY
        told = theory[reading](chi) if column else 1.0
        label = f'chi = {chi}: {power_law(x[judged], middle[judged])[0]:.2f} (theory: {told:.2f})'
        drawn(ax, x, values, label, f'C{chi}')
        reference(ax, x, middle[-1], told, '_', f'C{chi}')
      low, high = ax.get_ylim()
      if 0 < low < high:
        ax.set_ylim(low, high * (high / low) ** 0.4)  # room for the legend
      ax.set(xlabel=name, ylabel=title)
      ax.legend(loc='upper left', title=f'exponent in {letter}', title_fontsize=7.5, alignment='left')
  axes[0, 0].set_title('128 examples of 16 inputs, B = 2')
  axes[0, 1].set_title('8 inputs, B = 1, T = 10')
  note = f'Perceptron, margin 1; median and range of {seeds_of([sweeps[0][0]])}; dotted: theory'
  figure.suptitle(note, fontsize=9)
  return figure


FIGURES = [
  Figure('sclocchi2023_phases', (PHASES,), phases, 'Test error and weight change in the plane of alpha and T (figure 1).'),
  Figure('sclocchi2023_weights', (WEIGHTS,), weights, 'Weight change and training time against T in the lazy regime.'),
  Figure('sclocchi2023_sizes', (SIZES,), sizes, 'Weight change against T by training set size, and the critical temperature.'),
  Figure('sclocchi2023_perceptron', (PERCEPTRON, PERCEPTRON_SIZES), perceptron, 'Signal and training time of the perceptron.'),
]
