"""How connectivity structure shapes rich and lazy learning in neural circuits (Liu et al. 2023), arXiv 2310.08513."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most
from analysis.fits import line, power_law
from analysis.series import at, by, last, select
from analysis.statistics import median_and_quartiles
from configs import liu2023_aligned, liu2023_aligned_relu, liu2023_block, liu2023_dale, liu2023_gain, liu2023_power_law
from configs._liu2023 import RANKS, WIDTH
from configs.liu2023_rank import TASKS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

RANK, GAIN = 'configs/liu2023_rank.py', 'configs/liu2023_gain.py'
ALIGNED, ALIGNED_RELU = 'configs/liu2023_aligned.py', 'configs/liu2023_aligned_relu.py'
POWER_LAW, BLOCK, DALE = 'configs/liu2023_power_law.py', 'configs/liu2023_block.py', 'configs/liu2023_dale.py'
SLOW = (RANK, GAIN)

GAINS = liu2023_gain.GAINS
FEW = 0.1  # the largest share of networks that may never reach the loss level

TITLES = dict(zip(TASKS, ('two-alternative choice', 'delayed match to sample', 'context-dependent integration'), strict=True))
NOTE = 'median and quartiles of {seeds}'


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


# ---- statistics: one number a seed and setting, and what medians over seeds say -------------------------------------


def at_equal_loss(get: Get, config: str, measure: Measure, **where) -> np.ndarray:
  """(seed,) the reading of the stopped network; of one that never reached the loss level, at the last step.

  One network of many hardly moves a median. Where more than a share `FEW` never stopped, they are NaN.
  """
  never = np.isinf(last(select(get(config, 'clock'), **where), 'stopped'))
  reading = last(select(get(config, measure.probe), **where), measure.reading)
  return np.where(never, np.nan, reading) if never.mean() > FEW else reading


def by_rank(get: Get, task: str, measure: Measure) -> tuple[np.ndarray, np.ndarray]:
  """(rank,) rising ranks and (seed, rank) the reading."""
  ranks = np.array(list(by(select(get(RANK, 'clock'), data__name=task), 'init.rank')))
  return ranks, np.stack([at_equal_loss(get, RANK, measure, data__name=task, init__rank=rank) for rank in ranks], axis=1)


def medians(values: np.ndarray) -> np.ndarray:
  return np.median(values, axis=0)


def at_gain(get: Get, measure: Measure, rank: int, gain: float) -> np.ndarray:
  return at_equal_loss(get, GAIN, measure, init__rank=rank, gain=np.float32(gain))


def of_gain(get: Get) -> np.ndarray:
  """(seed, rank) kernel alignment at the largest gain less that at the smallest."""
  differences = [at_gain(get, KERNEL, rank, GAINS[-1]) - at_gain(get, KERNEL, rank, GAINS[0]) for rank in liu2023_gain.RANKS]
  return np.stack(differences, axis=1)


def lazier(get: Get, config: str, ranks: Sequence[int]) -> np.ndarray:
  """(seed, rank) kernel alignment of a low rank along the task less that of a random one."""
  arm = lambda rank, directions: at_equal_loss(get, config, KERNEL, init__rank=rank, init__directions=directions)
  return np.stack([arm(rank, 'task') - arm(rank, 'random') for rank in ranks], axis=1)


SIZE = (
  'tested: it depends on what ranks have in common; at equal largest singular value in place of equal norm the distance falls '
  'with the rank on all three tasks (tuning seeds: 1.07 to 0.74, 1.24 to 0.86, 1.61 to 1.07 from rank 1 to 64)'
)


def less(name: str, task: str, what: str, **rest) -> Claim:
  """A claim that a high initial rank makes a network lazier, on one task."""
  return Claim(
    name=name,
    kind='paper',
    says=f'The higher the initial rank, the less {what} ({TITLES[task]})',
    where='figures 1 and 2',
    of=(RANK,),
    changed=SMALLER,
    scope={'tanh': 'tanh', '32 units': 'narrow'} if task == TASKS[0] else {},  # whose variants are of this task
    **rest,
  )


def moves_less(name: str, task: str) -> Claim:
  return less(
    name,
    task,
    'the weights move',
    samples=lambda get: power_law(*by_rank(get, task, MOVED)).slope,
    holds=at_most(-0.02),
    unit='a in |W - W0| ~ rank^a of the recurrent kernel, fitted to each seed, at equal loss',
    reason=SIZE,
  )


def turns_less(name: str, task: str) -> Claim:
  def growth(get):
    ranks, alignment = by_rank(get, task, KERNEL)
    return line(np.log2(ranks), alignment).slope

  unit = 'kernel alignment gained per doubling of the rank, a line fitted to each seed, at equal loss'
  return less(name, task, 'the kernel turns', samples=growth, holds=at_least(0.01), unit=unit)


def aligned_is_lazier(name: str, config: str, ranks: Sequence[int], says: str, **rest) -> Claim:
  """A claim on a low rank along the task."""
  return Claim(
    name=name,
    says=says,
    of=(config,),
    samples=lambda get: lazier(get, config, ranks),
    statistic=medians,
    holds=at_least(0.0),
    unit=f'kernel alignment, aligned less random, median over seeds, each of ranks {", ".join(map(str, ranks))}',
    **rest,
  )


SMALLER = f'{WIDTH} units for 300, 100 fixed trials for fresh ones'
IMAGES = {'tanh': 'tanh', '10,000 MNIST digits': 'mnist'}
CLAIMS = [
  *(moves_less(f'1{letter}', task) for letter, task in zip('abc', TASKS, strict=True)),
  *(turns_less(f'1{letter}', task) for letter, task in zip('def', TASKS, strict=True)),
  aligned_is_lazier(
    '2a',
    ALIGNED,
    liu2023_aligned.RANKS,
    'A low rank along the directions of the task is lazier than a random one: linear network',
    kind='paper',
    where='proposition 1',
    scope={'128 hidden units': 'wide', 'four modes of one size': 'equal'},
  ),
  aligned_is_lazier(
    '2b',
    ALIGNED_RELU,
    liu2023_aligned_relu.RANKS,
    'A low rank along the directions of the task is lazier than a random one: relu network on digits',
    kind='extension',
    where='proposition 1, which is about linear networks',
    scope=IMAGES,
    reason='tested: rank 1 alone is richer, as one direction does not tell ten classes apart; with odd and even digits rank 1 '
    'along the task is lazier in all six tuning seeds (above 0.996 against 0.83 to 0.98)',
  ),
  aligned_is_lazier(
    '2c',
    ALIGNED_RELU,
    (4, 8),
    'A low rank that holds most of the task is lazier along its directions than a random one: relu network on digits',
    kind='extension',
    where='proposition 1, which is about linear networks',
    changed='ranks 4 and 8 alone, chosen on tuning seeds',
    scope=IMAGES,
  ),
  Claim(
    name='3',
    kind='paper',
    says='Gain and rank act separately: at every rank a larger gain is lazier',
    where='appendix',
    of=(GAIN,),
    samples=of_gain,
    statistic=medians,
    holds=at_least(0.0),
    unit=f'kernel alignment at gain {GAINS[-1]:g} less that at {GAINS[0]:g}, median over seeds, each of ranks '
    f'{", ".join(map(str, liu2023_gain.RANKS))}',
    changed=SMALLER,
    reason='untested: why a low rank turns its kernel more at a large gain; it is not amplification, as alignment falls at '
    'rank 1 also where the largest singular value is only that of a full matrix (tuning seeds: 0.80, 0.79, 0.76)',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def quartiles(ax: Axes, x: Sequence[float], read: Callable[[float], np.ndarray], label: str, **style) -> None:
  """Median and quartiles over seeds of `read(x)` (seed,)."""
  values = np.stack([read(value) for value in x], axis=1)
  plots.band(ax, x, values, label, summary=median_and_quartiles, marker='.', **style)


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
      quartiles(ax, RANKS, read, 'at equal loss')
      plots.level(ax, np.median(read(WIDTH)), 'Gaussian kernel')
      ax.set_ylabel(measure.label if task == TASKS[0] else '')
      rank_axis(ax, RANKS)
    # The last reading before any network of the task has stopped.
    table, first = select(distances, data__name=task), select(clocks, data__name=task)['stopped'].min()
    step = int(table['step'][table['step'] <= first].max())
    read = lambda rank, table=table, step=step: at(select(table, init__rank=rank), MOVED.reading, step)
    quartiles(column[2], RANKS, read, 'at an equal step')
    column[2].set(yscale='log')
    column[2].set_title(f'equal step: {step}', fontsize=8)
    column[0].set_title(TITLES[task])
  axes[2, -1].legend(loc='center left', bbox_to_anchor=(1.0, 0.5))
  plots.title(figure, f'Rank at equal norm; cross-entropy 0.1 nats, 100 trials, {WIDTH} units', clocks, note=NOTE)
  return figure


def gains(get: Get) -> Figure:
  figure, axes = plots.canvas(3)
  for ax, measure in zip(axes[0], (KERNEL, MOVED, STEPS._replace(label='steps')), strict=True):
    for rank in liu2023_gain.RANKS:
      quartiles(ax, GAINS, lambda gain, rank=rank, measure=measure: at_gain(get, measure, rank, gain), f'{rank}')
    ax.set(title=measure.label, xlabel='gain of the recurrent kernel')
  axes[0, 0].set_ylabel(KERNEL.label)
  axes[0, 2].legend(title='rank', loc='center left', bbox_to_anchor=(1.0, 0.5))
  text = 'Rank against gain, two-alternative choice, cross-entropy 0.1 nats'
  plots.title(figure, text, get(GAIN, 'clock'), note=NOTE)
  return figure


def aligned(get: Get) -> Figure:
  figure, axes = plots.canvas(3, 2)
  rows = (('linear network, four modes', ALIGNED, liu2023_aligned), ('relu network, digits', ALIGNED_RELU, liu2023_aligned_relu))
  for row, (name, config, sweep) in zip(axes, rows, strict=True):
    for ax, measure in zip(row, (KERNEL, MOVED_INPUT, STEPS), strict=True):

      def read(directions, rank, config=config, measure=measure):
        reading = at_equal_loss(get, config, measure, init__rank=rank, init__directions=directions)
        return 1 - reading if measure is KERNEL else reading

      quartiles(ax, sweep.RANKS, lambda rank, read=read: read('task', rank), 'along the task')
      quartiles(ax, sweep.RANKS, lambda rank, read=read: read('random', rank), 'random')
      plots.level(ax, np.median(read('random', sweep.FULL)), 'Gaussian layer')
      rank_axis(ax, sweep.RANKS)
      ax.set_xlim(0.9, 9)  # of both rows
      ax.set_title('1 - kernel alignment' if measure is KERNEL else measure.label)
    row[0].set(ylabel=name, yscale='log')
  axes[0, 2].legend(loc='center left', bbox_to_anchor=(1.0, 0.5))
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
    plots.intervals(ax, values, median_and_quartiles, None, axis='y', markersize=3, capsize=0)
    plots.mark(ax, np.median(values['Gaussian']), 'Gaussian')
    ax.set_xlabel(measure.label)
  axes[0, 0].set_yticks(range(len(kernels)), list(kernels))
  axes[0, 0].set_ylabel('recurrent kernel at equal norm')
  axes[0, 0].invert_yaxis()
  axes[0, 2].legend(loc='center left', bbox_to_anchor=(1.0, 0.5))
  text = 'Structured kernels, delayed match to sample, cross-entropy 0.1 nats'
  plots.title(figure, text, get(BLOCK, 'clock'), get(RANK, 'clock'), note=NOTE)
  return figure


FIGURES = [
  PaperFigure('liu2023_rank', (RANK,), ranks, 'Laziness by the rank of the recurrent kernel at equal loss (figures 1, 2).'),
  PaperFigure('liu2023_gain', (GAIN,), gains, 'Rank against gain.'),
  PaperFigure('liu2023_aligned', (ALIGNED, ALIGNED_RELU), aligned, 'Low rank along the task is lazy again (proposition 1).'),
  PaperFigure('liu2023_structure', (BLOCK, DALE, POWER_LAW, RANK), structures, 'Other structures at equal norm.'),
]
