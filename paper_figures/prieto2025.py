"""Grokking at the Edge of Numerical Stability (Prieto, Barsbey, Mediano, Birdal 2025), arXiv 2501.04697."""

import math

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import times_later
from analysis.tables import each_seed, last, reached
from paper_figures.paper import Figure, Get, accuracy_panels, arms_of, canvas, curve, seeds_of, select

ARMS = 'configs/prieto2025_fig1.py'
ARM_STABLEMAX = 'configs/prieto2025_fig1_stablemax.py'
DTYPES = 'configs/prieto2025_fig2.py'
STABLEMAX = 'configs/prieto2025_stablemax.py'
REFERENCE = 'configs/prieto2025_stablemax_reference.py'
MULTIPLY = 'configs/prieto2025_multiply.py'
TRANSFORMER = 'configs/prieto2025_transformer.py'
SLOW = (STABLEMAX, REFERENCE)  # made on demand only

ONSET = 0.05  # share of examples with zero loss at which collapse has begun
BUDGET = 300  # steps of the perpendicular gradient in the authors' scripts

# An arm of figure 1 is told by these columns.
PLAIN = {'optimizer__perpendicular': 'off', 'weight_decay': 0.0}
DECAY = {'optimizer__perpendicular': 'off', 'weight_decay': 1.0}
PROJECTED = {'optimizer__perpendicular': 'rescaled'}
SOFTMAX = {'softmax': PLAIN, 'softmax, weight decay 1': DECAY, 'perpendicular gradient': PROJECTED}


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def after_fit(arm: dict, reading: str, reduce) -> np.ndarray:
  """A claim's statistic: `reduce` over the readings of `alignment` from the first time the training set is learned."""

  def statistic(get: Get) -> np.ndarray:
    begun = reached(select(get(ARMS, 'performance'), **arm), 'train_accuracy', 1.0)
    steps, values = each_seed(select(get(ARMS, 'alignment'), **arm), reading)
    return np.array([reduce(v[steps >= t]) if np.isfinite(t) else math.nan for v, t in zip(values, begun, strict=True)])

  return statistic


def onset(get: Get, dtype: str, level: float = ONSET) -> np.ndarray:
  """(seed,) the first step at which a share `level` of the examples has zero loss; inf for never."""
  return reached(select(get(DTYPES, 'collapse'), loss__dtype=dtype), 'zero_loss', level)


def drift(get: Get, dtype: str) -> np.ndarray:
  """(seed,) the largest change of test accuracy after half of the examples have zero loss; NaN where they never have."""
  begun = onset(get, dtype, 0.5)
  steps, accuracy = each_seed(select(get(DTYPES, 'performance'), loss__dtype=dtype), 'test_accuracy')
  change = lambda values, t: np.ptp(values[steps >= t]) if np.isfinite(t) else math.nan
  return np.array([change(v, t) for v, t in zip(accuracy, begun, strict=True)])


