"""Train longer, generalize better: the generalization gap in large batch training (Hoffer et al. 2017), arXiv 1705.08741."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import GROWTH, band, growth, line
from analysis.tables import each_seed, last
from paper_figures.paper import Figure, Get, arms_of, canvas, curve, groups, seeds_of, select

WALK = 'configs/hoffer2017_walk.py'
BATCHES = 'configs/hoffer2017_batches.py'
TABLE = 'configs/hoffer2017_table.py'
SLOW = ()

FIRST = 10  # step at which the window opens
LEAST = 8  # readings that a window must have to be fitted
RATE, SIZES = 0.1, (32, 128, 512, 1024)  # of the configs
GROUP = 5  # seeds of a mean

CASES = {  # of WALK
  'cross entropy, clean labels': dict(loss__name='cross_entropy', label_noise=0.0),
  'cross entropy, 20% noisy labels': dict(loss__name='cross_entropy', label_noise=0.2),
  'squared error, clean labels': dict(loss__name='mean_squared_error', label_noise=0.0),
  'squared error, 20% noisy labels': dict(loss__name='mean_squared_error', label_noise=0.2),
}
CLEAN, NOISY, SQUARED, SQUARED_NOISY = CASES.values()

ARMS = {  # of TABLE
  'SB': dict(batch__size=16),
  'LB': dict(batch__size=256, model__ghost=0, optimizer__clip=0.0, steps=64),
  'LB + LR': dict(batch__size=256, model__ghost=0, optimizer__clip=1.0),
  'LB + LR + GBN': dict(model__ghost=16, steps=64),
  'LB + LR + GBN + RA': dict(model__ghost=16, steps=1024),
  'LB + RA': dict(batch__size=256, model__ghost=0, steps=1024),
}


# ---- windows and fits -----------------------------------------------------------------------------------------------


def windows(get: Get, config: str, **where) -> list[tuple[np.ndarray, np.ndarray]]:
  """For each seed, steps (t,) and distances (t,) from step 10 to the first reading without a training error, if there is one."""
  steps, distances = each_seed(select(get(config, 'distance'), **where), 'distance')
  _, fitted = each_seed(select(get(config, 'performance'), **where), 'train_accuracy')
  found = []
  for distance, accuracy in zip(distances, fitted, strict=True):
    done = np.flatnonzero(accuracy >= 1)
    inside = (steps >= FIRST) & (steps <= (steps[done[0]] if len(done) else math.inf))
    found.append((steps[inside].astype(float), distance[inside]))
  return found


def fits(get: Get, config: str, **where) -> dict[str, np.ndarray]:
  """R^2 (seed,) of each law of growth; NaN where a window has too few readings."""
  each = [growth(t, d) if len(t) >= LEAST else dict.fromkeys(GROWTH, np.nan) for t, d in windows(get, config, **where)]
  return {law: np.array([found[law] for found in each]) for law in GROWTH}


def margin(get: Get, **where) -> np.ndarray:
  """(seed,) R^2 of log t less that of the better of its rivals."""
  found = fits(get, WALK, **where)
  return found['log'] - np.maximum(found['root'], found['quarter'])


def slopes(get: Get, noise: float) -> np.ndarray:
  """(batch, seed) slope of the distance in log t, with the square-root rule."""
  rate = lambda size: RATE * (size / SIZES[0]) ** 0.5
  each = [windows(get, BATCHES, batch__size=size, lr=rate(size), label_noise=noise) for size in SIZES]
  slope = lambda t, d: line(np.log(t), d)[0] if len(t) >= LEAST else np.nan
  return np.array([[slope(t, d) for t, d in found] for found in each])


def spread(get: Get, noise: float) -> np.ndarray:
  """(seed,) the largest slope over the smallest."""
  found = slopes(get, noise)
  return found.max(axis=0) / found.min(axis=0)


def nearer(get: Get, noise: float) -> np.ndarray:
  """(seed,) the last distance of the largest batch over that of the smallest, at one learning rate."""
  table = select(get(BATCHES, 'distance'), lr=RATE, label_noise=noise)
  small, large = (last(select(table, batch__size=size), 'distance') for size in (SIZES[0], SIZES[-1]))
  return large / small


def accuracies(get: Get, noise: float) -> dict[str, np.ndarray]:
  """(seed,) the last test accuracy of each arm, in percent."""
  table = select(get(TABLE, 'performance'), label_noise=noise)
  return {name: 100 * last(arm, 'test_accuracy') for name, arm in arms_of(table, ARMS).items()}


def gap(get: Get, noise: float) -> np.ndarray:
  """(group,) by how many points the large batch is worse, means of five seeds."""
  found = accuracies(get, noise)
  return groups(found['SB'] - found['LB'], GROUP)


def left(get: Get) -> np.ndarray:
  """(group,) the share of the gap that all remedies together leave, from means of five seeds."""
  found = accuracies(get, 0.0)
  return groups(found['SB'] - found['LB + LR + GBN + RA'], GROUP) / gap(get, 0.0)


def exponent(get: Get) -> np.ndarray:
  """(seed,) alpha at the start."""
  table = select(get(WALK, 'potential'), **CLEAN)
  return each_seed(table, 'exponent')[1][:, 0]


WINDOW = 'from step 10 to the first reading without a training error; B = 32, constant learning rate'

CLAIMS = [
  Claim(
    'hoffer2017/1a',
    'In the phase of constant learning rate the distance from the start grows as log t',
    'the random walk on a random potential',
    (WALK,),
    lambda get: fits(get, WALK, **CLEAN)['log'],
    0.95,
    1.0,
    f'R^2 of the line in log t, {WINDOW}, clean labels',
  ),
  Claim(
    'hoffer2017/1b',
    'A logarithm fits better than t^(1/2) and t^(1/4)',
    'the random walk on a random potential',
    (WALK,),
    lambda get: margin(get, **CLEAN),
    0.0,
    1.0,
    f'R^2 of log t less that of the better rival, {WINDOW}, clean labels',
  ),
  Claim(
    'hoffer2017/1c',
    'Negative control, ours: with a small batch and noisy labels the logarithm is not the best of the three',
    'the random walk on a random potential',
    (WALK,),
    lambda get: margin(get, **NOISY),
    -math.inf,
    0.0,
    f'R^2 of log t less that of the better rival, {WINDOW}, 20% noisy labels',
  ),
  Claim(
    'hoffer2017/1d',
    'Control, ours: the law is one of the walk and not of the cross entropy, so it holds for the squared error too',
    'the random walk on a random potential',
    (WALK,),
    lambda get: margin(get, **SQUARED),
    0.0,
    1.0,
    f'R^2 of log t less that of the better rival, {WINDOW}, clean labels, squared error',
  ),
  Claim(
    'hoffer2017/1e',
    'The loss is a random potential of exponent 2',
    'the random walk on a random potential',
    (WALK,),
    exponent,
    1.5,
    2.5,
    'alpha of E (L(w) - L(w0))^2 ~ |w - w0|^alpha, 16 random directions, distances 0.3 to 10 from the start, clean labels',
  ),
  Claim(
    'hoffer2017/2a',
    'With the square-root rule the distance grows alike for all batch sizes',
    'distances from the start by batch size',
    (BATCHES,),
    lambda get: spread(get, 0.0),
    1.0,
    1.25,
    'largest over smallest slope in log t, B = 32 to 1024, ghost batches of 32, clean labels, the window of claim 1',
  ),
  Claim(
    'hoffer2017/2b',
    'With the square-root rule the distance grows alike for all batch sizes where labels are noisy',
    'distances from the start by batch size',
    (BATCHES,),
    lambda get: spread(get, 0.2),
    1.0,
    1.25,
    'largest over smallest slope in log t, B = 32 to 1024, ghost batches of 32, 20% noisy labels, the window of claim 1',
  ),
  Claim(
    'hoffer2017/2c',
    'With the learning rate of the small batch, the large one stays nearer to the start',
    'distances from the start by batch size',
    (BATCHES,),
    lambda get: nearer(get, 0.0),
    0.0,
    1.0,
    'distance of B = 1024 over that of B = 32 after 1,000 updates, ghost batches of 32, clean labels',
  ),
  Claim(
    'hoffer2017/2d',
    'With the learning rate of the small batch, the large one stays nearer to the start where labels are noisy',
    'distances from the start by batch size',
    (BATCHES,),
    lambda get: nearer(get, 0.2),
    0.0,
    1.0,
    'distance of B = 1024 over that of B = 32 after 1,000 updates, ghost batches of 32, 20% noisy labels',
  ),
  Claim(
    'hoffer2017/3a',
    'Learning rate, ghost batches and regime adaptation close the generalisation gap of the large batch',
    'table 1',
    (TABLE,),
    left,
    -math.inf,
    0.5,
    'share of the gap in test accuracy that is left, 256 clean digits, B = 16 and 256, means of 5 seeds',
  ),
  Claim(
    'hoffer2017/3b',
    'At the same number of epochs the large batch generalises worse',
    'table 1',
    (TABLE,),
    lambda get: gap(get, 0.0),
    0.0,
    math.inf,
    'test accuracy of B = 16 less that of B = 256, in points, 256 clean digits, means of 5 seeds',
  ),
  Claim(
    'hoffer2017/3c',
    'At the same number of epochs the large batch generalises worse where labels are noisy',
    'table 1',
    (TABLE,),
    lambda get: gap(get, 0.2),
    0.0,
    math.inf,
    'test accuracy of B = 16 less that of B = 256, in points, 256 digits with 20% noisy labels, means of 5 seeds',
  ),
]


# ---- figures --------------------------------------------------------------------------------------------------------

LAWS = {'log': 'log t', 'root': '$t^{1/2}$', 'quarter': '$t^{1/4}$'}


def walk(get: Get) -> Canvas:
  figure, axes = canvas(2, rows=2, height=2.6, sharex=True)
  table = get(WALK, 'distance')
  for ax, (name, case) in zip(axes.flat, CASES.items(), strict=True):
    ax.set_xscale('log')
    curve(ax, select(table, **case), 'distance', 'training', color='black')
    fitted(ax, get, case)
    ax.set(title=name, xlabel='step t')
    ax.legend(loc='upper left', title='median $R^2$ in the window', title_fontsize=7.5, alignment='left')
  for ax in axes[:, 0]:
    ax.set_ylabel('|w - w(0)|')
  figure.suptitle(f'Digits, MLP 64-128-128-10, B = 32, lr = 0.1; median and range of {seeds_of([table])}', fontsize=9)
  return figure


def fitted(ax: Axes, get: Get, case: dict) -> None:
  """The three laws, fitted to the median over seeds in the longest window, with the median of the seeds' own R^2."""
  found = fits(get, WALK, **case)
  t = max((steps for steps, _ in windows(get, WALK, **case)), key=len)
  steps, distances = each_seed(select(get(WALK, 'distance'), **case), 'distance')
  d = np.median(distances, axis=0)[np.isin(steps, t)]
  for i, (law, f) in enumerate(GROWTH.items()):
    slope, _ = line(f(t), d)
    ax.plot(t, d.mean() + slope * (f(t) - f(t).mean()), color=f'C{i}', linestyle='--', linewidth=1.1,
            label=f'{LAWS[law]}: {np.median(found[law]):.3f}')  # fmt: skip


