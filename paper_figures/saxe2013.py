"""Exact solutions to the nonlinear dynamics of learning in deep linear neural networks (Saxe et al. 2013), arXiv 1312.6120."""

import functools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import line
from analysis.series import against, by, crossing, each_seed, last, reached, select
from analysis.statistics import times_later
from configs import saxe2013_fig3, saxe2013_fig6, saxe2013_fig6_gaussian, saxe2013_hierarchy
from configs._saxe2013 import MODES, RATE, UNITS
from configs.saxe2013_fig7 import DEPTHS
from dynamics.theory import deep_linear
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

ALIGNED = 'configs/saxe2013_fig3.py'
RANDOM = 'configs/saxe2013_fig3_random.py'
HIERARCHY = 'configs/saxe2013_hierarchy.py'
DEPTH = 'configs/saxe2013_fig6.py'
DEPTH_GAUSSIAN = 'configs/saxe2013_fig6_gaussian.py'
SPREAD = 'configs/saxe2013_fig7.py'
SLOW = ()

LEARNED = 0.01  # share of the first loss at which a task counts as learned
MEASURED = DEPTHS['gaussian'][:-1]  # depths at which a Gaussian product's condition number is within float32
SLOWDOWN = f'steps to {LEARNED:.0%} of the first loss at the best learning rate, depth 48 over depth 3'
TIME = 'time (steps x learning rate)'
FIGURE_6 = 'random targets of rank 5 and 16 units a layer for MNIST'
MODES_ELSEWHERE = {'64 hidden units': 'wide', 'singular values 4, 3.8, 3.6, 0.8, 0.6': 'close'}
DEPTH_ELSEWHERE = {'32 units': 'wide', 'singular values 1.4 to 0.6': 'unequal'}


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def of_depth(table: pd.DataFrame, layers: int) -> pd.DataFrame:
  """The rows of networks of so many weight matrices, whatever their widths."""
  (widths,) = {widths for widths in by(table, 'model.widths') if len(widths) == layers - 1}
  return select(table, model__widths=widths)


def strengths_of(table: pd.DataFrame) -> np.ndarray:
  """(mode,) the singular values of the task, without those that are 0."""
  values = table.filter(regex='^target/').iloc[0].to_numpy()
  return values[values > 1e-3]


def theory(steps: np.ndarray, modes: np.ndarray, layers: int) -> np.ndarray:
  """(t, mode) the closed solution for aligned weights."""
  t, start = RATE * steps[:, None], saxe2013_fig3.START
  return deep_linear.two_layers(t, modes[None], start) if layers == 2 else deep_linear.deep(t, modes[None], start, layers=layers)


def error(get: Get, layers: int) -> np.ndarray:
  """(seed,) the largest |a - theory| / s over times and modes."""
  rows = of_depth(get(ALIGNED, 'modes'), layers)
  modes, (steps, strengths) = strengths_of(rows), each_seed(rows, 'strength')
  return np.max(np.abs(strengths[..., : len(modes)] - theory(steps, modes, layers)[None]) / modes, axis=(1, 2))


def half_times(get: Get) -> np.ndarray:
  """(seed, mode) the time at which a mode reaches half of its singular value, between two readings, times that value."""
  times = []
  for mode, s in enumerate(MODES):
    steps, strengths = each_seed(get(RANDOM, 'modes'), f'strength/{mode}')
    times.append([RATE * s * crossing(steps, path, s / 2) for path in strengths])
  return np.where(np.isinf(times), np.nan, times).T


def unevenness(get: Get) -> np.ndarray:
  """(seed,) the largest deviation of t_half s from its mean over modes, as a share of the mean."""
  scaled = half_times(get)
  return np.max(np.abs(scaled / scaled.mean(axis=1, keepdims=True) - 1), axis=1)


