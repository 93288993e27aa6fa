"""Exact solutions to the nonlinear dynamics of learning in deep linear neural networks (Saxe et al. 2013), arXiv 1312.6120."""

import math

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import band, times_later
from analysis.tables import each_seed, last, reached
from dynamics.theory import deep_linear
from paper_figures.paper import Figure, Get, canvas, curve, groups, seeds_of, select

ALIGNED = 'configs/saxe2013_fig3.py'
RANDOM = 'configs/saxe2013_fig3_random.py'
HIERARCHY = 'configs/saxe2013_hierarchy.py'
DEPTH = 'configs/saxe2013_fig6.py'
SPREAD = 'configs/saxe2013_fig7.py'
SLOW = ()

MODES = (4.0, 3.0, 2.0, 1.0)
LR = 0.001
START = 0.001  # of every mode, from aligned weights
LEARNED = 0.01  # share of the first loss at which a task counts as learned
MEASURED = (1, 2, 3, 4, 5)  # depths at which a Gaussian product's condition number is within float32
GROUP = 10
SLOWDOWN = f'steps to {LEARNED:.0%} of the first loss at the best learning rate, depth 48 over depth 3'
ARMS = {  # of figure 6: law, outputs, colour
  'orthogonal, 5 outputs': ('orthogonal', 5, 'C0'),
  'orthogonal, 16 outputs': ('orthogonal', 16, 'C2'),
  'Gaussian, 16 outputs': ('gaussian', 16, 'C1'),
}


def column(layers: int) -> str:
  """What `model.widths` says in a table, for so many layers of weights."""
  return str((16,) * (layers - 1))


def depths(table) -> dict[int, str]:
  """Layers of weights -> the value of `model.widths`, in rising order."""
  return dict(sorted((value.count('16') + 1, value) for value in table['model.widths'].unique()))


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def theory(steps: np.ndarray, layers: int) -> np.ndarray:
  """(t, mode) the closed solution for aligned weights."""
  t, s = LR * steps[:, None], np.array(MODES)[None]
  return deep_linear.two_layers(t, s, START) if layers == 2 else deep_linear.deep(t, s, START, layers=layers)


def strengths(table, modes: int) -> tuple[np.ndarray, np.ndarray]:
  """(t,) steps and (seed, t, mode) strengths."""
  read = [each_seed(table, f'strength/{i}') for i in range(modes)]
  return read[0][0], np.stack([values for _, values in read], axis=-1)


def error(get: Get, layers: int) -> np.ndarray:
  """(seed,) the largest |a - theory| / s over times and modes."""
  steps, values = strengths(select(get(ALIGNED, 'modes'), model__widths=column(layers)), len(MODES))
  return np.max(np.abs(values - theory(steps, layers)[None]) / np.array(MODES), axis=(1, 2))


def half_rises(get: Get) -> np.ndarray:
  """(seed, mode) the time at which a mode reaches half of its singular value, between two readings, times that value."""
  steps, values = strengths(get(RANDOM, 'modes'), len(MODES))
  out = np.full((len(values), len(MODES)), math.nan)
  for seed, path in enumerate(values):
    for i, s in enumerate(MODES):
      after = np.argmax(path[:, i] >= s / 2)  # 0 where never
      if after:
        (t0, t1), (a0, a1) = steps[after - 1 : after + 1], path[after - 1 : after + 1, i]
        out[seed, i] = LR * s * (t0 + (s / 2 - a0) / (a1 - a0) * (t1 - t0))
  return out


def unevenness(get: Get) -> np.ndarray:
  """(seed,) the largest deviation of t_half s from its mean over modes, as a share of the mean."""
  scaled = half_rises(get)
  return np.max(np.abs(scaled / scaled.mean(axis=1, keepdims=True) - 1), axis=1)


