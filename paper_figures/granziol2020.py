"""Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach (Granziol et al. 2020), arXiv 2006.09092."""

import math
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import Line, line, power_law
from analysis.series import each_seed, grid, last, select
from analysis.statistics import fold, wasserstein
from configs._granziol2020 import SIZES, STEPS
from configs.granziol2020_fly import HOLD
from configs.granziol2020_fly import SIZES as FLY_SIZES
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

BATCHES = 'configs/granziol2020_batches.py'
LANCZOS = 'configs/granziol2020_lanczos.py'
RATES = 'configs/granziol2020_rates.py'
ADAM = 'configs/granziol2020_adam.py'
FLY = 'configs/granziol2020_fly.py'
SLOW = ()

BATCH = np.array(SIZES)
LINEAR = BATCH >= 64  # batch sizes at which the eigenvalue is to be linear in 1/B
KNEE = 64  # batch size up to which the largest rate of SGD grows; on the tuning seeds it stands still from 128 on
FATAL = 10.0  # times the initial loss: divergence


# ---- curvature of batches, Lanczos ----------------------------------------------------------------------------------


def curvature(get: Get) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Largest eigenvalues (seed, b) by batch size, their standard errors (seed, b), and those of all examples (seed,)."""
  mean, error, full = (last(get(BATCHES, 'batch_curvature'), reading) for reading in ('largest', 'largest_se', 'full'))
  return mean, error, full.astype(float)


def largest_rise(get: Get) -> np.ndarray:
  """(seed,) the largest step up from a batch size to the next, in standard errors of the difference."""
  mean, error, _ = curvature(get)
  return np.max(np.diff(mean, axis=1) / np.hypot(error[:, 1:], error[:, :-1]), axis=1)


def least_excess(get: Get) -> np.ndarray:
  """(seed,) the least of largest less full over batch sizes, in standard errors."""
  mean, error, full = curvature(get)
  return np.min((mean - full[:, None]) / error, axis=1)


def law(get: Get, power: float) -> Line:
  """The fit of largest = a + c B^-power from B = 64 on, for each seed."""
  return line(BATCH[LINEAR].astype(float) ** -power, curvature(get)[0][:, LINEAR])


def densities(get: Get) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """For each seed all eigenvalues (p,) in rising order, and nodes and weights (s,) of the quadrature, which sum to 1."""
  eigenvalues = np.sort(last(get(LANCZOS, 'dense_spectrum'), 'eigenvalues'), axis=1)
  nodes, weights = (last(get(LANCZOS, 'hessian_spectrum'), reading) for reading in ('nodes', 'weights'))
  return list(zip(eigenvalues, nodes, weights / weights.sum(axis=1, keepdims=True), strict=True))


def distance(get: Get, unit: Callable[[np.ndarray], float]) -> np.ndarray:
  """(seed,) the distance of quadrature and histogram in a unit of the eigenvalues."""
  return np.array([wasserstein(e, nodes, weights) / unit(e) for e, nodes, weights in densities(get)])


def own_width(eigenvalues: np.ndarray) -> float:
  """The distance of the histogram from a point at its median."""
  return np.abs(eigenvalues - np.median(eigenvalues)).mean()


def error_of_largest(get: Get) -> np.ndarray:
  """(seed,) relative error of the largest eigenvalue by Lanczos."""
  return np.array([abs(nodes[w > 1e-3 / len(e)].max() / e[-1] - 1) for e, nodes, w in densities(get)])


# ---- rates ------------------------------------------------------------------------------------------------------------


def finite_or_inf(losses: np.ndarray) -> np.ndarray:
  return np.where(np.isfinite(losses), losses, math.inf)


def sweep(get: Get, config: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Batch sizes (b,), rates (r,) ascending, and training losses (b, r, seed, t), inf where they are not finite."""
  (sizes, rates), _, losses = grid(get(config, 'performance'), ('batch.size', 'lr'), 'train_loss')
  return sizes, rates, finite_or_inf(losses.astype(float))


def peak(losses: np.ndarray) -> np.ndarray:
  """(...,) the largest loss of (..., t) over the first."""
  return losses.max(axis=-1) / losses[..., 0]


