"""Train longer, generalize better: the generalization gap in large batch training (Hoffer et al. 2017), arXiv 1705.08741."""

import math
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import GROWTH, growth, line
from analysis.series import at, each_seed, last, select, setting
from analysis.statistics import fold, mean_and_errors
from configs import hoffer2017_table
from configs._hoffer2017 import NOISES, RATE, scaled
from configs.hoffer2017_batches import BATCHES as SIZES
from configs.hoffer2017_batches import SMALL
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

WALK = 'configs/hoffer2017_walk.py'
BATCHES = 'configs/hoffer2017_batches.py'
TABLE = 'configs/hoffer2017_table.py'
SLOW = ()

FIRST = 10  # step at which the window opens
LEAST = 8  # readings that a window must have to be fitted
CLEAN, NOISY = NOISES
LABELS = {CLEAN: 'clean labels', NOISY: f'{NOISY:.0%} noisy labels'}

CASES = {  # of WALK
  f'{name}, {LABELS[noise]}': dict(loss__name=loss, label_noise=noise)
  for loss, name in (('cross_entropy', 'cross entropy'), ('mean_squared_error', 'squared error'))
  for noise in NOISES
}
CLEAN_LABELS, NOISY_LABELS, SQUARED_ERROR, _ = CASES.values()

ARMS = {name: setting(hoffer2017_table.FIELDS, values) for name, values in hoffer2017_table.ARMS.items()}


# ---- windows and fits -----------------------------------------------------------------------------------------------


def windows(get: Get, config: str, **where) -> list[tuple[np.ndarray, np.ndarray]]:
  """For each seed, steps (t,) and distances (t,) from step 10 to the first reading without a training error, if there is one."""
  steps, distances = each_seed(select(get(config, 'distance'), **where), 'distance')
  _, accuracies = each_seed(select(get(config, 'performance'), **where), 'train_accuracy')
  pairs = []
  for distance, accuracy in zip(distances, accuracies, strict=True):
    fitted = np.flatnonzero(accuracy >= 1)
    inside = (steps >= FIRST) & (steps <= (steps[fitted[0]] if len(fitted) else math.inf))
    pairs.append((steps[inside].astype(float), distance[inside]))
  return pairs


def fits(get: Get, **where) -> dict[str, np.ndarray]:
  """R^2 (seed,) of each law of growth in WALK; NaN where a window has too few readings."""
  unknown = dict.fromkeys(GROWTH, np.nan)
  each = [growth(t, d) if len(t) >= LEAST else unknown for t, d in windows(get, WALK, **where)]
  return {law: np.array([r2[law] for r2 in each]) for law in GROWTH}


def margin(get: Get, **where) -> np.ndarray:
  """(seed,) R^2 of log t less that of the better of its rivals."""
  r2 = fits(get, **where)
  return r2['log'] - np.maximum(r2['root'], r2['quarter'])


def slopes(get: Get, noise: float) -> np.ndarray:
  """(seed, batch) slope of the distance in log t, with the square-root rule."""
  slope = lambda t, d: line(np.log(t), d).slope if len(t) >= LEAST else np.nan
  of_size = lambda size: windows(get, BATCHES, batch__size=size, lr=scaled(size, SMALL), label_noise=noise)
  return np.array([[slope(t, d) for t, d in of_size(size)] for size in SIZES]).T


def spread(get: Get, noise: float, rate_of: Callable[[int], float]) -> np.ndarray:
  """(seed,) standard deviation of the ln of the distance over batch sizes, mean of the readings from step 10 on."""
  table = select(get(BATCHES, 'distance'), label_noise=noise)
  paths = [each_seed(select(table, batch__size=size, lr=rate_of(size)), 'distance') for size in SIZES]
  late = paths[0][0] >= FIRST
  return np.std([np.log(distances[:, late]) for _, distances in paths], axis=0).mean(axis=1)


def apart_with_rule(get: Get, noise: float) -> np.ndarray:
  """(seed,) how far apart the distances of batch sizes are with the square-root rule, over that at one rate."""
  return spread(get, noise, lambda size: scaled(size, SMALL)) / spread(get, noise, lambda size: RATE)


def tested(get: Get, noise: float, *names: str) -> tuple[np.ndarray, ...]:
  """(seed,) the last test accuracy of each of these arms, in percent."""
  table = select(get(TABLE, 'performance'), label_noise=noise)
  return tuple(100 * last(select(table, **ARMS[name]), 'test_accuracy') for name in names)


