"""High-dimensional dynamics of generalization error in neural networks (Advani, Saxe, Sompolinsky 2017), arXiv 1710.03667."""

import math

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import band
from analysis.tables import each_seed
from dynamics.theory.spectra import Spectrum, generalisation, marchenko_pastur
from paper_figures.paper import Figure, Get, canvas, groups, seeds_of, select

OVER_TIME = 'configs/advani2017_fig2.py'
LARGE = 'configs/advani2017_fig2_large.py'
OVER_ALPHA = 'configs/advani2017_fig4.py'
START = 'configs/advani2017_start.py'
WIDTH = 'configs/advani2017_width.py'
SLOW = ()

NOISE = 0.2  # variance of the labels' noise; the teacher's weights have 1
SMALL = 0.1**2  # variance of the student's first weights, where it is not swept
INPUTS = {OVER_TIME: 200, LARGE: 1000, OVER_ALPHA: 200, START: 400}
RATE = {OVER_TIME: 0.02, LARGE: 0.02, OVER_ALPHA: 0.1}
REPEATS = 5  # seeds that are averaged before the comparison with the formula
DEPARTURE = f'largest relative error over times; each number from a mean over {REPEATS} seeds'
ROUNDING = 2500 * 2.0**-24  # every step may round a weight by so much of its size


# ---- statistics ---------------------------------------------------------------------------------------------------


def test_error(table) -> tuple[np.ndarray, np.ndarray]:
  """(t,) steps and (seed, t) E_g: the squared error on noisy labels. Our test labels have no noise, and our loss a factor 1/2."""
  steps, loss = each_seed(table, 'test_loss')
  return steps, 2 * loss + NOISE


def sampled(get: Get, config: str, train: int) -> list[Spectrum]:
  """One spectrum a seed, of x^T x with features of variance 1/N, from eigenvalues of x^T x / P with variance 1."""
  rows, inputs = select(get(config, 'spectrum'), data__train=train, step=0).sort_values('seed'), INPUTS[config]
  values = rows[[f'eigenvalue/{i}' for i in range(min(train, inputs))]].to_numpy(float)
  return [Spectrum(v * train / inputs, np.full(len(v), 1 / inputs)) for v in values]


def formula(config: str, spectrum: Spectrum, steps: np.ndarray, train: int) -> np.ndarray:
  """(t,) E_g of the paper's equation. Time is steps times learning rate."""
  alpha = train / INPUTS[config]
  return generalisation(RATE[config] * steps, spectrum, teacher=1.0, start=SMALL, noise=NOISE, tau=alpha)


def sizes(table) -> list[int]:
  return sorted(table['data.train'].unique())


def departure(get: Get, config: str, trains: tuple[int, ...]) -> np.ndarray:
  """(group,) the largest |E_g / formula - 1| over times and numbers of examples, of means over five seeds."""
  worst = []
  for train in trains:
    steps, values = test_error(select(get(config, 'performance'), data__train=train))
    expected = np.stack([formula(config, spectrum, steps, train) for spectrum in sampled(get, config, train)])
    worst.append(np.max(np.abs(groups(values, REPEATS) / groups(expected, REPEATS) - 1), axis=1))
  return np.max(worst, axis=0)


def by_alpha(get: Get) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(alpha,), and (seed, alpha) E_g at the last reading and at its least."""
  table = get(OVER_ALPHA, 'performance')
  curves = [test_error(select(table, data__train=train))[1] for train in sizes(table)]
  alphas = np.array(sizes(table)) / INPUTS[OVER_ALPHA]
  return alphas, np.stack([c[:, -1] for c in curves], axis=1), np.stack([c.min(axis=1) for c in curves], axis=1)


def peak(get: Get) -> np.ndarray:
  """(seed,) the alpha with the largest last E_g."""
  alphas, final, _ = by_alpha(get)
  return alphas[final.argmax(axis=1)]


def overtraining(get: Get) -> np.ndarray:
  """(seed,) the last E_g over the least on the way, at the seed's peak."""
  _, final, best = by_alpha(get)
  at = final.argmax(axis=1)[:, None]
  return (np.take_along_axis(final, at, axis=1) / np.take_along_axis(best, at, axis=1))[:, 0]


