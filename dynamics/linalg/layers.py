"""Tangent features: for every leaf a short form of its per-example gradients, from which kernels are contracted.

A leaf's gradient is the sum over positions p of a_p (D,) times delta_kp (H,), so with Gram matrices of inputs and of
cotangents Theta(x, x') = sum_pq <a_p, a'_q> <delta_p, delta'_q>: no gradient is formed. Where positions are many and the
leaf is small, the gradient itself is the shorter form. Which one is taken follows from counted operations alone.
Source: 1806.07572 (the kernel); 2206.08720 (structured derivatives, orders of contraction).
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.linalg.sites import Structure
from dynamics.types import Array, Tree, Variables

Way = Literal['grams', 'product', 'gradient', 'none']


class Factors(NamedTuple):
  """Inputs (n, P, D), or places (n, P) of unit vectors; cotangents (n, k, P, H). One example has no n."""

  inputs: Array
  cotangents: Array


class Plan(NamedTuple):
  """How each leaf's kernel is made, with counts per example (and per pair of examples)."""

  structure: Structure
  ways: tuple[Way, ...]
  trace: bool
  features: int  # operations of one example's features
  pair: int  # operations of one pair's kernel
  held: int  # scalars of one example's features
  working: int  # scalars that one example's features need while they are made
  meeting: int  # scalars that one pair's kernel needs while it is made


def plan(structure: Structure, n1: int, n2: int, *, trace: bool, dense: bool = False) -> Plan:
  """The cheapest way for each leaf, by operations for n1 x n2 examples; `dense` takes per-example gradients throughout."""
  k = structure.outputs
  kk = k if trace else k * k
  found = [_ways(structure, leaf, k, trace, dense) for leaf in range(len(structure.names))]
  best = [min(some, key=lambda way: (n1 + n2) * some[way][0] + n1 * n2 * some[way][1]) for some in found]
  counts = [some[way] for some, way in zip(found, best, strict=True)]
  gradient = any(way == 'gradient' for way in best)
  total = lambda i: sum(count[i] for count in counts)
  return Plan(
    structure, tuple(best), trace,
    features=structure.operations * (1 + k * (2 if gradient else 1)) + total(0),
    pair=total(1),
    held=total(2),
    working=structure.residuals * (2 + k) + total(2),
    meeting=max(count[3] for count in counts) + (1 if trace else kk),
  )  # fmt: skip


