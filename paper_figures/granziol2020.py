"""Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach (Granziol et al. 2020), arXiv 2006.09092."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import band, line
from analysis.tables import each_seed
from paper_figures.paper import Figure, Get, canvas, curve, seeds_of, select

BATCHES = 'configs/granziol2020_batches.py'
LANCZOS = 'configs/granziol2020_lanczos.py'
RATES = 'configs/granziol2020_rates.py'
ADAM = 'configs/granziol2020_adam.py'
FLY = 'configs/granziol2020_fly.py'
SLOW = ()

LINEAR = 64  # batch size from which the eigenvalue is to be linear in 1/B
KNEE = 64  # batch size up to which the largest rate of SGD grows; on the tuning seeds it stands still from 128 on
FATAL = 10.0  # times the initial loss: divergence
BATCH = np.array([8, 16, 32, 64, 128, 256, 512, 1024])  # of BATCHES
SIZES = (8, 32, 128, 1024)  # of FLY with a memory


# ---- curvature of batches, Lanczos ----------------------------------------------------------------------------------


def vector(rows: pd.DataFrame, reading: str) -> np.ndarray:
  """(row, r) a reading whose columns are 'reading/0', 'reading/1', ..."""
  names = [name for name in rows.columns if name.startswith(f'{reading}/')]
  return rows[sorted(names, key=lambda name: int(name.rpartition('/')[2]))].to_numpy(float)


def final(table: pd.DataFrame) -> pd.DataFrame:
  """The rows of the last reading, in order of seeds."""
  return table[table['step'] == table['step'].max()].sort_values('seed')


def curvature(get: Get) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Batch sizes (b,), largest eigenvalues (seed, b), their standard errors (seed, b), those of all examples (seed,)."""
  rows = final(get(BATCHES, 'batch_curvature'))
  return BATCH, vector(rows, 'largest'), vector(rows, 'largest_se'), rows['full'].to_numpy(float)


def rise(get: Get) -> np.ndarray:
  """(seed,) the largest step up from a batch size to the next, in standard errors of the difference."""
  _, mean, error, _ = curvature(get)
  return np.max(np.diff(mean, axis=1) / np.hypot(error[:, 1:], error[:, :-1]), axis=1)


def above(get: Get) -> np.ndarray:
  """(seed,) the least of largest less full over batch sizes, in standard errors."""
  _, mean, error, full = curvature(get)
  return np.min((mean - full[:, None]) / error, axis=1)


def law(get: Get, power: float) -> tuple[np.ndarray, np.ndarray]:
  """(seed,) R^2 of largest = a + c B^-power from B = 64 on, and a over full."""
  sizes, mean, _, full = curvature(get)
  x, y = sizes[sizes >= LINEAR].astype(float) ** -power, mean[:, sizes >= LINEAR]
  slope, fit = line(x, y)
  return fit, (y.mean(axis=1) - slope * x.mean()) / full


def densities(get: Get) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """For each seed all eigenvalues (p,), and nodes and weights (s,) of the quadrature, which sum to 1."""
  rows, true = final(get(LANCZOS, 'hessian_spectrum')), vector(final(get(LANCZOS, 'dense_spectrum')), 'eigenvalues')
  weights = vector(rows, 'weights')
  return list(zip(np.sort(true, axis=1), vector(rows, 'nodes'), weights / weights.sum(axis=1, keepdims=True), strict=True))


def transport(one: np.ndarray, of_one: np.ndarray, two: np.ndarray, of_two: np.ndarray) -> float:
  """The Wasserstein-1 distance of two measures on the line: the area between their cumulative sums."""
  at = np.concatenate([one, two])
  order = np.argsort(at)
  between = np.cumsum(np.concatenate([of_one, -of_two])[order])
  return float(np.abs(between[:-1]) @ np.diff(at[order]))


def apart(get: Get, unit) -> np.ndarray:
  """(seed,) the distance of quadrature and histogram in a unit of the eigenvalues."""
  found = densities(get)
  return np.array([transport(e, np.full(len(e), 1 / len(e)), nodes, w) / unit(e) for e, nodes, w in found])


