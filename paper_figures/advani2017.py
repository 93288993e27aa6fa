"""High-dimensional dynamics of generalization error in neural networks (Advani, Saxe, Sompolinsky 2017), arXiv 1710.03667."""

import functools
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.claims import Claim, at_least, at_most, between
from analysis.fits import line
from analysis.series import against, at, by, each_seed, last, lowest, select
from analysis.statistics import mean_and_errors
from configs import _advani2017 as shared
from configs import advani2017_fig2, advani2017_fig4, advani2017_start, advani2017_width
from dynamics.theory.spectra import Spectrum, generalisation, marchenko_pastur
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

OVER_TIME = 'configs/advani2017_fig2.py'
LARGE = 'configs/advani2017_fig2_large.py'
OVER_ALPHA = 'configs/advani2017_fig4.py'
START = 'configs/advani2017_start.py'
WIDTH = 'configs/advani2017_width.py'
SLOW = (LARGE,)

RATE = {OVER_TIME: shared.RATE, LARGE: shared.RATE, OVER_ALPHA: advani2017_fig4.RATE}
NOISE = shared.NOISE**2  # variance of the labels' noise; the teacher's weights have 1
DEPARTURE = 'largest over times of |mean test error over seeds / mean of the formula - 1|'
ELSEWHERE = {'a signal to noise ratio of 1': 'noisy', '100 inputs': 'inputs100'}
ROUNDING = advani2017_start.STEPS * 2.0**-24  # every step may round a weight by so much of its size


# ---- statistics ---------------------------------------------------------------------------------------------------


class Setting(NamedTuple):
  """What the formula needs to know of a config."""

  inputs: int
  noise: float  # variance of the labels' noise
  rate: float


def setting(get: Get, config: str) -> Setting:
  first = get(config, 'performance').iloc[0]
  return Setting(int(first['data.inputs']), float(first['data.noise']) ** 2, RATE[config])


def test_error(loss: np.ndarray, noise: float) -> np.ndarray:
  """E_g: the squared error on noisy labels. Our test labels have no noise, and our loss a factor 1/2."""
  return 2 * loss + noise


def sampled(table: pd.DataFrame, inputs: int, train: int) -> list[Spectrum]:
  """One spectrum a seed, of x^T x with features of variance 1/N, from eigenvalues of x^T x / P with variance 1."""
  values = at(select(table, data__train=train), 'eigenvalue', step=0)
  return [Spectrum(v * train / inputs, np.full(len(v), 1 / inputs)) for v in values[:, : min(train, inputs)]]


def infinite(alpha: float) -> Spectrum:
  """That of infinitely many inputs, by Marchenko and Pastur."""
  return marchenko_pastur(1 / alpha, variance=alpha).spectrum


def formula(known: Setting, spectrum: Spectrum, steps: np.ndarray, train: int) -> np.ndarray:
  """(t,) E_g of the paper's equation. Time is steps times learning rate."""
  times, alpha = known.rate * steps, train / known.inputs
  return generalisation(times, spectrum, teacher=1.0, start=shared.START**2, noise=known.noise, tau=alpha)


