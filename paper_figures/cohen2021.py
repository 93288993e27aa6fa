"""Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability (Cohen et al. 2021), arXiv 2103.00065."""

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.series import each_seed, select
from configs import cohen2021_descent
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

DESCENT = 'configs/cohen2021_descent.py'
SLOW = (DESCENT,)

BELOW, *EDGE = cohen2021_descent.RATES  # a learning rate under the edge all along, and those that come to it
RATES = ', '.join(f'{lr:g}' for lr in EDGE)
SMALLER = 'a tanh network of 64 units a layer on 500 digits, for 200 units on 5,000 images of CIFAR10'
ELSEWHERE = {'gelu': 'gelu', '250 of 10,000 MNIST digits': 'mnist'}


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def second_half(get: Get, probe: str, reading: str, lr: float) -> np.ndarray:
  """(seed, t) readings of the second half of a run."""
  _, values = each_seed(select(get(DESCENT, probe), lr=lr), reading)
  return values[:, values.shape[1] // 2 :]


def settled(get: Get) -> np.ndarray:
  """(seed, lr) the median of sharpness times learning rate over the second half of a run, at the edge."""
  return np.stack([np.median(second_half(get, 'sharpness', 'lr_largest', lr), axis=1) for lr in EDGE], axis=1)


def sharpening(get: Get) -> np.ndarray:
  """(seed,) last over first sharpness below the edge."""
  _, values = each_seed(select(get(DESCENT, 'sharpness'), lr=BELOW), 'largest/0')
  return values[:, -1] / values[:, 0]


def share_rising(get: Get, lr: float) -> np.ndarray:
  """(seed,) the share of losses of the second half that are above the one before."""
  return np.mean(np.diff(second_half(get, 'performance', 'train_loss', lr), axis=1) > 0, axis=1)


def loss_ratio(get: Get, lr: float) -> np.ndarray:
  """(seed,) the mean loss of the last fifth over that of the first fifth, of the second half of a run."""
  values = second_half(get, 'performance', 'train_loss', lr)
  fifth = values.shape[1] // 5
  return values[:, -fifth:].mean(axis=1) / values[:, :fifth].mean(axis=1)


CLAIMS = [
  Claim(
    name='1',
    kind='paper',
    says='While it is stable, gradient descent goes to ever sharper places',
    where='section 3.1 (progressive sharpening)',
    of=(DESCENT,),
    samples=sharpening,
    holds=at_least(2.0),
    unit=f'last over first largest eigenvalue of the Hessian, learning rate {BELOW:g}',
    changed=SMALLER,
  ),
  Claim(
    name='2a',
    kind='paper',
    says='The sharpness of a tanh network rises until it is 2 / (learning rate), and then does not fall below',
    where='abstract and section 3.2',
    of=(DESCENT,),
    samples=lambda get: settled(get).min(axis=1),
    holds=at_least(1.9),
    unit=f'learning rate times largest eigenvalue, median of the second half, the least of learning rates {RATES}',
    changed=SMALLER,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2b',
    kind='paper',
    says='The sharpness does not rise above 2 / (learning rate)',
    where='abstract and section 3.2',
    of=(DESCENT,),
    samples=lambda get: settled(get).max(axis=1),
    holds=at_most(2.2),
    unit=f'learning rate times largest eigenvalue, median of the second half, the largest of learning rates {RATES}',
    changed=SMALLER,
    scope=ELSEWHERE,
  ),
  Claim(
    name='3a',
    kind='paper',
    says='At the edge of stability the loss of a tanh network on 8 x 8 digits is not monotone over short times',
    where='abstract',
    of=(DESCENT,),
    samples=lambda get: np.min([share_rising(get, lr) for lr in EDGE], axis=0),
    holds=between(0.1, 1.0),
    unit=f'share of losses, 12.5 steps apart, above the one before, second half, the least of learning rates {RATES}',
    changed=SMALLER,
    scope=ELSEWHERE,
  ),
  Claim(
    name='3b',
    kind='control',
    says='Below the edge of stability the loss is monotone',
    where='section 2 (the descent lemma)',
    of=(DESCENT,),
    samples=lambda get: share_rising(get, BELOW),
    holds=between(0.0, 0.0),
    unit=f'share of losses, 12.5 steps apart, above the one before, second half, learning rate {BELOW:g}',
    changed=SMALLER,
  ),
  Claim(
    name='3c',
    kind='paper',
    says='Over long times the loss falls at the edge of stability as well',
    where='abstract',
    of=(DESCENT,),
    samples=lambda get: np.max([loss_ratio(get, lr) for lr in EDGE], axis=0),
    holds=between(0.0, 0.8),
    unit=f'mean loss of the last tenth of a run over that of the tenth after its middle, the largest of learning rates {RATES}',
    changed=SMALLER,
  ),
]


# ---- figure -------------------------------------------------------------------------------------------------------


def edge(get: Get) -> Figure:
  sharpness, losses = get(DESCENT, 'sharpness'), get(DESCENT, 'performance')
  figure, axes = plots.canvas(2, height=3.0)
  sharp, loss = axes[0]
  for number, lr in enumerate(cohen2021_descent.RATES):
    plots.steps(sharp, select(sharpness, lr=lr), 'largest/0', f'learning rate {lr:g}')
    plots.level(sharp, 2 / lr, None, color=f'C{number}', linestyle='--')
    plots.steps(loss, select(losses, lr=lr), 'train_loss', f'learning rate {lr:g}', linewidth=0.7)
  sharp.plot([], [], 'k--', linewidth=0.8, label='2 / learning rate')
  for ax in axes[0]:
    plots.mark(ax, cohen2021_descent.STEPS / 2, 'judged from here on' if ax is sharp else None)
  sharp.set(xlabel='step', ylabel='sharpness: largest eigenvalue\nof the Hessian (loss / weight$^2$)', ylim=(0, 34))
  loss.set(xlabel='step', ylabel='training loss', yscale='log')
  sharp.legend(loc='upper left', ncols=2, fontsize=6)
  loss.legend(loc='upper right', fontsize=6)
  plots.title(figure, 'Digits, 64-64-64-10 tanh network, squared error, full batch', sharpness)
  return figure


FIGURES = [PaperFigure('cohen2021_edge', (DESCENT,), edge, 'Sharpness and loss of gradient descent (figures 1 and 5).')]
