"""Tangent features: for every leaf a short form of its per-example gradients, from which kernels are contracted.

A leaf's gradient is the sum over positions p of a_p (D,) times delta_kp (H,), so with Gram matrices of inputs and of
cotangents Theta(x, x') = sum_pq <a_p, a'_q> <delta_p, delta'_q>: no gradient is formed. Where positions are many and the
leaf is small, the gradient itself is the shorter form. Which one is taken follows from counted operations alone.
Source: 1806.07572 (the kernel); 2206.08720 (structured derivatives, orders of contraction).
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.linalg.sites import Site, Structure
from dynamics.types import Array, Tree, Variables

Way = Literal['grams', 'product', 'gradient', 'bias', 'last', 'none']


class Factors(NamedTuple):
  """Inputs (n, P, D), or places (n, P) of unit vectors; cotangents (n, k, P, H). One example has no n.

  cotangents is None where they need not be kept: those of a bias are its layer's, those of the last layer unit vectors.
  """

  inputs: Array
  cotangents: Array | None


class Plan(NamedTuple):
  """How each leaf's kernel is made, with counts per example (and per pair of examples)."""

  structure: Structure
  ways: tuple[Way, ...]
  trace: bool
  joined: bool  # all gradients, formed either way, are one array
  features: int  # operations of one example's features
  pair: int  # operations of one pair's kernel
  held: int  # scalars of one example's features
  working: int  # scalars that one example's features need while they are made
  meeting: int  # scalars that one pair's kernel needs while it is made


def plan(structure: Structure, n1: int, n2: int, *, trace: bool, dense: bool = False, leaves: bool = False) -> Plan:
  """The cheapest way for each leaf, by operations for n1 x n2 examples; `dense` takes per-example gradients throughout."""
  k = structure.outputs
  kk = k if trace else k * k
  found = [_ways(structure, leaf, k, trace, dense) for leaf in range(len(structure.names))]
  best = [min(some, key=lambda way: (n1 + n2) * some[way][0] + n1 * n2 * some[way][1]) for some in found]
  if not dense:
    best = ['bias' if _beside(structure, leaf, best) is not None else way for leaf, way in enumerate(best)]
  counts = [some.get(way, (0, kk, 1, 1)) for some, way in zip(found, best, strict=True)]
  gradient = any(way == 'gradient' for way in best)
  total = lambda i: sum(count[i] for count in counts)
  return Plan(
    structure, tuple(best), trace, not (dense or leaves),
    features=structure.operations * (1 + k * (2 if gradient else 1)) + total(0),
    pair=total(1),
    held=total(2),
    working=structure.residuals * (2 + k) + total(2),
    meeting=max(count[3] for count in counts) + (1 if trace else kk),
  )  # fmt: skip


def _only(structure: Structure, leaf: int) -> Site | None:
  """The one place where a leaf is used, if it is one of known kind with one position and no unit vectors."""
  own = [site for site in structure.sites if site.leaf == leaf]
  good = len(own) == 1 and leaf not in structure.opaque and own[0].positions == 1 and not own[0].indexed
  return own[0] if good else None


def _beside(structure: Structure, leaf: int, ways: Sequence[Way]) -> int | None:
  """The leaf of the weights whose cotangents, kept for their own sake, are those of a bias too; None for any other leaf."""
  site = _only(structure, leaf)
  weights = None if site is None or site.after is None else structure.sites[site.after].leaf
  return weights if weights is not None and ways[weights] == 'grams' and _only(structure, weights) else None