def batches(get: Get) -> Canvas:
  table = get(BATCHES, 'distance')
  figure, axes = canvas(2, rows=2, height=2.5, sharex=True)
  for row, noise in enumerate((0.0, 0.2)):
    for column, ruled in enumerate((False, True)):
      ax = axes[row, column]
      ax.set_xscale('log')
      for i, size in enumerate(SIZES):
        rate = RATE * (size / SIZES[0]) ** 0.5 if ruled else RATE
        curve(ax, select(table, batch__size=size, lr=rate, label_noise=noise), 'distance', f'B = {size}', color=f'C{i}')
      ax.axvline(FIRST, color='gray', linewidth=0.8, linestyle=':', label='window opens')
      rule = 'lr = 0.1 sqrt(B / 32)' if ruled else 'lr = 0.1'
      ax.set(title=f'{rule}, {"20% noisy" if noise else "clean"} labels', xlabel='step t')
    axes[row, 0].set_ylabel('|w - w(0)|')
  axes[0, 0].legend(loc='upper left')
  note = f'Digits, normalised MLP 64-128-128-10, ghost batches of 32; median and range of {seeds_of([table])}'
  figure.suptitle(note, fontsize=9)
  return figure


def table(get: Get) -> Canvas:
  figure, axes = canvas(2, height=3.5)
  for ax, noise in zip(axes[0], (0.0, 0.2), strict=True):
    found = accuracies(get, noise)
    for i, (name, values) in enumerate(found.items()):
      means = groups(values, GROUP)
      ax.plot(np.full(len(means), i), means, '.', color='gray', markersize=4, label='5 seeds' if not i else None)
      error = values.std(ddof=1) / len(values) ** 0.5
      ax.errorbar(i, values.mean(), 2 * error, fmt='o', color='C0' if name == 'SB' else 'C1', markersize=4, capsize=3,
                  label={'SB': 'small batch', 'LB': 'large batch'}.get(name))  # fmt: skip
    ax.axhline(found['SB'].mean(), color='C0', linewidth=0.8, linestyle=':')
    ax.set_xticks(range(len(found)), found, rotation=35, ha='right')
    ax.set(title=f'{"20% noisy" if noise else "clean"} labels', xlabel='arm')
  axes[0, 0].set_ylabel('test accuracy (%)')
  axes[0, 0].legend(loc='lower right')
  seeds = seeds_of([get(TABLE, 'performance')])
  figure.suptitle(f'256 digits, B = 16 and 256; mean of {seeds}, two standard errors', fontsize=9)
  return figure