def _ways(structure: Structure, leaf: int, k: int, trace: bool, dense: bool) -> dict[Way, tuple[int, int, int, int]]:
  """Way -> operations of an example and of a pair, scalars of an example and of a pair."""
  size, kk = structure.sizes[leaf], (k if trace else k * k)
  sites = [site for site in structure.sites if site.leaf == leaf]
  gradient = {'gradient': (k * size, 2 * kk * size, k * size, kk // k if trace else kk)}
  if dense:
    return gradient
  if not sites and leaf not in structure.opaque:
    return {'none': (0, 0, 0, 0)}
  if leaf in structure.opaque or len({site.layout for site in sites}) > 1:
    return gradient
  p, d, h, indexed = sum(site.positions for site in sites), sites[0].inputs, sites[0].outputs, sites[0].indexed
  held = p * (1 if indexed else d) + k * p * h
  inputs, outputs = p * p * (1 if indexed else 2 * d), p * p * kk * 2 * h
  wide = p * p * (2 if trace else 1 + k * k)
  grams = {'grams': (0, inputs + outputs + wide, held, wide)}
  if indexed:
    return grams | gradient
  return grams | {'product': (2 * k * p * d * h, 2 * kk * size, k * size, 1 if trace else kk)}


def features(some: Plan, variables: Variables) -> Callable[[Array], list[Tree]]:
  """A function of one example: for every leaf its Factors, or its gradient (k, p), or () where it is unused."""
  structure, ways = some.structure, some.ways
  leaves = jax.tree.leaves(variables['params'])
  rest = {name: value for name, value in variables.items() if name != 'params'}
  own = [leaf for leaf, way in zip(leaves, ways, strict=True) if way == 'gradient']
  used = {i: site for i, site in enumerate(structure.sites) if ways[site.leaf] in ('grams', 'product')}

  def one(x):
    def forward(own, shifts):
      own = iter(own)
      given = [next(own) if way == 'gradient' else leaf for leaf, way in zip(leaves, ways, strict=True)]
      return structure.forward(given, rest, x, shifts)

    shifts = {i: jnp.zeros(site.output.shape, site.output.dtype) for i, site in used.items()}
    outputs, back, inputs = jax.vjp(forward, own, shifts, has_aux=True)
    grads, deltas = jax.vmap(back)(jnp.eye(structure.outputs, dtype=outputs.dtype))
    grads, out = iter(grads), []
    for leaf, way in enumerate(ways):
      if way == 'gradient':
        out.append(trees.wide(next(grads).reshape(structure.outputs, -1)))
      elif way == 'none':
        out.append(())
      else:
        mine = [i for i, site in used.items() if site.leaf == leaf]
        factors = [_factors(used[i], *inputs[i], deltas[i]) for i in mine]
        a_pd = jnp.concatenate([a for a, _ in factors])
        delta_kph = jnp.concatenate([delta for _, delta in factors], axis=1)
        out.append(Factors(a_pd, delta_kph) if way == 'grams' else _product(a_pd, delta_kph, some.trace))
    return out

  return one


def _factors(site, rows, scale, delta):
  columns = trees.wide(jax.vmap(site.columns)(delta))
  if scale is not None:
    columns = columns * scale.astype(columns.dtype)
  return rows if site.indexed else trees.wide(rows), columns


def _product(a_pd, delta_kph, trace):
  """The gradient of a leaf from its factors, (k, D H); where only the trace is wanted all in one row, in any order."""
  p, d, (k, _, h) = *a_pd.shape, delta_kph.shape
  # Positions first: the product is then one plain matrix product an example, which is twice as fast on a CPU.
  gradient = a_pd.T @ jnp.swapaxes(delta_kph, 0, 1).reshape(p, k * h)
  return gradient.reshape(1, -1) if trace else jnp.swapaxes(gradient.reshape(d, k, h), 0, 1).reshape(k, -1)


def contract(some: Plan, one: list[Tree], two: list[Tree]) -> list[Array]:
  """The kernel of every leaf from features of n1 and of n2 examples: (n1, n2), or (n1, k, n2, k) without trace."""
  return [_contract(a, b, some.trace) if way != 'none' else None for way, a, b in zip(some.ways, one, two, strict=True)]


def _contract(one, two, trace):
  if not isinstance(one, Factors):  # gradients (n, k, p)
    if trace:
      return one.reshape(one.shape[0], -1) @ two.reshape(two.shape[0], -1).T
    return jnp.einsum('nkp,mlp->nkml', one, two)
  a, b = one.inputs, two.inputs
  flat = lambda x: x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
  if a.ndim == 2:
    inputs = ((a[:, :, None, None] == b[None, None]) & (a[:, :, None, None] >= 0)).astype(one.cotangents.dtype)
  else:
    inputs = (flat(a) @ flat(b).T).reshape(*a.shape[:2], *b.shape[:2])  # (n, P, m, Q)
  (n, k, p, h), (m, _, q, _) = one.cotangents.shape, two.cotangents.shape
  if trace:
    joined = lambda x: jnp.swapaxes(x, 1, 2).reshape(x.shape[0] * x.shape[2], k * h)
    outputs = joined(one.cotangents) @ joined(two.cotangents).T
    if p == q == 1:
      return outputs * inputs.reshape(n, m)
    return jnp.sum(outputs.reshape(n, p, m, q) * inputs, axis=(1, 3))
  if p == q == 1:
    # As gradients meet above: the compiler then sees that this is the kernel of the layer's bias, and makes it once.
    outputs = jnp.einsum('nkp,mlp->nkml', one.cotangents[:, :, 0], two.cotangents[:, :, 0])
    return outputs * inputs.reshape(n, m)[:, None, :, None]
  outputs = (flat(one.cotangents) @ flat(two.cotangents).T).reshape(n, k, p, m, k, q)
  return jnp.einsum('nkpmlq,npmq->nkml', outputs, inputs)
