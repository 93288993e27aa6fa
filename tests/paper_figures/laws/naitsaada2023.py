"""Outputs that become Gaussian with the width, with the limit's covariance, and one edge for all weights; and the opposites."""

import ast

import numpy as np

from paper_figures.naitsaada2023 import limit_correlation


def widths(table):
  return table['model.widths'].map(ast.literal_eval)


def outputs(excess, correlation=lambda depth: limit_correlation(depth)):
  """Gaussians of one variance a network, which varies over networks so that an output has this excess kurtosis at a width."""

  def law(config, probe, table):
    rng, names = np.random.default_rng(2), [name for name in table if name.startswith('outputs/')]
    width = widths(table).map(lambda each: each[0]).to_numpy(float)
    share = correlation(len(widths(table).iloc[0]))
    log_variance = np.log(1 + excess(width) / 3)
    size = np.exp(np.sqrt(log_variance) * rng.normal(size=len(table)) - log_variance / 2)
    a, b = rng.normal(size=(2, len(table), len(names) // 2))
    z = np.sqrt(size)[:, None] * np.concatenate([a, share * a + np.sqrt(1 - share**2) * b], axis=1)
    return table.assign(**{f'outputs/{i}': z[:, i] for i in range(len(names))})

  return law


def gradients(shift):
  """First over last gradient: 1 at scale 1.4, `shift` lower for sparse weights."""

  def law(config, probe, table):
    sparse = table['init'].str.startswith('random_sparse').to_numpy()
    log = 5 * (table['init_scale'] - 1.3 + shift * sparse) + 0.05 * np.random.default_rng(1).normal(size=len(table))
    hidden = sum(name.startswith('gradient_mean_square_of/hidden_') for name in table)
    sizes = {'input': np.exp(log), f'hidden_{hidden}': 1.0}
    return table.assign(**{f'gradient_mean_square_of/{layer}/kernel': size for layer, size in sizes.items()})

  return law


falls, stays = lambda n: 20 / n, lambda n: 3 + 0 * n
LAWS = {
  '1': (outputs(falls), outputs(stays)),
  '2': (outputs(falls), outputs(falls, lambda depth: 0.7 * limit_correlation(depth))),
  '3': (gradients(0.0), gradients(0.15)),
  '4': (outputs(stays), outputs(falls)),
}
