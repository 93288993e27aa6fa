"""How connectivity structure shapes rich and lazy learning in neural circuits (Liu et al. 2023), arXiv 2310.08513."""

import functools
import math
from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import errors_apart, rank_correlation, without_each
from analysis.tables import each_seed, last
from paper_figures.paper import Figure, Get, canvas, seeds_of, select

RANK, GAIN = 'configs/liu2023_rank.py', 'configs/liu2023_gain.py'
ALIGNED, ALIGNED_RELU = 'configs/liu2023_aligned.py', 'configs/liu2023_aligned_relu.py'
POWER_LAW, BLOCK, DALE = 'configs/liu2023_power_law.py', 'configs/liu2023_block.py', 'configs/liu2023_dale.py'
SLOW = ()

WIDTH = 64
RANKS = (1, 2, 4, 8, 16, WIDTH)

KERNEL, FEATURES, STEPS = ('kernel', 'alignment'), ('representation', 'alignment'), ('clock', 'stopped')
MOVED, MOVED_INPUT = ('distance', 'distance_of/recurrent/kernel'), ('distance', 'distance_of/input/kernel')
TASKS = {
  'two_alternative': 'two-alternative choice',
  'match_to_sample': 'delayed match to sample',
  'context_integration': 'context-dependent integration',
}
GAINS, GAIN_RANKS = (0.5, 1.0, 1.5), (1, 4, 16, WIDTH)
BAND = 'mean and two standard errors'

Reading = tuple[str, str]  # probe, reading


def final(get: Get, config: str, reading: Reading, **where) -> np.ndarray:
  """(seed,) the reading of the stopped network; NaN for a member that did not reach the loss level."""
  stopped = last(select(get(config, 'clock'), **where), 'stopped')
  return np.where(np.isfinite(stopped), last(select(get(config, reading[0]), **where), reading[1]), np.nan)


def trend(get: Get, task: str, reading: Reading) -> np.ndarray:
  """(seed,) Spearman's correlation of the rank and the mean reading over all seeds but one."""
  values = np.stack([final(get, RANK, reading, data__name=task, init__rank=rank) for rank in RANKS], axis=1)
  return correlations(RANKS, without_each(values))


def correlations(x: tuple[float, ...], rows: np.ndarray) -> np.ndarray:
  return np.array([math.nan if np.isnan(row).any() else rank_correlation(x, row) for row in rows])


def gain_trend(get: Get) -> np.ndarray:
  """(seed,) the smallest over ranks of Spearman's correlation of the gain and the mean alignment over all seeds but one."""
  grid = [
    np.stack([final(get, GAIN, KERNEL, init__rank=rank, gain=np.float32(gain)) for gain in GAINS], axis=1) for rank in GAIN_RANKS
  ]
  return np.min([correlations(GAINS, without_each(values)) for values in grid], axis=0)


def lazier(get: Get, config: str, ranks: tuple[int, ...]) -> np.ndarray:
  """(seed,) kernel alignment, aligned less random, in pooled standard errors, at the rank where it is least."""
  arm = lambda rank, directions: final(get, config, KERNEL, init__rank=rank, init__directions=directions)
  return np.min([errors_apart(arm(rank, 'task'), arm(rank, 'random')) for rank in ranks], axis=0)


def rank_claim(name: str, task: str, reading: Reading, low: float, high: float, sentence: str, measure: str) -> Claim:
  return Claim(
    f'liu2023/{name}',
    f'{sentence} ({TASKS[task]})',
    'figures 1 and 2',
    (RANK,),
    lambda get: trend(get, task, reading),
    low,
    high,
    f"Spearman's correlation of rank and {measure}, mean over all seeds but one, at equal loss",
  )


LESS, MORE = 'The higher the initial rank, the less the weights move', 'The higher the initial rank, the less the kernel turns'

