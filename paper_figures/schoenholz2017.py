"""Deep Information Propagation (Schoenholz, Gilmer, Ganguli, Sohl-Dickstein 2017), arXiv 1611.01232."""

import functools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.claims import Claim, between
from analysis.fits import exponential
from analysis.series import last, select
from configs.schoenholz2017_signal import BIAS_STDS, LAYERS, WEIGHT_STDS
from dynamics.theory import propagation
from paper_figures import plots
from paper_figures.paper import Get, PaperFigure

SLOW = ()
SIGNAL = 'configs/schoenholz2017_signal.py'
ELSEWHERE = {'width 100': 'narrow', 'the 28 x 28 digits': 'mnist'}
CHANGED = '20 layers 200 wide on 8 x 8 digits'
EDGE = 0.2  # settings with |log chi_1| below are at the edge, where no depth scale is finite
NEAR = (1e-4, 0.2)  # 1 - c between which its decay is fitted: near the fixed point, and above rounding


# ---- readings and theory ----------------------------------------------------------------------------------------


def layers(rows: pd.DataFrame, reading: str) -> np.ndarray:
  """(seed, layer) of one setting, from the first layer on."""
  names = ['input', *(f'hidden_{i}' for i in range(1, LAYERS))]
  return np.stack([last(rows, f'{reading}_of/{name}/kernel') for name in names], axis=1)


@functools.cache
def chi(weight_std: float, bias_std: float) -> float:
  """chi_1 at the fixed point of the variance."""
  q = propagation.fixed_variance(np.tanh, weight_std**2, bias_std**2)
  return propagation.slope(np.tanh, q, weight_std**2)


def settings(ordered: bool = False) -> Iterator[tuple[float, float, float]]:
  """(sigma_w, sigma_b, log chi_1) of the sweep away from the edge of chaos; of the ordered phase alone, if so asked."""
  for weight_std in WEIGHT_STDS:
    for bias_std in BIAS_STDS:
      log_chi = np.log(chi(weight_std, bias_std))
      if log_chi < -EDGE or (log_chi > EDGE and not ordered):
        yield weight_std, bias_std, log_chi


def rows_of(get: Get, weight_std: float, bias_std: float) -> pd.DataFrame:
  return select(get(SIGNAL, 'preactivations'), init_scale=weight_std, bias_std=bias_std)


def variances(get: Get) -> np.ndarray:
  """(seed, setting): the variance in the last layer over the fixed point of theory."""
  fixed = lambda w, b: propagation.fixed_variance(np.tanh, w**2, b**2)
  return np.stack([layers(rows_of(get, w, b), 'mean_square')[:, -1] / fixed(w, b) for w, b, _ in settings()], axis=1)


def approaches(get: Get) -> np.ndarray:
  """(seed, setting, layer): 1 - c in the ordered phase."""
  return np.stack([1 - layers(rows_of(get, w, b), 'correlation') for w, b, _ in settings(ordered=True)], axis=1)


def gradients(get: Get) -> np.ndarray:
  """(seed, setting, layer): mean squares of gradients."""
  return np.stack([layers(rows_of(get, w, b), 'gradient_mean_square') for w, b, _ in settings()], axis=1)


def depth_scale(distance: np.ndarray) -> float:
  """xi_c in layers, fitted to 1 - c (layer,) where it is small; NaN where fewer than three layers are."""
  near = np.flatnonzero((NEAR[0] < distance) & (distance < NEAR[1]))
  return -1 / float(exponential(near, distance[near]).slope) if len(near) > 2 else np.nan


def depth_ratio(distance: np.ndarray) -> np.ndarray:
  """(setting,): xi_c of the medians over seeds of (seed, setting, layer), over that of theory."""
  scales = [depth_scale(median) for median in np.median(distance, axis=0)]
  return np.array(scales) * [-log_chi for *_, log_chi in settings(ordered=True)]


def growth_less_theory(squares: np.ndarray) -> np.ndarray:
  """(setting,): what log |gradient|^2 grows by a layer towards the inputs, less log chi_1."""
  slopes = exponential(np.arange(LAYERS), np.median(squares, axis=0)).slope
  return -slopes - np.array([log_chi for *_, log_chi in settings()])


