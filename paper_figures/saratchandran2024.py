"""Weight Conditioning for Smooth Optimization of Neural Networks (Saratchandran, Wang, Lucey 2024), arXiv 2409.03424."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least
from analysis.series import by, crossing, each_seed, last, select, setting
from analysis.statistics import times_later
from configs._saratchandran2024 import ARMS, GOAL, ON, RATES
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

FIT, START = 'configs/saratchandran2024_fit.py', 'configs/saratchandran2024_start.py'
SLOW = ()

CONDITIONED, NORMED, PLAIN = ARMS
SEEN = {CONDITIONED: 'equilibrated_of/', PLAIN: 'condition_of/'}  # the condition numbers of the weights that the network uses
READOUT = 'readout/kernel'  # one row, so always 1


# ---- statistics -----------------------------------------------------------------------------------------------------


def arm(table: pd.DataFrame, name: str, **where) -> pd.DataFrame:
  return select(table, **setting(ON, ARMS[name]), **where)


def psnr(rows: pd.DataFrame, split: str) -> tuple[np.ndarray, np.ndarray]:
  """(t,) steps and (seed, t) decibel; the loss is half the squared error, and the range of a picture is 1."""
  steps, losses = each_seed(rows, f'{split}_loss')
  return steps, -10 * np.log10(2 * losses)


def times(get: Get, name: str) -> tuple[np.ndarray, np.ndarray]:
  """(lr,) rates and (seed, lr) steps to `GOAL` on the training pixels, by a line in log t; inf for never."""
  settings = by(arm(get(FIT, 'performance'), name), 'lr')
  columns = []
  for rows in settings.values():
    steps, values = psnr(rows, 'train')
    columns.append([np.exp(crossing(np.log(steps[1:]), path[1:], GOAL, start=0.0)) for path in values])
  return np.array(list(settings)), np.array(columns).T


def sooner(get: Get) -> np.ndarray:
  """(seed,) steps of the plain network over those of the conditioned one, each at its own best rate."""
  return times_later(*(times(get, name)[1].min(axis=1) for name in (PLAIN, CONDITIONED)))


def best(get: Get, name: str) -> np.ndarray:
  """(seed,) the highest decibel on the test pixels, over rates and steps."""
  runs = by(arm(get(FIT, 'performance'), name), 'lr').values()
  return np.max([np.nanmax(psnr(rows, 'test')[1], axis=1) for rows in runs], axis=0)


def condition(get: Get, name: str, kind: str, config: str = FIT) -> np.ndarray:
  """(seed, lr) the geometric mean of the last condition numbers of all weight matrices but the readout."""
  table = arm(get(config, 'conditioning'), name)
  matrices = [
    column for column in table if column.startswith(kind) and not column.endswith(READOUT) and 'direction/' not in column
  ]
  return np.array([np.mean([np.log(last(rows, name)) for name in matrices], axis=0) for rows in by(table, 'lr').values()]).T


def equilibrated(get: Get) -> np.ndarray:
  """(seed,) the condition number of plain trained weights over that of the same with rows of length 1, at the best rate."""
  place = times(get, PLAIN)[1].argmin(axis=1)[:, None]
  ratio = condition(get, PLAIN, 'condition_of/') - condition(get, PLAIN, 'equilibrated_of/')
  return np.exp(np.take_along_axis(ratio, place, axis=1)[:, 0])


def better_conditioned(get: Get) -> np.ndarray:
  """(seed,) the condition number of plain trained weights over that of conditioned ones, each at its own best rate."""
  at_best = [
    np.take_along_axis(condition(get, name, kind), times(get, name)[1].argmin(axis=1)[:, None], axis=1)[:, 0]
    for name, kind in SEEN.items()
  ]
  return np.exp(at_best[1] - at_best[0])


def sharpness(get: Get, name: str) -> np.ndarray:
  """(seed,) the largest eigenvalue of the Hessian at the start."""
  return last(arm(get(START, 'sharpness'), name), 'largest')[:, 0]


CHANGED = 'pictures of 48 x 48 for radiance fields, 64-48-32 hidden units'
SETTINGS = {'MNIST digits, 28 x 28': 'mnist', 'five hidden layers': 'deep', 'twice the widths': 'wide'}

CLAIMS = [
  Claim(
    name='1a',
    kind='paper',
    where='section 3',
    says='Rows of length 1 lower the condition number of a weight matrix',
    of=(FIT,),
    samples=equilibrated,
    holds=at_least(1.0),
    unit='condition number of the trained weights of plain networks over that of the same with rows of length 1, geometric mean '
    'of all matrices but the readout',
    changed=CHANGED,
    scope=SETTINGS,
  ),
  Claim(
    name='1b',
    kind='paper',
    where='section 3',
    says='Networks that are trained with conditioned weights have weights of smaller condition numbers than plain ones',
    of=(FIT,),
    samples=better_conditioned,
    holds=at_least(1.0),
    unit='condition number of plain trained weights over that of conditioned ones, geometric mean of all matrices but the '
    'readout, each at its best rate',
    changed=CHANGED,
    reason='tested: the numbers part at rates of 1/64 and more alone, four times the best one (46 plain, 37 conditioned at 1/16)',
    scope=SETTINGS,
  ),
  Claim(
    name='2',
    kind='paper',
    where='section 4',
    says='Conditioned weights make the loss smoother: the largest eigenvalue of its Hessian at the start is smaller',
    of=(START,),
    samples=lambda get: sharpness(get, PLAIN) / sharpness(get, CONDITIONED),
    holds=at_least(1.0),
    unit='largest Hessian eigenvalue at the start, plain over conditioned, outputs of one size in the mean',
    changed=CHANGED,
    reason='untested: the rows of the start have nearly one length already, so that conditioning changes little there',
    scope=SETTINGS,
  ),
  Claim(
    name='3',
    kind='paper',
    where='section 5',
    says='Conditioned weights fit a picture in fewer steps, by a tenth or more with either at its best learning rate',
    of=(FIT,),
    samples=sooner,
    holds=at_least(1.1),
    unit=f'steps to {GOAL:g} dB on the training pixels, plain over conditioned, each at its best rate',
    changed=CHANGED,
    reason='tested: a gain comes from the size of the weights: where plain rows start at length 0.58, the default of torch, '
    'conditioned networks need 1.2 times fewer steps (six tuning seeds)',
    scope=SETTINGS,
  ),
  Claim(
    name='4a',
    kind='paper',
    where='section 5, radiance fields',
    says='Conditioned weights render places that were not seen better than plain ones',
    of=(FIT,),
    samples=lambda get: best(get, CONDITIONED) - best(get, PLAIN),
    holds=at_least(0.0),
    unit='dB on the test pixels, conditioned less plain, each at its best rate and step',
    changed=CHANGED,
    scope=SETTINGS,
  ),
  Claim(
    name='4b',
    kind='paper',
    where='section 5',
    says='Conditioned weights render places that were not seen better than weight normalisation does',
    of=(FIT,),
    samples=lambda get: best(get, CONDITIONED) - best(get, NORMED),
    holds=at_least(0.0),
    unit='dB on the test pixels, conditioned less weight normalisation, each at its best rate and step',
    changed=CHANGED,
    scope=SETTINGS,
  ),
]


# ---- figures --------------------------------------------------------------------------------------------------------

COLORS = dict(zip(ARMS, ('C0', 'C1', 'black'), strict=True))
SHOWN = RATES[3]


def fit(get: Get) -> Figure:
  table = get(FIT, 'performance')
  figure, axes = plots.canvas(2, height=3.0)
  paths, reached = axes[0]
  for name, color in COLORS.items():
    steps, values = psnr(arm(table, name, lr=SHOWN), 'train')
    plots.band(paths, steps[1:], values[:, 1:], name, color=color)
    steps, values = psnr(arm(table, name, lr=SHOWN), 'test')
    plots.band(paths, steps[1:], values[:, 1:], None, color=color, linestyle='--')
    plots.against(reached, *times(get, name), name, color=color)
  plots.level(paths, GOAL, 'goal')
  paths.set(xscale='log', title=f'learning rate {SHOWN:.2g}; test dashed', xlabel='step', ylabel='PSNR (dB)')
  paths.legend(loc='upper left')
  plots.log_axes(reached)
  reached.set(title=f'time to {GOAL:g} dB', xlabel='learning rate', ylabel='step')
  plots.ticks(reached, (100, 200, 400, 800), axis='y')
  reached.legend(loc='upper center')
  plots.title(figure, 'Pictures of 48 x 48, MLP 48-64-48-32-1', table)
  return figure


def start(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=3.0)
  curvature, conditions = axes[0]
  pairs = {name: sharpness(get, name) for name in ARMS}
  for name in (CONDITIONED, NORMED):
    curvature.plot(pairs[PLAIN], pairs[name], '.', color=COLORS[name], label=name)
  ends = [min(map(np.min, pairs.values())), max(map(np.max, pairs.values()))]
  plots.theory(curvature, np.array(ends), np.array(ends), 'equal')
  curvature.set(title='at the start', xlabel='largest Hessian eigenvalue, plain', ylabel='the same, reparametrised')
  curvature.legend(loc='upper left')
  for name, kind in SEEN.items():
    plots.against(conditions, np.array(RATES), np.exp(condition(get, name, kind)), name, color=COLORS[name])
  plots.against(
    conditions, np.array(RATES), np.exp(condition(get, PLAIN, SEEN[CONDITIONED])), 'plain, rows of length 1', color='C2'
  )
  conditions.set(xscale='log', yscale='log', title='after training', xlabel='learning rate', ylabel='condition number')
  plots.ticks(conditions, (10, 20, 40), axis='y')
  conditions.legend(loc='upper left')
  plots.title(figure, 'Pictures of 48 x 48, MLP 48-64-48-32-1', get(START, 'sharpness'), get(FIT, 'conditioning'))
  return figure


FIGURES = [
  PaperFigure(
    'saratchandran2024_fit', (FIT,), fit, 'Fitting pictures with conditioned weights, weight normalisation, and plain.'
  ),
  PaperFigure('saratchandran2024_start', (START, FIT), start, 'Curvature at the start, and condition numbers after training.'),
]
