"""Adaptive Gradient Methods at the Edge of Stability (Cohen et al. 2022), arXiv 2207.14484."""

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.series import each_seed, last, select
from configs.cohen2022_adam import MOMENTA, RATES, STEPS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

ADAM = 'configs/cohen2022_adam.py'
SLOW = (ADAM,)

SMALLER = 'a tanh network of 64 units a layer on 500 digits, for 200 units on 5,000 images of CIFAR10'


def threshold(beta1: float) -> float:
  """Learning rate times preconditioned sharpness at which frozen Adam on a quadratic is at the edge of stability."""
  return (2 + 2 * beta1) / (1 - beta1)


def settled(get: Get, beta1: float) -> np.ndarray:
  """(seed, lr) the median of the last fifth of learning rate times preconditioned sharpness, over the threshold."""
  paths = [each_seed(select(get(ADAM, 'sharpness'), lr=lr, beta1=beta1), 'lr_preconditioned')[1] for lr in RATES]
  return np.stack([np.median(path[:, -(path.shape[1] // 5) :], axis=1) / threshold(beta1) for path in paths], axis=1)


def raw(get: Get) -> np.ndarray:
  """(seed,) the last learning rate times raw sharpness without momentum, the larger of the two learning rates."""
  return np.max([last(select(get(ADAM, 'sharpness'), lr=lr, beta1=0.0), 'lr_largest') for lr in RATES], axis=0)


def settles(name: str, beta1: float, worst, holds) -> Claim:
  """One side of the claim that the sharpness settles at its threshold, for one momentum."""
  side, least = ('below', 'least') if worst is np.min else ('above', 'largest')
  return Claim(
    name=name,
    kind='paper' if beta1 == 0.9 else 'extension',
    says=f'The preconditioned sharpness of full-batch Adam settles at {threshold(beta1):g} / (learning rate), and not {side}, '
    f'for beta1 = {beta1:g}',
    where='abstract; section 3' if beta1 == 0.9 else 'the formula of section 3 at another momentum',
    of=(ADAM,),
    samples=lambda get: worst(settled(get, beta1), axis=1),
    holds=holds,
    unit=f'learning rate times largest eigenvalue of P^(-1/2) H P^(-1/2), median of the last fifth, over {threshold(beta1):g}, '
    f'the {least} of two learning rates',
    changed=SMALLER,
    scope={'relu': 'relu', '250 of 10,000 MNIST digits': 'mnist'} if beta1 == 0.9 else {},
  )


CLAIMS = [
  settles('1a', 0.9, np.min, at_least(0.9)),
  settles('1b', 0.9, np.max, at_most(1.1)),
  settles('1c', 0.5, np.min, at_least(0.9)),
  settles('1d', 0.5, np.max, at_most(1.1)),
  settles('1e', 0.0, np.min, at_least(0.9)),
  settles('1f', 0.0, np.max, at_most(1.1)),
  Claim(
    name='2',
    kind='paper',
    says='The sharpness of Adam, not preconditioned, is nowhere near the edge of gradient descent',
    where='section 3 (raw sharpness)',
    of=(ADAM,),
    samples=raw,
    holds=between(0.0, 0.2),
    unit='last learning rate times largest eigenvalue of the Hessian (2 for gradient descent), beta1 = 0, the larger of two',
    changed=SMALLER,
  ),
]


def edge(get: Get) -> Figure:
  table = get(ADAM, 'sharpness')
  figure, axes = plots.canvas(len(MOMENTA), height=2.9)
  for ax, beta1 in zip(axes[0], MOMENTA, strict=True):
    for lr in RATES:
      plots.steps(ax, select(table, lr=lr, beta1=beta1), 'lr_preconditioned', f'learning rate {lr:g}')
    plots.level(ax, threshold(beta1), f'theory: {threshold(beta1):g}', color='black', linestyle='--')
    plots.mark(ax, 0.8 * STEPS, 'judged from here on' if beta1 == MOMENTA[-1] else None)
    ax.set(title=rf'$\beta_1$ = {beta1:g}', xlabel='step', ylim=(0, 1.45 * threshold(beta1)))
    ax.legend(loc='upper left', fontsize=6)
  axes[0, 0].set_ylabel('learning rate x largest eigenvalue\nof the preconditioned Hessian (1)')
  plots.title(figure, 'Full-batch Adam on digits, 64-64-64-10 tanh network', table)
  return figure


FIGURES = [PaperFigure('cohen2022_edge', (ADAM,), edge, 'Preconditioned sharpness of Adam by momentum (figures 1 and 2).')]