def gap(small: np.ndarray, large: np.ndarray) -> float:
  """By how many points the large batch is worse on average."""
  return small.mean() - large.mean()


def gap_left(small: np.ndarray, large: np.ndarray, remedied: np.ndarray) -> float:
  """The share of the gap that a remedy leaves."""
  return gap(small, remedied) / gap(small, large)


POTENTIAL, DISTANCES = 'the random walk on a random potential', 'distances from the start by batch size'
WINDOW = 'from step 10 to the first reading without a training error; B = 32, constant learning rate'
SLOPES = 'largest over smallest slope of the distance in log t, B = 32 to 1024, ghost batches of 32'
WITHIN = 'from step 10 to the first reading without a training error'
SPREAD = (
  'standard deviation of the ln of the distance over B = 32 to 1024, mean of readings from step 10 to 1,000, with the rule over '
  'that at one rate, ghost batches of 32'
)
POINTS = 'mean test accuracy of B = 16 less that of B = 256, in points, 256'
CHANGED = 'digits and a dense network for images and convolutions, no momentum'
WALKS = {'10,000 MNIST digits': 'mnist', 'tanh': 'tanh', 'momentum 0.9': 'momentum'}
TABLES = {'10,000 MNIST digits': 'mnist', '32-32 hidden units': 'narrow'}

CLAIMS = [
  Claim(name='1a', kind='paper', where=POTENTIAL, of=(WALK,), holds=between(0.95, 1.0),
        changed=CHANGED, scope=WALKS,
        says='In the phase of constant learning rate the distance from the start grows as log t',
        samples=lambda get: fits(get, **CLEAN_LABELS)['log'], unit=f'R^2 of the line in log t, {WINDOW}, clean labels'),
  Claim(name='1b', kind='paper', where=POTENTIAL, of=(WALK,), holds=between(0.0, 1.0),
        changed=CHANGED, scope=WALKS,
        says='A logarithm fits the distance from the start better than t^(1/2) and t^(1/4)',
        samples=lambda get: margin(get, **CLEAN_LABELS),
        unit=f'R^2 of log t less that of the better rival, {WINDOW}, clean labels'),
  Claim(name='1c', kind='control', where=POTENTIAL, of=(WALK,), holds=at_most(0.0),
        changed=CHANGED,
        says='With a small batch and noisy labels the logarithm is not the best of the three',
        samples=lambda get: margin(get, **NOISY_LABELS),
        unit=f'R^2 of log t less that of the better rival, {WINDOW}, 20% noisy labels'),
  Claim(name='1d', kind='extension', where=POTENTIAL, of=(WALK,), holds=between(0.0, 1.0),
        changed=CHANGED,
        reason='tested: batches of all 1,400 examples, which have no noise, grow as t^(1/4) too (R^2 1.000), and as '
        'log t with the cross entropy (0.997): the loss decides, not the noise',
        says='The law is one of the walk and not of the cross entropy, so it holds for the squared error too',
        samples=lambda get: margin(get, **SQUARED_ERROR),
        unit=f'R^2 of log t less that of the better rival, {WINDOW}, clean labels, squared error'),
  Claim(name='1e', kind='paper', where=POTENTIAL, of=(WALK,), holds=between(1.5, 2.5),
        changed=CHANGED,
        reason='tested: the exponent is 2.0 at distances below 1, where the gradient decides, and rises to 3.9 '
        'between 5.6 and 10; one number for 0.3 to 10 lies on the bound',
        says='The loss is a random potential of exponent 2',
        samples=lambda get: at(select(get(WALK, 'potential'), **CLEAN_LABELS), 'exponent', step=0),
        unit='alpha of E (L(w) - L(w0))^2 ~ |w - w0|^alpha, 16 random directions, distances 0.3 to 10 from the start, clean '
        'labels'),
  Claim(name='2a', kind='paper', where=DISTANCES, of=(BATCHES,), holds=between(0.0, 1.0),
        changed=CHANGED,
        reason='tested: a rate counts as time: at equal lr t the distances of all batch sizes differ by 0.7%, so the '
        'rule takes apart what one rate keeps together',
        says='The square-root rule brings the distances of batch sizes nearer to each other than one learning rate does',
        samples=lambda get: apart_with_rule(get, CLEAN), unit=f'{SPREAD}, clean labels'),
  Claim(name='2b', kind='extension', where=DISTANCES, of=(BATCHES,), holds=between(1.0, 1.25),
        changed=CHANGED,
        reason='tested: at equal lr t the distances of all batch sizes differ by 1.1%, so larger rates come sooner '
        'to the steep part of one curve',
        says='With the square-root rule the distance grows alike for all batch sizes where labels are noisy',
        samples=lambda get: fold(slopes(get, NOISY)), unit=f'{SLOPES}, 20% noisy labels, {WITHIN}'),
  Claim(name='2c', kind='extension', where=DISTANCES, of=(BATCHES,), holds=between(0.0, 1.0),
        changed=CHANGED,
        reason='tested: a rate counts as time: at equal lr t the distances of all batch sizes differ by 1.1%',
        says='The square-root rule brings the distances of batch sizes nearer to each other than one learning rate does where '
        'labels are noisy',
        samples=lambda get: apart_with_rule(get, NOISY), unit=f'{SPREAD}, 20% noisy labels'),
  Claim(name='3a', kind='paper', where='table 1', of=(TABLE,), holds=at_most(0.5),
        changed=CHANGED, scope=TABLES,
        says='Learning rate, ghost batches and regime adaptation close the generalisation gap of the large batch',
        samples=lambda get: tested(get, CLEAN, 'SB', 'LB', 'LB + LR + GBN + RA'), statistic=gap_left,
        unit='share of the gap in mean test accuracy that remains, 256 clean digits, B = 16 and 256'),
  Claim(name='3b', kind='paper', where='table 1', of=(TABLE,), holds=at_least(0.0),
        changed=CHANGED, scope=TABLES,
        says='At the same number of epochs the large batch generalises worse',
        samples=lambda get: tested(get, CLEAN, 'SB', 'LB'), statistic=gap, unit=f'{POINTS} clean digits'),
  Claim(name='3c', kind='extension', where='table 1', of=(TABLE,), holds=at_least(0.0),
        changed=CHANGED,
        reason='tested: the small batch has 87.5% at step 44 and loses 5.4 points while it fits the wrong labels; '
        'the large one stops at step 64, where it has fitted 86% of the training set',
        says='At the same number of epochs the large batch generalises worse where labels are noisy',
        samples=lambda get: tested(get, NOISY, 'SB', 'LB'), statistic=gap, unit=f'{POINTS} digits with 20% noisy labels'),
]  # fmt: skip