CLAIMS = [
  Claim(
    'prieto2025/1a',
    'With the gradient projected perpendicular to the weights, a network without weight decay generalises',
    'figures 1 and 6',
    (ARMS,),
    lambda get: last(select(get(ARMS, 'performance'), **PROJECTED), 'test_accuracy'),
    0.99,
    1.0,
    f'test accuracy at step {BUDGET}',
  ),
  Claim(
    'prieto2025/1b',
    'The same run without the projection does not generalise in five times the steps',
    'figures 1 and 6',
    (ARMS,),
    lambda get: last(select(get(ARMS, 'performance'), **PLAIN), 'test_accuracy'),
    0.0,
    0.05,
    f'test accuracy at step {5 * BUDGET}',
  ),
  Claim(
    'prieto2025/2a',
    'Softmax collapse begins later the finer the arithmetic of the loss: float16 before float32',
    'figure 2',
    (DTYPES,),
    lambda get: times_later(onset(get, 'float32'), onset(get, 'float16')),
    1.05,
    math.inf,
    f'onset (zero loss on {ONSET:.0%} of examples) in float32 over onset in float16',
  ),
  Claim(
    'prieto2025/2b',
    'With a float64 loss there is no collapse in the budget',
    'figure 2',
    (DTYPES,),
    lambda get: each_seed(select(get(DTYPES, 'collapse'), loss__dtype='float64'), 'zero_loss')[1].max(axis=1),
    0.0,
    ONSET,
    'largest share of examples with zero loss',
  ),
  Claim(
    'prieto2025/2c',
    'Once half of the examples have collapsed in float16, test accuracy stands still',
    'figure 2',
    (DTYPES,),
    lambda get: drift(get, 'float16'),
    0.0,
    0.01,
    'largest change of test accuracy afterwards',
  ),
  Claim(
    'prieto2025/2d',
    'Once half of the examples have collapsed in float32, test accuracy stands still',
    'figure 2',
    (DTYPES,),
    lambda get: drift(get, 'float32'),
    0.0,
    0.01,
    'largest change of test accuracy afterwards',
  ),
  Claim(
    'prieto2025/3a',
    'After the training set is learned the gradient points along naive loss minimisation',
    'figure 3',
    (ARMS,),
    after_fit(PLAIN, 'cosine', np.median),
    0.5,
    1.0,
    'median over readings of cos(-gradient, weights)',
  ),
  Claim(
    'prieto2025/3b',
    'A step of naive loss minimisation changes no prediction',
    'abstract and figure 3',
    (ARMS,),
    after_fit(PLAIN, 'unchanged', np.min),
    1.0,
    1.0,
    'smallest share of unchanged predictions',
  ),
  Claim(
    'prieto2025/3c',
    'A step of naive loss minimisation lowers the loss',
    'abstract and figure 3',
    (ARMS,),
    after_fit(PLAIN, 'loss_change', np.max),
    -math.inf,
    -1e-12,
    'largest change of the training loss',
  ),
  Claim(
    'prieto2025/4a',
    "With StableMax in place of softmax a network without weight decay generalises: the authors' optimiser, a smaller table",
    'figures 1 and 4',
    (STABLEMAX,),
    lambda get: each_seed(select(get(STABLEMAX, 'performance'), steps=32_000), 'test_accuracy')[1].max(axis=1),
    0.9,
    1.0,
    'best test accuracy in 32,000 steps (p = 59, 60% of the table, beta2 0.999)',
  ),
  Claim(
    'prieto2025/4b',
    'The same at p = 113, with more of the table and a faster second moment',
    'figures 1 and 4',
    (ARM_STABLEMAX,),
    lambda get: last(get(ARM_STABLEMAX, 'performance'), 'test_accuracy'),
    0.9,
    1.0,
    'test accuracy at step 3,500 (p = 113, 60% of the table, beta2 0.99)',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def accuracy(get: Get) -> Canvas:
  panels = arms_of(get(ARMS, 'performance'), SOFTMAX) | {'StableMax (60% of the table)': get(ARM_STABLEMAX, 'performance')}
  figure = accuracy_panels(panels, 'a + b mod 113, 40% of the table, MLP 226-200-200-113, full batch', 1 / 113)
  figure.axes[2].axvline(110, color='black', linewidth=0.8, label="authors' code:\ntest over 95%")
  figure.axes[2].legend(loc='center left')
  return figure


def collapse(get: Get) -> Canvas:
  table, scores = get(DTYPES, 'collapse'), get(DTYPES, 'performance')
  figure, axes = canvas(3)
  share, gap, loss = axes[0]
  dtypes = ('float16', 'float32', 'float64')
  for dtype in dtypes:
    rows = select(table, loss__dtype=dtype)
    for ax, some, reading in ((share, rows, 'zero_loss'), (gap, rows, 'logit_gap')):
      curve(ax, some, reading, dtype)
    curve(loss, select(scores, loss__dtype=dtype), 'train_loss', dtype)
  for dtype, digits, colour in (('float16', 11, 'C0'), ('float32', 24, 'C1'), ('float64', 53, 'C2')):
    # All other logits at this distance: their sum is half a unit in the last place of 1.
    limit = math.log(112) + digits * math.log(2)
    gap.axhline(limit, color=colour, linewidth=0.8, linestyle=':')
    gap.annotate(f'absorbed in {dtype}', (4000, limit), xytext=(0, 2), textcoords='offset points', ha='right', fontsize=7)
  onset_line = share.axhline(ONSET, color='gray', linewidth=0.8, linestyle=':', label=f'onset: {ONSET:.0%}')
  share.set(title='softmax collapse', xlabel='step', ylabel='examples with zero loss (share)')
  gap.set(title='confidence', xlabel='step', ylabel='largest logit gap (nats)')
  loss.set(title='training loss', xlabel='step', ylabel='loss (nats)', yscale='log')
  share.legend(handles=[onset_line], loc='center right')
  loss.legend(loc='lower left')
  figure.suptitle(f'Cross-entropy by the dtype of its arithmetic; median and range of {seeds_of([table])}', fontsize=9)
  return figure


def alignment(get: Get) -> Canvas:
  table = get(ARMS, 'alignment')
  figure, axes = canvas(3)
  cosine, same, change = axes[0]
  for ax in axes[0]:
    ax.set_xscale('log')
  for name, rows in (arms_of(table, SOFTMAX) | {'StableMax': get(ARM_STABLEMAX, 'alignment')}).items():
    curve(cosine, rows, 'cosine', name)
    curve(same, rows, 'unchanged', name)
    curve(change, rows, 'loss_change', name)
  cosine.axhline(0.5, color='gray', linewidth=0.8, linestyle=':')
  cosine.annotate('claim 3a: over 0.5', (0.5, 0.5), xytext=(0, 3), textcoords='offset points', fontsize=7)
  cosine.set(title='direction of the raw gradient', xlabel='step', ylabel='cos(-gradient, weights)')
  same.set(title='after scaling the weights by 1.01', xlabel='step', ylabel='predictions unchanged (share)', ylim=(0.9, 1.005))
  change.set(title='after scaling the weights by 1.01', xlabel='step', ylabel='change of training loss (nats)')
  change.set_yscale('symlog', linthresh=1e-4)
  same.legend(loc='center')
  figure.suptitle(f'Naive loss minimisation, a + b mod 113; median and range of {seeds_of([table])}', fontsize=9)
  return figure


# Test accuracy of the authors' PyTorch code, one seed, p = 113, 40% of the table, StableMax, lr 0.01.
AUTHORS = ((5_000, 0.0022), (10_000, 0.0084), (16_500, 0.0282))


def stablemax(get: Get) -> Canvas:
  judged, long = get(STABLEMAX, 'performance'), get(REFERENCE, 'performance')
  figure, axes = canvas(2, height=2.8)
  left, right = axes[0]
  for name, ax, table in (('p = 59, 60% of the table', left, judged), ('p = 113, 40% of the table', right, long)):
    for beta2, rows in table.groupby('beta2'):
      curve(ax, rows, 'test_accuracy', f'test, beta2 = {beta2:g}')
    ax.set(title=f'{name}; {seeds_of([table])}', xlabel='step', ylabel='accuracy (share)')
  left.axhline(0.9, color='gray', linewidth=0.8, linestyle=':', label='claim 4: over 0.9')
  right.plot(*zip(*AUTHORS, strict=True), 'k+', label="authors' code, beta2 = 0.999, 1 seed")
  right.set_yscale('log')
  for ax in axes[0]:
    ax.legend()
  figure.suptitle('StableMax without weight decay, a + b, MLP, float64 loss; median and range over seeds', fontsize=9)
  return figure


def multiply(get: Get) -> Canvas:
  title = 'a b mod 113, 40% of the table, MLP 226-200-200-113'
  return accuracy_panels(arms_of(get(MULTIPLY, 'performance'), SOFTMAX), title, 1 / 113)


def transformer(get: Get) -> Canvas:
  arms = {'softmax': PLAIN, 'softmax, weight decay 1.5': {**DECAY, 'weight_decay': 1.5}, 'perpendicular gradient': PROJECTED}
  title = 'a + b mod 59, 60% of the table, one-layer transformer, width 128, 4 heads'
  return accuracy_panels(arms_of(get(TRANSFORMER, 'performance'), arms), title, 1 / 59)


FIGURES = [
  Figure(
    'prieto2025_accuracy',
    (ARMS, ARM_STABLEMAX),
    accuracy,
    'Four ways to train (figures 1, 6).',
  ),
  Figure('prieto2025_collapse', (DTYPES,), collapse, 'Softmax collapse by the dtype of the loss (figure 2).'),
  Figure('prieto2025_alignment', (ARMS, ARM_STABLEMAX), alignment, 'Alignment with naive loss minimisation (figure 3).'),
  Figure('prieto2025_stablemax', (STABLEMAX, REFERENCE), stablemax, 'StableMax, given its budget (figures 1, 4).'),
  Figure('prieto2025_multiply', (MULTIPLY,), multiply, 'The same for multiplication.'),
  Figure('prieto2025_transformer', (TRANSFORMER,), transformer, 'The same for a one-layer transformer (figure 6).'),
]
