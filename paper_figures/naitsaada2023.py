"""Beyond IID weights: sparse and low-rank deep Neural Networks are also Gaussian Processes (Nait Saada et al. 2023), arXiv 2310.16597."""  # noqa: E501

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.series import against, by, crossing, last, select
from analysis.statistics import resample
from configs._naitsaada2023 import ARMS, FIXED, RANK
from configs.naitsaada2023_edge import DEPTH, SCALES, WIDTH
from configs.naitsaada2023_outputs import WIDTHS
from dynamics.theory import relu_limit
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

OUTPUTS, EDGE = 'configs/naitsaada2023_outputs.py', 'configs/naitsaada2023_edge.py'
SLOW = (OUTPUTS,)

GAUSSIAN, *OTHERS = ARMS
(NOT_PSEUDO_IID,) = FIXED
COLORS = dict(zip((*ARMS, *FIXED), ('black', 'C0', 'C1', 'C2', 'C3', 'C4'), strict=True))


# ---- statistics -----------------------------------------------------------------------------------------------------


def named(table: pd.DataFrame) -> pd.DataFrame:
  """The table with the names of the arms in column `init`."""
  name_of = {block(WIDTH)['name']: name for name, block in ARMS.items()}
  fixed = table['init'].str.startswith(f'low_rank(rank={RANK},')
  return table.assign(init=np.where(fixed, NOT_PSEUDO_IID, table['init'].str.partition('(')[0].map(name_of)))


def moments(get: Get, arms) -> np.ndarray:
  """(seed, arm, width, 4): the width, and means over the outputs of each network: z^2 and z^4 of two inputs, and their z z'."""
  table = named(get(OUTPUTS, 'predictions'))

  def single(rows, width):
    z = last(rows, 'outputs')
    z = z.reshape(len(z), 2, -1)
    means = ((z**2).mean(axis=(1, 2)), (z**4).mean(axis=(1, 2)), (z[:, 0] * z[:, 1]).mean(axis=1))
    return np.stack([np.full(len(z), float(width)), *means], axis=1)

  widths = lambda rows: [single(at_width, n[0]) for n, at_width in by(rows, 'model.widths').items()]
  return np.stack([np.stack(widths(select(table, init=arm)), axis=1) for arm in arms], axis=1)


def kurtosis(of: np.ndarray) -> np.ndarray:
  """(arm, width) the excess kurtosis of an output over networks, from `moments`."""
  _, square, fourth, _ = np.moveaxis(of.mean(axis=0), -1, 0)
  return fourth / square**2 - 3


def left(of: np.ndarray) -> np.ndarray:
  """(arm,) the excess kurtosis at the largest width over that at the smallest."""
  excess = kurtosis(of)
  return excess[:, -1] / excess[:, 0]


def limit_correlation(depth: int) -> float:
  """The correlation of the outputs at two orthogonal inputs of one size in the limit, by the kernel recursion of relu."""
  kernel = relu_limit.kernels(np.eye(2), hidden=depth, bias=0.0).nngp
  return kernel[0, 1] / kernel[0, 0]


def depth_of(get: Get) -> int:
  return len(next(iter(by(get(OUTPUTS, 'predictions'), 'model.widths'))))


def correlation(of: np.ndarray) -> np.ndarray:
  """(arm, width) the correlation over networks of the outputs at two inputs."""
  _, square, _, product = np.moveaxis(of.mean(axis=0), -1, 0)
  return product / square


def over_limit(get: Get) -> np.ndarray:
  """(seed, arm, 1, 4) `moments` at the largest width, with products over the correlation of the limit."""
  of = moments(get, ARMS)[:, :, -1:]
  return of / np.array([1.0, 1.0, 1.0, limit_correlation(depth_of(get))])


def growth(rows: pd.DataFrame, _: str = '') -> np.ndarray:
  """(seed,) log of the mean squared gradient at the first layer's outputs over that at the last hidden layer's."""
  hidden = sum(name.startswith('gradient_mean_square_of/hidden_') for name in rows)
  at_layer = lambda name: last(rows, f'gradient_mean_square_of/{name}/kernel')
  return np.log(at_layer('input') / at_layer(f'hidden_{hidden}'))


def edges(get: Get) -> np.ndarray:
  """(seed, arm) the scale of the weights at which both gradients are of one size, by a line between two scales."""
  table = named(get(EDGE, 'preactivations'))
  curves = [against(select(table, init=arm), 'init_scale', '', growth) for arm in ARMS]
  return np.array([[crossing(scales, seed, 0.0) for seed in values] for scales, values in curves]).T


def expected_growth(scale: float, depth: int = DEPTH) -> float:
  """The mean-field theory of `growth` for tanh, inputs of mean square 1 and iid weights: the sum of log chi over layers."""
  nodes, weights = np.polynomial.hermite_e.hermegauss(80)
  mean = lambda values: values @ weights / weights.sum()
  q, total = scale**2, 0.0
  for _ in range(depth - 1):
    phi = np.tanh(np.sqrt(q) * nodes)
    total += np.log(scale**2 * mean((1 - phi**2) ** 2))
    q = scale**2 * mean(phi**2)
  return total


