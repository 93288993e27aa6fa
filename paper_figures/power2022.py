"""Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets (Power et al. 2022), arXiv 2201.02177."""

import math

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import times_later
from analysis.tables import reached
from paper_figures.paper import Figure, Get, canvas, curve, seeds_of, select

DECAY = 'configs/power2022_decay.py'
SLOW = ()

LEVEL = 0.95  # accuracy at which a set counts as learned
WEAK, STRONG = 0.3, 1.0  # the weight decays that claim 2 compares


def learned(get: Get, reading: str) -> dict[float, np.ndarray]:
  """Weight decay -> (seed,) the step at which a set counts as learned, in rising order."""
  return {float(decay): reached(rows, reading, LEVEL) for decay, rows in get(DECAY, 'performance').groupby('weight_decay')}


def delay(get: Get) -> np.ndarray:
  """(seed,) steps to generalise over steps to memorise, each at the weight decay that generalises first in that seed."""
  train, test = (np.stack(list(learned(get, f'{part}_accuracy').values())) for part in ('train', 'test'))
  best = test.argmin(axis=0)[None]
  return times_later(np.take_along_axis(test, best, axis=0)[0], np.take_along_axis(train, best, axis=0)[0])


def gain(get: Get) -> np.ndarray:
  """(seed,) how many times later the weak weight decay generalises than the strong one."""
  test = learned(get, 'test_accuracy')
  return times_later(test[WEAK], test[STRONG])


CLAIMS = [
  Claim(
    'power2022/1',
    'Networks memorise the training set long before they generalise',
    'abstract and figure 1',
    (DECAY,),
    delay,
    3.0,
    1000.0,  # no more than the budget allows: a network that never generalises (inf) does not support this
    f'steps to {LEVEL:.0%} test accuracy over steps to {LEVEL:.0%} training accuracy, at the best weight decay',
  ),
  Claim(
    'power2022/2',
    'Weight decay brings generalisation earlier',
    'introduction and figure 2, which compare data needed; ours compares time',
    (DECAY,),
    gain,
    1.5,
    math.inf,
    f'steps to {LEVEL:.0%} test accuracy at weight decay {WEAK:g} over those at {STRONG:g} (inf: never at {WEAK:g})',
  ),
]


def decay(get: Get) -> Canvas:
  table = get(DECAY, 'performance')
  figure, axes = canvas(2, height=2.8)
  scores, times = axes[0]

  scores.set_xscale('log')
  curve(scores, select(table, weight_decay=STRONG), 'train_accuracy', f'train, {STRONG:g}', color='black', linestyle='--')
  for value, rows in table.groupby('weight_decay'):
    curve(scores, rows, 'test_accuracy', f'test, {value:g}')
  scores.axhline(1 / 59, color='gray', linewidth=0.8, linestyle=':', label='chance')
  scores.set(title='memorising and generalising', xlabel='step', ylabel='accuracy (share)', ylim=(-0.03, 1.03))
  scores.legend(loc='center left', title='weight decay', handlelength=1.4)

  budget = table['step'].max()
  for name, reading, colour, line in (('test', 'test_accuracy', 'C0', '-'), ('train', 'train_accuracy', 'black', '--')):
    found = learned(get, reading)
    decays, steps = list(found), np.stack(list(found.values()))
    times.plot(decays, np.median(steps, axis=1), color=colour, linestyle=line, label=name)
    times.plot(np.repeat(decays, steps.shape[1]), steps.ravel(), '.', color=colour)
    never = np.isinf(steps).any(axis=1)
    times.plot(np.array(decays)[never], np.full(never.sum(), budget), '^', color=colour)
  times.axhline(budget, color='gray', linewidth=0.8, linestyle=':', label=f'triangle: not in {budget:,} steps')
  times.set(title=f'time to {LEVEL:.0%} accuracy', xlabel='weight decay', ylabel='step', yscale='log')
  times.legend(loc='center left')
  figure.suptitle(f'a + b mod 59, half of the table, MLP 118-96-96-59; median and spread of {seeds_of([table])}', fontsize=9)
  return figure


FIGURES = [Figure('power2022_decay', (DECAY,), decay, 'Memorising, then generalising, by weight decay (figures 1, 2).')]
