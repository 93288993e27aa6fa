"""Tensor Programs VI: Feature Learning in Infinite-Depth Neural Networks (Yang, Yu, Zhu, Hayou 2023), arXiv 2310.02244."""

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import power_law
from analysis.series import against, each_seed, last, select
from configs._yang2023 import DEPTH_MUP, MUP, ODE
from configs.yang2023_diversity import GAPS
from configs.yang2023_rates import DEPTHS, RATES
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

RATE, ABS = 'configs/yang2023_rates.py', 'configs/yang2023_rates.py:abs'
DIVERSITY = 'configs/yang2023_diversity.py'
SLOW = (RATE,)

CHANGED = 'width 64, 100 steps on 8 x 8 digits, no mean taken off the branches'
ARMS = {'depth-muP': DEPTH_MUP, 'muP alone': MUP}
BRANCHES = {'1/sqrt(L)': DEPTH_MUP, '1/L': ODE}


# ---- statistics -------------------------------------------------------------------------------------------------


def losses(get: Get, config: str, transforms: tuple) -> np.ndarray:
  """(seed, depth, lr) training losses at the end; inf where a run diverged."""
  table = select(get(config, 'performance'), transforms=transforms)
  each = [against(select(table, model__depth=depth), 'lr', 'train_loss', last)[1] for depth in DEPTHS]
  return np.nan_to_num(np.stack(each, axis=1), nan=np.inf)


def octaves(values: np.ndarray) -> float:
  """The largest over the smallest best rate of the depths, in octaves; rates are best by the median loss of (seed, depth, lr)."""
  best = np.log2(RATES)[np.median(values, axis=0).argmin(axis=1)]
  return best.max() - best.min()


def lowest(values: np.ndarray) -> np.ndarray:
  """(depth,) the median loss at the rate that is best at each depth."""
  return np.median(values, axis=0).min(axis=1)


def deepest_over_shallowest(values: np.ndarray) -> float:
  return lowest(values)[-1] / lowest(values)[0]


def increments(get: Get, transforms: tuple) -> tuple[np.ndarray, np.ndarray]:
  """(t,) steps and (seed, t, gap) increments."""
  return each_seed(select(get(DIVERSITY, 'diversity'), transforms=transforms), 'increment')


def exponent(values: np.ndarray) -> float:
  """The power of the gap in the median over seeds of increments (seed, gap)."""
  return power_law(GAPS, np.median(values, axis=0)).slope


# ---- claims -----------------------------------------------------------------------------------------------------

ELSEWHERE = {'absolute value': 'abs', 'MNIST': 'mnist', 'layer norm': 'norm'}
OTHERS = {'absolute value': 'abs', 'tanh': 'tanh', 'MNIST': 'mnist'}
BETWEEN = f'best learning rates at depths {", ".join(map(str, DEPTHS))}, largest over smallest, in octaves'
GROWTH = f'power of the gap, {GAPS[0]} to {GAPS[-1]} blocks, in the distance of states after training'

