"""Neural Tangent Kernel: Convergence and Generalization in Neural Networks (Jacot, Gabriel, Hongler 2018), arXiv 1806.07572."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from analysis.claims import Claim
from analysis.statistics import exponent, rank_correlation
from analysis.tables import last
from dynamics.theory import relu_limit
from paper_figures.paper import Figure, Get, canvas, seeds_of

WIDTHS = 'configs/jacot2018_widths.py'
CIRCLE = 'configs/jacot2018_circle.py'
REGRESSION = 'configs/jacot2018_regression.py'
SLOW = ()

LR, STEPS, WIDE = 0.5, 600, 1024  # of WIDTHS, and the width at which claim 3 is judged
POINTS = (-2.4, -0.6, 0.9, 2.2)  # the training angles of REGRESSION
LIMIT = dict(hidden=2, bias=0.0)  # the architecture of all three
FITTED = 0.1  # an error counts in the fit of its rate while it is above this share of its first value


def by_width(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
  """Width -> rows, in rising order."""
  return dict(sorted((int(text.strip('()').split(',')[0]), rows) for text, rows in table.groupby('model.widths')))


def entries(rows: pd.DataFrame, reading: str) -> tuple[np.ndarray, np.ndarray]:
  """(t,) steps and (seed, t, entry) an array reading of one setting."""
  rows = rows.sort_values(['seed', 'step'])
  columns = [f'{reading}/{i}' for i in range(sum(name.startswith(f'{reading}/') for name in rows))]
  return np.sort(rows['step'].unique()), rows[columns].to_numpy(float).reshape(rows['seed'].nunique(), -1, len(columns))


def on_circle(angle: np.ndarray) -> np.ndarray:
  return np.stack([np.cos(angle), np.sin(angle)], axis=1)


# ---- statistics: one number a seed --------------------------------------------------------------------------------


def spread(get: Get) -> tuple[np.ndarray, np.ndarray]:
  """(w,) widths and (seed, w) how far a seed's first kernel is from the mean of all seeds, rms over its entries."""
  tables = by_width(get(WIDTHS, 'kernel'))
  first = [entries(rows, 'kernel')[1][:, 0] for rows in tables.values()]
  away = [np.sqrt(np.square(k - k.mean(axis=0)).mean(axis=1) * len(k) / (len(k) - 1)) for k in first]
  return np.array(list(tables)), np.stack(away, axis=1)


def drift(get: Get) -> tuple[np.ndarray, np.ndarray]:
  """(w,) widths and (seed, w) |K - K0| / |K0| at the last step."""
  tables = by_width(get(WIDTHS, 'kernel'))
  return np.array(list(tables)), np.stack([last(rows, 'drift') for rows in tables.values()], axis=1)


