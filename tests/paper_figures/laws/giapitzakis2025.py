"""Outputs around the mean of the infinite network, by width, and ensembles of its law; and the opposites."""

import ast

import numpy as np

from dynamics.theory import permutation
from paper_figures.giapitzakis2025 import bits_of, sizes, truth


def trained(power, shift=0.0):
  """Outputs that differ from the limit's mean by width^power, and by `shift` on the bits that should be 0."""

  def law(config, probe, table):
    k = bits_of(table)
    mean = permutation.law(k).mean + shift * ~truth(k)
    width = table['model.widths'].map(lambda widths: ast.literal_eval(widths)[0]).to_numpy(float)
    noise = np.random.default_rng(4).normal(size=(len(table), mean.size))
    values = mean.ravel() + 0.8 * width[:, None] ** power * noise
    return table.assign(**{f'outputs/{i}': values[:, i] for i in range(mean.size)})

  return law


def margins(power):
  """Means that are smaller by (k / 5)^power than they are, so that ensembles grow by another (k / 5)^(2 power)."""

  def process(k):
    law = permutation.law_of_pairs(k)
    return law._replace(mean=law.mean / (k / 5) ** power)

  return process


LAWS = {
  '1': (trained(-0.5), trained(-0.5, shift=0.05)),
  '2': (lambda: sizes(margins(0.25), 40), lambda: sizes(margins(-1.0), 20)),
  '3': (trained(-0.5), trained(-0.1)),
}