def steps_to_learn(get: Get, config: str, outputs: int, layers: int) -> tuple[np.ndarray, np.ndarray]:
  """(seed,) the fewest steps to 1% of the first loss over all learning rates, and the rate; inf where no rate gets there."""
  table = of_depth(select(get(config, 'performance'), data__outputs=outputs), layers)
  first = table[table['step'] == 0].groupby('member')['train_loss'].first()
  table = table.assign(learned=1 - table['train_loss'] / table['member'].map(first))
  rates, times = against(table, 'lr', 'learned', functools.partial(reached, level=1 - LEARNED))
  times = np.where(np.isnan(times), np.inf, times)  # a rate that diverges does not get there
  return times.min(axis=1), rates[times.argmin(axis=1)]


def slowdown(get: Get, config: str, outputs: int) -> np.ndarray:
  """(seed,) steps at depth 48 over those at depth 3."""
  return times_later(steps_to_learn(get, config, outputs, 48)[0], steps_to_learn(get, config, outputs, 3)[0])


def product(get: Get, layers: int, orthogonal: bool = False) -> pd.DataFrame:
  """Readings of the product of all weights at step 0; of independent entries, Gaussian or what the variant has."""
  table = select(get(SPREAD, 'modes'), step=0)
  return of_depth(table[(table['init.name'] == 'orthogonal') == orthogonal], layers)


def conditions(get: Get, depths: tuple[int, ...], orthogonal: bool = False) -> np.ndarray:
  """(seed, depth) the condition number of that product."""
  values = [last(product(get, depth, orthogonal), 'singular') for depth in depths]
  return np.stack([v[:, 0] / v[:, -1] for v in values], axis=1)