CLAIMS = [
  Claim(
    name='1',
    says='In a deep random tanh network the variance of preactivations settles at the fixed point of the mean-field map',
    where='section 2, figure 1',
    kind='paper',
    of=(SIGNAL,),
    samples=variances,
    statistic=lambda ratios: np.median(ratios, axis=0),
    holds=between(0.8, 1.25),
    unit=f'mean square of preactivations in layer {LAYERS} over q*, at each setting away from the edge',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='2',
    says='In the ordered phase the correlation of two inputs tends to 1 exponentially, on the depth scale xi_c = -1 / log chi_1',
    where='section 3, figure 2',
    kind='paper',
    of=(SIGNAL,),
    samples=approaches,
    statistic=depth_ratio,
    holds=between(0.8, 1.25),
    unit=f'depth scale of 1 - c from {NEAR[1]:g} to {NEAR[0]:g}, over xi_c, at each ordered setting away from the edge',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
  Claim(
    name='3',
    says='Squared gradients grow or shrink by chi_1 at every layer towards the inputs: they vanish or explode',
    where='section 4, figure 4',
    kind='paper',
    of=(SIGNAL,),
    samples=gradients,
    statistic=growth_less_theory,
    holds=between(-0.1, 0.1),
    unit='growth of log |gradient|^2 a layer less log chi_1, in nats, at each setting away from the edge',
    changed=CHANGED,
    scope=ELSEWHERE,
  ),
]


# ---- figure -----------------------------------------------------------------------------------------------------

SHOWN = tuple((weight_std, BIAS_STDS[0]) for weight_std in (0.8, 1.2, 1.6, 3.0))
ACTIVATIONS = {'tanh': np.tanh, 'relu': lambda u: np.maximum(u, 0), 'abs': np.abs, 'u / (1 + |u|)': lambda u: u / (1 + np.abs(u))}
VARIANCES = np.geomspace(1e-3, 3, 60)


def paths(get: Get, ax: Axes, reading: str, column: int) -> None:
  """Readings layer by layer with the map's, from what the first layer has."""
  layer = np.arange(1, LAYERS + 1)
  for color, (w, b) in enumerate(SHOWN):
    rows = rows_of(get, w, b)
    plots.band(ax, layer, layers(rows, reading), f'$\\sigma_w$ = {w:g}', color=f'C{color}')
    q, c = (np.median(layers(rows, name)[:, 0]) for name in ('mean_square', 'correlation'))
    theory = propagation.layers(np.tanh, q, c, w**2, b**2, LAYERS)[:, column]
    plots.theory(ax, layer, theory, 'theory' if color == 0 else None)
  plots.ticks(ax, (1, 5, 10, 15, 20))


def diagram(ax: Axes) -> None:
  """The edge of chaos by activation."""
  for color, (name, phi) in enumerate(ACTIVATIONS.items()):
    line = np.array([propagation.critical(phi, q) for q in VARIANCES])
    homogeneous = np.ptp(line[:, 0]) < 1e-3  # then the line is a point on the axis, for every q
    weight_variances, bias_variances = (line[:1, 0], [0]) if homogeneous else line.T
    style = dict(marker='D', linestyle='', clip_on=False) if homogeneous else {}
    ax.plot(weight_variances, bias_variances, label=name, color=f'C{color}', markersize=5, zorder=3, **style)


def signal(get: Get) -> Figure:
  table = get(SIGNAL, 'preactivations')
  figure, axes = plots.canvas(3, 2, height=2.7)
  (sizes, correlations, steepness), (gradient, scales, phases) = axes
  paths(get, sizes, 'mean_square', 0)
  sizes.set(title=f'length, $\\sigma_b$ = {SHOWN[0][1]:g}', xlabel='layer', ylabel='variance of preactivations', yscale='log')
  paths(get, correlations, 'correlation', 1)
  correlations.set(title=f'angle, $\\sigma_b$ = {SHOWN[0][1]:g}', xlabel='layer', ylabel='correlation of two inputs')
  fine = np.linspace(WEIGHT_STDS[0], WEIGHT_STDS[-1], 60)
  for color, bias in enumerate(BIAS_STDS):
    label, style = f'$\\sigma_b$ = {bias:g}', dict(color=f'C{color}')
    log_chi = np.log([chi(w, bias) for w in fine])
    squares = np.stack([layers(rows_of(get, w, bias), 'gradient_mean_square') for w in WEIGHT_STDS], axis=1)
    growth = -exponential(np.arange(LAYERS), squares).slope
    plots.against(steepness, np.array(WEIGHT_STDS), growth, label, linestyle='', **style)
    steepness.plot(fine, log_chi, linestyle='--', linewidth=0.9, **style)
    scales.plot(fine, np.where(log_chi < -0.03, -1 / log_chi, np.nan), linestyle='--', linewidth=0.9, **style)
    ordered = [w for w, b, _ in settings(ordered=True) if b == bias]
    if ordered:
      distance = np.stack([1 - layers(rows_of(get, w, bias), 'correlation') for w in ordered], axis=1)
      fitted = np.apply_along_axis(depth_scale, -1, distance)
      plots.against(scales, np.array(ordered), fitted, label, linestyle='', **style)
  plots.level(steepness, 0, None)
  steepness.set(title='points: networks; lines: $\\log\\chi_1$', xlabel=r'$\sigma_w$', ylabel='growth a layer (nats)')
  layer = np.arange(1, LAYERS + 1)
  for color, (w, b) in enumerate(SHOWN):
    values = layers(rows_of(get, w, b), 'gradient_mean_square')
    plots.band(gradient, layer, values / values[:, -1:], f'$\\sigma_w$ = {w:g}', color=f'C{color}')
    plots.theory(gradient, layer, chi(w, b) ** (LAYERS - layer), None)
  gradient.set(
    title=f'gradients, $\\sigma_b$ = {SHOWN[0][1]:g}', xlabel='layer', ylabel='mean square over the last layer', yscale='log'
  )
  plots.ticks(gradient, (1, 5, 10, 15, 20))
  scales.set(title=r'points: networks; lines: $\xi_c$', xlabel=r'$\sigma_w$', ylabel='depth scale (layers)')
  scales.set(yscale='log', xlim=(0.75, 1.6))
  diagram(phases)
  phases.set(
    title='edge of chaos, theory alone', xlabel=r'$\sigma_w^2$', ylabel=r'$\sigma_b^2$', xlim=(0.5, 4), ylim=(-0.02, 0.5)
  )
  for ax in (steepness, scales, phases):
    ax.legend(fontsize=6)
  sizes.legend().set_visible(False)
  names = {line.get_label(): line for ax in (sizes, gradient) for line in ax.get_lines() if line.get_label()[0] != '_'}
  figure.legend(names.values(), names.keys(), loc='outside lower center', ncols=len(names), fontsize=7)
  plots.title(figure, 'Random tanh networks of 20 layers, 200 wide', table)
  return figure


FIGURES = [
  PaperFigure(
    'schoenholz2017', (SIGNAL,), signal, 'Length, angle and gradients layer by layer, with the maps of mean-field theory.'
  )
]
