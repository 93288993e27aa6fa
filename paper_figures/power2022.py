"""Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets (Power et al. 2022), arXiv 2201.02177."""

import functools

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, between
from analysis.series import against, by, reached, select
from analysis.statistics import times_later
from configs.power2022_decay import DECAYS, P
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

DECAY = 'configs/power2022_decay.py'
SLOW = (DECAY,)

LEVEL = 0.95  # accuracy at which a set counts as learned
*_, WEAK, STRONG = DECAYS  # the weight decays that claim 2 compares
CHANGED = 'a bias-free MLP for a transformer, p = 59 for 97, 5,000 steps'
ELSEWHERE = {'subtraction mod 59': 'subtract', 'a^2 + a b + b^2 mod 59': 'quadratic', 'addition mod 43': 'mod43'}


def learned(get: Get, examples: str) -> tuple[np.ndarray, np.ndarray]:
  """(decay,) weight decays and (seed, decay) the steps at which the train or test set counts as learned; inf for never."""
  read = functools.partial(reached, level=LEVEL)
  return against(get(DECAY, 'performance'), 'weight_decay', f'{examples}_accuracy', read)


def delay(get: Get) -> np.ndarray:
  """(seed,) steps to generalise over steps to memorise, each at the weight decay that generalises first in that seed."""
  (_, train), (_, test) = learned(get, 'train'), learned(get, 'test')
  best = test.argmin(axis=1)[:, None]
  return times_later(np.take_along_axis(test, best, axis=1)[:, 0], np.take_along_axis(train, best, axis=1)[:, 0])


def gain(get: Get) -> np.ndarray:
  """(seed,) how many times later the weak weight decay generalises than the strong one."""
  decays, test = learned(get, 'test')
  return times_later(test[:, decays == WEAK][:, 0], test[:, decays == STRONG][:, 0])


CLAIMS = [
  Claim(
    name='1',
    says='Networks memorise the training set, and generalise ten times as many steps later or more, at the weight decay at which '
    'they generalise first',
    where='abstract and figure 1',
    kind='paper',
    of=(DECAY,),
    samples=delay,
    holds=between(10.0, 1000.0),  # 'long before' as a power of ten; a network that never generalises (inf) does not support this
    changed=CHANGED,
    scope=ELSEWHERE,
    unit=f'steps to {LEVEL:.0%} test accuracy over steps to {LEVEL:.0%} training accuracy, at the best weight decay',
  ),
  Claim(
    name='2',
    says='Weight decay brings generalisation earlier, 1 earlier than 0.3',
    kind='paper',
    where='introduction and figure 2',
    of=(DECAY,),
    samples=gain,
    holds=at_least(1.5),
    changed=f'{CHANGED}; time to generalise where the paper compares data needed',
    scope=ELSEWHERE,
    unit=f'steps to {LEVEL:.0%} test accuracy at weight decay {WEAK:g} over those at {STRONG:g} (inf: never at {WEAK:g})',
  ),
]


def decay(get: Get) -> Figure:
  table = get(DECAY, 'performance')
  figure, axes = plots.canvas(2, height=2.8)
  scores, times = axes[0]

  scores.set_xscale('log')
  memorising = select(table, weight_decay=STRONG)
  plots.steps(scores, memorising, 'train_accuracy', f'train, {STRONG:g}', color='black', linestyle='--')
  for value, rows in by(table, 'weight_decay').items():
    plots.steps(scores, rows, 'test_accuracy', f'test, {value:g}')
  plots.level(scores, 1 / P, 'chance')
  scores.set(title='memorising and generalising', xlabel='step', ylabel='accuracy (share)', ylim=(-0.03, 1.03))
  scores.legend(loc='center left', title='weight decay', handlelength=1.4)

  budget = table['step'].max()
  for examples, color, line in (('test', 'C0', '-'), ('train', 'black', '--')):
    decays, steps = learned(get, examples)
    plots.seeds(times, decays, steps, examples, color, linestyle=line)
    plots.never(times, decays, steps, budget, None, color)
  plots.level(times, budget, f'triangle: not in {budget:,} steps')
  times.set(title=f'time to {LEVEL:.0%} accuracy', xlabel='weight decay', ylabel='step', yscale='log')
  times.legend(loc='center left')
  text = f'a + b mod {P}, half of the table, MLP 118-96-96-59'
  plots.title(figure, text, table, note='median and spread of {seeds}')
  return figure


FIGURES = [PaperFigure('power2022_decay', (DECAY,), decay, 'Memorising, then generalising, by weight decay (figures 1, 2).')]
