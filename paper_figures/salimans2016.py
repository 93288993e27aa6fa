"""Weight Normalization: A Simple Reparameterization (Salimans, Kingma 2016), arXiv 1602.07868."""

import functools

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, between
from analysis.fits import line
from analysis.series import against, each_seed, last, reached, select
from analysis.statistics import times_later
from configs._salimans2016 import LEVEL, OCTAVE, RATES, SHORT
from configs.salimans2016_growth import MOMENTA
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

GROWTH = 'configs/salimans2016_growth.py'
NORMED, PLAIN = 'configs/salimans2016_rates.py', 'configs/salimans2016_plain.py'
SLOW = ()

V, MATRIX = 'direction/', '/kernel'  # the paths of the v of weight matrices begin and end so
UPPER = 3  # octaves below the largest rate that works, in which claim 2c looks at the effective rate
ARMS = {  # name -> config and setting
  'v short': (NORMED, dict(direction_scale=SHORT)),
  'v as long as w': (NORMED, dict(direction_scale=1.0)),
  'w itself': (PLAIN, {}),
}
NORMED_SHORT, NORMED_LONG, NOT_NORMED = ARMS


# ---- statistics -----------------------------------------------------------------------------------------------------


def squares(table) -> tuple[np.ndarray, np.ndarray]:
  """(t,) steps and (seed, t) the sum of |v|^2 over all weight matrices, of a table of `norms` of one setting."""
  names = [name for name in table if name.startswith(f'norm_of/{V}') and name.endswith(MATRIX)]
  steps, _ = each_seed(table, names[0])
  return steps, sum(each_seed(table, name)[1] ** 2 for name in names)