def _ways(structure: Structure, leaf: int, k: int, trace: bool, dense: bool) -> dict[Way, tuple[int, int, int, int]]:
  """Way -> operations of an example and of a pair, scalars of an example and of a pair."""
  size, kk = structure.sizes[leaf], (k if trace else k * k)
  sites = [site for site in structure.sites if site.leaf == leaf]
  gradient = {'gradient': (k * size, 2 * kk * size, k * size, kk // k if trace else kk)}
  if dense:
    return gradient
  if not sites and leaf not in structure.opaque:
    return {'none': (0, 0, 0, 0)}
  only = _only(structure, leaf)
  if only and only.last:
    return {'last': (0, 2 * only.inputs + k, only.inputs, 1)}
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
  """A function of one example: for every leaf its Factors, or its gradient (k, p), or () where it is unused.

  Where they are joined, the gradients of all leaves are one array (k, p) behind the others, and their own places hold ().
  """
  structure, ways = some.structure, some.ways
  leaves = jax.tree.leaves(variables['params'])
  rest = {name: value for name, value in variables.items() if name != 'params'}
  own = [leaf for leaf, way in zip(leaves, ways, strict=True) if way == 'gradient']
  used = {i: site for i, site in enumerate(structure.sites) if ways[site.leaf] in ('grams', 'product')}
  places = {site.leaf: i for i, site in enumerate(structure.sites)}

  def one(x):
    def forward(own, shifts):
      own = iter(own)
      given = [next(own) if way == 'gradient' else leaf for leaf, way in zip(leaves, ways, strict=True)]
      return structure.forward(given, rest, x, shifts)

    shifts = {i: jnp.zeros(site.output.shape, site.output.dtype) for i, site in used.items()}
    outputs, back, inputs = jax.vjp(forward, own, shifts, has_aux=True)
    grads, deltas = jax.vmap(back)(jnp.eye(structure.outputs, dtype=outputs.dtype))
    grads, out, formed = iter(grads), [], []
    for leaf, way in enumerate(ways):
      if way == 'gradient':
        g = trees.at_least_float32(next(grads).reshape(structure.outputs, -1))
        formed.append(g.reshape(1, -1) if some.trace else g)
      elif way in ('bias', 'last'):
        out.append(Factors(trees.at_least_float32(inputs[places[leaf]][0]), None))
      elif way != 'none':
        mine = [i for i, site in used.items() if site.leaf == leaf]
        factors = [_factors(used[i], *inputs[i], deltas[i]) for i in mine]
        a_pd = jnp.concatenate([a for a, _ in factors])
        delta_kph = jnp.concatenate([delta for _, delta in factors], axis=1)
        if way == 'grams':
          out.append(Factors(a_pd, delta_kph))
        else:
          formed.append(_product(a_pd, delta_kph, some.trace))
      if len(out) <= leaf:
        out.append(formed.pop() if formed and not some.joined else ())
    return [*out, jnp.concatenate(formed, axis=1) if formed else ()]

  return one


def _factors(site, rows, scale, delta):
  columns = trees.at_least_float32(jax.vmap(site.columns)(delta))
  if scale is not None:
    columns = columns * scale.astype(columns.dtype)
  return rows if site.indexed else trees.at_least_float32(rows), columns


def _product(a_pd, delta_kph, trace):
  """The gradient of a leaf from its factors, (k, D H); where only the trace is wanted all in one row, in any order."""
  p, d, (k, _, h) = *a_pd.shape, delta_kph.shape
  # Positions first: the product is then one plain matrix product an example, which is twice as fast on a CPU.
  gradient = a_pd.T @ jnp.swapaxes(delta_kph, 0, 1).reshape(p, k * h)
  return gradient.reshape(1, -1) if trace else jnp.swapaxes(gradient.reshape(d, k, h), 0, 1).reshape(k, -1)


def contract(some: Plan, one: list[Tree], two: list[Tree]) -> list[Array | None]:
  """The kernel of every leaf from features of n1 and of n2 examples: (n1, n2), or (n1, k, n2, k) without trace.

  None for a leaf that is unused, or among the joined ones, whose kernel stands behind the others.
  """
  grams = {}  # each is made once, for a layer's weights and for its bias
  for leaf, way in enumerate(some.ways):
    if way == 'grams' and one[leaf].cotangents.shape[2] == 1:
      grams[leaf] = _gram(one[leaf].cotangents, two[leaf].cotangents, some.trace)

  def kernel(leaf):
    a, b = one[leaf], two[leaf]
    if not isinstance(a, Factors):
      return None if isinstance(a, tuple) else _gradients(a, b, some.trace)
    inputs = _inputs(a.inputs, b.inputs)
    if a.cotangents is not None and leaf not in grams:
      return _positions(a, b, inputs, some.trace)
    inputs = inputs[:, 0, :, 0] if some.trace else inputs[:, 0, :, 0][:, None, :, None]
    if a.cotangents is None and some.ways[leaf] == 'last':
      k = some.structure.outputs
      return inputs * (k if some.trace else jnp.eye(k, dtype=inputs.dtype)[None, :, None])
    return inputs * grams[leaf if leaf in grams else _beside(some.structure, leaf, some.ways)]

  return [kernel(leaf) for leaf in range(len(one))]


def _gram(one: Array, two: Array, trace: bool) -> Array:
  """Of cotangents at one position, (n, k, 1, h) and (m, k, 1, h): (n, m), or (n, k, m, k) without trace."""
  if trace:
    return one.reshape(one.shape[0], -1) @ two.reshape(two.shape[0], -1).T
  return _pairs(one[:, :, 0], two[:, :, 0])


def _inputs(a: Array, b: Array) -> Array:
  """The Gram matrix (n, P, m, Q) of inputs."""
  if a.ndim == 2:
    return ((a[:, :, None, None] == b[None, None]) & (a[:, :, None, None] >= 0)).astype(jnp.float32)
  return (_flat(a) @ _flat(b).T).reshape(*a.shape[:2], *b.shape[:2])


def _flat(x: Array) -> Array:
  return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _gradients(one: Array, two: Array, trace: bool) -> Array:
  """The kernel of gradients (n, k, p) and (m, k, p)."""
  if trace:
    return one.reshape(one.shape[0], -1) @ two.reshape(two.shape[0], -1).T
  return _pairs(one, two)


def _pairs(one: Array, two: Array) -> Array:
  """(n, k, p) and (m, l, p) to (n, k, m, l), as one product of matrices: an einsum would first write the transpose of two."""
  return (_flat(one) @ _flat(two).T).reshape(*one.shape[:2], *two.shape[:2])


def _positions(one: Factors, two: Factors, inputs: Array, trace: bool) -> Array:
  """The kernel of factors at several positions, whose Gram matrix of inputs is (n, P, m, Q)."""
  inputs = inputs.astype(one.cotangents.dtype)
  (n, k, p, h), (m, _, q, _) = one.cotangents.shape, two.cotangents.shape
  if trace:
    joined = lambda x: jnp.swapaxes(x, 1, 2).reshape(x.shape[0] * x.shape[2], k * h)
    outputs = joined(one.cotangents) @ joined(two.cotangents).T
    return jnp.sum(outputs.reshape(n, p, m, q) * inputs, axis=(1, 3))
  outputs = (_flat(one.cotangents) @ _flat(two.cotangents).T).reshape(n, k, p, m, k, q)
  return jnp.einsum('nkpmlq,npmq->nkml', outputs, inputs)