# ---- figures --------------------------------------------------------------------------------------------------------

LAWS = {'log': 'log t', 'root': '$t^{1/2}$', 'quarter': '$t^{1/4}$'}


def walk(get: Get) -> Figure:
  figure, axes = plots.canvas(2, rows=2, height=2.6, sharex=True)
  table = get(WALK, 'distance')
  for ax, (name, case) in zip(axes.flat, CASES.items(), strict=True):
    ax.set_xscale('log')
    plots.steps(ax, select(table, **case), 'distance', 'training', color='black')
    fitted_laws(ax, get, case)
    ax.set(title=name, xlabel='step t')
    ax.legend(loc='upper left', title='median $R^2$ in the window (gray)', title_fontsize=7.5, alignment='left')
    ax.set_ylim(0, 1.9 * ax.get_ylim()[1])  # for the legend
  for ax in axes[:, 0]:
    ax.set_ylabel('|w - w(0)|')
  plots.title(figure, 'Digits, MLP 64-128-128-10, B = 32, lr = 0.1', table)
  return figure


def fitted_laws(ax: Axes, get: Get, case: dict) -> None:
  """The three laws, fitted to the median over seeds in the longest window, with the median of the seeds' own R^2."""
  r2 = fits(get, **case)
  t = max((steps for steps, _ in windows(get, WALK, **case)), key=len)
  ax.axvspan(t[0], t[-1], color='gray', alpha=0.15, linewidth=0)
  steps, distances = each_seed(select(get(WALK, 'distance'), **case), 'distance')
  d = np.median(distances, axis=0)[np.isin(steps, t)]
  for number, (law, f) in enumerate(GROWTH.items()):
    label = f'{LAWS[law]}: {np.median(r2[law]):.3f}'
    plots.theory(ax, t, line(f(t), d)(f(t)), label, color=f'C{number}', linewidth=1.1)


