"""IDInit: A Universal and Stable Initialization Method for Neural Network Training (Pan et al. 2025), arXiv 2503.04626."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most
from analysis.series import against, by, each_seed, highest, last, reached, select
from configs import pan2025_negative
from configs._pan2025 import INITS
from configs.pan2025_copies import FULL, MINI, READ_ALIKE, READ_APART
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

RANK, ALIKE = 'configs/zhao2021_rank.py', 'configs/zhao2021_rank.py:inputs40'
COPIES, NEGATIVE, RESIDUAL = (f'configs/pan2025_{name}.py' for name in ('copies', 'negative', 'residual'))
SLOW = ()

RANK_OF = 'change_numerical_rank_of/hidden_2/kernel'
APART = 'apart_of/hidden_1/kernel'
LEVEL = 0.95  # training accuracy


# ---- statistics: one number a seed ------------------------------------------------------------------------------------


def above_inputs(get: Get, config: str) -> np.ndarray:
  """(seed, width) the highest numerical rank of W - I over all readings, less the number of inputs."""
  tables = by(select(get(config, 'weight_matrices'), init__name='padded_identity'), 'model.widths')
  return np.stack([highest(rows, RANK_OF) - widths[0] for widths, rows in tables.items()], axis=1)


def apart(get: Get, widths: tuple[int, ...], *sizes: int) -> np.ndarray:
  """(seed, size) how far apart copies are at the last step, with batches of these sizes."""
  rows = select(get(COPIES, 'twins'), model__widths=widths)
  return np.stack([last(select(rows, batch__size=size), APART) for size in sizes], axis=1)


def remaining(get: Get, size: int) -> np.ndarray:
  """(seed,) the last loss on y = -x over the first."""
  losses = each_seed(select(get(NEGATIVE, 'performance'), batch__size=size), 'train_loss')[1]
  return losses[:, -1] / losses[:, 0]


def steps_to_level(get: Get, name: str) -> tuple[np.ndarray, np.ndarray]:
  """(rate,) learning rates and (seed, rate) steps to LEVEL; inf where it was not reached."""
  rows = select(get(RESIDUAL, 'performance'), init__name=INITS[name][0])
  return against(rows, 'lr', 'train_accuracy', lambda table, reading: reached(table, reading, LEVEL))


def versus(name: str):
  """Samples: (seed, rate) steps from IDInit, and those from another init."""
  return lambda get: (steps_to_level(get, 'IDInit')[1], steps_to_level(get, name)[1])


def ratio(ours: np.ndarray, theirs: np.ndarray) -> float:
  """Of median steps, each at the learning rate that is best for its init; inf where only ours never come."""
  best = lambda steps: np.median(steps, axis=0).min()
  return np.inf if np.isinf(best(ours)) else best(ours) / best(theirs)


def medians(values: np.ndarray) -> np.ndarray:
  return np.median(values, axis=0)


EQUAL = 1e-5  # apart by less: rounding of weights of size 1; copies that training tells apart differ by 1e-3 and more
EXCESS = 'numerical rank of W - I (singular values above 1e-4 of the largest) less the number of inputs, highest over steps'
SYMMETRY = (
  'tested: exchanging two copies that the same outputs read leaves the network as it is, so no gradient tells them apart, of a '
  'minibatch or not (claim 2d)'
)
ELSEWHERE = {'tanh': 'tanh', 'momentum 0.9': 'momentum', 'MNIST': 'mnist'}
TARGETS = {'one negative eigenvalue': 'one', '-1/2 and -2': 'uneven', 'six layers': 'six', 'momentum 0.5': 'momentum'}


def faster(name: str, than: str, says: str, **rest) -> Claim:
  return Claim(
    name=name,
    says=says,
    of=(RESIDUAL,),
    samples=versus(than),
    statistic=ratio,
    holds=at_most(1.0),
    unit=f'steps to {LEVEL:.0%} training accuracy from IDInit over those from {than}, medians at the best learning rate of each',
    changed='a residual MLP with layer norm on digits for ResNets with batch norm on CIFAR-10',
    scope={'no norm': 'plain', 'tanh': 'tanh', 'MNIST': 'mnist'},
    **rest,
  )


CLAIMS = [
  Claim(
    name='1a',
    says='From repeated identities a square hidden layer comes to differ from the identity by a rank above the number of inputs',
    where='abstract, section on rank constraints',
    kind='paper',
    of=(RANK,),
    samples=lambda get: above_inputs(get, RANK),
    statistic=medians,
    holds=at_least(1.0),
    unit=f'{EXCESS}, each width',
    changed='64 - 64 - h - h - 10 on digits',
    scope={'tanh': 'tanh', 'linear': 'linear', '40 inputs of a teacher': 'inputs40', 'MNIST, 1,024 units': 'mnist_padded'},
  ),
  Claim(
    name='1b',
    says='Where the number of inputs is a multiple of that of outputs, the rank stays capped at the number of inputs, though '
    'minibatches are used',
    where='not in the paper: copies that are read alike are never told apart',
    kind='extension',
    of=(ALIKE,),
    samples=lambda get: above_inputs(get, ALIKE),
    statistic=medians,
    holds=at_most(0.0),
    unit=EXCESS,
    changed='40 - 40 - 256 - 256 - 10 on labels of a random teacher',
  ),
  Claim(
    name='2a',
    says='With minibatches repeated units are told apart, where different outputs read them',
    where='section on rank constraints',
    kind='paper',
    of=(COPIES,),
    samples=lambda get: apart(get, READ_APART, MINI),
    statistic=medians,
    holds=at_least(1e-3),
    unit='largest difference of incoming weights between units that were copies, after 300 steps',
    changed='an MLP on digits',
    scope=ELSEWHERE,
  ),
  Claim(
    name='2b',
    says='Full batches tell repeated units apart as well, where different outputs read them',
    where='not in the paper, which holds the noise of minibatches to be needed',
    kind='extension',
    of=(COPIES,),
    samples=lambda get: apart(get, READ_APART, FULL),
    statistic=medians,
    holds=at_least(1e-3),
    unit='largest difference of incoming weights between units that were copies, after 300 full batches',
    changed='an MLP on digits',
    scope=ELSEWHERE,
  ),
  Claim(
    name='2c',
    says='With minibatches repeated units are told apart, where the same outputs read them',
    where='section on rank constraints',
    kind='paper',
    of=(COPIES,),
    samples=lambda get: apart(get, READ_ALIKE, MINI),
    statistic=medians,
    holds=at_least(1e-3),
    unit='largest difference of incoming weights between units that were copies, after 300 steps',
    changed='an MLP on digits; without the small noise that later versions add to the identity',
    scope=ELSEWHERE,
    reason=SYMMETRY,
  ),
  Claim(
    name='2d',
    says='Copies that the same outputs read stay equal, with full batches and with minibatches',
    where='not in the paper: a symmetry of the network',
    kind='control',
    of=(COPIES,),
    samples=lambda get: apart(get, READ_ALIKE, FULL, MINI),
    statistic=medians,
    holds=at_most(EQUAL),
    unit='largest difference of incoming weights between units that were copies, after 300 steps, either size of batch',
    changed='an MLP on digits',
    scope=ELSEWHERE,
  ),
  Claim(
    name='3a',
    says='From the identity, full-batch gradient descent does not reach a target with negative eigenvalues',
    where='section on the convergence of the identity',
    kind='paper',
    of=(NEGATIVE,),
    samples=lambda get: remaining(get, pan2025_negative.FULL),
    holds=at_least(0.1),
    unit='last training loss over the first',
    changed='four linear layers of 8 units, y = -x',
    scope=TARGETS,
  ),
  Claim(
    name='3b',
    says='From the identity, minibatch gradient descent reaches it',
    where='abstract, section on the convergence of the identity',
    kind='paper',
    of=(NEGATIVE,),
    samples=lambda get: remaining(get, pan2025_negative.MINI),
    holds=at_most(0.01),
    unit='last training loss over the first',
    changed='four linear layers of 8 units, y = -x',
    scope=TARGETS,
    reason='tested: one of eight seeds has one of eight directions left after 12,000 steps; after 16,000 none has',
  ),
  faster(
    '4a',
    'Kaiming',
    "Residual networks train in no more steps from IDInit than from Kaiming's random weights",
    kind='paper',
    where='abstract, tables of convergence',
  ),
  faster(
    '4b',
    'zero branches',
    'Residual networks train in no more steps from IDInit than from random weights whose branches end in zeros',
    kind='paper',
    where='abstract, on Fixup: random values in the remaining weights do harm',
  ),
  faster(
    '4c',
    'ZerO',
    'Residual networks train in no more steps from IDInit than from ZerO',
    kind='extension',
    where='beside arXiv 2110.12661',
    reason='untested: 18 steps against 21 in the median, which eight seeds do not tell apart',
  ),
]


# ---- the figure -----------------------------------------------------------------------------------------------------

READERS = {READ_APART: 'other outputs read', READ_ALIKE: 'same outputs read'}
BATCHES = {FULL: ('full batches', '-'), MINI: ('minibatches', '--')}


def ranks(ax: Axes, get: Get) -> None:
  arms = (('64 inputs, 10 outputs', RANK, (64, 256, 256), 'C0'), ('40 inputs, 10 outputs', ALIKE, (40, 256, 256), 'C1'))
  for label, config, widths, color in arms:
    rows = select(get(config, 'weight_matrices'), init__name='padded_identity', model__widths=widths)
    plots.steps(ax, rows, RANK_OF, label, color=color)
    plots.level(ax, widths[0], None, color=color)
  ax.set(title='rank, 256 units', xlabel='step', ylabel='numerical rank of W - I')
  ax.legend(title='dotted: inputs', loc='upper right', bbox_to_anchor=(1.0, 0.85))


def copies(ax: Axes, get: Get) -> None:
  for (widths, reader), color in zip(READERS.items(), ('C0', 'C1'), strict=True):
    for size, (batches, line) in BATCHES.items():
      rows = select(get(COPIES, 'twins'), model__widths=widths, batch__size=size)
      rows = rows[rows['step'] > 0]
      rows = rows.assign(**{APART: np.maximum(rows[APART], 1e-9)})  # equal to the bit
      plots.steps(ax, rows, APART, f'{reader}, {batches}', color=color, linestyle=line)
  plots.level(ax, EQUAL, 'bound of claim 2d')
  ax.set(title='copies', xlabel='step', ylabel='largest difference of copies', yscale='log', ylim=(5e-10, 1e6))
  ax.legend(loc='upper right')


def figure(get: Get) -> Figure:
  drawn, axes = plots.canvas(2, 2, height=2.9, width=8.0)
  ranks(axes[0, 0], get)
  copies(axes[0, 1], get)
  negative, residual = axes[1]
  for rows, (batches, line) in zip(by(get(NEGATIVE, 'performance'), 'batch.size').values(), BATCHES.values(), strict=True):
    plots.steps(negative, rows, 'train_loss', batches, linestyle=line)
  negative.set(title='y = -x from the identity', xlabel='step', ylabel='training loss', yscale='log')
  negative.legend(loc='lower left')
  for name in INITS:
    rates, steps = steps_to_level(get, name)
    plots.against(residual, rates, steps, name)
  residual.set(
    title='residual network, 32 blocks', xlabel='learning rate', ylabel=f'steps to {LEVEL:.0%} (training)', xscale='log'
  )
  residual.set_ylim(10, 105)
  residual.legend(loc='upper right', title='gap: a seed did not')
  plots.title(drawn, 'Repeated identities', get(COPIES, 'twins'), get(ALIKE, 'weight_matrices'))
  return drawn


FIGURES = [
  PaperFigure(
    'pan2025_identity',
    (RANK, ALIKE, COPIES, NEGATIVE, RESIDUAL),
    figure,
    'Ranks and copies from repeated identities, a target with negative eigenvalues, and steps of residual networks.',
  )
]