def path(get: Get, beta1: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(t,) steps, (seed, t) |v|^2 of all weight matrices, and (seed, t) the sum of the squared steps of v until then."""
  norms, moves = (select(get(GROWTH, probe), beta1=beta1) for probe in ('norms', 'effective_step'))
  steps, total = squares(norms)
  walked = np.zeros_like(total)
  for name in (name.removeprefix('norm_of/') for name in norms if name.startswith(f'norm_of/{V}') and name.endswith(MATRIX)):
    length, share = each_seed(norms, f'norm_of/{name}')[1], each_seed(moves, f'relative_of/{name}')[1]
    walked[:, 1:] += np.cumsum((share[:, 1:] * length[:, :-1]) ** 2, axis=1)  # each reading is of one step
  return steps, total, walked


def growth(get: Get, beta1: float) -> np.ndarray:
  """(seed,) by how much |v|^2 has grown at the end, over the sum of the squared steps."""
  _, total, walked = path(get, beta1)
  return (total[:, -1] - total[:, 0]) / walked[:, -1]


def works(get: Get, arm: str) -> tuple[np.ndarray, np.ndarray]:
  """(lr,) rates and (seed, lr) whether the last training accuracy is at least `LEVEL`; that of diverged networks is not."""
  config, where = ARMS[arm]
  rates, accuracy = against(select(get(config, 'performance'), **where), 'lr', 'train_accuracy', last)
  return rates, accuracy >= LEVEL


def octaves(get: Get, arm: str) -> np.ndarray:
  """(seed,) octaves of learning rates that work."""
  return works(get, arm)[1].sum(axis=1) / OCTAVE


def effective(get: Get) -> tuple[np.ndarray, np.ndarray]:
  """(lr,) rates and (seed, lr) lr / |v|^2 at the end, of short v; NaN where the network has diverged."""
  config, where = ARMS[NORMED_SHORT]
  rates, ends = against(select(get(config, 'norms'), **where), 'lr', 'norm', lambda rows, _: squares(rows)[1][:, -1])
  return rates, rates / np.where(np.isfinite(ends), ends, np.nan)


def followed(get: Get) -> np.ndarray:
  """(seed,) octaves by which the effective rate rises an octave of the rate, over the largest ones that work."""
  rates, working = works(get, NORMED_SHORT)
  slopes = []
  for right, values in zip(working, effective(get)[1], strict=True):
    inside = right & (rates >= 2.0**-UPPER * rates[right].max(initial=0.0))
    slopes.append(line(np.log(rates[inside]), np.log(values[inside])).slope if inside.sum() > 2 else np.nan)
  return np.array(slopes)


def fewest(get: Get, arm: str) -> tuple[np.ndarray, np.ndarray]:
  """(lr,) rates and (seed, lr) steps to a training accuracy of `LEVEL`; inf for never."""
  config, where = ARMS[arm]
  table = select(get(config, 'performance'), **where)
  return against(table, 'lr', 'train_accuracy', functools.partial(reached, level=LEVEL))


def sooner(get: Get) -> np.ndarray:
  """(seed,) steps without weight normalisation over those with it, each at its own best rate."""
  plain, normed = (fewest(get, arm)[1].min(axis=1) for arm in (NOT_NORMED, NORMED_SHORT))
  return times_later(plain, normed)


CHANGED = 'digits and a dense network of 64-64-64 units, 500 steps of 50, SGD'
SETTINGS = {'MNIST digits, 28 x 28': 'mnist', 'tanh': 'tanh', 'six hidden layers': 'deep'}
WITH_ADAM = {**SETTINGS, 'Adam': 'adam'}
RANGE = (
  f'octaves of rates, every {1 / OCTAVE:g}, that end at {LEVEL:.0%} training accuracy or more, with weight normalisation less '
  'those without'
)

CLAIMS = [
  Claim(
    name='1a',
    kind='paper',
    where='section 2.1',
    says='Gradient descent without momentum lets |v|^2 grow by the square of each step: the gradient of v is orthogonal to v',
    of=(GROWTH,),
    samples=lambda get: growth(get, MOMENTA[0]),
    holds=between(0.999, 1.001),
    unit='growth of |v|^2 over the sum of the squared steps of v, all weight matrices, 400 steps at rate 0.03',
    changed=CHANGED,
    scope=SETTINGS,
  ),
  Claim(
    name='1b',
    kind='extension',
    where='section 2.1',
    says='With momentum b |v|^2 grows by (1 + b) / (1 - b) times the squares of the steps, 19 times for 0.9',
    of=(GROWTH,),
    samples=lambda get: growth(get, MOMENTA[1]),
    holds=between(18, 20),
    unit='growth of |v|^2 over the sum of the squared steps of v, all weight matrices, momentum 0.9, 400 steps at rate 0.03',
    changed=CHANGED,
    scope=SETTINGS,
  ),
  Claim(
    name='2a',
    kind='paper',
    where='section 2.1',
    says='With weight normalisation a much wider range of learning rates works, an octave or more',
    of=(NORMED, PLAIN),
    samples=lambda get: octaves(get, NORMED_SHORT) - octaves(get, NOT_NORMED),
    holds=at_least(1.0),
    unit=f'{RANGE}; v starts at {SHORT:g} of the length of w',
    changed=CHANGED,
    scope=WITH_ADAM,
  ),
  Claim(
    name='2b',
    kind='extension',
    where='section 2.1',
    says='A range of learning rates that is wider by an octave or more needs no short start of v',
    of=(NORMED, PLAIN),
    samples=lambda get: octaves(get, NORMED_LONG) - octaves(get, NOT_NORMED),
    holds=at_least(1.0),
    unit=f'{RANGE}; v starts as long as w',
    changed=CHANGED,
    reason='tested: the gain is one octave, on the bound, with SGD, and three with Adam, where 2a has the same arms',
    scope=WITH_ADAM,
  ),
  Claim(
    name='2c',
    kind='paper',
    where='section 2.1',
    says='Where the learning rate is large |v| grows until an effective rate lr / |v|^2 is reached that suits: one that changes '
    'by half an octave or less an octave of the rate',
    of=(NORMED,),
    samples=followed,
    holds=between(-0.5, 0.5),
    unit=f'slope of ln(lr / |v|^2) at the end in ln(lr), over the {UPPER} octaves below the largest rate that works, short v',
    changed=CHANGED,
    reason='tested: the first steps make |v| longer than it need be; where the rate rises over 200 steps the slope is 0.13 '
    '(-0.02 to 0.25, four tuning seeds), and -1.1 where it does not',
    scope=SETTINGS,
  ),
  Claim(
    name='3',
    kind='paper',
    where='abstract and figure 1',
    says='Weight normalisation speeds up training, by a tenth or more with either at its best learning rate',
    of=(NORMED, PLAIN),
    samples=sooner,
    holds=at_least(1.1),
    unit=f'steps to {LEVEL:.0%} training accuracy without weight normalisation over those with it, short v, each at its best',
    changed=CHANGED,
    reason='tested: it is not the data-dependent start that leaves nothing to gain: from Gaussian weights of half the usual '
    'size the plain network is the faster one, 98 steps against 140 (five tuning seeds)',
    scope=WITH_ADAM,
  ),
]


# ---- figures --------------------------------------------------------------------------------------------------------

COLORS = dict(zip(ARMS, ('C0', 'C1', 'black'), strict=True))


def norms(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=3.0)
  lengths, effect = axes[0]
  for number, beta1 in enumerate(MOMENTA):
    steps, total, walked = path(get, beta1)
    name = f'momentum {beta1:g}' if beta1 else 'no momentum'
    plots.band(lengths, steps[1:], total[:, 1:] - total[:, :1], name, color=f'C{number}')
    law = (1 + beta1) / (1 - beta1)
    plots.theory(lengths, steps[1:], law * np.median(walked, axis=0)[1:], f'{law:.0f} x squared steps')
  lengths.set(xscale='log', yscale='log', title='growth of |v|$^2$', xlabel='step', ylabel='|v|$^2$ less that at the start')
  lengths.set_ylim(top=50 * lengths.get_ylim()[1])  # for the legend
  lengths.legend(loc='upper left')
  rates, values = effective(get)
  plots.against(effect, rates, values, 'short v, at the end', color=COLORS[NORMED_SHORT])
  start = squares(select(get(NORMED, 'norms'), direction_scale=SHORT, lr=RATES[0]))[1][:, 0]
  plots.theory(effect, rates, rates / np.median(start), 'at the start')
  effect.set(xscale='log', yscale='log', title='effective rate', xlabel='learning rate', ylabel='lr / |v|$^2$')
  effect.legend(loc='upper left')
  plots.title(figure, 'Digits, MLP 64-64-64-64-10', get(GROWTH, 'norms'))
  return figure


def rates(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=3.0)
  share, times = axes[0]
  for arm, (config, where) in ARMS.items():
    table = select(get(config, 'performance'), **where)
    plots.against(share, *against(table, 'lr', 'train_accuracy'), arm, color=COLORS[arm])
    plots.against(times, *fewest(get, arm), arm, color=COLORS[arm])
  plots.level(share, LEVEL, 'works')
  share.set(xscale='log', title='after 500 steps', xlabel='learning rate', ylabel='training accuracy (share)', ylim=(-0.03, 1.03))
  share.legend(loc='lower center', title='trained is', title_fontsize=7.5, alignment='left')
  times.set(xscale='log', yscale='log', title=f'time to {LEVEL:.0%}', xlabel='learning rate', ylabel='step')
  plots.ticks(times, (30, 50, 100, 200, 400), axis='y')
  plots.title(figure, 'Digits, MLP 64-64-64-64-10', get(PLAIN, 'performance'))
  return figure


FIGURES = [
  PaperFigure('salimans2016_norms', (GROWTH, NORMED), norms, 'Growth of |v|, and the effective rate that it leaves.'),
  PaperFigure('salimans2016_rates', (NORMED, PLAIN), rates, 'Learning rates that work, and how fast each of them learns.'),
]