def largest_rates(get: Get, config: str) -> tuple[np.ndarray, np.ndarray]:
  """Batch sizes (b,) and the rates (seed, b) below the first that diverges; NaN where the grid has no such."""
  sizes, rates, losses = sweep(get, config)
  diverges = peak(losses) > FATAL
  first = np.argmax(diverges, axis=1)
  return sizes, np.where(diverges.any(axis=1) & (first > 0), rates[first - 1], np.nan).T


def growth(get: Get, config: str, most: int) -> np.ndarray:
  """(seed,) the exponent of the largest rate in the batch size, up to a batch of `most`."""
  sizes, rates = largest_rates(get, config)
  return power_law(sizes[sizes <= most], rates[:, sizes <= most]).slope


def rates_at(get: Get, *sizes: int) -> np.ndarray:
  """(seed, size) the largest rates of SGD at these batch sizes."""
  every, rates = largest_rates(get, RATES)
  return rates[:, [list(every).index(size) for size in sizes]]


def after_knee(get: Get) -> np.ndarray:
  """(seed,) the largest rate of SGD at the largest batch over that at B = 128."""
  before, after = rates_at(get, 2 * KNEE, BATCH[-1]).T
  return after / before


def fly(get: Get, size: int, hold: float = HOLD) -> np.ndarray:
  """(seed, t) training losses with the rate on the fly."""
  rows = select(get(FLY, 'performance'), batch__size=size, optimizer__hold=hold)
  return finite_or_inf(each_seed(rows, 'train_loss')[1])


def best_constant(get: Get, size: int) -> np.ndarray:
  """Losses (seed, t) at the constant rate with the lowest geometric mean of last losses where no seed diverges."""
  sizes, _, losses = sweep(get, RATES)
  by_rate = losses[list(sizes).index(size)]
  with np.errstate(divide='ignore'):
    logs = np.log(by_rate[..., -1]).mean(axis=1)
  return by_rate[np.argmin(np.where((peak(by_rate) <= FATAL).all(axis=1), logs, math.inf))]


def over_best_constant(get: Get) -> np.ndarray:
  """(seed,) last loss over that of the best constant rate, at the batch size where this is largest."""
  return np.max([fly(get, size)[:, -1] / best_constant(get, size)[:, -1] for size in FLY_SIZES], axis=0)


