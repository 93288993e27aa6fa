"""Grokking at the Edge of Numerical Stability (Prieto, Barsbey, Mediano, Birdal 2025), arXiv 2501.04697."""

import math
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, between
from analysis.series import arms, by, each_seed, highest, last, reached, select
from analysis.statistics import times_later
from configs import prieto2025_fig1_stablemax, prieto2025_stablemax, prieto2025_transformer
from configs._prieto2025 import ARMS as BUDGETS
from configs._prieto2025 import P
from configs.prieto2025_fig2 import DTYPES
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

ARMS = 'configs/prieto2025_fig1.py'
ARM_STABLEMAX = 'configs/prieto2025_fig1_stablemax.py'
PRECISION = 'configs/prieto2025_fig2.py'
STABLEMAX = 'configs/prieto2025_stablemax.py'
REFERENCE = 'configs/prieto2025_stablemax_reference.py'
MULTIPLY = 'configs/prieto2025_multiply.py'
TRANSFORMER = 'configs/prieto2025_transformer.py'
SLOW = (ARMS, ARM_STABLEMAX, PRECISION, STABLEMAX, REFERENCE, TRANSFORMER)

ONSET = 0.05  # share of examples with zero loss at which collapse has begun
(*_, WITHOUT), _, (*_, BUDGET) = BUDGETS  # steps without the projection, and with it as in the authors' scripts

# The columns that tell the arms of figure 1.
PLAIN = dict(optimizer__perpendicular='off', weight_decay=0.0)
DECAY = dict(optimizer__perpendicular='off', weight_decay=1.0)
PROJECTED = dict(optimizer__perpendicular='rescaled')
SOFTMAX = {'softmax': PLAIN, 'softmax, weight decay 1': DECAY, 'perpendicular gradient': PROJECTED}


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def after_fit(get: Get, reading: str, reduce: Callable[[np.ndarray], float]) -> np.ndarray:
  """(seed,) `reduce` over the readings of `alignment` from the first time the training set is learned, without weight decay."""
  learned = reached(select(get(ARMS, 'performance'), **PLAIN), 'train_accuracy', 1.0)
  steps, values = each_seed(select(get(ARMS, 'alignment'), **PLAIN), reading)
  return np.array([reduce(v[steps >= t]) if np.isfinite(t) else math.nan for v, t in zip(values, learned, strict=True)])


def onset(get: Get, dtype: str, level: float = ONSET) -> np.ndarray:
  """(seed,) the first step at which a share `level` of the examples has zero loss; inf for never."""
  return reached(select(get(PRECISION, 'collapse'), loss__dtype=dtype), 'zero_loss', level)


TWO_TABLES = {'a - b mod 61': 'subtraction', 'a b mod 67': 'multiplication'}
TABLES = {**TWO_TABLES, 'a^2 + a b + b^2 mod 71': 'quadratic'}
FASTER = 'learning rate 0.01 and 4,000 steps for 0.0005 and 20,000'