def steps_to_learn(get: Get, law: str, outputs: int, layers: int) -> tuple[np.ndarray, np.ndarray]:
  """(seed,) the fewest steps to 1% of the first loss over all learning rates, and the rate; inf where no rate gets there."""
  table = select(get(DEPTH, 'performance'), init__law=law, data__outputs=outputs, model__widths=column(layers))
  first = table[table['step'] == 0].groupby('member')['train_loss'].first()
  table = table.assign(learned=1 - table['train_loss'] / table['member'].map(first))
  found = {lr: reached(rows, 'learned', 1 - LEARNED) for lr, rows in table.groupby('lr')}
  times = np.stack(list(found.values()))
  times = np.where(np.isnan(times), math.inf, times)  # a rate that diverges does not get there
  return times.min(axis=0), np.array(list(found))[times.argmin(axis=0)]


def slowdown(get: Get, law: str, outputs: int) -> np.ndarray:
  """(seed,) steps at depth 48 over those at depth 3."""
  return times_later(steps_to_learn(get, law, outputs, 48)[0], steps_to_learn(get, law, outputs, 3)[0])


def condition(get: Get, law: str, layers: int) -> np.ndarray:
  """(seed,) the condition number of the product of all weights at step 0."""
  rows = select(get(SPREAD, 'modes'), init__law=law, model__widths=column(layers), step=0)
  return last(rows, 'singular/0') / last(rows, 'singular/15')


def straightness(get: Get) -> np.ndarray:
  """(group,) R^2 of the line through log10 of the condition numbers against depth; a group's number is a mean of ten seeds."""
  logs = groups(np.stack([np.log10(condition(get, 'gaussian', depth)) for depth in MEASURED], axis=1), GROUP)
  return np.corrcoef(np.vstack([MEASURED, logs]))[0, 1:] ** 2