def rate_on_the_fly(get: Get, size: int) -> np.ndarray:
  """(seed,) the median over the readings of the first half of a run."""
  rows = select(get(FLY, 'effective_step'), batch__size=size, optimizer__hold=HOLD)
  values = each_seed(rows, 'rate')[1][:, 1:]
  return np.median(values[:, : values.shape[1] // 2], axis=1)


def proportion(get: Get) -> np.ndarray:
  """(seed,) rate on the fly over largest constant rate: its largest value over batch sizes by its smallest."""
  rates = np.stack([rate_on_the_fly(get, size) for size in FLY_SIZES], axis=1)
  return fold(rates / rates_at(get, *FLY_SIZES))


THEOREM, ON_THE_FLY = 'theorem on batch and full Hessian', 'section on rates on the fly'
CURVED = 'largest eigenvalue of the Hessian of a batch, mean of 32 batches'
GRID = f'largest of a grid of rates without a loss of ten times the first within {STEPS} steps'
WORST = f'the worst of B = {", ".join(map(str, FLY_SIZES))}'
CHANGED = 'digits and a dense network for CIFAR-100 and VGG-16'
ELSEWHERE = {'10,000 MNIST digits': 'mnist', 'two hidden layers': 'deep'}

CLAIMS = [
  Claim(name='1a', kind='paper', where=f'{THEOREM}, figures of batch spectra', of=(BATCHES,), holds=at_most(2.0),
        changed=CHANGED, scope=ELSEWHERE,
        says='The largest eigenvalue of the Hessian of a batch falls as batches grow', samples=largest_rise,
        unit=f'{CURVED}: largest step up between B = 8, 16, ..., 1024, in standard errors of a difference'),
  Claim(name='1b', kind='paper', where=THEOREM, of=(BATCHES,), holds=at_least(-2.0), samples=least_excess,
        changed=CHANGED, scope=ELSEWHERE,
        says='The largest eigenvalue of the Hessian of a batch lies above that of all examples',
        unit=f'{CURVED}, less that of all examples: the least over B, in standard errors'),
  Claim(name='1c', kind='paper', where=THEOREM, of=(BATCHES,), holds=between(0.95, 1.0), samples=lambda get: law(get, 1.0).r2,
        changed=CHANGED, scope=ELSEWHERE,
        says='The largest eigenvalue of the Hessian of a batch falls in proportion to 1/B',
        unit=f'{CURVED}: R^2 of a line in 1/B, B = 64 to 1024'),
  Claim(name='1d', kind='paper', where=THEOREM, of=(BATCHES,), holds=between(0.9, 1.1),
        changed=CHANGED, scope=ELSEWHERE,
        says='The limit of the largest eigenvalue for large batches is that of all examples',
        samples=lambda get: law(get, 1.0).intercept / curvature(get)[2],
        unit='intercept of the line in 1/B, B = 64 to 1024, over the largest eigenvalue of all examples'),
  Claim(name='1e', kind='control', where=THEOREM, of=(BATCHES,), holds=between(0.0, 1.0),
        changed=CHANGED,
        says='The largest eigenvalue does not fall in proportion to 1/sqrt(B)',
        samples=lambda get: law(get, 1.0).r2 - law(get, 0.5).r2,
        unit=f'{CURVED}: R^2 of a line in 1/B less that of a line in 1/sqrt(B), B = 64 to 1024'),
  Claim(name='2a', kind='paper', where='figures of largest rates', of=(RATES,), holds=between(0.6, 1.2),
        changed=CHANGED, scope=ELSEWHERE,
        reason='tested: the largest rate stays within 1.6 to 1.9 times 2 / (mean eigenvalue of a batch), and that '
        'eigenvalue, a + c / B, is in proportion to 1 / B only where c / B is far above a; the slope is 0.69 '
        'from 8 to 32',
        says='The largest learning rate of SGD grows in proportion to the batch, up to a knee',
        samples=lambda get: growth(get, RATES, KNEE), unit=f'{GRID}: slope of its logarithm in log B, B = 8 to 64'),
  Claim(name='2b', kind='extension', where='figures of largest rates', of=(RATES,), holds=between(0.8, 1.5), samples=after_knee,
        changed=CHANGED,
        says='The largest learning rate of SGD does not grow with the batch after the knee',
        unit=f'{GRID}: at B = 1024 over that at B = 128'),
  Claim(name='2c', kind='paper', where='figures of largest rates', of=(ADAM,), holds=between(0.3, 0.7),
        changed=CHANGED,
        reason='tested: read every 10 steps and not every 5, the same runs have a slope of 0.47; from B = 64 on what '
        'exceeds ten times the first loss is the reading at step 5',
        says='The largest learning rate of Adam grows as the square root of the batch',
        samples=lambda get: growth(get, ADAM, 1024), unit=f'{GRID}: slope of its logarithm in log B, B = 8 to 1024'),
  Claim(name='3a', kind='paper', where='section on Lanczos', of=(LANCZOS,), holds=between(0.0, 0.01), samples=error_of_largest,
        changed=CHANGED,
        says='Lanczos finds the largest eigenvalue of the Hessian',
        unit='relative error of the largest of 80 Ritz values, 1,810 parameters'),
  Claim(name='3c', kind='paper', where='section on Lanczos', of=(LANCZOS,), holds=between(0.0, 0.2),
        changed=CHANGED,
        says='Lanczos finds the density of all eigenvalues of the Hessian, measured by its own width',
        samples=lambda get: distance(get, own_width),
        unit='Wasserstein-1 distance of quadrature, 10 vectors, and histogram, over that of the histogram from a point at its '
        'median'),
  Claim(name='4a', kind='extension', where=ON_THE_FLY, of=(FLY,), holds=between(0.0, FATAL),
        changed=CHANGED,
        says='The learning rate on the fly diverges at no batch size',
        samples=lambda get: np.max([peak(fly(get, size)) for size in FLY_SIZES], axis=0),
        unit=f'largest over first training loss, hold = {HOLD:g}, {WORST}'),
  Claim(name='4b', kind='extension', where=ON_THE_FLY, of=(FLY, RATES), holds=between(0.0, 2.0), samples=over_best_constant,
        changed=CHANGED,
        reason='tested: at B = 32 the rate on the fly is half of the largest in the first 100 steps, and a constant '
        'rate of half of the best ends at 6.9 times its loss too',
        says='The learning rate on the fly ends no worse than twice the loss of the best constant rate',
        unit=f'training loss after {STEPS} steps over that of the best constant rate, hold = {HOLD:g}, {WORST}'),
  Claim(name='4c', kind='control', where=ON_THE_FLY, of=(FLY,), holds=at_least(FATAL), samples=lambda get: peak(fly(get, 8, 0.0)),
        changed=CHANGED,
        says='With a learning rate from the eigenvalue of the last batch alone small batches diverge',
        unit='largest over first training loss, hold = 0, B = 8'),
  Claim(name='4d', kind='extension', where=ON_THE_FLY, of=(FLY, RATES), holds=between(1.0, 3.0), samples=proportion,
        changed=CHANGED,
        says='The learning rate on the fly grows with the batch as the largest constant rate does',
        unit='rate on the fly in the first 100 steps over the largest constant rate: largest over smallest, '
        f'B = {", ".join(map(str, FLY_SIZES))}'),
]  # fmt: skip


# ---- figures ----------------------------------------------------------------------------------------------------------


def batches(get: Get) -> Figure:
  mean, _, full = curvature(get)
  figure, axes = plots.canvas(2, height=3.0)
  eigenvalue, excess = axes[0]
  plots.against(eigenvalue, BATCH, mean, 'batches')
  plots.band(eigenvalue, BATCH, np.repeat(full[:, None], len(BATCH), axis=1), 'all 1,024 examples')
  fit = line(1 / BATCH[LINEAR], np.median(mean, axis=0)[LINEAR])
  plots.theory(eigenvalue, BATCH, fit(1 / BATCH), 'a + c / B, fitted from B = 64')
  values = np.maximum(mean - full[:, None], 1e-3)
  plots.against(excess, BATCH, values, 'batches less all examples')
  knee = (BATCH[LINEAR][0], np.median(values, axis=0)[LINEAR][0])
  plots.guide(excess, BATCH, -1.0, knee, '1 / B')
  plots.guide(excess, BATCH, -0.5, knee, '1 / sqrt(B)', linestyle=':')
  eigenvalue.set(ylabel='largest eigenvalue of the Hessian\n(loss / weight$^2$)', ylim=(0, 1.1 * mean.max()))
  excess.set(ylabel='excess (loss / weight$^2$)', yscale='log')
  for ax in axes[0]:
    plots.mark(ax, BATCH[LINEAR][0], None)
    ax.set(xlabel='batch size B (examples)')
    ax.set_xscale('log', base=2)
    ax.legend(loc='upper right', fontsize=7)
  plots.title(figure, 'Digits, 64-64-10 ReLU network after 100 steps', get(BATCHES, 'batch_curvature'))
  return figure


def rates(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=3.0)
  cases = ((RATES, 'SGD', 1.0, 'in proportion to B'), (ADAM, 'Adam', 0.5, 'in proportion to sqrt(B)'))
  for ax, (config, name, power, law_of) in zip(axes[0], cases, strict=True):
    sizes, values = largest_rates(get, config)
    known = np.isfinite(values).all(axis=0)
    plots.against(ax, sizes[known], values[:, known], 'largest without divergence')
    if known.any():
      plots.guide(ax, sizes, power, (sizes[known][0], np.median(values[:, known][:, 0])), law_of)
    ax.set(title=name, xlabel='batch size B (examples)', yscale='log', xlim=(0.8 * sizes[0], 1.25 * sizes[-1]))
    ax.set_xscale('log', base=2)
  sgd, adam = axes[0]
  plots.band(sgd, BATCH, 2 / curvature(get)[0], '2 / eigenvalue of a batch', color='C2')
  plots.mark(sgd, KNEE, 'end of the fitted window', linewidth=0.9)
  sgd.set(ylabel='learning rate (weight$^2$ / loss)', ylim=(0.06, 8))
  adam.set(ylabel='learning rate (weight)', ylim=(0.06, 3))
  for ax in axes[0]:
    ax.legend(loc='lower right', fontsize=7, frameon=True, framealpha=0.9, edgecolor='none')
  plots.title(figure, f'Digits, 64-64-10 ReLU network, {STEPS} steps', get(RATES, 'performance'))
  return figure


def spectrum(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=3.0)
  density, error = axes[0]
  eigenvalues, nodes, weights = densities(get)[0]
  uniform = np.full(len(eigenvalues), 1 / len(eigenvalues))
  for places, mass, label, style in (
    (eigenvalues, uniform, 'all eigenvalues', '-'),
    (nodes, weights, 'Lanczos, 80 steps, 10 vectors', '--'),
  ):
    order = np.argsort(places)
    density.step(places[order], np.cumsum(mass[order][::-1])[::-1], where='pre', label=label, linestyle=style)
  density.set(xlabel='eigenvalue x (loss / weight$^2$)', ylabel='share of eigenvalues from x on')
  density.set(yscale='log', ylim=(0.3 / len(eigenvalues), 2))
  plots.level(density, 1 / len(eigenvalues), 'one eigenvalue', linewidth=0.9)
  comparisons = {
    'largest eigenvalue,\nrelative error': np.maximum(error_of_largest(get), 1e-9),
    'distance over\nown width': distance(get, own_width),
  }
  plots.arms(error, comparisons, 'a seed', color='C1')
  for place, bound in enumerate((0.01, 0.2)):
    plots.theory(error, [place - 0.3, place + 0.3], [bound, bound], None if place else 'bound of the claim')
  plots.theory(error, [0.7, 1.3], [1, 1], 'a point at the median', color='C2', linestyle='-')
  error.set_xticks(range(2), list(comparisons), fontsize=6.5, rotation=0, ha='center')
  error.set(yscale='log', xlabel='what is compared', ylabel='error of Lanczos (no unit)', xlim=(-0.5, 1.5), ylim=(1e-8, 10))
  density.legend(loc='upper right', fontsize=7)
  error.legend(loc='lower right', fontsize=7)
  note = 'left one of {seeds}, right all'
  plots.title(figure, 'Digits, 64-24-10 ReLU network after 100 steps', get(LANCZOS, 'dense_spectrum'), note=note)
  return figure


def flying(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=3.2)
  rate, loss = axes[0]
  for number, size in enumerate(FLY_SIZES):
    where, style = dict(batch__size=size, optimizer__hold=HOLD), dict(color=f'C{number}', linewidth=0.9)
    effective = select(get(FLY, 'effective_step'), **where)
    plots.steps(rate, effective[effective['step'] > 0], 'rate', f'B = {size}', **style)
    plots.steps(loss, select(get(FLY, 'performance'), **where), 'train_loss', f'B = {size}', **style)
    plots.level(rate, np.nanmedian(rates_at(get, size)), None, color=f'C{number}', linewidth=1.2)
    plots.level(loss, np.median(best_constant(get, size)[:, -1]), None, color=f'C{number}', linewidth=1.2)
  forgetful = select(get(FLY, 'performance'), batch__size=8, optimizer__hold=0.0)
  plots.steps(loss, forgetful, 'train_loss', 'B = 8, hold = 0', color='gray', linewidth=0.9)
  rate.plot([], [], 'k:', label='largest constant rate')
  loss.plot([], [], 'k:', label='end of the best constant rate')
  rate.set(xlabel='step', ylabel='rate on the fly: 2 / eigenvalue\n(weight$^2$ / loss)', yscale='log')
  loss.set(xlabel='step', ylabel='training loss', yscale='log', ylim=(1e-5, 1e2))
  rate.legend(loc='upper left', fontsize=6.5, ncols=2)
  loss.legend(loc='lower left', fontsize=6.5, ncols=2)
  rate.set_ylim(top=rate.get_ylim()[1] * 4)  # for the legend
  plots.title(figure, f'Digits, 64-64-10 ReLU network, hold = {HOLD:g}', get(FLY, 'performance'))
  return figure


FIGURES = [
  PaperFigure('granziol2020_batches', (BATCHES,), batches, 'The largest eigenvalue of the Hessian of a batch by its size.'),
  PaperFigure('granziol2020_rates', (RATES, ADAM, BATCHES), rates, 'The largest learning rate by batch size, SGD and Adam.'),
  PaperFigure('granziol2020_lanczos', (LANCZOS,), spectrum, 'The spectrum by Lanczos beside all eigenvalues.'),
  PaperFigure('granziol2020_fly', (FLY, RATES), flying, 'The learning rate on the fly, and the loss that it leads to.'),
]