def by_start(get: Get, train: int) -> tuple[np.ndarray, np.ndarray]:
  """(variance,) of the initial weights and (seed, variance) the last E_g."""
  found = {
    lr**2: test_error(rows)[1][:, -1] for lr, rows in select(get(START, 'performance'), data__train=train).groupby('init_scale')
  }
  return np.array(list(found)), np.stack(list(found.values()), axis=1)


def lines(get: Get) -> tuple[np.ndarray, np.ndarray]:
  """(alpha, seed) slope of E_g over the variance of the initial weights, divided by 1 - alpha; and R^2."""
  slopes, fits = [], []
  for train in sizes(get(START, 'performance')):
    variances, errors = by_start(get, train)
    slopes.append(np.polyfit(variances, errors.T, 1)[0] / (1 - train / INPUTS[START]))
    fits.append(np.corrcoef(np.vstack([variances, errors]))[0, 1:] ** 2)
  return np.array(slopes), np.array(fits)


def drift(get: Get) -> np.ndarray:
  """(seed,) how far the weights moved in the null space, over their size there; the worst of all alphas and variances."""
  table = get(START, 'null_space')
  moved = table[(table['init_scale'] > 0) & (table['step'] > 0)]
  return (moved['moved'] / moved['size']).groupby(moved['seed']).max().to_numpy()