CHANGED = 'three hidden layers for seven, widths up to 128, 256 networks for 10,000'
CLAIMS = [
  Claim(
    name='1',
    says='With orthogonal, low-rank, sparse or block-sparse weights the outputs of random networks become Gaussian as they '
    'widen, as with Gaussian weights',
    where='abstract, theorem on fully connected networks',
    kind='paper',
    of=(OUTPUTS,),
    samples=lambda get: moments(get, ARMS),
    statistic=left,
    holds=at_most(0.5),  # the theorem gives no rate; finite-width theory gives 1/width, a quarter
    unit='excess kurtosis of an output over networks at width 128 over that at width 32, each of five kinds of weights',
    changed=CHANGED,
    scope={'|x| for relu': 'abs', 'six hidden layers': 'deep', 'rank n/6, ten blocks': 'stronger', 'MNIST': 'mnist'},
  ),
  Claim(
    name='2',
    says='The covariance of the outputs at two inputs is that of the kernel recursion of iid weights',
    where='theorem on fully connected networks',
    kind='paper',
    of=(OUTPUTS,),
    samples=over_limit,
    statistic=lambda of: correlation(of)[:, 0],
    holds=between(0.95, 1.05),
    unit='correlation over networks of the outputs at two orthogonal inputs over that of the recursion, width 128, each of five '
    'kinds of weights',
    changed=CHANGED,
    scope={'six hidden layers': 'deep', 'rank n/6, ten blocks': 'stronger'},
    reason='tested: it comes from below, for sparse weights at 0.86, 0.93 and 0.98 of the limit at widths 32, 64 and 128',
  ),
  Claim(
    name='3',
    says='The edge of chaos lies at the scale at which it lies for Gaussian weights',
    where='abstract, corollary on the edge of chaos',
    kind='paper',
    of=(EDGE,),
    samples=edges,
    statistic=lambda at: np.median(at[:, 1:], axis=0) / np.median(at[:, 0]),
    holds=between(0.97, 1.03),
    unit='scale of the weights at which the gradients of the first and the last hidden layer are of one size, over that of '
    'Gaussian weights, of medians, each of four kinds of weights',
    changed='ten layers of 128 units of tanh without biases, for phase diagrams with biases',
    scope={'erf': 'erf', 'twenty layers': 'deep', 'MNIST': 'mnist'},
  ),
  Claim(
    name='4',
    says='With weights of a rank that does not grow with the width the outputs do not become Gaussian',
    where='not in the paper: such weights are not pseudo-iid',
    kind='control',
    of=(OUTPUTS,),
    samples=lambda get: moments(get, FIXED),
    statistic=lambda of: kurtosis(of)[:, -1],
    holds=at_least(6 / RANK),  # a sum of RANK products of two normals, which one such layer gives
    unit=f'excess kurtosis of an output over networks at width 128, rank {RANK}',
    changed=CHANGED,
    scope={'|x| for relu': 'abs', 'MNIST': 'mnist'},
  ),
]


# ---- figures --------------------------------------------------------------------------------------------------------


def outputs(get: Get) -> Figure:
  figure, axes = plots.canvas(3, height=2.8)
  shape, shared, edge = axes[0]
  of = moments(get, COLORS)
  for ax, statistic, labels in ((shape, kurtosis, COLORS), (shared, correlation, dict.fromkeys(COLORS))):
    estimates = resample((of,), lambda of, statistic=statistic: statistic(of).ravel())
    lines = (np.reshape(values, (len(COLORS), -1)) for values in (estimates.value, *estimates.interval()))
    for name, *line in zip(COLORS, *lines, strict=True):
      plots.band(ax, WIDTHS, np.stack(line), name if labels[name] else None, tuple, color=COLORS[name], marker='.')
  plots.guide(shape, WIDTHS, -1.0, (WIDTHS[0], 1.5), '1/width')
  plots.level(shared, limit_correlation(depth_of(get)), 'recursion', linestyle='--', color='black')
  for ax in (shape, shared):
    plots.log_axes(ax, 'x')
    plots.ticks(ax, WIDTHS)
    ax.set_xlabel('width (units)')
  plots.log_axes(shape, 'y')
  shape.set(title='outputs over networks', ylabel='excess kurtosis')
  shared.set(title='outputs at two inputs', ylabel='correlation', ylim=(0.45, 0.75))
  shared.legend(loc='lower right')
  table = named(get(EDGE, 'preactivations'))
  for name in ARMS:
    plots.against(edge, *against(select(table, init=name), 'init_scale', '', growth), None, color=COLORS[name])
  plots.theory(edge, np.array(SCALES), np.array([expected_growth(scale) for scale in SCALES]), 'mean field', linewidth=1.5)
  plots.level(edge, 0.0, 'edge')
  edge.set(
    title=f'first over last of {DEPTH} layers, tanh', xlabel='scale of the weights', ylabel='log ratio of squared gradients'
  )
  edge.legend(loc='upper left')
  handles, labels = shape.get_legend_handles_labels()
  figure.legend(handles, labels, loc='outside right center')
  text = 'Random networks with weights of one variance'
  plots.title(figure, text, get(OUTPUTS, 'predictions'), table, note='left 95% intervals, right median and range, {seeds}')
  return figure


FIGURES = [
  PaperFigure(
    'naitsaada2023',
    (OUTPUTS, EDGE),
    outputs,
    'Outputs of random networks with pseudo-iid weights, by width, and the edge of chaos.',
  )
]