CLAIMS = [
  *[
    rank_claim(f'1{n}', task, MOVED, -1.0, -0.9, LESS, '|W - W0| of the recurrent kernel')
    for n, task in zip('abc', TASKS, strict=True)
  ],
  *[rank_claim(f'1{n}', task, KERNEL, 0.8, 1.0, MORE, 'kernel alignment') for n, task in zip('def', TASKS, strict=True)],
  Claim(
    'liu2023/2a',
    'A low rank along the directions of the task is lazier than a random one: linear network',
    'proposition 1',
    (ALIGNED,),
    lambda get: lazier(get, ALIGNED, (1, 2, 4)),
    2.0,
    math.inf,
    'kernel alignment, aligned less random, in pooled standard errors, the least of ranks 1, 2, 4',
  ),
  Claim(
    'liu2023/2b',
    'The same in a relu network whose rank holds most of the task',
    'proposition 1, which is about linear networks',
    (ALIGNED_RELU,),
    lambda get: lazier(get, ALIGNED_RELU, (4, 8)),
    2.0,
    math.inf,
    'kernel alignment, aligned less random, in pooled standard errors, the least of ranks 4 and 8',
  ),
  Claim(
    'liu2023/3',
    'Gain and rank act apart: at every rank a larger gain is lazier',
    'appendix',
    (GAIN,),
    gain_trend,
    1.0,
    1.0,
    f"Spearman's correlation of gain ({', '.join(map(str, GAINS))}) and mean kernel alignment, the least of ranks "
    f'{", ".join(map(str, GAIN_RANKS))}',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def spread(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Mean over seeds (first axis) and two standard errors of it."""
  return values.mean(axis=0), 2 * values.std(axis=0, ddof=1) / len(values) ** 0.5


def line(axes: Axes, x: tuple[float, ...], read: Callable[[float], np.ndarray], label: str, **style) -> None:
  """Mean and two standard errors over seeds of `read(x)` (seed,)."""
  middle, error = spread(np.stack([read(value) for value in x], axis=1))
  (drawn,) = axes.plot(x, middle, '.-', label=label, **style)
  axes.fill_between(x, middle - error, middle + error, color=drawn.get_color(), alpha=0.2, linewidth=0)


def at_equal_steps(get: Get, task: str) -> tuple[int, Callable[[int], np.ndarray]]:
  """The last reading before any network of a task has stopped, and rank -> (seed,) distance then."""
  first = select(get(RANK, 'clock'), data__name=task)['stopped'].min()
  table = select(get(RANK, MOVED[0]), data__name=task)
  step = int(table['step'][table['step'] <= first].max())
  return step, lambda rank: each_seed(select(table, init__rank=rank, step=step), MOVED[1])[1][:, 0]


def ranks(get: Get) -> Canvas:
  figure, axes = canvas(3, 4, height=1.75, sharex=True)
  names = ('kernel alignment', 'feature alignment', '|W - W0|, recurrent', 'steps to the loss level')
  for column, (task, title) in enumerate(TASKS.items()):
    for ax, reading, name in zip(axes[:, column], (KERNEL, FEATURES, MOVED, STEPS), names, strict=True):
      read = lambda rank, reading=reading, task=task: final(get, RANK, reading, data__name=task, init__rank=rank)
      line(ax, RANKS, read, 'at equal loss')
      ax.axhline(read(WIDTH).mean(), color='gray', linewidth=0.8, linestyle=':', label='Gaussian kernel')
      ax.set(xlabel='rank', ylabel=name if column == 0 else '')
      ax.set_xscale('log', base=2)
      ax.set_xticks(RANKS, RANKS)
    step, read = at_equal_steps(get, task)
    line(axes[2, column], RANKS, read, f'at step {step}', color='C1')
    axes[2, column].set(yscale='log', ylim=(0.1, 10))
    axes[2, column].legend()
    axes[0, column].set_title(title)
  note = seeds_of([get(RANK, 'clock')])
  figure.suptitle(f'Rank at equal norm; cross-entropy 0.1 nats, 100 trials, {WIDTH} units; {BAND}, {note}', fontsize=9)
  return figure


def gains(get: Get) -> Canvas:
  figure, axes = canvas(3)
  for ax, reading, name in zip(
    axes[0], (KERNEL, MOVED, STEPS), ('kernel alignment', '|W - W0|, recurrent', 'steps'), strict=True
  ):
    for rank in GAIN_RANKS:
      line(ax, GAINS, lambda g, r=rank, reading=reading: final(get, GAIN, reading, init__rank=r, gain=np.float32(g)), f'{rank}')
    ax.set(title=name, xlabel='gain of the recurrent kernel', ylabel=name if ax is axes[0, 0] else '')
  axes[0, 1].set(yscale='log', ylim=(0.1, 100))  # one seed at rank 1 moves a hundred times as far as the others
  axes[0, 0].legend(title='rank')
  note = seeds_of([get(GAIN, 'clock')])
  figure.suptitle(f'Rank against gain, two-alternative choice, cross-entropy 0.1 nats; {BAND}, {note}', fontsize=9)
  return figure


def aligned(get: Get) -> Canvas:
  figure, axes = canvas(3, 2)
  rows = (('linear network, four modes', ALIGNED, (1, 2, 4), 24), ('relu network, digits', ALIGNED_RELU, (1, 2, 4, 8), 48))
  names = ('kernel alignment', '|W - W0|, first layer', 'steps to the loss level')
  for row, (title, config, tried, full) in zip(axes, rows, strict=True):
    for ax, reading, name in zip(row, (KERNEL, MOVED_INPUT, STEPS), names, strict=True):
      read = functools.partial(final, get, config, reading)
      for directions, label in (('task', 'along the task'), ('random', 'random')):
        line(ax, tried, lambda r, d=directions, read=read: read(init__rank=r, init__directions=d), label)
      gaussian = read(init__rank=full, init__directions='random').mean()
      ax.axhline(gaussian, color='gray', linewidth=0.8, linestyle=':', label='Gaussian layer')
      ax.set_xscale('log', base=2)
      ax.set_xticks(tried, tried)
      ax.set(title=name, xlabel='rank', ylabel=title if ax is row[0] else '')
  axes[0, 1].legend()
  figure.suptitle(f'First layer of low rank at equal norm and loss; {BAND}, {seeds_of([get(ALIGNED, "clock")])}', fontsize=9)
  return figure


def structures(get: Get) -> Canvas:
  arms = {
    'Gaussian': (BLOCK, {'init__blocks': 1}),
    '4 blocks': (BLOCK, {'init__blocks': 4}),
    '16 blocks': (BLOCK, {'init__blocks': 16}),
    "Dale's law, 50% excitatory": (DALE, {'init__excitatory': 0.5}),
    "Dale's law, 80% excitatory": (DALE, {'init__excitatory': 0.8}),
    'power law 0 (orthogonal)': (POWER_LAW, {'init__exponent': 0.0}),
    'power law 0.5': (POWER_LAW, {'init__exponent': 0.5}),
    'power law 1': (POWER_LAW, {'init__exponent': 1.0}),
    'power law 2': (POWER_LAW, {'init__exponent': 2.0}),
    'rank 1': (RANK, {'data__name': 'match_to_sample', 'init__rank': 1}),
  }
  figure, axes = canvas(3, height=3.0, sharey=True)
  for ax, reading, name in zip(
    axes[0], (KERNEL, FEATURES, MOVED), ('kernel alignment', 'feature alignment', '|W - W0|, recurrent'), strict=True
  ):
    found = [spread(final(get, config, reading, **where)) for config, where in arms.values()]
    for place, (middle, error) in enumerate(found):
      ax.errorbar(middle, place, xerr=error, fmt='o', markersize=3, color='C0')
    ax.axvline(found[0][0], color='gray', linewidth=0.8, linestyle=':', label='Gaussian')
    ax.set(xlabel=name)
  axes[0, 0].set_yticks(range(len(arms)), list(arms))
  axes[0, 0].set_ylabel('recurrent kernel at equal norm')
  axes[0, 0].invert_yaxis()
  axes[0, 0].legend()
  note = seeds_of([get(BLOCK, 'clock')])
  figure.suptitle(f'Structured kernels, delayed match to sample, cross-entropy 0.1 nats; {BAND}, {note}', fontsize=9)
  return figure


FIGURES = [
  Figure('liu2023_rank', (RANK,), ranks, 'Laziness by the rank of the recurrent kernel at equal loss (figures 1, 2).'),
  Figure('liu2023_gain', (GAIN,), gains, 'Rank against gain.'),
  Figure('liu2023_aligned', (ALIGNED, ALIGNED_RELU), aligned, 'Low rank along the task is lazy again (proposition 1).'),
  Figure('liu2023_structure', (BLOCK, DALE, POWER_LAW, RANK), structures, 'Other structures at equal norm.'),
]
