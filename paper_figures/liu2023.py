"""How connectivity structure shapes rich and lazy learning in neural circuits (Liu et al. 2023), arXiv 2310.08513."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.claims import Claim, Interval, at_least, between
from analysis.series import at, last, select
from analysis.statistics import errors_apart, mean_and_errors, rank_correlation, without_each
from configs import liu2023_aligned, liu2023_aligned_relu, liu2023_block, liu2023_dale, liu2023_gain, liu2023_power_law
from configs._liu2023 import RANKS, WIDTH
from configs.liu2023_rank import TASKS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

RANK, GAIN = 'configs/liu2023_rank.py', 'configs/liu2023_gain.py'
ALIGNED, ALIGNED_RELU = 'configs/liu2023_aligned.py', 'configs/liu2023_aligned_relu.py'
POWER_LAW, BLOCK, DALE = 'configs/liu2023_power_law.py', 'configs/liu2023_block.py', 'configs/liu2023_dale.py'
SLOW = ()

TITLES = dict(zip(TASKS, ('two-alternative choice', 'delayed match to sample', 'context-dependent integration'), strict=True))
NOTE = 'mean and two standard errors, {seeds}'


class Measure(NamedTuple):
  """A reading, and what a figure calls it."""

  probe: str
  reading: str
  label: str


KERNEL = Measure('kernel', 'alignment', 'kernel alignment')
FEATURES = Measure('representation', 'alignment', 'feature alignment')
MOVED = Measure('distance', 'distance_of/recurrent/kernel', '|W - W0|, recurrent')
MOVED_INPUT = Measure('distance', 'distance_of/input/kernel', '|W - W0|, first layer')
STEPS = Measure('clock', 'stopped', 'steps to the loss level')


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def at_equal_loss(get: Get, config: str, measure: Measure, **where) -> np.ndarray:
  """(seed,) the reading of the stopped network; NaN for a member that did not reach the loss level."""
  stopped = last(select(get(config, 'clock'), **where), 'stopped')
  return np.where(np.isfinite(stopped), last(select(get(config, measure.probe), **where), measure.reading), np.nan)


def correlations(x: Sequence[float], values: np.ndarray) -> np.ndarray:
  """(seed,) Spearman's correlation of x and the mean of values (seed, x) over all seeds but one."""
  means = without_each(values)
  return np.array([math.nan if np.isnan(mean).any() else rank_correlation(x, mean) for mean in means])


def rank_trend(get: Get, task: str, measure: Measure) -> np.ndarray:
  """(seed,) the correlation of the rank and the reading."""
  readings = [at_equal_loss(get, RANK, measure, data__name=task, init__rank=rank) for rank in RANKS]
  return correlations(RANKS, np.stack(readings, axis=1))


def at_gain(get: Get, measure: Measure, rank: int, gain: float) -> np.ndarray:
  return at_equal_loss(get, GAIN, measure, init__rank=rank, gain=np.float32(gain))


def gain_trend(get: Get) -> np.ndarray:
  """(seed,) the smallest over ranks of the correlation of the gain and the kernel alignment."""
  gains = liu2023_gain.GAINS
  by_rank = [np.stack([at_gain(get, KERNEL, rank, gain) for gain in gains], axis=1) for rank in liu2023_gain.RANKS]
  return np.min([correlations(gains, values) for values in by_rank], axis=0)


def lazier(get: Get, config: str, *ranks: int) -> np.ndarray:
  """(seed,) kernel alignment, aligned less random, in pooled standard errors, at the rank where it is least."""
  arm = lambda rank, directions: at_equal_loss(get, config, KERNEL, init__rank=rank, init__directions=directions)
  return np.min([errors_apart(arm(rank, 'task'), arm(rank, 'random')) for rank in ranks], axis=0)


def less(name: str, task: str, measure: Measure, holds: Interval, what: str, unit: str) -> Claim:
  """The claim that a high initial rank makes a network lazier, by one measure, on one task."""
  return Claim(
    name=name,
    kind='paper',
    says=f'The higher the initial rank, the less {what} ({TITLES[task]})',
    where='figures 1 and 2',
    of=(RANK,),
    samples=lambda get: rank_trend(get, task, measure),
    holds=holds,
    unit=f"Spearman's correlation of rank and {unit}, mean over all seeds but one, at equal loss",
  )