CLAIMS = [
  Claim(
    'advani2017/1a',
    'Test error over time follows the formula with the eigenvalues of the sampled inputs, at N = 200 and alpha = 1/2',
    'figures 2 and 3',
    (OVER_TIME,),
    lambda get: departure(get, OVER_TIME, (100,)),
    0.0,
    0.08,
    DEPARTURE,
  ),
  Claim(
    'advani2017/1b',
    'The same at alpha = 1, up to time 1,000',
    'figures 2 and 3',
    (OVER_TIME,),
    lambda get: departure(get, OVER_TIME, (200,)),
    0.0,
    0.08,
    DEPARTURE,
  ),
  Claim(
    'advani2017/1c',
    'The same at alpha = 2',
    'figures 2 and 3',
    (OVER_TIME,),
    lambda get: departure(get, OVER_TIME, (400,)),
    0.0,
    0.08,
    DEPARTURE,
  ),
  Claim(
    'advani2017/1d',
    'The same at N = 1000, up to past the best stopping time',
    'figures 2 and 3',
    (LARGE,),
    lambda get: departure(get, LARGE, (500, 1000, 2000)),
    0.0,
    0.03,
    f'{DEPARTURE}; the largest of alpha = 1/2, 1, 2',
  ),
  Claim(
    'advani2017/2a',
    'After long training the test error is worst where there are as many examples as inputs',
    'figure 4',
    (OVER_ALPHA,),
    peak,
    0.9,
    1.1,
    'alpha = P/N with the largest last test error',
  ),
  Claim(
    'advani2017/2b',
    'There, early stopping avoids most of the error',
    'figure 4',
    (OVER_ALPHA,),
    overtraining,
    3.0,
    math.inf,
    'last test error over the least on the way',
  ),
  Claim(
    'advani2017/3a',
    'With fewer examples than inputs the final error grows linearly with the variance of the initial weights',
    'effect of the initial weights',
    (START,),
    lambda get: lines(get)[1].min(axis=0),
    0.98,
    1.0,
    'R^2 of the line, the least over alpha = 1/4, 1/2, 3/4',
  ),
  Claim(
    'advani2017/3b',
    'The slope of that line is 1 - alpha',
    'effect of the initial weights',
    (START,),
    lambda get: lines(get)[0].mean(axis=0),
    0.9,
    1.1,
    'slope over 1 - alpha, a mean over alpha = 1/4, 1/2, 3/4',
  ),
  Claim(
    'advani2017/3c',
    'Weights in the null space of the inputs never move',
    'frozen subspace',
    (START,),
    drift,
    0.0,
    ROUNDING,
    'largest |change| over |weights| in the null space after 2,500 steps; the bound is what rounding to float32 may do',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def over_time(get: Get) -> Canvas:
  figure, axes = canvas(3, 2, height=2.3, sharey='row')
  for row, config in zip(axes, (OVER_TIME, LARGE), strict=True):
    table = get(config, 'performance')
    for ax, train in zip(row, sizes(table), strict=True):
      steps, values = test_error(select(table, data__train=train))
      times = RATE[config] * steps
      expected = np.stack([formula(config, spectrum, steps, train) for spectrum in sampled(get, config, train)])
      middle, low, high = band(groups(values, REPEATS))
      shown = steps > 0
      ax.plot(times[shown], middle[shown], color='C0', label='simulation')
      ax.fill_between(times[shown], low[shown], high[shown], color='C0', alpha=0.2, linewidth=0)
      ax.plot(times[shown], expected.mean(axis=0)[shown], 'k--', linewidth=0.9, label='theory, sampled eigenvalues')
      alpha = train / INPUTS[config]
      limit = marchenko_pastur(1 / alpha, variance=alpha).spectrum
      ax.plot(times[shown], formula(config, limit, steps, train)[shown], 'r:', linewidth=0.9, label='theory, infinite size')
      ax.set(
        title=f'N = {INPUTS[config]:,}, alpha = {alpha:g}', xlabel='time (steps x learning rate)', xscale='log', yscale='log'
      )
    row[0].set_ylabel('test error (teacher = 1)')
  axes[0, 0].legend(loc='lower left')
  note = f'means of {REPEATS} seeds, median and range of {seeds_of([get(OVER_TIME, "performance")])}'
  figure.suptitle(f'Linear student, signal to noise 5; {note}', fontsize=9)
  return figure


def over_alpha(get: Get) -> Canvas:
  alphas, final, best = by_alpha(get)
  table = get(OVER_ALPHA, 'performance')
  figure, axes = canvas(1, height=2.8)
  ax = axes[0, 0]
  steps = np.unique(table['step'])
  for name, values, colour in (('at the end', final, 'C0'), ('stopped at the best time', best, 'C1')):
    middle, low, high = band(values)
    ax.plot(alphas, middle, color=colour, marker='.', label=name)
    ax.fill_between(alphas, low, high, color=colour, alpha=0.2, linewidth=0)
  fine = np.unique(np.round(np.geomspace(alphas[0], alphas[-1], 61) * INPUTS[OVER_ALPHA])).astype(int)
  limits = [marchenko_pastur(INPUTS[OVER_ALPHA] / n, variance=n / INPUTS[OVER_ALPHA]).spectrum for n in fine]
  curves = np.stack([formula(OVER_ALPHA, spectrum, steps, n) for spectrum, n in zip(limits, fine, strict=True)])
  for number, values in enumerate((curves[:, -1], curves.min(axis=1))):
    ax.plot(fine / INPUTS[OVER_ALPHA], values, 'k--', linewidth=0.8, label=None if number else 'theory, infinite size')
  ax.axvspan(0.9, 1.1, color='gray', alpha=0.15, linewidth=0, label='claim 2a: peak in 0.9 to 1.1')
  ax.set(xlabel='alpha (examples per input)', ylabel='test error (variance of the teacher)', xscale='log', yscale='log')
  ax.set_xticks((0.25, 0.5, 1, 2, 4), ('1/4', '1/2', '1', '2', '4'))
  ax.set_xticks((), minor=True)
  figure.set_size_inches(6.2, 2.8)
  ax.legend(loc='upper left', bbox_to_anchor=(1, 1))
  time = RATE[OVER_ALPHA] * steps[-1]
  figure.suptitle(f'N = 200, signal to noise 5, time {time:,.0f} at the end; median and range of {seeds_of([table])}', fontsize=9)
  return figure


def start(get: Get) -> Canvas:
  table = get(START, 'performance')
  figure, axes = canvas(2, height=2.8)
  errors, moved = axes[0]
  for number, train in enumerate(sizes(table)):
    alpha = train / INPUTS[START]
    variances, values = by_start(get, train)
    middle, low, high = band(values)
    errors.plot(variances, middle, color=f'C{number}', marker='.', label=f'alpha = {alpha:g}')
    errors.fill_between(variances, low, high, color=f'C{number}', alpha=0.2, linewidth=0)
    spectrum = marchenko_pastur(1 / alpha, variance=alpha).spectrum
    expected = [generalisation(np.array([250.0]), spectrum, start=v, noise=NOISE, tau=alpha)[0] for v in variances]
    errors.plot(variances, expected, 'k--', linewidth=0.8, label=None if number else 'theory: slope 1 - alpha')
    frozen = select(get(START, 'null_space'), data__train=train)
    frozen = frozen[(frozen['step'] > 0) & (frozen['init_scale'] > 0)]
    share = (frozen['moved'] / frozen['size']).groupby(frozen['init_scale'] ** 2)
    moved.plot(variances[1:], share.median(), color=f'C{number}', marker='.', label=f'alpha = {alpha:g}')
    moved.fill_between(variances[1:], share.min(), share.max(), color=f'C{number}', alpha=0.2, linewidth=0)
  moved.axhline(2.0**-24, color='black', linewidth=0.8, linestyle='--', label='one rounding')
  moved.axhline(ROUNDING, color='gray', linewidth=0.8, linestyle=':', label='claim 3c: 2,500 roundings')
  label = 'variance of the initial weights'
  errors.set(title='final test error', xlabel=label, ylabel='test error (variance of the teacher)')
  moved.set(title='weights in the null space', xlabel=label, ylabel='|change| / |initial weights|', yscale='log')
  moved.set_ylim(1e-11, 1e-3)
  errors.legend(loc='upper left')
  moved.legend(loc='lower right')
  figure.suptitle(f'N = 400, signal to noise 5; median and range of {seeds_of([table])}', fontsize=9)
  return figure


def width(get: Get) -> Canvas:
  table = get(WIDTH, 'performance')
  figure, axes = canvas(2, height=2.8, sharey=True)
  for ax, activation in zip(axes[0], ('tanh', 'relu'), strict=True):
    rows = select(table, model__activation=activation)
    widths = sorted(int(value.strip('(,)')) for value in rows['model.widths'].unique())
    readings = [select(rows, model__widths=f'({h},)') for h in widths]
    test = [2 * each_seed(r, 'test_loss')[1] for r in readings]
    parts = {
      'test, at the end': ('C0', '-', np.stack([v[:, -1] for v in test], axis=1)),
      'test, stopped at the best time': ('C1', '-', np.stack([v.min(axis=1) for v in test], axis=1)),
    }
    for name, (colour, line, values) in parts.items():
      middle, low, high = band(values)
      ax.plot(widths, middle, color=colour, linestyle=line, marker='.', label=name)
      ax.fill_between(widths, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.axvline(300 / 31, color='black', linewidth=0.8, linestyle=':', label='as many weights as examples')
    ax.set(title=activation, xlabel='hidden units of the student', xscale='log', yscale='log')
  axes[0, 0].set_ylabel('squared error')
  axes[0, 1].legend(loc='upper right')
  figure.suptitle(f'Teacher of 30 hidden units, 300 noisy examples; median and range of {seeds_of([table])}', fontsize=9)
  return figure


FIGURES = [
  Figure('advani2017_time', (OVER_TIME, LARGE), over_time, 'Test error over time against the formula (figures 2, 3).'),
  Figure(
    'advani2017_alpha', (OVER_ALPHA,), over_alpha, 'Test error by examples per input, at the end and stopped early (figure 4).'
  ),
  Figure('advani2017_start', (START,), start, 'The price of large initial weights, and where it comes from.'),
  Figure('advani2017_width', (WIDTH,), width, 'The nonlinear half: students of all widths.'),
]