CLAIMS = [
  Claim(name='1a', kind='paper', where='abstract', of=(RATE,), changed=CHANGED, scope=ELSEWHERE, unit=BETWEEN,
        says='With depth-muP the best learning rate is the same at every depth, within an octave',
        samples=lambda get: losses(get, RATE, DEPTH_MUP), statistic=octaves, holds=at_most(1.0)),
  Claim(name='1b', kind='paper', where='introduction', of=(RATE,), changed=CHANGED, scope=ELSEWHERE, unit=BETWEEN,
        says='Without multipliers of the depth the best learning rate moves by two octaves or more',
        samples=lambda get: losses(get, RATE, MUP), statistic=octaves, holds=at_least(2.0),
        reason='tested: 64 blocks train at no rate, to 2.25 at the best where chance is 2.30 (claim 1c), so that their best rate '
               'says little; with layer norm, where they train, it moves by two octaves'),
  Claim(name='1c', kind='extension', where='not in the paper', of=(RATE,), changed=CHANGED, scope=ELSEWHERE,
        says='Without multipliers of the depth, no learning rate trains 64 blocks as far as 4',
        samples=lambda get: losses(get, RATE, MUP), statistic=deepest_over_shallowest, holds=at_least(2.0),
        unit=f'training loss at depth {DEPTHS[-1]} over that at depth {DEPTHS[0]}, each at its best rate'),
  Claim(name='2a', kind='paper', where='introduction, feature diversity', of=(DIVERSITY,), changed=CHANGED, scope=OTHERS,
        says='With branches times 1/sqrt(L), as in depth-muP, states along the depth differ as the square root of their distance',
        samples=lambda get: increments(get, DEPTH_MUP)[1][:, -1], statistic=exponent, holds=between(0.25, 0.75), unit=GROWTH),
  Claim(name='2b', kind='paper', where='introduction, feature diversity', of=(DIVERSITY,), changed=CHANGED, scope=OTHERS,
        says='With branches times 1/L states along the depth differ in proportion to their distance',
        samples=lambda get: increments(get, ODE)[1][:, -1], statistic=exponent, holds=between(0.75, 1.25), unit=GROWTH),
  Claim(name='3', kind='paper', where='abstract', of=(RATE, ABS), changed=CHANGED,
        says='With depth-muP the absolute value trains a deep network further than relu',
        samples=lambda get: (losses(get, RATE, DEPTH_MUP), losses(get, ABS, DEPTH_MUP)),
        statistic=lambda relu, magnitude: lowest(relu)[-1] / lowest(magnitude)[-1], holds=at_least(1.0),
        reason='untested: both losses are near 0 after 100 steps on 1,024 digits, which leaves little to tell them apart by',
        unit=f'training loss of relu over that of the absolute value at depth {DEPTHS[-1]}, each at its best rate'),
]  # fmt: skip


# ---- figures ----------------------------------------------------------------------------------------------------


def rates(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.8, sharey=True)
  for ax, (name, transforms) in zip(axes[0], ARMS.items(), strict=True):
    values = losses(get, RATE, transforms)
    for place, depth in enumerate(DEPTHS):
      plots.against(ax, np.array(RATES), values[:, place], f'{depth} blocks')
    plots.log_axes(ax)
    plots.ticks(ax, RATES[::3], lambda rate: f'$2^{{{np.log2(rate):.0f}}}$')
    ax.set(title=name, xlabel='learning rate (Adam)')
  axes[0, 0].set_ylabel('training loss after 100 steps')
  axes[0, 0].legend(loc='upper right')
  plots.title(figure, 'Learning rates by depth', get(RATE, 'performance'))
  return figure


def diversity(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.8, sharey=True)
  for ax, (name, transforms) in zip(axes[0], BRANCHES.items(), strict=True):
    times, values = increments(get, transforms)
    for place, step in ((0, times[0]), (-1, times[-1])):
      plots.against(ax, np.array(GAPS), values[:, place], f'step {step}')
    end = np.median(values[:, -1], axis=0)[0]
    plots.guide(ax, GAPS, 0.5, (1, 1.25 * end), 'power 1/2')
    plots.guide(ax, GAPS, 1.0, (1, 1.25 * end), 'power 1', linestyle=':')
    plots.log_axes(ax)
    plots.ticks(ax, GAPS)
    ax.set(title=f'branches times {name}', xlabel='distance (blocks)')
  axes[0, 0].set_ylabel('distance of states over their size')
  axes[0, 1].legend(loc='upper left')
  plots.title(figure, 'Feature diversity, 64 blocks', get(DIVERSITY, 'diversity'))
  return figure


FIGURES = [
  PaperFigure('yang2023_rates', (RATE,), rates, 'Training loss by learning rate and depth (8 x 8 digits).'),
  PaperFigure(
    'yang2023_diversity', (DIVERSITY,), diversity, 'How far states along the depth lie apart, before and after training.'
  ),
]