WEIGHTS = (MOVED, between(-1.0, -0.9), 'the weights move', '|W - W0| of the recurrent kernel')
TURN = (KERNEL, between(0.8, 1.0), 'the kernel turns', 'kernel alignment')

CLAIMS = [
  *(less(f'1{letter}', task, *WEIGHTS) for letter, task in zip('abc', TASKS, strict=True)),
  *(less(f'1{letter}', task, *TURN) for letter, task in zip('def', TASKS, strict=True)),
  Claim(
    name='2a',
    kind='paper',
    says='A low rank along the directions of the task is lazier than a random one: linear network',
    where='proposition 1',
    of=(ALIGNED,),
    samples=lambda get: lazier(get, ALIGNED, 1, 2, 4),
    holds=at_least(2.0),
    unit='kernel alignment, aligned less random, in pooled standard errors, the least of ranks 1, 2, 4',
  ),
  Claim(
    name='2b',
    kind='paper',
    says='A low rank that holds most of the task is lazier along its directions than a random one: relu network',
    where='proposition 1, which is about linear networks',
    of=(ALIGNED_RELU,),
    samples=lambda get: lazier(get, ALIGNED_RELU, 4, 8),
    holds=at_least(2.0),
    unit='kernel alignment, aligned less random, in pooled standard errors, the least of ranks 4 and 8',
  ),
  Claim(
    name='3',
    kind='paper',
    says='Gain and rank act separately: at every rank a larger gain is lazier',
    where='appendix',
    of=(GAIN,),
    samples=gain_trend,
    holds=between(1.0, 1.0),
    unit=f"Spearman's correlation of gain ({', '.join(map(str, liu2023_gain.GAINS))}) and mean kernel alignment, the least of "
    f'ranks {", ".join(map(str, liu2023_gain.RANKS))}',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def means(ax: Axes, x: Sequence[float], read: Callable[[float], np.ndarray], label: str, **style) -> None:
  """Mean and two standard errors over seeds of `read(x)` (seed,)."""
  values = np.stack([read(value) for value in x], axis=1)
  plots.band(ax, x, values, label, summary=mean_and_errors, marker='.', **style)


def rank_axis(ax: Axes, ranks: Sequence[int]) -> None:
  ax.set_xscale('log', base=2)
  ax.set_xlabel('rank')
  plots.ticks(ax, ranks)


def ranks(get: Get) -> Figure:
  figure, axes = plots.canvas(3, 4, height=1.75, sharex=True)
  clocks, distances = get(RANK, 'clock'), get(RANK, MOVED.probe)
  for column, task in zip(axes.T, TASKS, strict=True):
    for ax, measure in zip(column, (KERNEL, FEATURES, MOVED, STEPS), strict=True):
      read = lambda rank, measure=measure, task=task: at_equal_loss(get, RANK, measure, data__name=task, init__rank=rank)
      means(ax, RANKS, read, 'at equal loss')
      plots.level(ax, read(WIDTH).mean(), 'Gaussian kernel')
      ax.set_ylabel(measure.label if task == TASKS[0] else '')
      rank_axis(ax, RANKS)
    # The last reading before any network of the task has stopped.
    table, first = select(distances, data__name=task), select(clocks, data__name=task)['stopped'].min()
    step = int(table['step'][table['step'] <= first].max())
    read = lambda rank, table=table, step=step: at(select(table, init__rank=rank), MOVED.reading, step)
    means(column[2], RANKS, read, f'at step {step}')
    column[2].set(yscale='log', ylim=(0.1, 10))
    column[2].legend()
    column[0].set_title(TITLES[task])
  plots.title(figure, f'Rank at equal norm; cross-entropy 0.1 nats, 100 trials, {WIDTH} units', clocks, note=NOTE)
  return figure


def gains(get: Get) -> Figure:
  figure, axes = plots.canvas(3)
  for ax, measure in zip(axes[0], (KERNEL, MOVED, STEPS._replace(label='steps')), strict=True):
    for rank in liu2023_gain.RANKS:
      means(ax, liu2023_gain.GAINS, lambda gain, rank=rank, measure=measure: at_gain(get, measure, rank, gain), f'{rank}')
    ax.set(title=measure.label, xlabel='gain of the recurrent kernel')
  axes[0, 0].set_ylabel(KERNEL.label)
  axes[0, 1].set(yscale='log', ylim=(0.1, 100))  # one seed at rank 1 moves a hundred times as far as the others
  axes[0, 0].legend(title='rank')
  text = 'Rank against gain, two-alternative choice, cross-entropy 0.1 nats'
  plots.title(figure, text, get(GAIN, 'clock'), note=NOTE)
  return figure


def aligned(get: Get) -> Figure:
  figure, axes = plots.canvas(3, 2)
  rows = (('linear network, four modes', ALIGNED, liu2023_aligned), ('relu network, digits', ALIGNED_RELU, liu2023_aligned_relu))
  for row, (name, config, sweep) in zip(axes, rows, strict=True):
    for ax, measure in zip(row, (KERNEL, MOVED_INPUT, STEPS), strict=True):
      read = lambda directions, rank, config=config, measure=measure: at_equal_loss(
        get, config, measure, init__rank=rank, init__directions=directions
      )
      means(ax, sweep.RANKS, lambda rank, read=read: read('task', rank), 'along the task')
      means(ax, sweep.RANKS, lambda rank, read=read: read('random', rank), 'random')
      plots.level(ax, read('random', sweep.FULL).mean(), 'Gaussian layer')
      rank_axis(ax, sweep.RANKS)
      ax.set_title(measure.label)
    row[0].set_ylabel(name)
  axes[0, 1].legend()
  plots.title(figure, 'First layer of low rank at equal norm and loss', get(ALIGNED, 'clock'), note=NOTE)
  return figure


def structures(get: Get) -> Figure:
  power_law = lambda exponent: 'power law 0 (orthogonal)' if exponent == 0 else f'power law {exponent:g}'
  kernels = {
    **{f'{n} blocks' if n > 1 else 'Gaussian': (BLOCK, dict(init__blocks=n)) for n in liu2023_block.BLOCKS},
    **{f"Dale's law, {p:.0%} excitatory": (DALE, dict(init__excitatory=p)) for p in liu2023_dale.EXCITATORY},
    **{power_law(a): (POWER_LAW, dict(init__exponent=a)) for a in liu2023_power_law.EXPONENTS},
    'rank 1': (RANK, dict(data__name='match_to_sample', init__rank=1)),
  }
  figure, axes = plots.canvas(3, height=3.0, sharey=True)
  for ax, measure in zip(axes[0], (KERNEL, FEATURES, MOVED), strict=True):
    values = {name: at_equal_loss(get, config, measure, **where) for name, (config, where) in kernels.items()}
    plots.intervals(ax, values, mean_and_errors, None, axis='y', markersize=3, capsize=0)
    plots.mark(ax, values['Gaussian'].mean(), 'Gaussian')
    ax.set_xlabel(measure.label)
  axes[0, 0].set_yticks(range(len(kernels)), list(kernels))
  axes[0, 0].set_ylabel('recurrent kernel at equal norm')
  axes[0, 0].invert_yaxis()
  axes[0, 0].legend()
  text = 'Structured kernels, delayed match to sample, cross-entropy 0.1 nats'
  plots.title(figure, text, get(BLOCK, 'clock'), note=NOTE)
  return figure


FIGURES = [
  PaperFigure('liu2023_rank', (RANK,), ranks, 'Laziness by the rank of the recurrent kernel at equal loss (figures 1, 2).'),
  PaperFigure('liu2023_gain', (GAIN,), gains, 'Rank against gain.'),
  PaperFigure('liu2023_aligned', (ALIGNED, ALIGNED_RELU), aligned, 'Low rank along the task is lazy again (proposition 1).'),
  PaperFigure('liu2023_structure', (BLOCK, DALE, POWER_LAW, RANK), structures, 'Other structures at equal norm.'),
]