def bend(logs: np.ndarray) -> float:
  """The growth of the median of logs (seed, depth) over the later half of depths 1 to 5, over that in the earlier half."""
  first, middle, final = np.median(logs, axis=0)[[0, len(MEASURED) // 2, -1]]
  return (final - middle) / (middle - first)


CLAIMS = [
  Claim(name='1a', kind='paper', where='figure 3 and the solution for two layers', of=(ALIGNED,), holds=at_most(0.02),
        says='From aligned balanced weights every mode follows the closed solution for two layers of weights',
        samples=lambda get: error(get, 2), unit='largest |a - theory| / s over times and modes', scope=MODES_ELSEWHERE),
  Claim(name='1b', kind='paper', where='deeper networks', of=(ALIGNED,), holds=at_most(0.02),
        says='From aligned balanced weights every mode follows the deep equation for three layers of weights',
        samples=lambda get: error(get, 3), unit='largest |a - theory| / s over times and modes', scope=MODES_ELSEWHERE),
  Claim(name='1c', kind='paper', where='figure 3', of=(RANDOM,), holds=at_most(0.15), samples=unevenness,
        says='From small random weights a mode is learned in a time inversely proportional to its singular value',
        unit='largest deviation of (half-rise time) s from its mean over modes, as a share',
        scope={'64 hidden units': 'wide', 'weights ten times as large': 'larger', 'a tanh network': 'tanh'}),
  Claim(name='2a', kind='paper', where='figure 6', of=(DEPTH,), holds=at_most(2.0), unit=SLOWDOWN, changed=FIGURE_6,
        says='From orthogonal weights depth costs next to no steps: a target of rank 5 onto 5 outputs',
        samples=lambda get: slowdown(get, DEPTH, 5), scope=DEPTH_ELSEWHERE),
  Claim(name='2b', kind='paper', where='figure 6', of=(DEPTH,), holds=at_most(2.0), unit=SLOWDOWN, changed=FIGURE_6,
        says='From orthogonal weights depth costs next to no steps: onto 16 outputs, 11 directions of which must be unlearned',
        samples=lambda get: slowdown(get, DEPTH, UNITS), scope=DEPTH_ELSEWHERE,
        reason='tested: with no direction to unlearn (claim 2a) depth 48 takes 1.7 times the steps of depth 3'),
  Claim(name='2c', kind='paper', where='figure 6', of=(DEPTH_GAUSSIAN,), holds=at_least(10.0), changed=FIGURE_6,
        says='From Gaussian weights depth costs many steps', samples=lambda get: slowdown(get, DEPTH_GAUSSIAN, UNITS),
        unit=f'{SLOWDOWN} (inf: never at depth 48 in 1,000 steps)', scope=DEPTH_ELSEWHERE),
  Claim(name='3', kind='extension', where='figure 7 shows that the spread grows', of=(SPREAD,), holds=between(0.8, 1.25),
        says='The log of the condition number of a Gaussian product grows linearly with depth',
        samples=lambda get: np.log10(conditions(get, MEASURED)), statistic=bend,
        unit='growth of the median log(condition number) from depth 3 to 5 over that from 1 to 3',
        scope={'8 x 8 matrices': 'units8', 'uniform entries': 'uniform'}),
]  # fmt: skip


# ---- figures ------------------------------------------------------------------------------------------------------


def aligned(get: Get) -> Figure:
  table = get(ALIGNED, 'modes')
  figure, axes = plots.canvas(2, height=2.8, sharey=True)
  for ax, layers in zip(axes[0], saxe2013_fig3.DEPTHS, strict=True):
    rows = of_depth(table, layers)
    steps = np.unique(rows['step'])
    for mode, s in enumerate(MODES):
      plots.steps(ax, rows, f'strength/{mode}', f's = {s:g}', rate=RATE)
    for mode, path in enumerate(theory(steps, np.array(MODES), layers).T):
      plots.theory(ax, RATE * steps, path, None if mode else 'theory')
    ax.set(title=f'{layers} layers of weights', xlabel=TIME, ylim=(-0.2, 5.8))
  axes[0, 0].set_ylabel('mode strength (output per input)')
  axes[0, 1].legend(loc='upper right', ncols=3)
  plots.title(figure, f'Aligned weights, every mode starts at {saxe2013_fig3.START:g}', table)
  return figure


def random(get: Get) -> Figure:
  table = get(RANDOM, 'modes')
  figure, axes = plots.canvas(2, height=2.8)
  path, half = axes[0]
  for mode, s in enumerate(MODES):
    plots.steps(path, table, f'strength/{mode}', f's = {s:g}', rate=RATE)
  plots.steps(path, table, 'outside', 'outside of all modes', rate=RATE, color='gray')
  path.set(title='small random weights', xlabel=TIME, ylabel='mode strength (output per input)', ylim=(-0.2, 6.2))
  path.legend(loc='upper right', ncols=2)
  scaled = half_times(get)
  mean = scaled.mean()
  half.plot(np.tile(MODES, len(scaled)), scaled.ravel(), '.', color='C0', label='a seed')
  plots.level(half, mean, 'theory: one value (their mean)', color='black', linestyle='--')
  half.axhspan(0.85 * mean, 1.15 * mean, color='gray', alpha=0.2, linewidth=0, label='claim 1c: within 15%')
  half.set(title='when half is learned', xlabel='singular value s', ylabel='half-rise time x s')
  half.set_ylim(0, 1.6 * mean if np.isfinite(mean) else 1)
  half.legend(loc='lower right')
  plots.title(figure, '16-16-16, entries start at N(0, 0.001$^2$)', table)
  return figure


def hierarchy(get: Get) -> Figure:
  table = get(HIERARCHY, 'modes')
  figure, axes = plots.canvas(width=5.6, height=2.8)
  ax = axes[0, 0]
  targets = table.groupby('seed').first().filter(regex='target/').median().to_numpy()
  levels = {round(float(s), 3): [mode for mode in range(8) if abs(targets[mode] - s) < 1e-3] for s in targets}
  names = ('root', 'first split', 'second splits', 'third splits')
  for number, (s, modes) in enumerate(sorted(levels.items(), reverse=True)):
    for mode in modes:
      label = f'{names[min(number, 3)]}: s = {s:.2f}' if mode == modes[0] else None
      plots.steps(ax, table, f'strength/{mode}', label, rate=saxe2013_hierarchy.RATE, color=f'C{number}')
    plots.level(ax, s, None if number else 'theory: the modes in the end', color='black')
  ax.set(xlabel=TIME, ylabel='mode strength (property per item)')
  ax.legend(loc='upper left', bbox_to_anchor=(1, 1))
  plots.title(figure, 'A tree of 8 items', table, note='range of {seeds}')
  return figure


def depth(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.8)
  time, rate = axes[0]
  arms = (
    (f'orthogonal, {5} outputs', DEPTH, 5, saxe2013_fig6.STEPS, saxe2013_fig6.DEPTHS[5], 'C0'),
    (f'orthogonal, {UNITS} outputs', DEPTH, UNITS, saxe2013_fig6.STEPS, saxe2013_fig6.DEPTHS[UNITS], 'C2'),
    (f'Gaussian, {UNITS} outputs', DEPTH_GAUSSIAN, UNITS, saxe2013_fig6_gaussian.STEPS, saxe2013_fig6_gaussian.DEPTHS, 'C1'),
  )
  for label, config, outputs, budget, depths, color in arms:
    pairs = [steps_to_learn(get, config, outputs, layers) for layers in depths]
    times, rates = (np.stack(columns, axis=1) for columns in zip(*pairs, strict=True))
    plots.seeds(time, depths, np.minimum(times, budget), label, color)
    plots.seeds(rate, depths, np.where(np.isinf(times), np.nan, rates), label, color)
    if np.isinf(times).any():
      plots.never(time, depths, times, budget, f'not in {budget:,} steps', color)
  for ax in axes[0]:
    ax.set_xscale('log', base=2)
    plots.log_axes(ax, 'y')
    plots.ticks(ax, (3, 6, 12, 24, 48))
    ax.set_xlabel('depth (layers of weights)')
  time.set(title='time to learn', ylabel=f'steps to {LEARNED:.0%} of the first loss')
  rate.set(title='best learning rate', ylabel='learning rate')
  plots.level(time, 2 * np.median(steps_to_learn(get, DEPTH, 5, 3)[0]), 'claim 2a: twice depth 3')
  rate.legend(*time.get_legend_handles_labels(), loc='upper left', bbox_to_anchor=(1, 1))
  tables = [get(config, 'performance') for config in (DEPTH, DEPTH_GAUSSIAN)]
  plots.title(figure, '16 units a layer, a target of rank 5', *tables, note='median and each of {seeds}')
  return figure


def spread(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.8)
  values, condition = axes[0]
  for layers in (1, 5, 24):
    singular = last(product(get, layers), 'singular')
    plots.band(values, np.arange(1, UNITS + 1), np.maximum(singular, 1e-9), f'Gaussian, depth {layers}')
  plots.level(values, 1, 'orthogonal, any depth', color='black', linestyle='--')
  values.set(title='singular values of the product', xlabel='rank of the singular value', ylabel='singular value', yscale='log')
  values.legend(loc='lower left')
  plots.against(condition, (1, 5), np.log10(conditions(get, (1, 5), orthogonal=True)), 'orthogonal')
  logs = np.log10(conditions(get, MEASURED))
  plots.against(condition, MEASURED, logs, 'Gaussian')
  fit = line(MEASURED, np.median(logs, axis=0))
  plots.theory(condition, MEASURED, fit(np.array(MEASURED)), f'line: {fit.slope:.2f} decades a layer')
  condition.set(title='their spread', xlabel='depth (layers of weights)', ylabel='log10(condition number)')
  condition.legend(loc='upper left', bbox_to_anchor=(1, 1))
  plots.title(figure, f'Products of {UNITS} x {UNITS} matrices at step 0', get(SPREAD, 'modes'))
  return figure


FIGURES = [
  PaperFigure('saxe2013_modes', (ALIGNED,), aligned, 'Mode strengths against the closed solutions (figure 3).'),
  PaperFigure('saxe2013_random', (RANDOM,), random, 'The same from small random weights (figure 3).'),
  PaperFigure('saxe2013_hierarchy', (HIERARCHY,), hierarchy, 'A hierarchy is learned level by level.'),
  PaperFigure('saxe2013_depth', (DEPTH, DEPTH_GAUSSIAN), depth, 'Time to learn and best learning rate by depth (figure 6).'),
  PaperFigure('saxe2013_spread', (SPREAD,), spread, 'Singular values of products of random matrices (figure 7).'),
]
