"""Neural Tangent Kernel: Convergence and Generalization in Neural Networks (Jacot, Gabriel, Hongler 2018), arXiv 1806.07572."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.claims import Claim, between
from analysis.fits import decay_rate, power_law
from analysis.series import at, by, each_seed, last
from analysis.statistics import rank_correlation
from configs.jacot2018_regression import ANGLES
from configs.jacot2018_widths import EACH, POINTS, RATE, STEPS
from dynamics.theory import relu_limit
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

WIDTHS = 'configs/jacot2018_widths.py'
CIRCLE = 'configs/jacot2018_circle.py'
REGRESSION = 'configs/jacot2018_regression.py'
SLOW = ()

WIDE = 1024  # the width at which claim 3 is judged
LIMIT = dict(hidden=2, bias=0.0)  # the architecture of all three
FITTED = 0.1  # an error counts in the fit of its rate while it is above this share of its first value


def by_width(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
  """Width of the hidden layers -> rows, in rising order."""
  return {widths[0]: rows for widths, rows in by(table, 'model.widths').items()}


def on_circle(angle: np.ndarray) -> np.ndarray:
  return np.stack([np.cos(angle), np.sin(angle)], axis=1)


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def first_kernels(get: Get) -> tuple[np.ndarray, np.ndarray]:
  """(w,) widths and (seed, w, entry) kernels at the start."""
  tables = by_width(get(WIDTHS, 'kernel'))
  return np.array(list(tables)), np.stack([at(rows, 'kernel', step=0) for rows in tables.values()], axis=1)


def sharpening(kernels: np.ndarray) -> float:
  """a in (spread over seeds of the entries) ~ width^-a, of (seed, w, entry): their standard deviation, rms over entries."""
  return -power_law(EACH, np.sqrt(kernels.var(axis=0, ddof=1).mean(axis=1))).slope


def drift(get: Get) -> tuple[np.ndarray, np.ndarray]:
  """(w,) widths and (seed, w) |K - K0| / |K0| at the last step."""
  tables = by_width(get(WIDTHS, 'kernel'))
  return np.array(list(tables)), np.stack([last(rows, 'drift') for rows in tables.values()], axis=1)


def modes(get: Get) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """At the judged width (t,) steps, (seed, i) rates from the first kernel's eigenvalues, falling, and (seed, t, i) errors along
  its eigenvectors."""
  kernels = at(by_width(get(WIDTHS, 'kernel'))[WIDE], 'kernel', step=0)
  steps, residual = each_seed(by_width(get(WIDTHS, 'residuals'))[WIDE], 'residual')
  eigenvalues, vectors = np.linalg.eigh(kernels.reshape(-1, POINTS, POINTS))
  return steps, RATE * eigenvalues[:, ::-1] / POINTS, residual @ vectors[..., ::-1]


def rates(get: Get) -> tuple[np.ndarray, np.ndarray]:
  """(seed, i) expected and fitted rates at the judged width, per step."""
  steps, expected, errors = modes(get)
  return expected, np.array([[decay_rate(steps, error, FITTED) for error in seed.T] for seed in errors])


def rate_ratio(get: Get) -> np.ndarray:
  """(seed, i) fitted rates over expected ones."""
  expected, fitted = rates(get)
  return fitted / expected


def doublings(change: np.ndarray) -> np.ndarray:
  """(w - 1,) the median over seeds of the change (seed, w) at a width over that at half the width."""
  return np.median(change[:, 1:] / change[:, :-1], axis=0)


OTHERS = {'tanh': 'tanh', 'three hidden layers': 'deep'}
SMALLER = 'two hidden layers, no biases, random points on a sphere'
SPHERE = '24 random points on a sphere for MNIST; two hidden layers for three, without biases'

CLAIMS = [
  Claim(name='1', kind='paper', where='theorem 1; the rate is the usual one of finite widths', of=(WIDTHS,),
        says='At the start the kernel becomes deterministic as the network widens: its spread over starts falls as width^(-1/2)',
        samples=lambda get: first_kernels(get)[1], statistic=sharpening, scope=OTHERS,
        holds=between(0.35, 0.65), changed=SMALLER,
        unit='a in (standard deviation over starts of an entry, rms over entries) ~ width^-a, widths 32 to 1024'),
  Claim(name='2a', kind='paper', where='theorem 2, which says that the change vanishes; -1 is the usual rate', of=(WIDTHS,),
        says='During training the kernel stays the closer to its start the wider the network',
        samples=lambda get: power_law(*drift(get)).slope, holds=between(-1.3, -0.4), scope=OTHERS,
        changed=SMALLER,
        unit=f'a in |K - K0| / |K0| ~ width^a after {STEPS} steps, widths 32 to 1024'),
  Claim(name='2b', kind='paper', where='theorem 2', of=(WIDTHS,), holds=between(0.0, 1.0),
        says='Each doubling of the width makes the change of the kernel smaller',
        samples=lambda get: drift(get)[1], statistic=doublings, changed=SMALLER,
        unit=f'change after {STEPS} steps at one width over that at half the width, each doubling from 32 to 1024'),
  Claim(name='3a', kind='paper', where='section 5 and figure 3', of=(WIDTHS,), holds=between(0.9, 1.0), changed=SPHERE,
        scope=OTHERS, says='The error decays first along the top eigenvectors of the kernel',
        samples=lambda get: np.array([rank_correlation(*pair) for pair in zip(*rates(get), strict=True)]),
        unit=f'rank correlation of fitted rates and eigenvalues, all {POINTS} eigenvectors, width {WIDE}'),
  Claim(name='3b', kind='paper', where='section 5', of=(WIDTHS,), holds=between(0.8, 1.2), changed=SPHERE, scope=OTHERS,
        says='Along each eigenvector the error decays at the learning rate times the eigenvalue: the median over eigenvectors',
        samples=lambda get: np.median(rate_ratio(get), axis=1),
        unit=f'fitted rate over lr times eigenvalue over {POINTS}, median of the eigenvectors, width {WIDE}'),
  Claim(name='3c', kind='paper', where='section 5', of=(WIDTHS,), holds=between(0.0, 0.2), changed=SPHERE,
        says='Along every single eigenvector the error decays at the learning rate times the eigenvalue',
        samples=lambda get: np.abs(rate_ratio(get) - 1).max(axis=1),
        reason='tested: the kernel moves; linearised at the start the network is within 0.07 of every rate, and in all ten seeds '
               'the worst eigenvector is one with a first error below a quarter of the rms, into which others leak',
        unit=f'largest distance from 1 of fitted rate over lr times eigenvalue over {POINTS}, width {WIDE}'),
]  # fmt: skip


# ---- figures ------------------------------------------------------------------------------------------------------


def from_minus_pi(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Angles (n,) from -pi on, and values (seed, n) at angles from 0 on in their order."""
  n = values.shape[1]
  return 2 * np.pi * (np.arange(n) - n // 2) / n, np.roll(values, n // 2, axis=1)


def circle(get: Get) -> Figure:
  tables = by_width(get(CIRCLE, 'kernel'))
  figure, axes = plots.canvas(2, height=2.8, sharey=True)
  angle = np.linspace(-np.pi, np.pi, 401)
  limit = relu_limit.kernels(on_circle(np.zeros(1)), on_circle(angle), **LIMIT).ntk[0]
  for ax, time, name in zip(axes[0], (0, -1), ('at the start', 'after 200 steps'), strict=True):
    for color, (width, rows) in zip(('C1', 'C0'), tables.items(), strict=True):
      kernels = each_seed(rows, 'kernel')[1][:, time]
      places, row = from_minus_pi(kernels[:, : round(kernels.shape[1] ** 0.5)])  # of the point at angle 0
      closed = np.concatenate([row, row[:, :1]], axis=1)
      ax.plot(np.append(places, np.pi), closed.T, color=color, linewidth=0.8, alpha=0.7)
      ax.plot([], [], color=color, label=f'width {width}')
    plots.theory(ax, angle, limit, 'infinite width', linewidth=1.5)
    ax.set(title=name, xlabel='angle between the inputs (radians)')
  axes[0, 0].set_ylabel('tangent kernel')
  axes[0, 0].legend(loc='upper right')
  plots.title(figure, 'Kernel of each network on the unit circle', *tables.values(), note='{seeds} a width')
  return figure


def regression(get: Get) -> Figure:
  tables = by_width(get(REGRESSION, 'predictions'))
  figure, axes = plots.canvas(2, height=2.8, sharey=True)
  angle, seen = np.linspace(-np.pi, np.pi, 401), on_circle(np.array(ANGLES))
  y = np.prod(seen, axis=1, keepdims=True)
  law = relu_limit.trained(seen, y, on_circle(angle), **LIMIT)
  middle, half = law.mean[:, 0], 1.2816 * np.sqrt(np.maximum(np.diag(law.covariance), 0))
  for ax, (width, rows) in zip(axes[0], tables.items(), strict=True):
    places, outputs = from_minus_pi(last(rows, 'outputs'))
    low, centre, high = np.quantile(outputs, (0.1, 0.5, 0.9), axis=0)
    ax.plot(places, outputs.T, color='C0', linewidth=0.5, alpha=0.35)
    ax.plot(places, centre, color='C0', label='networks: median')
    ax.plot(places, low, color='C0', linestyle=':', label='networks: 10% and 90%')
    ax.plot(places, high, color='C0', linestyle=':')
    plots.theory(ax, angle, middle, 'kernel regression: median', linewidth=1.5)
    ax.fill_between(angle, middle - half, middle + half, color='gray', alpha=0.3, linewidth=0, label='10% to 90%')
    ax.plot(ANGLES, y[:, 0], 'o', color='C3', markersize=4, label='training points')
    ax.set(title=f'width {width}', xlabel='angle of the input (radians)')
  axes[0, 0].set(ylabel='output', ylim=(-1.35, 0.75))
  axes[0, 0].legend(loc='lower left', fontsize=6, ncols=2)
  plots.title(figure, 'Functions after 1000 steps on four points', *tables.values(), note='{seeds} a width')
  return figure


def principal(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.8)
  decays, fits = axes[0]
  steps, expected, errors = modes(get)
  share = np.median(np.abs(errors / errors[:, :1]), axis=0)
  for number, i in enumerate((0, 1, 5, 15)):
    shown = share[:, i] > 0.02
    decays.plot(steps[shown], share[shown, i], 'o', color=f'C{number}', markersize=2.5, label=f'eigenvector {i + 1}')
    decays.plot(steps, np.exp(-np.median(expected[:, i]) * steps), color=f'C{number}', linewidth=0.9)
  decays.plot([], [], color='black', linewidth=0.9, label='lr times eigenvalue')
  decays.set(title='error along eigenvectors', xlabel='step', ylabel='share of the first error', yscale='log', ylim=(0.02, 1.3))
  decays.legend(loc='upper right', fontsize=6)
  expected, fitted = rates(get)
  hidden = f', {(fitted <= 0).sum()} of {fitted.size} below 0' if (fitted <= 0).any() else ''  # which a log axis cannot show
  fits.plot(
    expected.ravel(), fitted.ravel(), '.', color='C0', markersize=3, alpha=0.6, label=f'an eigenvector of a start{hidden}'
  )
  ends = np.array([expected.min(), expected.max()])
  plots.theory(fits, ends, ends, 'equal')
  fits.fill_between(ends, 0.8 * ends, 1.2 * ends, color='gray', alpha=0.25, linewidth=0, label='within 20%')
  fits.set(title='rates', xlabel='lr times eigenvalue (1/step)', ylabel='fitted rate (1/step)', xscale='log', yscale='log')
  fits.legend(loc='upper left')
  text = f'Convergence along the eigenvectors of the first kernel; width {WIDE}'
  plots.title(figure, text, by_width(get(WIDTHS, 'kernel'))[WIDE], note='{seeds}, left their median')
  return figure


def widths(get: Get) -> Figure:
  figure, axes = plots.canvas(2, height=2.8)
  start, change = axes[0]
  width, kernels = first_kernels(get)
  deviations = np.sqrt(np.square(kernels - kernels.mean(axis=0)).mean(axis=2) * len(kernels) / (len(kernels) - 1))
  slopes = (-sharpening(kernels), np.median(power_law(*drift(get)).slope))
  for ax, values, power, exponent in zip(axes[0], (deviations, drift(get)[1]), (-0.5, -1.0), slopes, strict=True):
    plots.against(ax, width, values, f'networks: exponent {exponent:.2f}')
    plots.guide(ax, width, power, (width[0], np.median(values[:, 0])), f'width^({power:g})', linewidth=1.5)
    ax.set(xlabel='width', xscale='log', yscale='log')
    ax.legend(loc='lower left')
  start.set(title='kernel at the start', ylabel='rms deviation of an entry')
  change.set(title=f'kernel after {STEPS} steps', ylabel='|K - K0| / |K0|')
  runs = by_width(get(WIDTHS, 'kernel'))[WIDE]
  plots.title(figure, f'{POINTS} points on a sphere in six dimensions, two hidden layers', runs)
  return figure


FIGURES = [
  PaperFigure('jacot2018_circle', (CIRCLE,), circle, 'The tangent kernel on the circle, before and after training (figure 1).'),
  PaperFigure('jacot2018_regression', (REGRESSION,), regression, 'Trained networks and kernel regression (figure 2).'),
  PaperFigure(
    'jacot2018_modes', (WIDTHS,), principal, 'Convergence along the eigenvectors of the kernel (figure 3, other data).'
  ),
  PaperFigure('jacot2018_widths', (WIDTHS,), widths, 'Spread and change of the kernel by width (theorems 1 and 2).'),
]
