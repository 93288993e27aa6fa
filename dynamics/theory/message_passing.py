"""Graph convolutions: how far a signal and a gradient are carried, and the variances of weights that keep their sizes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dynamics.types import Array


class Variances(NamedTuple):
  """Of the weights of L graph convolutions, the first first, (L,) each."""

  forward: Array  # keeps the variance of hidden values
  backward: Array  # keeps that of gradients

  @property
  def harmonic(self) -> Array:
    """Their harmonic mean, (L,)."""
    return 2 / (1 / self.forward + 1 / self.backward)


def propagation(adjacency_nvv: Array) -> Array:
  """D^(-1/2) (A + I) D^(-1/2) with D the degrees of A + I, (n, v, v). Source: 1609.02907, equation 2."""
  looped = adjacency_nvv + jnp.eye(adjacency_nvv.shape[-1], dtype=adjacency_nvv.dtype)[None]
  scale_nv = jax.lax.rsqrt(jnp.sum(looped, axis=-1))
  return scale_nv[:, :, None] * looped * scale_nv[:, None, :]


def virgo(adjacency_nvv: Array, nodes_nvd: Array, widths: tuple[int, ...]) -> Variances:
  """The variances of weights (m_l, m_(l+1)) of L graph convolutions of relu, P h W with P = `propagation`(A), the last linear.

  With x the mean feature of each node and 1 a vector of ones, both over all nodes of all graphs,

    forward:  2 / m_1 for l = 1, else 2 / m_l |P^(l-1) x|^2 / |P^l x|^2
    backward: N / ((C - 1) |P 1|^2) for l = L, else 2 / m_(l+1) |P^(L-l) 1|^2 / |P^(L-l+1) 1|^2

  Args:
    adjacency_nvv: symmetric and not negative; nodes without an edge keep what they have.
    nodes_nvd: the features.
    widths: m_1 = d, ..., m_(L+1) = C, the number of classes.

  Raises:
    ValueError: fewer than two classes, or a first width that is not d; outside of traces, features whose mean P carries to 0.
  Source: 2312.02622, in the form of the authors' code.
  """
  layers, classes = len(widths) - 1, widths[-1]
  if classes < 2 or widths[0] != nodes_nvd.shape[-1]:
    raise ValueError(f'virgo needs widths from {nodes_nvd.shape[-1]} features to two classes or more, but they are {widths}')
  passing_nvv = propagation(adjacency_nvv)

  def sizes(nodes_nv):
    """(L,) |P z|^2, ..., |P^L z|^2."""
    squares = []
    for _ in range(layers):
      nodes_nv = jnp.einsum('nvw,nw->nv', passing_nvv, nodes_nv)
      squares.append(jnp.sum(jnp.square(nodes_nv)))
    return squares

  carried, ones = sizes(jnp.mean(nodes_nvd, axis=-1)), sizes(jnp.ones_like(nodes_nvd[..., 0]))
  if not isinstance(carried[-1], jax.core.Tracer) and not bool(carried[-1] > 0):
    raise ValueError(
      f'after {layers} layers nothing is left of the mean features of nodes {nodes_nvd.shape}, so no weights keep it'
    )
  count = nodes_nvd.shape[0] * nodes_nvd.shape[1]
  inner = range(1, layers)
  forward = [jnp.full_like(carried[0], 2 / widths[0]), *(2 / widths[i] * carried[i - 1] / carried[i] for i in inner)]
  backward = [count / ((classes - 1) * ones[0]), *(2 / widths[layers - i] * ones[i - 1] / ones[i] for i in inner)]
  return Variances(jnp.stack(forward), jnp.stack(backward[::-1]))