def modes(get: Get, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """(t,) steps, (seed, i) rates that the first kernel's eigenvalues give, falling, and (seed, t, i) errors along its vectors."""
  kernel = entries(by_width(get(WIDTHS, 'kernel'))[width], 'kernel')[1][:, 0]
  steps, residual = entries(by_width(get(WIDTHS, 'residuals'))[width], 'residual')
  n = residual.shape[-1]
  values, vectors = np.linalg.eigh(kernel.reshape(-1, n, n))
  return steps, LR * values[:, ::-1] / n, residual @ vectors[..., ::-1]


def rate(steps: np.ndarray, error: np.ndarray) -> float:
  """The rate of an exponential decay from the first value (t,), by least squares in the logarithm until it is small."""
  share = np.abs(error / error[0])
  end = np.argmax(share < FITTED) if (share < FITTED).any() else len(share)
  t, log = steps[1 : max(end, 2)], np.log(share[1 : max(end, 2)])
  return -(t @ log) / (t @ t)


def rates(get: Get) -> tuple[np.ndarray, np.ndarray]:
  """(seed, i) expected and measured rates at the judged width, per step."""
  steps, expected, errors = modes(get, WIDE)
  return expected, np.array([[rate(steps, e) for e in seed.T] for seed in errors])


CLAIMS = [
  Claim(
    'jacot2018/1',
    'At the start the kernel becomes deterministic as the network widens: its spread over starts falls as width^(-1/2)',
    'theorem 1; the rate is the usual one of finite widths',
    (WIDTHS,),
    lambda get: -exponent(*spread(get)),
    0.35,
    0.65,
    'a in (rms deviation of the entries of a start from the mean of all) ~ width^-a, widths 32 to 1024',
  ),
  Claim(
    'jacot2018/2a',
    'During training the kernel stays the closer to its start the wider the network',
    'theorem 2, which says that the change vanishes; -1 is the usual rate',
    (WIDTHS,),
    lambda get: exponent(*drift(get)),
    -1.3,
    -0.4,
    f'a in |K - K0| / |K0| ~ width^a after {STEPS} steps, widths 32 to 1024',
  ),
  Claim(
    'jacot2018/2b',
    'Each doubling of the width makes the change of the kernel smaller',
    'theorem 2',
    (WIDTHS,),
    lambda get: (drift(get)[1][:, 1:] / drift(get)[1][:, :-1]).max(axis=1),
    0.0,
    1.0,
    f'largest ratio of the change after {STEPS} steps at one width to that at half the width',
  ),
  Claim(
    'jacot2018/3a',
    'The error decays first along the top eigenvectors of the kernel',
    'section 5 and figure 3',
    (WIDTHS,),
    lambda get: np.array([rank_correlation(*pair) for pair in zip(*rates(get), strict=True)]),
    0.9,
    1.0,
    f'rank correlation of fitted rates and eigenvalues, all 24 eigenvectors, width {WIDE}',
  ),
  Claim(
    'jacot2018/3b',
    'Along each eigenvector the error decays at the learning rate times the eigenvalue: the median over eigenvectors',
    'section 5',
    (WIDTHS,),
    lambda get: np.median(rates(get)[1] / rates(get)[0], axis=1),
    0.8,
    1.2,
    f'fitted rate over lr times eigenvalue over 24, median of the eigenvectors, width {WIDE}',
  ),
  Claim(
    'jacot2018/3c',
    'The same for every one of them',
    'section 5',
    (WIDTHS,),
    lambda get: np.abs(rates(get)[1] / rates(get)[0] - 1).max(axis=1),
    0.0,
    0.2,
    f'largest distance from 1 of fitted rate over lr times eigenvalue over 24, width {WIDE}',
  ),
]


# ---- figures ------------------------------------------------------------------------------------------------------


def circle(get: Get) -> Canvas:
  tables = by_width(get(CIRCLE, 'kernel'))
  figure, axes = canvas(2, height=2.8, sharey=True)
  angle = np.linspace(-np.pi, np.pi, 401)
  limit = relu_limit.kernels(on_circle(np.zeros(1)), on_circle(angle), **LIMIT).ntk[0]
  for ax, place, name in zip(axes[0], (0, -1), ('at the start', 'after 200 steps'), strict=True):
    for colour, (width, rows) in zip(('C1', 'C0'), tables.items(), strict=True):
      kernels = entries(rows, 'kernel')[1][:, place]
      n = round(kernels.shape[1] ** 0.5)
      # The row of the point at angle 0, from -pi to pi.
      row = np.roll(kernels[:, :n], n // 2, axis=1)
      row = np.concatenate([row, row[:, :1]], axis=1)
      at = 2 * np.pi * (np.arange(n + 1) - n // 2) / n
      ax.plot(at, row.T, color=colour, linewidth=0.8, alpha=0.7)
      ax.plot([], [], color=colour, label=f'width {width}')
    ax.plot(angle, limit, color='black', linestyle='--', label='infinite width')
    ax.set(title=name, xlabel='angle between the inputs (radians)')
  axes[0, 0].set_ylabel('tangent kernel')
  axes[0, 0].legend(loc='upper right')
  figure.suptitle(f'Kernel of each network on the unit circle; {seeds_of(list(tables.values()))} a width', fontsize=9)
  return figure


def regression(get: Get) -> Canvas:
  tables = by_width(get(REGRESSION, 'predictions'))
  figure, axes = canvas(2, height=2.8, sharey=True)
  angle, seen = np.linspace(-np.pi, np.pi, 401), on_circle(np.array(POINTS))
  y = np.prod(seen, axis=1, keepdims=True)
  law = relu_limit.trained(seen, y, on_circle(angle), **LIMIT)
  middle, half = law.mean[:, 0], 1.2816 * np.sqrt(np.maximum(np.diag(law.covariance), 0))
  for ax, (width, rows) in zip(axes[0], tables.items(), strict=True):
    outputs = entries(rows, 'outputs')[1][:, -1]
    n = outputs.shape[1]
    turned = np.roll(outputs, n // 2, axis=1)
    at = 2 * np.pi * (np.arange(n) - n // 2) / n
    low, centre, high = np.quantile(turned, (0.1, 0.5, 0.9), axis=0)
    ax.plot(at, turned.T, color='C0', linewidth=0.5, alpha=0.35)
    ax.plot(at, centre, color='C0', label='networks: median')
    ax.plot(at, low, color='C0', linestyle=':', label='networks: 10% and 90%')
    ax.plot(at, high, color='C0', linestyle=':')
    ax.plot(angle, middle, color='black', linestyle='--', label='kernel regression: median')
    ax.fill_between(angle, middle - half, middle + half, color='gray', alpha=0.3, linewidth=0, label='10% to 90%')
    ax.plot(POINTS, y[:, 0], 'o', color='C3', markersize=4, label='training points')
    ax.set(title=f'width {width}', xlabel='angle of the input (radians)')
  axes[0, 0].set(ylabel='output', ylim=(-1.35, 0.75))
  axes[0, 0].legend(loc='lower left', fontsize=6, ncols=2)
  figure.suptitle(f'Functions after 1000 steps on four points; {seeds_of(list(tables.values()))} a width', fontsize=9)
  return figure


def principal(get: Get) -> Canvas:
  figure, axes = canvas(2, height=2.8)
  decays, fits = axes[0]
  steps, expected, errors = modes(get, WIDE)
  share = np.median(np.abs(errors / errors[:, :1]), axis=0)
  for colour, i in zip(('C0', 'C1', 'C2', 'C3'), (0, 1, 5, 15), strict=True):
    keep = share[:, i] > 0.02
    decays.plot(steps[keep], share[keep, i], 'o', color=colour, markersize=2.5, label=f'eigenvector {i + 1}')
    decays.plot(steps, np.exp(-np.median(expected[:, i]) * steps), color=colour, linewidth=0.9)
  decays.plot([], [], color='black', linewidth=0.9, label='lr times eigenvalue')
  decays.set(title='error along eigenvectors', xlabel='step', ylabel='share of the first error', yscale='log', ylim=(0.02, 1.3))
  decays.legend(loc='upper right', fontsize=6)
  wanted, found = rates(get)
  for x, y in zip(wanted, found, strict=True):
    fits.plot(x, y, '.', color='C0', markersize=3, alpha=0.6)
  line = np.array([wanted.min(), wanted.max()])
  fits.plot(line, line, color='black', linestyle='--', linewidth=0.9, label='equal')
  fits.fill_between(line, 0.8 * line, 1.2 * line, color='gray', alpha=0.25, linewidth=0, label='within 20%')
  fits.plot([], [], '.', color='C0', label='an eigenvector of a start')
  fits.set(title='rates', xlabel='lr times eigenvalue (1/step)', ylabel='fitted rate (1/step)', xscale='log', yscale='log')
  fits.legend(loc='upper left')
  runs = by_width(get(WIDTHS, 'kernel'))[WIDE]
  figure.suptitle(f'Convergence along the eigenvectors of the first kernel; width {WIDE}, {seeds_of([runs])}', fontsize=9)
  return figure


def widths(get: Get) -> Canvas:
  figure, axes = canvas(2, height=2.8)
  shown = (
    (axes[0, 0], spread(get), -0.5, 'kernel at the start', 'rms deviation of an entry'),
    (axes[0, 1], drift(get), -1.0, f'kernel after {STEPS} steps', '|K - K0| / |K0|'),
  )
  for ax, (width, values), slope, title, label in shown:
    middle = np.median(values, axis=0)
    ax.fill_between(width, values.min(axis=0), values.max(axis=0), color='C0', alpha=0.2, linewidth=0)
    fitted = np.median(exponent(width, values))
    ax.plot(width, middle, 'o-', color='C0', markersize=3, label=f'networks: exponent {fitted:.2f}')
    ax.plot(width, middle[0] * (width / width[0]) ** slope, color='black', linestyle='--', label=f'width^({slope:g})')
    ax.set(title=title, xlabel='width', ylabel=label, xscale='log', yscale='log')
    ax.legend(loc='lower left')
  rows = by_width(get(WIDTHS, 'kernel'))[WIDE]
  figure.suptitle(
    f'24 points on a sphere in six dimensions, two hidden layers; median and range of {seeds_of([rows])}', fontsize=9
  )
  return figure


FIGURES = [
  Figure('jacot2018_circle', (CIRCLE,), circle, 'The tangent kernel on the circle, before and after training (figure 1).'),
  Figure('jacot2018_regression', (REGRESSION,), regression, 'Trained networks and kernel regression (figure 2).'),
  Figure('jacot2018_modes', (WIDTHS,), principal, 'Convergence along the eigenvectors of the kernel (figure 3, other data).'),
  Figure('jacot2018_widths', (WIDTHS,), widths, 'Spread and change of the kernel by width (theorems 1 and 2).'),
]