CLAIMS = [
  Claim(name='1a', kind='paper', where='figures 1 and 6', of=(ARMS,), holds=between(0.99, 1.0),
        says='With the gradient projected perpendicular to the weights, a network without weight decay generalises on a + b '
        'mod 113',
        samples=lambda get: last(select(get(ARMS, 'performance'), **PROJECTED), 'test_accuracy'),
        unit=f'test accuracy at step {BUDGET}', scope=TABLES),
  Claim(name='1b', kind='paper', where='figures 1 and 6', of=(ARMS,), holds=between(0.0, 0.05),
        says='Without the projection a network without weight decay does not generalise in five times the steps',
        samples=lambda get: last(select(get(ARMS, 'performance'), **PLAIN), 'test_accuracy'),
        unit=f'test accuracy at step {WITHOUT}', scope=TABLES),
  Claim(name='2a', kind='paper', where='figure 2', of=(PRECISION,), holds=at_least(1.05), changed=FASTER,
        scope=TWO_TABLES,
        says='Softmax collapse begins later the finer the arithmetic of the loss: float16 before float32',
        samples=lambda get: times_later(onset(get, 'float32'), onset(get, 'float16')),
        unit=f'onset (zero loss on {ONSET:.0%} of examples) in float32 over onset in float16'),
  Claim(name='2b', kind='paper', where='figure 2', of=(PRECISION,), holds=between(0.0, ONSET), changed=FASTER,
        scope=TWO_TABLES,
        says='With a float64 loss there is no softmax collapse in the budget',
        samples=lambda get: highest(select(get(PRECISION, 'collapse'), loss__dtype='float64'), 'zero_loss'),
        unit='largest share of examples with zero loss'),
  Claim(name='3a', kind='paper', where='figure 3', of=(ARMS,), holds=between(0.5, 1.0), scope=TABLES,
        says='After the training set is learned the gradient points along naive loss minimisation',
        samples=lambda get: after_fit(get, 'cosine', np.median), unit='median over readings of cos(-gradient, weights)'),
  Claim(name='4a', kind='paper', where='figures 1 and 4', of=(STABLEMAX,), holds=between(0.9, 1.0),
        says="With StableMax in place of softmax a network without weight decay generalises: the authors' optimiser, a smaller "
        'table',
        samples=lambda get: highest(select(get(STABLEMAX, 'performance'), steps=prieto2025_stablemax.STEPS), 'test_accuracy'),
        unit=f'best test accuracy in {prieto2025_stablemax.STEPS:,} steps (p = 59, 60% of the table, beta2 0.999)',
        changed='p = 59, 60% of the table and 32,000 steps for p = 113, 40% and 80,000',
        reason='untested: 32,000 steps are too few for one seed of five, whose accuracy still rises at the end'),
  Claim(name='4b', kind='extension', where='figures 1 and 4', of=(ARM_STABLEMAX,), holds=between(0.9, 1.0),
        says='With StableMax in place of softmax a network without weight decay generalises at p = 113, with more of the table '
        'and a faster second moment',
        samples=lambda get: last(get(ARM_STABLEMAX, 'performance'), 'test_accuracy'),
        unit=f'test accuracy at step {prieto2025_fig1_stablemax.STEPS:,} (p = {P}, 60% of the table, beta2 0.99)',
        changed='60% of the table and beta2 0.99 for 40% and 0.999: weaker than what the paper says'),
]  # fmt: skip


# ---- figures ------------------------------------------------------------------------------------------------------


def accuracy(get: Get) -> Figure:
  panels = arms(get(ARMS, 'performance'), SOFTMAX) | {'StableMax (60% of the table)': get(ARM_STABLEMAX, 'performance')}
  figure = plots.accuracies(panels, f'a + b mod {P}, 40% of the table, MLP 226-200-200-113, full batch', 1 / P)
  plots.mark(figure.axes[2], 110, "authors' code:\ntest over 95%", color='black', linestyle='-')
  figure.axes[2].legend(loc='center left')
  return figure


NOTE = dict(textcoords='offset points', fontsize=7)


def collapse(get: Get) -> Figure:
  table, performance = get(PRECISION, 'collapse'), get(PRECISION, 'performance')
  figure, axes = plots.canvas(3)
  share, gap, loss = axes[0]
  for number, (dtype, digits) in enumerate(zip(DTYPES, (11, 24, 53), strict=True)):
    plots.steps(share, select(table, loss__dtype=dtype), 'zero_loss', dtype)
    plots.steps(gap, select(table, loss__dtype=dtype), 'logit_gap', dtype)
    plots.steps(loss, select(performance, loss__dtype=dtype), 'train_loss', dtype)
    # All other logits at this distance: their sum is half a unit in the last place of 1.
    limit = math.log(P - 1) + digits * math.log(2)
    plots.level(gap, limit, None, color=f'C{number}')
    above = dtype == 'float64'  # where no curve is
    gap.annotate(
      f'absorbed in {dtype}', (4000, limit), **NOTE, xytext=(0, 2 if above else -2), ha='right', va='bottom' if above else 'top'
    )
  plots.level(share, ONSET, None)
  share.annotate(f'onset: {ONSET:.0%}', (4000, ONSET), **NOTE, xytext=(0, 2), ha='right')
  share.set(title='softmax collapse', xlabel='step', ylabel='examples with zero loss (share)')
  gap.set(title='confidence', xlabel='step', ylabel='largest logit gap (nats)')
  loss.set(title='training loss', xlabel='step', ylabel='loss (nats)', yscale='log')
  loss.legend(loc='lower left')
  plots.title(figure, 'Cross-entropy by the dtype of its arithmetic', table)
  return figure