CLAIMS = [
  Claim(
    'saxe2013/1a',
    'From aligned balanced weights every mode follows the closed solution for two layers of weights',
    'figure 3 and the solution for two layers',
    (ALIGNED,),
    lambda get: error(get, 2),
    0.0,
    0.02,
    'largest |a - theory| / s over times and modes',
  ),
  Claim(
    'saxe2013/1b',
    'The same for three layers of weights and the deep equation',
    'deeper networks',
    (ALIGNED,),
    lambda get: error(get, 3),
    0.0,
    0.02,
    'largest |a - theory| / s over times and modes',
  ),
  Claim(
    'saxe2013/1c',
    'From small random weights a mode is learned in a time inversely proportional to its singular value',
    'figure 3',
    (RANDOM,),
    unevenness,
    0.0,
    0.15,
    'largest deviation of (half-rise time) s from its mean over modes, as a share',
  ),
  Claim(
    'saxe2013/2a',
    'From orthogonal weights depth costs next to no steps: a target of rank 5 onto 5 outputs',
    'figure 6',
    (DEPTH,),
    lambda get: slowdown(get, 'orthogonal', 5),
    0.0,
    2.0,
    SLOWDOWN,
  ),
  Claim(
    'saxe2013/2b',
    'The same onto 16 outputs, 11 directions of which must be unlearned',
    'figure 6',
    (DEPTH,),
    lambda get: slowdown(get, 'orthogonal', 16),
    0.0,
    2.0,
    SLOWDOWN,
  ),
  Claim(
    'saxe2013/2c',
    'From Gaussian weights depth costs many steps',
    'figure 6',
    (DEPTH,),
    lambda get: slowdown(get, 'gaussian', 16),
    10.0,
    math.inf,
    f'{SLOWDOWN} (inf: never at depth 48 in 1,000 steps)',
  ),
  Claim(
    'saxe2013/3a',
    'A product of orthogonal matrices has condition number 1 at any depth',
    'figure 7',
    (SPREAD,),
    lambda get: np.max(
      [condition(get, 'orthogonal', depth) for depth in depths(select(get(SPREAD, 'modes'), init__law='orthogonal'))], axis=0
    ),
    1.0,
    1.0001,
    'largest condition number over depths 1 to 24, in float32',
  ),
  Claim(
    'saxe2013/3b',
    'The log of the condition number of a Gaussian product grows linearly with depth',
    'figure 7',
    (SPREAD,),
    straightness,
    0.95,
    1.0,
    f'R^2 of a line through log10(condition number), a mean over {GROUP} seeds, at depths 1 to 5',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def aligned(get: Get) -> Canvas:
  table = get(ALIGNED, 'modes')
  figure, axes = canvas(2, height=2.8, sharey=True)
  for ax, layers in zip(axes[0], (2, 3), strict=True):
    rows = select(table, model__widths=column(layers))
    steps = np.unique(rows['step'])
    for i, s in enumerate(MODES):
      over_time(ax, rows, f'strength/{i}', f's = {s:g}', LR)
    for i, path in enumerate(theory(steps, layers).T):
      ax.plot(LR * steps, path, color='black', linewidth=0.8, linestyle='--', label=None if i else 'theory')
    ax.set(title=f'{layers} layers of weights', xlabel='time (steps x learning rate)', ylim=(-0.2, 5.8))
  axes[0, 0].set_ylabel('mode strength (output per input)')
  axes[0, 1].legend(loc='upper right', ncols=3)
  figure.suptitle(f'Aligned weights, every mode starts at {START:g}; median and range of {seeds_of([table])}', fontsize=9)
  return figure


def random(get: Get) -> Canvas:
  table = get(RANDOM, 'modes')
  figure, axes = canvas(2, height=2.8)
  path, half = axes[0]
  for i, s in enumerate(MODES):
    over_time(path, table, f'strength/{i}', f's = {s:g}', LR)
  over_time(path, table, 'outside', 'outside of all modes', LR, color='gray')
  path.set(title='small random weights', xlabel='time (steps x learning rate)', ylabel='mode strength (output per input)')
  path.set_ylim(-0.2, 6.2)
  path.legend(loc='upper right', ncols=2)
  scaled = half_rises(get)
  middle = scaled.mean()
  half.plot(np.tile(MODES, len(scaled)), scaled.ravel(), '.', color='C0', label='a seed')
  half.axhline(middle, color='black', linewidth=0.8, linestyle='--', label='theory: one value (their mean)')
  half.axhspan(0.85 * middle, 1.15 * middle, color='gray', alpha=0.2, linewidth=0, label='claim 1c: within 15%')
  half.set(title='when half is learned', xlabel='singular value s', ylabel='half-rise time x s')
  half.set_ylim(0, 1.6 * middle if np.isfinite(middle) else 1)
  half.legend(loc='lower right')
  figure.suptitle(f'16-16-16, entries start at N(0, 0.001$^2$); median and range of {seeds_of([table])}', fontsize=9)
  return figure


def hierarchy(get: Get) -> Canvas:
  table = get(HIERARCHY, 'modes')
  figure, axes = canvas(1, height=2.8)
  ax = axes[0, 0]
  targets = table.groupby('seed').first().filter(regex='target/').median().to_numpy()
  levels = {round(float(s), 3): [i for i in range(8) if abs(targets[i] - s) < 1e-3] for s in targets}
  names = ('root', 'first split', 'second splits', 'third splits')
  for number, (s, members) in enumerate(sorted(levels.items(), reverse=True)):
    for i in members:
      label = f'{names[min(number, 3)]}: s = {s:.2f}' if i == members[0] else None
      over_time(ax, table, f'strength/{i}', label, 0.005, color=f'C{number}')
    ax.axhline(s, color='black', linewidth=0.8, linestyle=':', label=None if number else 'theory: the modes in the end')
  ax.set(xlabel='time (steps x learning rate)', ylabel='mode strength (property per item)')
  ax.legend(loc='upper left', bbox_to_anchor=(1, 1))
  figure.set_size_inches(5.6, 2.8)
  figure.suptitle(f'A tree of 8 items; range of {seeds_of([table])}', fontsize=9)
  return figure


def depth(get: Get) -> Canvas:
  table = get(DEPTH, 'performance')
  figure, axes = canvas(2, height=2.8)
  for name, (law, outputs, colour) in ARMS.items():
    some = list(depths(select(table, init__law=law, data__outputs=outputs)))
    times, rates = (np.stack(found) for found in zip(*(steps_to_learn(get, law, outputs, d) for d in some), strict=True))
    never, budget = np.isinf(times).any(axis=1), select(table, init__law=law)['step'].max()
    for ax, values in ((axes[0, 0], np.minimum(times, budget)), (axes[0, 1], np.where(np.isinf(times), np.nan, rates))):
      ax.plot(some, np.median(values, axis=1), color=colour, label=name)
      ax.plot(np.repeat(some, values.shape[1]), values.ravel(), '.', color=colour)
    if never.any():
      axes[0, 0].plot(np.array(some)[never], np.full(never.sum(), budget), '^', color=colour, label=f'not in {budget:,} steps')
  for ax in axes[0]:
    ax.set_xscale('log', base=2)
    if any(np.any(np.asarray(drawn.get_ydata(), float) > 0) for drawn in ax.lines):  # nothing learned leaves nothing to scale
      ax.set_yscale('log')
    ax.set_xticks((3, 6, 12, 24, 48), ('3', '6', '12', '24', '48'))
    ax.set_xlabel('depth (layers of weights)')
  axes[0, 0].set(title='time to learn', ylabel=f'steps to {LEARNED:.0%} of the first loss')
  axes[0, 1].set(title='best learning rate', ylabel='learning rate')
  limit = 2 * np.median(steps_to_learn(get, 'orthogonal', 5, 3)[0])
  axes[0, 0].axhline(limit, color='gray', linewidth=0.8, linestyle=':', label='claim 2a: twice depth 3')
  axes[0, 0].legend(loc='upper left')
  figure.suptitle(f'16 units a layer, a target of rank 5; median and spread of {seeds_of([table])}', fontsize=9)
  return figure


def spread(get: Get) -> Canvas:
  table = get(SPREAD, 'modes')
  figure, axes = canvas(2, height=2.8)
  values, conditions = axes[0]
  for number, layers in enumerate((1, 5, 24)):
    rows = select(table, init__law='gaussian', model__widths=column(layers), step=0)
    singular = np.stack([last(rows, f'singular/{i}') for i in range(16)], axis=1)
    middle, low, high = band(np.maximum(singular, 1e-9))
    values.plot(np.arange(1, 17), middle, color=f'C{number}', label=f'Gaussian, depth {layers}')
    values.fill_between(np.arange(1, 17), low, high, color=f'C{number}', alpha=0.2, linewidth=0)
  values.axhline(1, color='black', linewidth=0.8, linestyle='--', label='orthogonal, any depth')
  values.set(title='singular values of the product', xlabel='rank of the singular value', ylabel='singular value', yscale='log')
  values.legend(loc='lower left')
  for law, colour in (('orthogonal', 'C0'), ('gaussian', 'C1')):
    some = list(MEASURED) if law == 'gaussian' else [1, 5]
    middle, low, high = band(np.stack([np.log10(condition(get, law, d)) for d in some], axis=1))
    conditions.plot(some, middle, color=colour, marker='.', label=law)
    conditions.fill_between(some, low, high, color=colour, alpha=0.2, linewidth=0)
  line = np.polyfit(MEASURED, np.median([np.log10(condition(get, 'gaussian', d)) for d in MEASURED], axis=1), 1)
  conditions.plot(MEASURED, np.polyval(line, MEASURED), 'k--', linewidth=0.8, label=f'line: {line[0]:.2f} decades a layer')
  conditions.set(title='their spread', xlabel='depth (layers of weights)', ylabel='log10(condition number)')
  conditions.legend(loc='upper right')
  figure.suptitle(f'Products of 16 x 16 matrices at step 0; median and range of {seeds_of([table])}', fontsize=9)
  return figure


def over_time(ax, table, reading: str, label: str | None, lr: float, **style) -> None:
  """`curve` against time = steps times learning rate."""
  curve(ax, table.assign(step=lr * table['step']), reading, label, **style)


FIGURES = [
  Figure('saxe2013_modes', (ALIGNED,), aligned, 'Mode strengths against the closed solutions (figure 3).'),
  Figure('saxe2013_random', (RANDOM,), random, 'The same from small random weights (figure 3).'),
  Figure('saxe2013_hierarchy', (HIERARCHY,), hierarchy, 'A hierarchy is learned level by level.'),
  Figure('saxe2013_depth', (DEPTH,), depth, 'Time to learn and best learning rate by depth (figure 6).'),
  Figure('saxe2013_spread', (SPREAD,), spread, 'Singular values of products of random matrices (figure 7).'),
]