def batches(get: Get) -> Figure:
  table = get(BATCHES, 'distance')
  figure, axes = plots.canvas(2, rows=2, height=2.5, sharex=True, sharey='row')
  for row, noise in zip(axes, NOISES, strict=True):
    for ax, rate_of, rule in (
      (row[0], lambda size: RATE, 'lr = 0.1'),
      (row[1], lambda size: scaled(size, SMALL), 'lr = 0.1 sqrt(B / 32)'),
    ):
      ax.set_xscale('log')
      for size in SIZES:
        rows = select(table, batch__size=size, lr=rate_of(size), label_noise=noise)
        plots.steps(ax, rows, 'distance', f'B = {size}')
      plots.mark(ax, FIRST, 'window opens')
      ax.set(title=f'{rule}, {LABELS[noise]}', xlabel='step t')
    row[0].set_ylabel('|w - w(0)|')
  axes[0, 0].legend(loc='upper left')
  plots.title(figure, 'Digits, normalised MLP 64-128-128-10, ghost batches of 32', table)
  return figure


def table(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=3.5)
  for ax, noise in zip(axes[0], NOISES, strict=True):
    samples = dict(zip(ARMS, tested(get, noise, *ARMS), strict=True))
    plots.arms(ax, samples, 'a seed', color='lightgray', markersize=3)
    small, large = {'SB': samples.pop('SB')}, samples
    plots.intervals(ax, small, mean_and_errors, 'small batch', color='C0')
    plots.intervals(ax, large, mean_and_errors, 'large batch', first=1, color='C1')
    plots.level(ax, small['SB'].mean(), None, color='C0')
    ax.set(title=LABELS[noise], xlabel='arm')
  axes[0, 0].set_ylabel('test accuracy (%)')
  axes[0, 0].legend(loc='lower right')
  plots.title(figure, '256 digits, B = 16 and 256', get(TABLE, 'performance'), note='mean of {seeds}, two standard errors')
  return figure


def potential(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=3.2)
  around, path = axes[0]
  readings, walks = get(WALK, 'potential'), get(BATCHES, 'path')
  for number, (name, case) in enumerate({'cross entropy': CLEAN_LABELS, 'squared error': SQUARED_ERROR}.items()):
    rows = select(readings, **case)
    steps, exponents = each_seed(rows, 'exponent')
    (_, distances), (_, squares) = each_seed(rows, 'distance'), each_seed(rows, 'square')
    for t, style in ((0, '-'), (-1, '--')):
      label = f'{name}, step {steps[t]}: {np.median(exponents[:, t]):.1f}'
      plots.band(around, distances[0, t], np.sqrt(squares[:, t]), label, color=f'C{number}', linestyle=style)
      if t == 0 and number == 0:
        nearest = (distances[0, 0, 0], np.median(np.sqrt(squares[:, 0, 0])))
        plots.guide(around, distances[0, 0], 1, nearest, 'alpha = 2', linestyle=':')
  around.set(xscale='log', yscale='log', title='loss at a distance (clean labels)')
  around.set(xlabel='distance in a random direction', ylabel='rms change of the training loss')
  around.legend(title='exponent alpha', title_fontsize=7.5, alignment='left', loc='upper left')
  path.set_xscale('log')
  for number, size in enumerate((SIZES[0], SIZES[-1])):
    for noise, name, style in ((CLEAN, 'clean', '-'), (NOISY, 'noisy', '--')):
      rows = select(walks, batch__size=size, lr=RATE, label_noise=noise)
      plots.steps(path, rows[rows['step'] > 0], 'wander', f'B = {size}, {name}', color=f'C{number}', linestyle=style)
  plots.level(path, 1, 'uncorrelated steps', color='black', linewidth=0.9)
  path.set(yscale='log', title='is the walk random? (lr = 0.1)', xlabel='step t', ylabel='|w - w(0)| / sqrt(sum of |u|$^2$)')
  path.legend(loc='upper left')
  for ax, room in ((around, 1e4), (path, 8)):
    ax.set_ylim(top=ax.get_ylim()[1] * room)  # for the legend
  plots.title(figure, 'Digits, 128-128 hidden units', readings)
  return figure


FIGURES = [
  PaperFigure('hoffer2017_walk', (WALK,), walk, 'Distance from the start over time, with three laws fitted.'),
  PaperFigure('hoffer2017_batches', (BATCHES,), batches, 'Distance from the start by batch size and rule.'),
  PaperFigure('hoffer2017_table', (TABLE,), table, 'Test accuracy of the small batch, the large one and its remedies (table 1).'),
  PaperFigure('hoffer2017_potential', (WALK, BATCHES), potential, 'The loss around the weights, and how straight the walk is.'),
]