def alignment(get: Get) -> Figure:
  table = get(ARMS, 'alignment')
  figure, axes = plots.canvas(2, height=2.8, sharex=True)
  cosine, change = axes[0]
  for ax, reading in ((cosine, 'cosine'), (change, 'loss_change')):
    ax.set(xscale='log', xlabel='step')
    for name, rows in (arms(table, SOFTMAX) | {'StableMax': get(ARM_STABLEMAX, 'alignment')}).items():
      plots.steps(ax, rows, reading, name)
  plots.level(cosine, 0.5, 'claim 3a: over 0.5')
  cosine.set(title='direction of the raw gradient', ylabel='cos(-gradient, weights)')
  change.set(title='after scaling the weights by 1.01', ylabel='change of training loss (nats)')
  change.set_yscale('symlog', linthresh=1e-4)
  change.set_ylim(top=1e-4)
  cosine.legend(loc='upper left', fontsize=7)
  cosine.set_ylim(-0.05, 1.7)
  cosine.set_yticks((0, 0.2, 0.4, 0.6, 0.8))
  plots.title(figure, f'Naive loss minimisation, a + b mod {P}', table)
  return figure


# Test accuracy of the authors' PyTorch code, one seed, p = 113, 40% of the table, StableMax, lr 0.01.
AUTHORS = ((5_000, 0.0022), (10_000, 0.0084), (16_500, 0.0282))


def stablemax(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.8)
  judged, reference = axes[0]
  for ax, config, name in ((judged, STABLEMAX, 'p = 59, 60% of the table'), (reference, REFERENCE, 'p = 113, 40% of the table')):
    table = get(config, 'performance')
    for beta2, rows in by(table, 'beta2').items():
      plots.steps(ax, rows, 'test_accuracy', f'test, beta2 = {beta2:g}')
    ax.set(title=f'{name}; {plots.seeds_of([table])}', xlabel='step', ylabel='accuracy (share)')
  plots.level(judged, 0.9, 'claim 4: over 0.9')
  reference.plot(*zip(*AUTHORS, strict=True), 'k+', label="authors' code, beta2 = 0.999, 1 seed")
  reference.set_yscale('log')
  judged.legend()
  reference.legend()
  figure.suptitle('StableMax without weight decay, a + b, MLP, float64 loss; median and range over seeds', fontsize=9)
  return figure


def multiply(get: Get) -> Figure:
  text = f'a b mod {P}, 40% of the table, MLP 226-200-200-113'
  return plots.accuracies(arms(get(MULTIPLY, 'performance'), SOFTMAX), text, 1 / P)


def transformer(get: Get) -> Figure:
  p, decay = prieto2025_transformer.P, prieto2025_transformer.DECAY
  wheres = {
    'softmax': PLAIN,
    f'softmax, weight decay {decay:g}': {**DECAY, 'weight_decay': decay},
    'perpendicular gradient': PROJECTED,
  }
  text = f'a + b mod {p}, 60% of the table, one-layer transformer, width 128, 4 heads'
  return plots.accuracies(arms(get(TRANSFORMER, 'performance'), wheres), text, 1 / p)


FIGURES = [
  PaperFigure('prieto2025_accuracy', (ARMS, ARM_STABLEMAX), accuracy, 'Four ways to train (figures 1, 6).'),
  PaperFigure('prieto2025_collapse', (PRECISION,), collapse, 'Softmax collapse by the dtype of the loss (figure 2).'),
  PaperFigure('prieto2025_alignment', (ARMS, ARM_STABLEMAX), alignment, 'Alignment with naive loss minimisation (figure 3).'),
  PaperFigure('prieto2025_stablemax', (STABLEMAX, REFERENCE), stablemax, 'StableMax, given its budget (figures 1, 4).'),
  PaperFigure('prieto2025_multiply', (MULTIPLY,), multiply, 'The same for multiplication.'),
  PaperFigure('prieto2025_transformer', (TRANSFORMER,), transformer, 'The same for a one-layer transformer (figure 6).'),
]