def curves(get: Get, config: str, alpha: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(t,) steps, and (seed, t) E_g and what the formula gives with the seed's own eigenvalues."""
  known = setting(get, config)
  train = round(alpha * known.inputs)
  steps, loss = each_seed(select(get(config, 'performance'), data__train=train), 'test_loss')
  spectra = sampled(get(config, 'input_spectrum'), known.inputs, train)
  return steps, test_error(loss, known.noise), np.stack([formula(known, spectrum, steps, train) for spectrum in spectra])


def errors_and_formulas(get: Get, config: str, *alphas: float) -> tuple[np.ndarray, np.ndarray]:
  """(seed, alpha, t) both."""
  pairs = [curves(get, config, alpha)[1:] for alpha in alphas]
  errors, expected = (np.stack(columns, axis=1) for columns in zip(*pairs, strict=True))
  return errors, expected


def departure(errors: np.ndarray, expected: np.ndarray) -> np.ndarray:
  """(alpha,) the largest relative distance over times of the mean error from the mean formula."""
  return np.max(np.abs(errors.mean(axis=0) / expected.mean(axis=0) - 1), axis=-1)


def by_alpha(get: Get) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(alpha,), and (seed, alpha) E_g at the last reading and at its least."""
  table, known = get(OVER_ALPHA, 'performance'), setting(get, OVER_ALPHA)
  trains, final = against(table, 'data.train', 'test_loss', last)
  _, least = against(table, 'data.train', 'test_loss', lowest)
  return trains / known.inputs, test_error(final, known.noise), test_error(least, known.noise)


def peak(get: Get) -> np.ndarray:
  """(seed,) the alpha with the largest last E_g."""
  alphas, final, _ = by_alpha(get)
  return alphas[final.argmax(axis=1)]


def overtraining(get: Get) -> np.ndarray:
  """(seed,) the last E_g over the least on the way, at the seed's peak."""
  _, final, least = by_alpha(get)
  return np.take_along_axis(final / least, final.argmax(axis=1)[:, None], axis=1)[:, 0]


def by_start(get: Get, train: int) -> tuple[np.ndarray, np.ndarray]:
  """(variance,) of the initial weights and (seed, variance) the last E_g."""
  scales, loss = against(select(get(START, 'performance'), data__train=train), 'init_scale', 'test_loss')
  return scales**2, test_error(loss, NOISE)


def lines(get: Get) -> tuple[np.ndarray, np.ndarray]:
  """(seed, alpha) slope of E_g over the variance of the initial weights, divided by 1 - alpha; and R^2."""
  trains = list(by(get(START, 'performance'), 'data.train'))
  fits = [line(*by_start(get, train)) for train in trains]
  slopes = [fit.slope / (1 - train / advani2017_start.INPUTS) for fit, train in zip(fits, trains, strict=True)]
  return np.stack(slopes, axis=1), np.stack([fit.r2 for fit in fits], axis=1)


def null_space(get: Get):
  """Rows after training from weights that are not 0, with `drift`: how far weights moved in the null space, over their size."""
  table = get(START, 'null_space')
  rows = table[(table['init_scale'] > 0) & (table['step'] > 0)]
  return rows.assign(drift=rows['moved'] / rows['size'])


over_seeds = functools.partial(np.mean, axis=0)
each_alpha = functools.partial(np.median, axis=0)

CLAIMS = [
  Claim(name='1a', kind='paper', where='figures 2 and 3', of=(OVER_TIME,), holds=at_most(0.08), unit=DEPARTURE,
        says='The mean test error over time follows the formula with the eigenvalues of the inputs, at N = 200 and alpha = 1/2',
        samples=lambda get: errors_and_formulas(get, OVER_TIME, 0.5), statistic=departure, scope=ELSEWHERE),
  Claim(name='1b', kind='paper', where='figures 2 and 3', of=(OVER_TIME,), holds=at_most(0.08), unit=DEPARTURE,
        says='The mean test error over time follows the formula at N = 200 and alpha = 1, up to time 1,000',
        samples=lambda get: errors_and_formulas(get, OVER_TIME, 1.0), statistic=departure, scope=ELSEWHERE),
  Claim(name='1c', kind='paper', where='figures 2 and 3', of=(OVER_TIME,), holds=at_most(0.08), unit=DEPARTURE,
        says='The mean test error over time follows the formula at N = 200 and alpha = 2',
        samples=lambda get: errors_and_formulas(get, OVER_TIME, 2.0), statistic=departure, scope=ELSEWHERE),
  Claim(name='1d', kind='paper', where='figures 2 and 3', of=(LARGE,), holds=at_most(0.03), statistic=departure,
        says='The mean test error over time follows the formula at N = 1000, up to past the best stopping time',
        samples=lambda get: errors_and_formulas(get, LARGE, 0.5, 1.0, 2.0), unit=f'{DEPARTURE}, at alpha = 1/2, 1 and 2'),
  Claim(name='2a', kind='paper', where='figure 4', of=(OVER_ALPHA,), holds=between(0.9, 1.1), samples=peak,
        says='After long training the test error is worst where there are as many examples as inputs',
        unit='alpha = P/N with the largest last test error', scope=ELSEWHERE),
  Claim(name='2b', kind='paper', where='figure 4', of=(OVER_ALPHA,), holds=at_least(3.0), samples=overtraining,
        says='Where there are about as many examples as inputs, early stopping avoids most of the error',
        unit='last test error over the least on the way, at the alpha where the last is largest', scope=ELSEWHERE),
  Claim(name='3a', kind='paper', where='effect of the initial weights', of=(START,), holds=between(0.98, 1.0),
        says='With fewer examples than inputs the final error grows linearly with the variance of the initial weights',
        samples=lambda get: lines(get)[1], statistic=each_alpha, unit='R^2 of the line, at alpha = 1/4, 1/2 and 3/4'),
  Claim(name='3b', kind='paper', where='effect of the initial weights', of=(START,), holds=between(0.9, 1.1),
        says='The slope of the final error in the variance of the initial weights is 1 - alpha, in the mean over seeds',
        samples=lambda get: lines(get)[0], statistic=over_seeds, unit='slope over 1 - alpha, at alpha = 1/4, 1/2 and 3/4'),
  Claim(name='3c', kind='paper', where='frozen subspace', of=(START,), holds=at_most(ROUNDING),
        says='Weights in the null space of the inputs never move',
        samples=lambda get: null_space(get).groupby('seed')['drift'].max().to_numpy(),
        unit='largest |change| over |weights| in the null space after 2,500 steps; the bound is what rounding to float32 may do'),
]  # fmt: skip


# ---- figures ------------------------------------------------------------------------------------------------------


def over_time(get: Get) -> Figure:
  figure, axes = plots.canvas(3, 2, height=2.3, sharey='row', sharex='row')
  for row, config in zip(axes, (OVER_TIME, LARGE), strict=True):
    known = setting(get, config)
    for ax, alpha in zip(row, advani2017_fig2.ALPHAS, strict=True):
      steps, errors, expected = curves(get, config, alpha)
      later = steps > 0
      times = known.rate * steps[later]
      plots.band(ax, times, errors[:, later], 'simulation', summary=mean_and_errors)
      plots.theory(ax, times, expected.mean(axis=0)[later], 'theory, sampled eigenvalues')
      limit = formula(known, infinite(alpha), steps[later], round(alpha * known.inputs))
      plots.theory(ax, times, limit, 'theory, infinite size', color='red', linestyle=':')
      ax.set(title=f'N = {known.inputs:,}, alpha = {alpha:g}', xlabel='time (steps x learning rate)')
      ax.set(xscale='log', yscale='log')
    row[0].set_ylabel('test error (teacher = 1)')
  axes[0, 0].legend(loc='lower left')
  tables = [get(config, 'performance') for config in (OVER_TIME, LARGE)]
  plots.title(figure, 'Linear student, signal to noise 5', *tables, note='mean of {seeds}, two standard errors')
  return figure


def over_alpha(get: Get) -> Figure:
  table, known = get(OVER_ALPHA, 'performance'), setting(get, OVER_ALPHA)
  alphas, final, least = by_alpha(get)
  figure, axes = plots.canvas(width=6.2, height=2.8)
  ax, steps = axes[0, 0], np.unique(table['step'])
  plots.against(ax, alphas, final, 'at the end')
  plots.against(ax, alphas, least, 'stopped at the best time')
  trains = np.unique(np.round(np.geomspace(alphas[0], alphas[-1], 61) * known.inputs)).astype(int)
  expected = np.stack([formula(known, infinite(train / known.inputs), steps, train) for train in trains])
  plots.theory(ax, trains / known.inputs, expected[:, -1], 'theory, infinite size')
  plots.theory(ax, trains / known.inputs, expected.min(axis=1), None)
  ax.axvspan(0.9, 1.1, color='gray', alpha=0.15, linewidth=0, label='claim 2a: peak in 0.9 to 1.1')
  ax.set(xlabel='alpha (examples per input)', ylabel='test error (variance of the teacher)', xscale='log', yscale='log')
  plots.ticks(ax, (0.25, 0.5, 1, 2, 4), {0.25: '1/4', 0.5: '1/2', 1: '1', 2: '2', 4: '4'}.get)
  ax.legend(loc='upper left', bbox_to_anchor=(1, 1))
  plots.title(figure, f'N = 200, signal to noise 5, time {RATE[OVER_ALPHA] * steps[-1]:,.0f} at the end', table)
  return figure


def start(get: Get) -> Figure:
  table, frozen = get(START, 'performance'), null_space(get)
  figure, axes = plots.canvas(2, height=2.8)
  errors, drift = axes[0]
  for number, train in enumerate(by(table, 'data.train')):
    alpha = train / advani2017_start.INPUTS
    variances, values = by_start(get, train)
    plots.against(errors, variances, values, f'alpha = {alpha:g}')
    time = np.array([advani2017_start.RATE * advani2017_start.STEPS])
    expected = [generalisation(time, infinite(alpha), start=v, noise=NOISE, tau=alpha)[0] for v in variances]
    plots.theory(errors, variances, expected, None if number else 'theory: slope 1 - alpha')
    scales, moved = against(select(frozen, data__train=train), 'init_scale', 'drift')
    plots.against(drift, scales**2, moved, f'alpha = {alpha:g}')
  plots.level(drift, 2.0**-24, 'one rounding', color='black', linestyle='--')
  plots.level(drift, ROUNDING, 'claim 3c: 2,500 roundings')
  label = 'variance of the initial weights'
  errors.set(title='final test error', xlabel=label, ylabel='test error (variance of the teacher)')
  drift.set(title='weights in the null space', xlabel=label, ylabel='|change| / |initial weights|', yscale='log')
  drift.set_ylim(1e-11, 1e-3)
  errors.legend(loc='upper left')
  drift.legend(loc='lower right')
  plots.title(figure, 'N = 400, signal to noise 5', table)
  return figure


def width(get: Get) -> Figure:
  table = get(WIDTH, 'performance')
  figure, axes = plots.canvas(2, height=2.8, sharey=True)
  for ax, activation in zip(axes[0], ('tanh', 'relu'), strict=True):
    rows = select(table, model__activation=activation)
    for read, label in ((last, 'test, at the end'), (lowest, 'test, stopped at the best time')):
      widths, loss = against(rows, 'model.widths', 'test_loss', read)
      plots.against(ax, widths[:, 0], 2 * loss, label)
    as_many = advani2017_width.EXAMPLES / (advani2017_width.INPUTS + 1)
    plots.mark(ax, as_many, 'as many weights as examples', color='black')
    ax.set(title=activation, xlabel='hidden units of the student', xscale='log', yscale='log')
  axes[0, 0].set_ylabel('squared error')
  axes[0, 1].legend(loc='upper left', bbox_to_anchor=(1, 1))
  plots.title(figure, 'Teacher of 30 hidden units, 300 noisy examples', table)
  return figure


FIGURES = [
  PaperFigure('advani2017_time', (OVER_TIME, LARGE), over_time, 'Test error over time against the formula (figures 2, 3).'),
  PaperFigure('advani2017_alpha', (OVER_ALPHA,), over_alpha,
              'Test error by examples per input, at the end and stopped early (figure 4).'),
  PaperFigure('advani2017_start', (START,), start, 'The price of large initial weights, and where it comes from.'),
  PaperFigure('advani2017_width', (WIDTH,), width, 'The nonlinear half: students of all widths.'),
]  # fmt: skip