def potential(get: Get) -> Canvas:
  figure, axes = canvas(2, height=3.2)
  around, path = axes[0]
  readings, walks = get(WALK, 'potential'), get(BATCHES, 'path')
  for i, (name, case) in enumerate({'cross entropy': CLEAN, 'squared error': SQUARED}.items()):
    rows = select(readings, **case)
    for step, style in ((rows['step'].min(), '-'), (rows['step'].max(), '--')):
      now = rows[rows['step'] == step]
      far = numbered(now, 'distance')[0]
      middle, low, high = band(np.sqrt(numbered(now, 'square')))
      slope = np.median(now['exponent'])
      around.plot(far, middle, style, color=f'C{i}', label=f'{name}, step {step}: {slope:.1f}')
      around.fill_between(far, low, high, color=f'C{i}', alpha=0.2, linewidth=0)
      if step == 0 and not i:
        around.plot(far, middle[0] * far / far[0], 'k:', linewidth=0.9, label='alpha = 2')
  around.set(xscale='log', yscale='log', title='loss at a distance (clean labels)')
  around.set(xlabel='distance in a random direction', ylabel='rms change of the training loss')
  around.legend(title='exponent alpha', title_fontsize=7.5, alignment='left', loc='upper left')
  path.set_xscale('log')
  for i, size in enumerate((SIZES[0], SIZES[-1])):
    for noise, style in ((0.0, '-'), (0.2, '--')):
      rows = select(walks, batch__size=size, lr=RATE, label_noise=noise)
      curve(
        path, rows[rows['step'] > 0], 'wander', f'B = {size}, {"noisy" if noise else "clean"}', color=f'C{i}', linestyle=style
      )
  path.axhline(1, color='k', linewidth=0.9, linestyle=':', label='uncorrelated steps')
  path.set(yscale='log', title='is the walk random? (lr = 0.1)', xlabel='step t', ylabel='|w - w(0)| / sqrt(sum of |u|$^2$)')
  path.legend(loc='upper left')
  for ax, room in ((around, 1e4), (path, 8)):
    ax.set_ylim(top=ax.get_ylim()[1] * room)  # for the legend
  figure.suptitle(f'Digits, 128-128 hidden units; median and range of {seeds_of([readings])}', fontsize=9)
  return figure


def numbered(table: pd.DataFrame, reading: str) -> np.ndarray:
  """(row, r) a vector reading, whose columns are 'reading/0', 'reading/1', ..."""
  names = [name for name in table.columns if name.startswith(f'{reading}/')]
  return table[sorted(names, key=lambda name: int(name.rpartition('/')[2]))].to_numpy(float)


FIGURES = [
  Figure('hoffer2017_walk', (WALK,), walk, 'Distance from the start over time, with three laws fitted.'),
  Figure('hoffer2017_batches', (BATCHES,), batches, 'Distance from the start by batch size and rule.'),
  Figure('hoffer2017_table', (TABLE,), table, 'Test accuracy of the small batch, the large one and its remedies (table 1).'),
  Figure('hoffer2017_potential', (WALK, BATCHES), potential, 'The loss around the weights, and how straight the walk is.'),
]
