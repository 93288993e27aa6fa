"""ZerO Initialization: Initializing Neural Networks with only Zeros and Ones (Zhao et al. 2021), arXiv 2110.12661."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.series import against, by, each_seed, highest, last, select
from analysis.statistics import median_and_quartiles
from configs.zhao2021_descent import LEVEL
from configs.zhao2021_rank import CLASSES, INPUTS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

RANK, DESCENT, DEEP = (f'configs/zhao2021_{name}.py' for name in ('rank', 'descent', 'deep'))
SLOW = ()

CHANGED = 'digits for MNIST, 128 to 512 units for wider layers'
RANK_OF = 'change_numerical_rank_of/hidden_2/kernel'
LABELS = {'gaussian': "He's random", 'identity': 'partial identity', 'hadamard': 'ZerO', 'padded_identity': 'repeated identity'}
HIDDEN = {'hidden_1': 'widening', 'hidden_2': 'square'}
ELSEWHERE = {'tanh': 'tanh', 'linear': 'linear', '40 inputs of a teacher': 'inputs40', 'MNIST, 1,024 units': 'mnist'}


# ---- statistics: one number a seed ------------------------------------------------------------------------------------


def of(get: Get, probe: str, init: str, config: str = RANK) -> dict[tuple[int, ...], pd.DataFrame]:
  """Widths -> rows of an init."""
  return by(select(get(config, probe), init__name=init), 'model.widths')


def rank_over(get: Get, init: str, bound: Callable[[int], int]) -> np.ndarray:
  """(seed, width) the highest numerical rank of W3 - W3(0) over all readings, less `bound(inputs)`."""
  tables = of(get, 'weight_matrices', init)
  return np.stack([highest(rows, RANK_OF) - bound(widths[0]) for widths, rows in tables.items()], axis=1)


def cap(inputs: int) -> int:
  """Columns of `inputs` rows repeat after the next power of two; a readout tells CLASSES of them apart."""
  return 2 ** (inputs - 1).bit_length() + CLASSES


def less_accurate(get: Get) -> np.ndarray:
  """(seed, width) last test accuracy from ZerO less that from random weights, at each width that has both."""
  ours, theirs = (of(get, 'performance', init) for init in ('hadamard', 'gaussian'))
  gap = lambda widths: last(ours[widths], 'test_accuracy') - last(theirs[widths], 'test_accuracy')
  return np.stack([gap(widths) for widths in theirs], axis=1)


def apart(get: Get) -> np.ndarray:
  """(seed,) the largest difference of log training loss between the narrowest and the widest, from the partial identity."""
  (_, narrow), *_, (_, wide) = of(get, 'performance', 'identity').items()
  return np.abs(np.log(each_seed(narrow, 'train_loss')[1] / each_seed(wide, 'train_loss')[1])).max(axis=1)


def stable_ranks(get: Get, init: str) -> np.ndarray:
  """(seed, layer) of the change of the two hidden weights, at equal loss; NaN where a network has not reached it."""
  rows, clock = (select(get(DESCENT, probe), init__name=init) for probe in ('weight_matrices', 'clock'))
  ranks = np.stack([last(rows, f'change_stable_rank_of/{layer}/kernel') for layer in HIDDEN], axis=1)
  return np.where(np.isinf(last(clock, 'stopped'))[:, None], np.nan, ranks)


def of_seeds(get: Get) -> np.ndarray:
  """(seed,) the largest difference of a training loss from ZerO to that of the first seed, over all readings."""
  losses = each_seed(select(get(DESCENT, 'performance'), init__name='hadamard'), 'train_loss')[1]
  return np.abs(losses - losses[:1]).max(axis=1)


def best(get: Get, init: str) -> np.ndarray:
  """(seed,) training accuracy at the last step, at the best learning rate; a network that has diverged has 0."""
  _, values = against(select(get(DEEP, 'performance'), init__name=init), 'lr', 'train_accuracy')
  return np.nan_to_num(values).max(axis=1)


def medians(*samples: np.ndarray) -> np.ndarray:
  return np.median(samples[0], axis=0)


RATES = 'the best of five learning rates'
EXCESS = 'numerical rank of W - W0 (singular values above 1e-4 of the largest) less'
CLAIMS = [
  Claim(
    name='1a',
    says='From the partial identity no square hidden layer ever differs from the identity by a rank above the number of inputs, '
    'however wide it is',
    where='theorem on training degeneracy, figure 3',
    kind='paper',
    of=(RANK,),
    samples=lambda get: rank_over(get, 'identity', lambda inputs: inputs),
    statistic=medians,
    holds=at_most(0.0),
    unit=f'{EXCESS} the number of inputs, highest over steps, each width',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='1b',
    says='From the partial identity the training loss does not depend on the width',
    where='follows from the same theorem',
    kind='extension',
    of=(RANK,),
    samples=apart,
    holds=at_most(0.01),
    unit='largest difference of log training loss over steps, between 128 and 512 units',
    changed=CHANGED,
  ),
  Claim(
    name='2a',
    says='From ZerO a square hidden layer comes to differ from the identity by a rank above the number of inputs',
    where='figure 3',
    kind='paper',
    of=(RANK,),
    samples=lambda get: rank_over(get, 'hadamard', lambda inputs: inputs),
    statistic=medians,
    holds=at_least(1.0),
    unit=f'{EXCESS} the number of inputs, highest over steps, each width',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2b',
    says='From ZerO that rank is capped too, by the next power of two from the number of inputs on plus the number of outputs, '
    'however wide the layer is',
    where='not in the paper: columns of a Hadamard matrix repeat where only so many of its rows are read',
    kind='extension',
    of=(RANK,),
    samples=lambda get: rank_over(get, 'hadamard', cap),
    statistic=medians,
    holds=at_most(0.0),
    unit=f'{EXCESS} 2^ceil(log2 inputs) + outputs, highest over steps, each width',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2c',
    says="From He's random weights the rank passes that cap",
    where='figure 3',
    kind='control',
    of=(RANK,),
    samples=lambda get: rank_over(get, 'gaussian', cap),
    statistic=medians,
    holds=at_least(1.0),
    unit=f'{EXCESS} 2^ceil(log2 inputs) + outputs, highest over steps, each width',
    changed=CHANGED,
  ),
  Claim(
    name='3',
    says="Networks from ZerO generalise as well as from He's random weights",
    where='abstract, tables of test errors',
    kind='paper',
    of=(RANK,),
    samples=less_accurate,
    statistic=medians,
    holds=at_least(-0.01),  # a percentage point
    unit='test accuracy (share) from ZerO less that from random weights, at the last step, each width',
    changed=f'{CHANGED}; an MLP for a ResNet',
    scope={'tanh': 'tanh', '40 inputs of a teacher': 'inputs40'},
  ),
  Claim(
    name='4',
    says='What is learned from ZerO has a lower stable rank than what is learned from random weights, at equal loss',
    where='abstract, section on low-rank trajectories',
    kind='paper',
    of=(DESCENT,),
    samples=lambda get: (stable_ranks(get, 'hadamard'), stable_ranks(get, 'gaussian')),
    statistic=lambda ours, theirs: np.median(ours, axis=0) / np.median(theirs, axis=0),
    holds=at_most(1.0),
    unit=f'stable rank of W - W0 from ZerO over that from random weights, of medians, at {LEVEL:g} nats, each hidden layer',
    changed='an MLP and full batches for a ResNet on CIFAR-10; W - W0 for W',
    scope={'tanh': 'tanh', 'other digits': 'others', '128 units': 'narrow'},
    reason='tested: it is lower in the widening layer (4.2, 4.4) and higher in the square one (5.1, 4.5); of numerical ranks '
    'it is true (67 against 246 in the square layer)',
  ),
  Claim(
    name='5',
    says='Training from ZerO is reproducible: seeds of the init give the same losses to the bit',
    where='abstract, section on reproducibility',
    kind='paper',
    of=(DESCENT,),
    samples=of_seeds,
    holds=between(0.0, 0.0),
    unit='largest difference of training losses between seeds, nats',
    changed='full batches, so that the init is all that a seed draws',
    scope={'tanh': 'tanh', 'other digits': 'others'},
  ),
  Claim(
    name='6a',
    says='ZerO trains residual networks of 128 layers without normalisation',
    where='abstract, section on ultra-deep networks',
    kind='paper',
    of=(DEEP,),
    samples=lambda get: best(get, 'hadamard'),
    holds=at_least(0.95),
    unit=f'training accuracy (share) after 200 steps, at {RATES}',
    changed='dense layers of 64 units on digits for convolutions on CIFAR-10',
    scope={'tanh': 'tanh', '256 layers': 'deeper', 'MNIST': 'mnist'},
  ),
  Claim(
    name='6b',
    says="He's random weights do not train them",
    where='section on ultra-deep networks',
    kind='paper',
    of=(DEEP,),
    samples=lambda get: best(get, 'gaussian'),
    holds=at_most(0.5),
    unit=f'training accuracy (share) after 200 steps, at {RATES}; a network that diverged counts as 0',
    changed='dense layers of 64 units on digits for convolutions on CIFAR-10',
    scope={'tanh': 'tanh', '256 layers': 'deeper', 'MNIST': 'mnist'},
  ),
]


# ---- figures --------------------------------------------------------------------------------------------------------


def caps(ax: Axes) -> None:
  plots.level(ax, INPUTS, f'{INPUTS} inputs', linestyle=':')
  plots.level(ax, cap(INPUTS), f'{cap(INPUTS)}, cap of ZerO', linestyle='--')


def ranks(get: Get) -> Figure:
  figure, axes = plots.canvas(3, height=2.9)
  over_steps, over_widths, scores = axes[0]
  for init, label in LABELS.items():
    tables = of(get, 'weight_matrices', init)
    plots.steps(over_steps, next(rows for widths, rows in tables.items() if widths[1] == 256), RANK_OF, label)
    widths = [widths[1] for widths in tables]
    plots.against(over_widths, widths, np.stack([last(rows, RANK_OF) for rows in tables.values()], axis=1), label)
    accuracy = [last(rows, 'test_accuracy') for rows in of(get, 'performance', init).values()]
    plots.against(scores, widths, np.stack(accuracy, axis=1), label, summary=median_and_quartiles)
  for ax in (over_steps, over_widths):
    caps(ax)
  for ax in (over_widths, scores):
    plots.log_axes(ax, 'x')
    plots.ticks(ax, (128, 256, 512))
    ax.set_xlabel('width of the square layer (units)')
  over_steps.set(title='256 units', xlabel='step', ylabel='numerical rank of W - W0')
  over_widths.set(title='last step', ylabel='numerical rank of W - W0')
  scores.set(title='last step, quartiles', ylabel='test accuracy (share)')
  scores.legend(*over_widths.get_legend_handles_labels(), loc='center left', bbox_to_anchor=(1.0, 0.5))
  plots.title(figure, 'The square layer of 64 - 64 - h - h - 10, relu, digits', get(RANK, 'performance'))
  return figure


def training(get: Get) -> Figure:
  figure, axes = plots.canvas(3, height=2.7)
  deep, descent, stable = axes[0]
  for init, color in (('hadamard', 'C2'), ('gaussian', 'C0')):
    rates, accuracy = against(select(get(DEEP, 'performance'), init__name=init), 'lr', 'train_accuracy')
    plots.against(deep, rates, np.nan_to_num(accuracy), LABELS[init], color=color)
    losses = select(get(DESCENT, 'performance'), init__name=init)
    plots.steps(descent, losses, 'train_loss', LABELS[init], color=color)
    arms = {name: values for name, values in zip(HIDDEN.values(), stable_ranks(get, init).T, strict=True)}
    plots.arms(stable, arms, LABELS[init], color=color, alpha=0.6)
  deep.set(title='128 layers, no normalisation', xlabel='learning rate', ylabel='training accuracy (share)', xscale='log')
  deep.set_ylim(-0.03, 1.03)
  deep.legend(loc='center', title='diverged: 0')
  plots.level(descent, LEVEL, 'stop')
  descent.set(title='full batches', xlabel='step', ylabel='training loss (nats)', yscale='log')
  descent.legend()
  stable.set(title=f'at a loss of {LEVEL:g} nats', xlabel='layer', ylabel='stable rank of W - W0', xlim=(-0.6, 1.6), ylim=(3, 7))
  stable.legend(loc='upper center', title='a point a seed')
  plots.title(figure, 'Training from ZerO and from random weights, digits', get(DEEP, 'performance'), get(DESCENT, 'performance'))
  return figure


FIGURES = [
  PaperFigure('zhao2021_rank', (RANK,), ranks, 'The rank of what a square layer learns, by init and width (figure 3).'),
  PaperFigure('zhao2021_training', (DEEP, DESCENT), training, 'Very deep networks, seeds, and stable ranks at equal loss.'),
]
