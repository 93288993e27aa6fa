"""Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability (Cohen et al. 2021), arXiv 2103.00065."""

import math

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.tables import each_seed
from paper_figures.paper import Figure, Get, canvas, curve, seeds_of, select

DESCENT = 'configs/cohen2021_descent.py'
SLOW = ()

BELOW, RATES = 0.1, (0.15, 0.2, 0.3)  # learning rates under the edge all along, and those that come to it


def late(values: np.ndarray) -> np.ndarray:
  """The second half of a run, of (seed, t)."""
  return values[:, values.shape[1] // 2 :]


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def level(get: Get) -> np.ndarray:
  """(seed, lr) the median of sharpness times learning rate over the second half of a run."""
  table = get(DESCENT, 'sharpness')
  return np.stack([np.median(late(each_seed(select(table, lr=lr), 'lr_largest')[1]), axis=1) for lr in RATES], axis=1)


def losses(get: Get, lr: float) -> np.ndarray:
  """(seed, t) training losses in the second half of a run."""
  return late(each_seed(select(get(DESCENT, 'performance'), lr=lr), 'train_loss')[1])


def growth(get: Get) -> np.ndarray:
  """(seed,) last over first sharpness below the edge."""
  values = each_seed(select(get(DESCENT, 'sharpness'), lr=BELOW), 'largest/0')[1]
  return values[:, -1] / values[:, 0]


def rises(get: Get, lr: float) -> np.ndarray:
  """(seed,) the share of readings of the second half that are above the one before."""
  return np.mean(np.diff(losses(get, lr), axis=1) > 0, axis=1)


def fall(get: Get) -> np.ndarray:
  """(seed,) the mean loss of the last fifth over that of the first fifth, of the second half of a run; the worst rate."""
  found = []
  for lr in RATES:
    values = losses(get, lr)
    some = values.shape[1] // 5
    found.append(values[:, -some:].mean(axis=1) / values[:, :some].mean(axis=1))
  return np.max(found, axis=0)


CLAIMS = [
  Claim(
    'cohen2021/1',
    'While it is stable, gradient descent goes to ever sharper places',
    'section 3.1 (progressive sharpening)',
    (DESCENT,),
    growth,
    2.0,
    math.inf,
    f'last over first largest eigenvalue of the Hessian, learning rate {BELOW:g}',
  ),
  Claim(
    'cohen2021/2a',
    'until the sharpness is 2 / (learning rate), and stays there: it does not fall below',
    'abstract and section 3.2',
    (DESCENT,),
    lambda get: level(get).min(axis=1),
    1.9,
    math.inf,
    'learning rate times largest eigenvalue, median of the second half, the least of learning rates 0.15, 0.2, 0.3',
  ),
  Claim(
    'cohen2021/2b',
    'and does not rise above',
    'abstract and section 3.2',
    (DESCENT,),
    lambda get: level(get).max(axis=1),
    -math.inf,
    2.2,
    'the same, the largest of the three learning rates',
  ),
  Claim(
    'cohen2021/3a',
    'There the loss is not monotone over short times',
    'abstract',
    (DESCENT,),
    lambda get: np.min([rises(get, lr) for lr in RATES], axis=0),
    0.1,
    1.0,
    'share of readings, 12.5 steps apart, above the one before, second half, the least of the three learning rates',
  ),
  Claim(
    'cohen2021/3b',
    'Below the edge it is (ours: the control of 3a)',
    'section 2 (the descent lemma)',
    (DESCENT,),
    lambda get: rises(get, BELOW),
    0.0,
    0.0,
    f'the same share at learning rate {BELOW:g}',
  ),
  Claim(
    'cohen2021/3c',
    'and over long times the loss falls at the edge as well',
    'abstract',
    (DESCENT,),
    fall,
    0.0,
    0.8,
    'mean loss of the last tenth of a run over that of the tenth after its middle, the largest of the three learning rates',
  ),
]


# ---- figure -------------------------------------------------------------------------------------------------------


def edge(get: Get) -> Canvas:
  sharp, loss = get(DESCENT, 'sharpness'), get(DESCENT, 'performance')
  figure, axes = canvas(2, height=3.0)
  left, right = axes[0]
  for number, lr in enumerate((BELOW, *RATES)):
    curve(left, select(sharp, lr=lr), 'largest/0', f'learning rate {lr:g}', color=f'C{number}')
    left.axhline(2 / lr, color=f'C{number}', linestyle='--', linewidth=0.8)
    curve(right, select(loss, lr=lr), 'train_loss', f'learning rate {lr:g}', color=f'C{number}', linewidth=0.7)
  left.plot([], [], 'k--', linewidth=0.8, label='2 / learning rate')
  left.set(xlabel='step', ylabel='sharpness: largest eigenvalue\nof the Hessian (loss / weight$^2$)', ylim=(0, 34))
  right.set(xlabel='step', ylabel='training loss', yscale='log')
  left.legend(loc='upper left', ncols=2, fontsize=6)
  right.legend(loc='upper right', fontsize=6)
  figure.suptitle(
    f'Digits, 64-64-64-10 tanh network, squared error, full batch; median and range of {seeds_of([sharp])}', fontsize=9
  )
  return figure


FIGURES = [Figure('cohen2021_edge', (DESCENT,), edge, 'Sharpness and loss of gradient descent (figures 1 and 5).')]
