"""Adaptive Gradient Methods at the Edge of Stability (Cohen et al. 2022), arXiv 2207.14484."""

import math

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.tables import each_seed
from paper_figures.paper import Figure, Get, canvas, curve, seeds_of, select

ADAM = 'configs/cohen2022_adam.py'
SLOW = ()

RATES, MOMENTA = (5e-4, 1e-3), (0.0, 0.5, 0.9)


def threshold(beta1: float) -> float:
  """Learning rate times preconditioned sharpness at which frozen Adam on a quadratic is at the edge of stability."""
  return (2 + 2 * beta1) / (1 - beta1)


def level(get: Get, beta1: float) -> np.ndarray:
  """(seed, lr) the median of the last fifth of learning rate times preconditioned sharpness, over the threshold."""
  found = []
  for lr in RATES:
    values = each_seed(select(get(ADAM, 'sharpness'), lr=lr, beta1=beta1), 'lr_preconditioned')[1]
    found.append(np.median(values[:, -(values.shape[1] // 5) :], axis=1) / threshold(beta1))
  return np.stack(found, axis=1)


def plain(get: Get) -> np.ndarray:
  """(seed,) the last learning rate times raw sharpness without momentum, the larger of the two learning rates."""
  last = [each_seed(select(get(ADAM, 'sharpness'), lr=lr, beta1=0.0), 'lr_largest')[1][:, -1] for lr in RATES]
  return np.max(last, axis=0)


CLAIMS = [
  *(
    Claim(
      f'cohen2022/1{letter}',
      f'The preconditioned sharpness of full-batch Adam settles at {threshold(beta1):g} / (learning rate), beta1 = {beta1:g}',
      'abstract; section 3' if beta1 == 0.9 else 'the same, for another momentum (ours)',
      (ADAM,),
      lambda get, beta1=beta1, worst=worst: worst(level(get, beta1), axis=1),
      low,
      high,
      f'learning rate times largest eigenvalue of P^(-1/2) H P^(-1/2), median of the last fifth, over {threshold(beta1):g}, '
      f'the {"least" if worst is np.min else "largest"} of two learning rates',
    )
    for letter, beta1, worst, low, high in (
      ('a', 0.9, np.min, 0.9, math.inf),
      ('b', 0.9, np.max, -math.inf, 1.1),
      ('c', 0.5, np.min, 0.9, math.inf),
      ('d', 0.5, np.max, -math.inf, 1.1),
      ('e', 0.0, np.min, 0.9, math.inf),
      ('f', 0.0, np.max, -math.inf, 1.1),
    )
  ),
  Claim(
    'cohen2022/2',
    'The sharpness itself is nowhere near the edge of gradient descent',
    'section 3 (raw sharpness)',
    (ADAM,),
    plain,
    0.0,
    0.2,
    'last learning rate times largest eigenvalue of the Hessian (2 for gradient descent), beta1 = 0, the larger of two',
  ),
]


def edge(get: Get) -> Canvas:
  table = get(ADAM, 'sharpness')
  figure, axes = canvas(len(MOMENTA), height=2.9)
  for ax, beta1 in zip(axes[0], MOMENTA, strict=True):
    for number, lr in enumerate(RATES):
      curve(ax, select(table, lr=lr, beta1=beta1), 'lr_preconditioned', f'learning rate {lr:g}', color=f'C{number}')
    edge = threshold(beta1)
    ax.axhline(edge, color='black', linestyle='--', linewidth=0.8, label=f'theory: {edge:g}')
    ax.set(title=rf'$\beta_1$ = {beta1:g}', xlabel='step', ylim=(0, 1.45 * edge))
    ax.legend(loc='upper left', fontsize=6)
  axes[0, 0].set_ylabel('learning rate x largest eigenvalue\nof the preconditioned Hessian (1)')
  figure.suptitle(f'Full-batch Adam on digits, 64-64-64-10 tanh network; median and range of {seeds_of([table])}', fontsize=9)
  return figure


FIGURES = [Figure('cohen2022_edge', (ADAM,), edge, 'Preconditioned sharpness of Adam by momentum (figures 1 and 2).')]
