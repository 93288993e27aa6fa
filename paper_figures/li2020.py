"""How Powerful are Shallow Neural Networks with Bandlimited Random Weights? (Li et al. 2020), arXiv 2008.08427."""

import numpy as np
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import power_law
from analysis.series import against, by, crossing, select
from configs._li2020 import BANDS, BEYOND, FREQUENCIES, WIDTHS, WITHIN
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

COUNTS, NEEDED = 'configs/li2020_widths.py', 'configs/li2020_bands.py'
SLOW = ()

LEVEL = 0.1  # of the relative error: a target counts as fitted below it
CHANGED = 'a ridge of 1e-8 and one wave in one dimension; the paper bounds the hidden weights alone'
ELSEWHERE = {'Gaussians': 'gaussian', 'sines': 'sine'}
WITH_RELU = {**ELSEWHERE, 'relu': 'relu'}


def errors(get: Get, frequency: float, reading: str = 'test_error') -> np.ndarray:
  """(seed, width)."""
  rows = select(get(COUNTS, 'random_features'), frequency=frequency)
  return against(rows, 'model.widths', reading)[1]


def needed(get: Get, probe: str = 'random_features') -> np.ndarray:
  """(seed, frequency): the least band at which the error is below `LEVEL`, inf for none."""
  values = [against(rows, 'band', 'test_error')[1] for rows in by(get(NEEDED, probe), 'frequency').values()]
  x = np.log(np.array(BANDS))
  first = lambda y: np.exp(crossing(x, -np.log(y), -np.log(LEVEL), start=x[0]))
  return np.stack([[first(y) for y in rows] for rows in values], axis=1)


def fall(part: slice):
  """Statistic: the exponent of the median error by width."""
  return lambda samples: power_law(np.array(WIDTHS[part]), np.median(samples, axis=0)).slope


FIRST, LAST = slice(0, 4), slice(3, None)  # 8 to 64 features, 64 to 512

CLAIMS = [
  Claim(
    name='1a',
    says='The error of random features does not go to zero with their number for a target beyond the band of the hidden weights',
    where='theorem 1 and simulations',
    kind='paper',
    of=(COUNTS,),
    samples=lambda get: errors(get, BEYOND)[:, -1],
    holds=at_least(LEVEL),
    unit=f'relative test error of {WIDTHS[-1]} features at a frequency of four times the band',
    changed=CHANGED,
    scope=WITH_RELU,
  ),
  Claim(
    name='1b',
    says='Nor does it fall with their number there, as a power',
    where='theorem 1 and simulations',
    kind='paper',
    of=(COUNTS,),
    samples=lambda get: errors(get, BEYOND)[:, LAST],
    statistic=fall(LAST),
    holds=at_least(-0.1),
    unit=f'exponent of the relative test error by the number of features, {WIDTHS[3]} to {WIDTHS[-1]}, at four times the band',
    changed=CHANGED,
    reason='tested: sines, whose spectrum ends at the band, stay at error 1 (exponent 0); that of tanh has a tail beyond it',
    scope=WITH_RELU,
  ),
  Claim(
    name='1c',
    says='Within the band the error falls with the number of features',
    where='simulations',
    kind='paper',
    of=(COUNTS,),
    samples=lambda get: errors(get, WITHIN)[:, FIRST],
    statistic=fall(FIRST),
    holds=at_most(-0.5),
    unit=f'exponent of the relative test error by the number of features, {WIDTHS[0]} to {WIDTHS[3]}, at a quarter of the band',
    changed=CHANGED,
    scope=WITH_RELU,
  ),
  Claim(
    name='2',
    says='The band that the hidden weights need is proportional to the frequency of the target',
    where='main message (ii)',
    kind='paper',
    of=(NEEDED,),
    samples=needed,
    statistic=lambda bands: power_law(np.array(FREQUENCIES), np.median(bands, axis=0)).slope,
    holds=between(0.8, 1.2),
    unit=f'exponent of the least band with a relative error below {LEVEL:g} by the frequency, of 256 features',
    changed=CHANGED,
    reason='untested: slow waves on an interval are near polynomials, which features of a narrow band make of large coefficients',
    scope=ELSEWHERE,
  ),
  Claim(
    name='3',
    says='The needed band is one of the size of the coefficients: where the ridge allows larger ones, a smaller band is enough',
    where='ours',
    kind='extension',
    of=(NEEDED,),
    samples=lambda get: (needed(get), needed(get, 'bounded')),
    statistic=lambda free, bounded: np.median(free, axis=0) / np.median(bounded, axis=0),
    holds=at_most(0.9),
    unit='needed band at a ridge of 1e-8 over that at 1e-6, at each frequency',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
]


def fitted(get: Get) -> Figure:
  counts, bands = get(COUNTS, 'random_features'), get(NEEDED, 'random_features')
  figure, axes = plots.canvas(3, height=2.9)
  error, size, band = axes[0]
  for color, frequency, name in (('C0', WITHIN, 'a quarter of the band'), ('C1', BEYOND, 'four times the band')):
    plots.against(error, WIDTHS, errors(get, frequency), name, color=color)
    plots.against(size, WIDTHS, errors(get, frequency, 'norm'), name, color=color)
  plots.level(error, 1, 'answer 0')
  error.set(title='error', ylabel='relative test error')
  size.set(title='size of the output layer', ylabel='norm of the coefficients')
  for ax in (error, size):
    ax.set_xlabel('random features')
    plots.log_axes(ax)
    plots.ticks(ax, (8, 32, 128, 512))
  error.set_ylim(3e-8, 3)
  error.legend(loc='lower left', title='frequency')
  for color, probe, name in (('C0', 'random_features', 'ridge 1e-8'), ('C2', 'bounded', 'ridge 1e-6')):
    plots.against(band, FREQUENCIES, needed(get, probe), name, color=color)
  plots.guide(band, FREQUENCIES, 1.0, (8, 2), 'proportional')
  band.set(title=f'band for an error of {LEVEL:g}', xlabel='frequency (radians per unit)', ylabel='band of the hidden weights')
  plots.log_axes(band)
  plots.ticks(band, FREQUENCIES)
  plots.ticks(band, (1, 2, 4, 8, 16, 32), axis='y')
  band.legend(loc='upper left')
  plots.title(figure, 'Random tanh features of a wave, output layer by least squares', counts, bands)
  return figure


FIGURES = [
  PaperFigure('li2020', (COUNTS, NEEDED), fitted, 'What random features of a band can fit, and with which coefficients.')
]
