"""u-muP: The Unit-Scaled Maximal Update Parametrization (Blake et al. 2024), arXiv 2407.17465."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.series import against, last, select
from configs._blake2024 import STANDARD, STEPS, UNIT
from configs.blake2024_bits import RATES as ROUNDED_RATES
from configs.blake2024_rates import RATES, WIDTHS
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

SLOW = ()
RATE, BITS = 'configs/blake2024_rates.py', 'configs/blake2024_bits.py'
ELSEWHERE = {'tanh': 'tanh', 'MNIST': 'mnist'}
FORMATS = {'E5M2': 'e5m2', **ELSEWHERE}
CHANGED = f'dense networks, {STEPS} steps on 8 x 8 digits'
PARAMETRIZATIONS = {'unit': UNIT, 'standard': STANDARD}
SHARED = {'unit': 2.0**-5, 'standard': 2.0**-10}  # a rate below the best one at every width


def losses(get: Get, name: str) -> np.ndarray:
  """(seed, width, lr) training losses at the end; inf where a run diverged."""
  table = select(get(RATE, 'performance'), transforms=PARAMETRIZATIONS[name])
  each = [against(select(table, model__widths=(width, width)), 'lr', 'train_loss', last)[1] for width in WIDTHS]
  return np.nan_to_num(np.stack(each, axis=1), nan=np.inf)


def octaves(values: np.ndarray, rates: tuple[float, ...]) -> float:
  """The largest over the smallest best rate of the widths, in octaves; best by the median loss of (seed, width, lr)."""
  best = np.log2(rates)[np.median(values, axis=0).argmin(axis=1)]
  return best.max() - best.min()


def at_shared(get: Get, name: str) -> np.ndarray:
  """(seed, width) losses at the rate that all widths share."""
  return losses(get, name)[:, :, RATES[name].index(SHARED[name])]


def widest_fold(values: np.ndarray) -> float:
  """The largest over the smallest median loss of the widths."""
  medians = np.median(values, axis=0)
  return medians.max() / medians.min()


def rounded(get: Get, name: str) -> tuple[np.ndarray, np.ndarray]:
  """(seed, lr) training losses at the end, with weights as they are and rounded."""
  table = get(BITS, 'performance')
  (bits,) = {text for text in table['transforms'] if 'rounded' in text and ('u_mup' in text) == (name == 'unit')}
  of = lambda rows: against(rows, 'lr', 'train_loss', last)[1]
  return of(select(table, transforms=PARAMETRIZATIONS[name])), of(table[table['transforms'] == bits])


def change(plain: np.ndarray, bits: np.ndarray) -> np.ndarray:
  """(lr,): the median over seeds of the loss with rounded weights over that without, less 1."""
  return np.median(bits / plain, axis=0) - 1


BETWEEN = f'best learning rates at widths {", ".join(map(str, WIDTHS))}, largest over smallest, in octaves'
FOLD = f'largest over smallest training loss of widths {", ".join(map(str, WIDTHS))}, at one learning rate'

CLAIMS = [
  Claim(
    name='1a',
    says='Under u-muP the best learning rate of Adam is the same at every width, within an octave',
    where='figure 1',
    kind='paper',
    of=(RATE,),
    samples=lambda get: losses(get, 'unit'),
    statistic=lambda values: octaves(values, RATES['unit']),
    holds=at_most(1.0),
    unit=BETWEEN,
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='1b',
    says='Under the standard parametrization the best learning rate of Adam moves by two octaves or more',
    where='figure 1',
    kind='paper',
    of=(RATE,),
    samples=lambda get: losses(get, 'standard'),
    statistic=lambda values: octaves(values, RATES['standard']),
    holds=at_least(2.0),
    unit=BETWEEN,
    changed=f'{CHANGED}; widths {WIDTHS[0]} to {WIDTHS[-1]}',
    reason='untested: widths span a factor of 9, and losses below 0.003 near the best rate leave its octave to chance',
    scope=ELSEWHERE,
  ),
  Claim(
    name='2a',
    says='Under u-muP one learning rate gives the same training loss at every width',
    where='not in the paper',
    kind='extension',
    of=(RATE,),
    samples=lambda get: at_shared(get, 'unit'),
    statistic=widest_fold,
    holds=at_most(1.5),
    unit=f'{FOLD} of {SHARED["unit"]:g}',
    scope=ELSEWHERE,
  ),
  Claim(
    name='2b',
    says='Under the standard parametrization one learning rate gives very different training losses',
    where='not in the paper',
    kind='control',
    of=(RATE,),
    samples=lambda get: at_shared(get, 'standard'),
    statistic=widest_fold,
    holds=at_least(3.0),
    unit=f'{FOLD} of {SHARED["standard"]:g}',
    scope=ELSEWHERE,
  ),
  Claim(
    name='3a',
    says='Under u-muP rounding the weights to 8 bits (E4M3) leaves the training loss as it is, within one percent',
    where='section 4.5, figure 1',
    kind='paper',
    of=(BITS,),
    samples=lambda get: rounded(get, 'unit'),
    statistic=change,
    holds=between(-0.01, 0.01),
    unit='training loss with rounded weights over that without, less 1, at each of three learning rates',
    changed=f'{CHANGED}; weights alone, not activations and gradients',
    reason='untested: within one percent at the two smaller rates; at the largest, losses of 0.01 differ by more between seeds',
    scope=FORMATS,
  ),
  Claim(
    name='3b',
    says='Under the standard parametrization the same rounding raises the training loss by more than one percent',
    where='not in the paper',
    kind='control',
    of=(BITS,),
    samples=lambda get: tuple(values[:, :1] for values in rounded(get, 'standard')),
    statistic=change,
    holds=at_least(0.01),
    unit='training loss with rounded weights over that without, less 1, at the smallest of three learning rates',
    reason='untested: at width 256 weights of 1/16 are still well inside of the range of E4M3',
    scope=FORMATS,
  ),
]


# ---- figure -----------------------------------------------------------------------------------------------------


def rates_panel(get: Get, ax: Axes, name: str) -> None:
  values = losses(get, name)
  for place, width in enumerate(WIDTHS):
    plots.against(ax, np.array(RATES[name]), values[:, place], f'width {width}')
  plots.level(ax, np.log(10), 'guessing')
  plots.log_axes(ax)
  plots.ticks(ax, RATES[name][::2], lambda rate: f'$2^{{{np.log2(rate):.0f}}}$')


def rates(get: Get) -> Figure:
  figure, axes = plots.canvas(3, height=2.8)
  unit, standard, bits = axes[0]
  for ax, name, text in ((unit, 'unit', 'u-muP'), (standard, 'standard', 'standard')):
    rates_panel(get, ax, name)
    ax.set(title=text, xlabel='learning rate (Adam)', ylabel=f'training loss after {STEPS} steps (nats)')
    ax.set_ylim(3e-4, 4)
  unit.legend(loc='lower left')
  for color, name in (('C0', 'unit'), ('C1', 'standard')):
    plain, eight = rounded(get, name)
    label = 'u-muP' if name == 'unit' else 'standard'
    octaves_below = np.log2(ROUNDED_RATES[name]) - np.log2(ROUNDED_RATES[name][-1])
    plots.against(bits, octaves_below, 100 * (eight / plain - 1), label, color=color)
  bits.axhspan(-1, 1, color='gray', alpha=0.2, linewidth=0, label='within one percent')
  bits.set_yscale('symlog', linthresh=2)
  bits.set(title='weights in 8 bits (E4M3)', xlabel='octaves below the largest rate', ylabel='change of training loss (%)')
  plots.ticks(bits, (-2, -1, 0))
  bits.legend(loc='upper left')
  plots.title(figure, 'u-muP on digits', get(RATE, 'performance'), get(BITS, 'performance'))
  return figure


FIGURES = [
  PaperFigure('blake2024', (RATE, BITS), rates, 'Training loss by learning rate and width, and what eight bits a weight change.')
]