def top(get: Get) -> np.ndarray:
  """(seed,) relative error of the largest eigenvalue by Lanczos."""
  return np.array([abs(nodes[w > 1e-3 / len(e)].max() / e[-1] - 1) for e, nodes, w in densities(get)])


# ---- rates ------------------------------------------------------------------------------------------------------------


def sweep(get: Get, config: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Batch sizes (b,), rates (r,) ascending, and training losses (b, r, seed, t), inf where they are not finite."""
  rows = get(config, 'performance').sort_values(['batch.size', 'lr', 'seed', 'step'])
  names = ('batch.size', 'lr', 'seed')
  values = rows['train_loss'].to_numpy(float).reshape(*(rows[name].nunique() for name in names), -1)
  return np.unique(rows['batch.size']), np.unique(rows['lr']), np.where(np.isfinite(values), values, math.inf)


def peak(losses: np.ndarray) -> np.ndarray:
  """(...,) the largest loss of (..., t) over the first."""
  return losses.max(axis=-1) / losses[..., 0]


def largest(get: Get, config: str) -> tuple[np.ndarray, np.ndarray]:
  """Batch sizes (b,) and the rates (b, seed) below the first that diverges; NaN where the grid has no such."""
  sizes, rates, losses = sweep(get, config)
  lost = peak(losses) > FATAL
  first = np.argmax(lost, axis=1)
  return sizes, np.where(lost.any(axis=1) & (first > 0), rates[first - 1], np.nan)


def slope(get: Get, config: str, most: int) -> np.ndarray:
  """(seed,) of the logarithm of the largest rate in that of the batch size, up to a batch of `most`."""
  sizes, rates = largest(get, config)
  return line(np.log(sizes[sizes <= most]), np.log(rates[sizes <= most]).T)[0]


def beyond(get: Get) -> np.ndarray:
  """(seed,) the largest rate of SGD at the largest batch over that at B = 128."""
  sizes, rates = largest(get, RATES)
  return rates[-1] / rates[list(sizes).index(2 * KNEE)]


def fly(get: Get, size: int, hold: float = 0.9) -> np.ndarray:
  """(seed, t) training losses with the rate on the fly."""
  values = each_seed(select(get(FLY, 'performance'), batch__size=size, optimizer__hold=hold), 'train_loss')[1]
  return np.where(np.isfinite(values), values, math.inf)


def best(get: Get, size: int) -> tuple[float, np.ndarray]:
  """The constant rate with the lowest geometric mean of last losses where no seed diverges, and losses (seed, t)."""
  sizes, rates, losses = sweep(get, RATES)
  some = losses[list(sizes).index(size)]
  sane = (peak(some) <= FATAL).all(axis=1)
  with np.errstate(divide='ignore'):
    means = np.where(sane, np.log(some[..., -1]).mean(axis=1), math.inf)
  return float(rates[np.argmin(means)]), some[np.argmin(means)]


def against_best(get: Get) -> np.ndarray:
  """(seed,) last loss over that of the best constant rate, at the batch size where this is largest."""
  return np.max([fly(get, size)[:, -1] / best(get, size)[1][:, -1] for size in SIZES], axis=0)


def pace(get: Get, size: int) -> np.ndarray:
  """(seed,) the rate on the fly, its median over the readings of the first half of a run."""
  rows = select(get(FLY, 'effective_step'), batch__size=size, optimizer__hold=0.9)
  values = each_seed(rows, 'effective')[1][:, 1:] * rows['lr'].iloc[0]
  return np.median(values[:, : values.shape[1] // 2], axis=1)


def together(get: Get) -> np.ndarray:
  """(seed,) rate on the fly over largest constant rate: its largest value over batch sizes by its smallest."""
  sizes, rates = largest(get, RATES)
  ratios = np.array([pace(get, size) / rates[list(sizes).index(size)] for size in SIZES])
  return ratios.max(axis=0) / ratios.min(axis=0)


CURVED = 'largest eigenvalue of the Hessian of a batch, mean of 32 batches'
GRID = 'largest of a grid of rates without a loss of ten times the first within 200 steps'

CLAIMS = [
  Claim('granziol2020/1a', 'The largest eigenvalue of the Hessian of a batch falls as batches grow',
        'theorem on batch and full Hessian, figures of batch spectra', (BATCHES,), rise, -math.inf, 2.0,
        f'{CURVED}: largest step up between B = 8, 16, ..., 1024, in standard errors of a difference'),
  Claim('granziol2020/1b', 'and lies above that of all examples', 'theorem on batch and full Hessian', (BATCHES,), above, -2.0,
        math.inf, f'{CURVED}, less that of all examples: the least over B, in standard errors'),
  Claim('granziol2020/1c', 'in proportion to 1/B', 'theorem on batch and full Hessian', (BATCHES,),
        lambda get: law(get, 1.0)[0], 0.95, 1.0, 'R^2 of a line in 1/B, B = 64 to 1024'),
  Claim('granziol2020/1d', 'with that of all examples as its limit', 'theorem on batch and full Hessian', (BATCHES,),
        lambda get: law(get, 1.0)[1], 0.9, 1.1, 'intercept of the line over the largest eigenvalue of all examples'),
  Claim('granziol2020/1e', 'and not to 1/sqrt(B) (ours: the control of 1c)', 'theorem on batch and full Hessian', (BATCHES,),
        lambda get: law(get, 1.0)[0] - law(get, 0.5)[0], 0.0, 1.0, 'R^2 of 1c less that of a line in 1/sqrt(B)'),
  Claim('granziol2020/2a', 'The largest learning rate of SGD grows in proportion to the batch, up to a knee',
        'figures of largest rates', (RATES,), lambda get: slope(get, RATES, KNEE), 0.6, 1.2,
        f'{GRID}: slope of its logarithm in log B, B = 8 to 64'),
  Claim('granziol2020/2b', 'and no more beyond (ours: the knee)', 'figures of largest rates', (RATES,), beyond, 0.8, 1.5,
        'the same rate at B = 1024 over that at B = 128'),
  Claim('granziol2020/2c', 'That of Adam grows as the square root of the batch', 'figures of largest rates', (ADAM,),
        lambda get: slope(get, ADAM, 1024), 0.3, 0.7, f'{GRID}: slope of its logarithm in log B, B = 8 to 1024'),
  Claim('granziol2020/3a', 'Lanczos finds the largest eigenvalue of the Hessian', 'section on Lanczos', (LANCZOS,), top, 0.0,
        0.01, 'relative error of the largest of 80 Ritz values, 1,810 parameters'),
  Claim('granziol2020/3b', 'and the density of all of them', 'section on Lanczos', (LANCZOS,),
        lambda get: apart(get, lambda e: e[-1] - e[0]), 0.0, 0.05,
        'Wasserstein-1 distance of quadrature, 10 vectors, and histogram, over the range of eigenvalues'),
  Claim('granziol2020/3c', 'and the density of all of them, measured by its own width (ours)', 'section on Lanczos', (LANCZOS,),
        lambda get: apart(get, lambda e: np.abs(e - np.median(e)).mean()), 0.0, 0.2,
        'the same distance over that of the histogram from a point at its median'),
  Claim('granziol2020/4a', 'The rate on the fly diverges at no batch size (ours)', 'section on rates on the fly', (FLY,),
        lambda get: np.max([peak(fly(get, size)) for size in SIZES], axis=0), 0.0, FATAL,
        'largest over first training loss, hold = 0.9, the worst of B = 8, 32, 128, 1024'),
  Claim('granziol2020/4b', 'and ends no worse than twice the loss of the best constant rate (ours)',
        'section on rates on the fly', (FLY, RATES), against_best, 0.0, 2.0,
        'training loss after 200 steps over that of the best constant rate, hold = 0.9, the worst of B = 8, 32, 128, 1024'),
  Claim('granziol2020/4c', 'But from the eigenvalue of the last batch alone small batches diverge (ours: the control of 4a)',
        'section on rates on the fly', (FLY,), lambda get: peak(fly(get, 8, 0.0)), FATAL, math.inf,
        'largest over first training loss, hold = 0, B = 8'),
  Claim('granziol2020/4d', 'and it grows with the batch as the largest constant rate does (ours)', 'section on rates on the fly',
        (FLY, RATES), together, 1.0, 3.0,
        'rate on the fly in the first 100 steps over the largest constant rate: largest over smallest, B = 8, 32, 128, 1024'),
]  # fmt: skip


# ---- figures ----------------------------------------------------------------------------------------------------------


def banded(axes: Axes, x: np.ndarray, values: np.ndarray, label: str, **style) -> None:
  """Median over seeds of (seed, x), with a band from the lowest to the highest."""
  middle, low, high = band(values)
  (drawn,) = axes.plot(x, middle, label=label, **style)
  axes.fill_between(x, low, high, color=drawn.get_color(), alpha=0.2, linewidth=0)


def batches(get: Get) -> Canvas:
  sizes, mean, _, full = curvature(get)
  figure, axes = canvas(2, height=3.0)
  left, right = axes[0]
  banded(left, sizes, mean, 'batches', marker='.')
  banded(left, sizes, np.repeat(full[:, None], len(sizes), axis=1), 'all 1,024 examples', color='C1')
  fit = np.polyfit(1 / sizes[sizes >= LINEAR], np.median(mean, axis=0)[sizes >= LINEAR], 1)
  left.plot(sizes, np.polyval(fit, 1 / sizes), 'k--', linewidth=0.9, label='a + c / B, fitted from B = 64')
  excess = np.maximum(mean - full[:, None], 1e-3)
  banded(right, sizes, excess, 'batches less all examples', marker='.')
  middle = np.median(excess, axis=0)
  for power, name, style in ((1.0, '1 / B', 'k--'), (0.5, '1 / sqrt(B)', 'k:')):
    right.plot(sizes, middle[sizes == LINEAR] * (sizes / LINEAR) ** -power, style, linewidth=0.9, label=name)
  left.set(ylabel='largest eigenvalue of the Hessian\n(loss / weight$^2$)', ylim=(0, 1.1 * mean.max()))
  right.set(ylabel='excess (loss / weight$^2$)', yscale='log')
  for ax in axes[0]:
    ax.set(xlabel='batch size B (examples)')
    ax.set_xscale('log', base=2)
    ax.legend(loc='upper right', fontsize=7)
  seeds = seeds_of([get(BATCHES, 'batch_curvature')])
  figure.suptitle(f'Digits, 64-64-10 ReLU network after 100 steps; median and range of {seeds}', fontsize=9)
  return figure


def rates(get: Get) -> Canvas:
  figure, axes = canvas(2, height=3.0)
  cases = ((RATES, 'SGD', 1.0, 'in proportion to B'), (ADAM, 'Adam', 0.5, 'in proportion to sqrt(B)'))
  for ax, (config, name, power, law_of) in zip(axes[0], cases, strict=True):
    sizes, values = largest(get, config)
    known = np.isfinite(values).all(axis=1)
    banded(ax, sizes[known], values[known].T, 'largest without divergence', marker='.')
    if known.any():
      first, start = sizes[known][0], np.median(values[known][0])
      ax.plot(sizes, start * (sizes / first) ** power, 'k--', linewidth=0.9, label=law_of)
    ax.set(title=name, xlabel='batch size B (examples)', yscale='log')
    ax.set_xscale('log', base=2)
  batch, mean, _, _ = curvature(get)
  banded(axes[0, 0], batch, 2 / mean, '2 / eigenvalue of a batch', color='C2')
  axes[0, 0].axvline(KNEE, color='gray', linestyle=':', linewidth=0.9, label='end of the fitted window')
  axes[0, 0].set(ylabel='learning rate (weight$^2$ / loss)', ylim=(0.06, 8))
  axes[0, 1].set(ylabel='learning rate (weight)', ylim=(0.06, 3))
  for ax in axes[0]:
    ax.legend(loc='lower right', fontsize=7, frameon=True, framealpha=0.9, edgecolor='none')
  seeds = seeds_of([get(RATES, 'performance')])
  figure.suptitle(f'Digits, 64-64-10 ReLU network, 200 steps; median and range of {seeds}', fontsize=9)
  return figure


def spectrum(get: Get) -> Canvas:
  figure, axes = canvas(2, height=3.0)
  left, right = axes[0]
  true, nodes, weights = densities(get)[0]
  for at, mass, label, style in (
    (true, np.full(len(true), 1 / len(true)), 'all eigenvalues', dict(color='C0')),
    (nodes, weights, 'Lanczos, 80 steps, 10 vectors', dict(color='C1', linestyle='--')),
  ):
    order = np.argsort(at)
    share = np.cumsum(mass[order][::-1])[::-1]
    left.step(at[order], share, where='pre', label=label, **style)
  left.set(yscale='log', xlabel='eigenvalue x (loss / weight$^2$)', ylabel='share of eigenvalues from x on',
           ylim=(0.3 / len(true), 2))  # fmt: skip
  left.axhline(1 / len(true), color='gray', linestyle=':', linewidth=0.9, label='one eigenvalue')
  distance = apart(get, lambda e: e[-1] - e[0])
  own = apart(get, lambda e: np.abs(e - np.median(e)).mean())
  error = np.maximum(top(get), 1e-9)
  rows = (
    (error, 'largest eigenvalue,\nrelative error', 0.01),
    (distance, 'distance\nover range', 0.05),
    (own, 'distance over\nown width', 0.2),
  )
  for i, (values, _, bound) in enumerate(rows):
    right.plot(np.full(len(values), i), values, '.', color='C1', label='a seed' if not i else None)
    right.plot([i - 0.3, i + 0.3], [bound, bound], 'k--', linewidth=0.9, label='bound of the claim' if not i else None)
  right.set_xticks(range(len(rows)), [name for _, name, _ in rows], fontsize=6.5)
  right.set(yscale='log', xlabel='what is compared', ylabel='error of Lanczos (no unit)', xlim=(-0.5, 2.5))
  left.legend(loc='upper right', fontsize=7)
  right.legend(loc='lower right', fontsize=7)
  seeds = seeds_of([get(LANCZOS, 'dense_spectrum')])
  figure.suptitle(f'Digits, 64-24-10 ReLU network after 100 steps; left one of {seeds}, right all', fontsize=9)
  return figure


def flying(get: Get) -> Canvas:
  figure, axes = canvas(2, height=3.2)
  left, right = axes[0]
  steps, losses = get(FLY, 'effective_step'), get(FLY, 'performance')
  sizes, rates = largest(get, RATES)
  arms = [(size, 0.9, f'C{i}') for i, size in enumerate(SIZES)] + [(8, 0.0, 'gray')]
  for size, hold, color in arms:
    where, name = dict(batch__size=size, optimizer__hold=hold), f'B = {size}' if hold else 'B = 8, hold = 0'
    rows = select(steps, **where)
    rows = rows[rows['step'] > 0]
    style = dict(color=color, linewidth=0.9)
    if hold:
      curve(left, rows, 'effective', name, **style)
      left.axhline(np.nanmedian(rates[list(sizes).index(size)]), color=color, linestyle=':', linewidth=1.2)
      right.axhline(np.median(best(get, size)[1][:, -1]), color=color, linestyle=':', linewidth=1.2)
    curve(right, select(losses, **where), 'train_loss', name, **style)
  left.plot([], [], 'k:', label='largest constant rate')
  right.plot([], [], 'k:', label='end of the best constant rate')
  left.set(xlabel='step', ylabel='rate on the fly: 2 / eigenvalue\n(weight$^2$ / loss)', yscale='log')
  right.set(xlabel='step', ylabel='training loss', yscale='log', ylim=(1e-5, 1e2))
  left.legend(loc='upper left', fontsize=6.5, ncols=2)
  right.legend(loc='lower left', fontsize=6.5, ncols=2)
  left.set_ylim(top=left.get_ylim()[1] * 4)
  figure.suptitle(f'Digits, 64-64-10 ReLU network, hold = 0.9; median and range of {seeds_of([losses])}', fontsize=9)
  return figure


FIGURES = [
  Figure('granziol2020_batches', (BATCHES,), batches, 'The largest eigenvalue of the Hessian of a batch by its size.'),
  Figure('granziol2020_rates', (RATES, ADAM, BATCHES), rates, 'The largest learning rate by batch size, SGD and Adam.'),
  Figure('granziol2020_lanczos', (LANCZOS,), spectrum, 'The spectrum by Lanczos beside all eigenvalues.'),
  Figure('granziol2020_fly', (FLY, RATES), flying, 'The learning rate on the fly, and the loss that it leads to.'),
]
