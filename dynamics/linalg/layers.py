"""Tangent features: the per-example gradient of each leaf in a compact form, and the kernel of two sets of features.

The gradient of a leaf is the sum over positions p of the outer products of inputs a_p (D,) and cotangents delta_kp (H,).
Hence Theta(x, x') = sum_pq <a_p, a'_q> <delta_p, delta'_q> follows from Gram matrices, without forming a gradient. If
positions are many and the leaf is small, the gradient itself is smaller. Counts of operations decide which form a leaf takes.
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

# 'grams': factors, contracted by their Gram matrices. 'product': the gradient, as the product of the factors. 'gradient': the
# gradient by reverse mode. 'bias': factors with the cotangents of the bias's layer. 'readout': factors whose cotangents are
# unit vectors. 'unused': nothing.
Form = Literal['grams', 'product', 'gradient', 'bias', 'readout', 'unused']


class Factors(NamedTuple):
  """The factors of the gradients of n examples; those of a single example have no axis n."""

  inputs: Array  # (n, P, D), or (n, P) indices of unit vectors, -1 for a zero vector
  cotangents: Array | None  # (n, k, P, H); None for the forms 'bias' and 'readout'


class Plan(NamedTuple):
  """The form of each leaf, and counts of operations and scalars per example or per pair of examples."""

  structure: Structure
  forms: tuple[Form, ...]
  trace: bool
  joined: bool  # the gradients of all leaves of form 'product' or 'gradient' are one array
  feature_operations: int  # per example
  pair_operations: int
  feature_size: int  # scalars of the features of an example
  feature_temporaries: int  # scalars needed while these are computed
  pair_temporaries: int  # scalars needed while the kernel of a pair is computed


def plan(structure: Structure, n1: int, n2: int, *, trace: bool, dense: bool = False, leaves: bool = False) -> Plan:
  """The cheapest form of each leaf by operations for n1 x n2 examples; `dense` takes the form 'gradient' for all leaves."""
  k = structure.outputs
  kk = k if trace else k * k
  options = [_costs(structure, leaf, k, trace, dense) for leaf in range(len(structure.names))]
  forms = [min(costs, key=lambda form: (n1 + n2) * costs[form][0] + n1 * n2 * costs[form][1]) for costs in options]
  if not dense:
    forms = ['bias' if _weights_of_bias(structure, leaf, forms) is not None else form for leaf, form in enumerate(forms)]
  counts = [costs.get(form, (0, kk, 1, 1)) for costs, form in zip(options, forms, strict=True)]
  gradient = any(form == 'gradient' for form in forms)
  total = lambda i: sum(count[i] for count in counts)
  return Plan(
    structure, tuple(forms), trace, not (dense or leaves),
    feature_operations=structure.operations * (1 + k * (2 if gradient else 1)) + total(0),
    pair_operations=total(1),
    feature_size=total(2),
    feature_temporaries=structure.residuals * (2 + k) + total(2),
    pair_temporaries=max(count[3] for count in counts) + (1 if trace else kk),
  )  # fmt: skip


def _only_site(structure: Structure, leaf: int) -> Site | None:
  """The site of a leaf that has no other use, if it has one position and its inputs are not unit vectors; else None."""
  sites = [site for site in structure.sites if site.leaf == leaf]
  simple = len(sites) == 1 and leaf not in structure.opaque and sites[0].positions == 1 and not sites[0].indexed
  return sites[0] if simple else None


def _weights_of_bias(structure: Structure, leaf: int, forms: Sequence[Form]) -> int | None:
  """The weights that have the same cotangents as a bias and hold them as factors; None if there are none."""
  site = _only_site(structure, leaf)
  weights = None if site is None or site.bias_of is None else structure.sites[site.bias_of].leaf
  return weights if weights is not None and forms[weights] == 'grams' and _only_site(structure, weights) else None


def _costs(structure: Structure, leaf: int, k: int, trace: bool, dense: bool) -> dict[Form, tuple[int, int, int, int]]:
  """{form: (operations per example, operations per pair, scalars per example, scalars per pair)}."""
  size, kk = structure.sizes[leaf], (k if trace else k * k)
  sites = [site for site in structure.sites if site.leaf == leaf]
  gradient = {'gradient': (k * size, 2 * kk * size, k * size, kk // k if trace else kk)}
  if dense:
    return gradient
  if not sites and leaf not in structure.opaque:
    return {'unused': (0, 0, 0, 0)}
  site = _only_site(structure, leaf)
  if site and site.is_output:
    return {'readout': (0, 2 * site.inputs + k, site.inputs, 1)}
  if leaf in structure.opaque or len({site.layout for site in sites}) > 1:
    return gradient
  p, d, h, indexed = sum(site.positions for site in sites), sites[0].inputs, sites[0].outputs, sites[0].indexed
  factors = p * (1 if indexed else d) + k * p * h
  inputs, outputs = p * p * (1 if indexed else 2 * d), p * p * kk * 2 * h
  matrices = p * p * (2 if trace else 1 + k * k)
  grams = {'grams': (0, inputs + outputs + matrices, factors, matrices)}
  if indexed:
    return grams | gradient
  return grams | {'product': (2 * k * p * d * h, 2 * kk * size, k * size, 1 if trace else kk)}


def features(plan: Plan, variables: Variables) -> Callable[[Array], list[Tree]]:
  """x of one example -> the features of each leaf: its Factors, its gradient (k, p), or () if it is unused.

  With `plan.joined` the gradients of all leaves are one array (k, p) at the end of the list, with () in their own places.
  """
  structure, forms = plan.structure, plan.forms
  leaves = jax.tree.leaves(variables['params'])
  rest = {name: value for name, value in variables.items() if name != 'params'}
  differentiated = [leaf for leaf, form in zip(leaves, forms, strict=True) if form == 'gradient']
  factorised = {i: site for i, site in enumerate(structure.sites) if forms[site.leaf] in ('grams', 'product')}
  numbers = {site.leaf: i for i, site in enumerate(structure.sites)}

  def feature(x):
    def forward(differentiated, shifts):
      differentiated = iter(differentiated)
      params = [next(differentiated) if form == 'gradient' else leaf for leaf, form in zip(leaves, forms, strict=True)]
      return structure.forward(params, rest, x, shifts)

    shifts = {i: jnp.zeros(site.output.shape, site.output.dtype) for i, site in factorised.items()}
    outputs, back, inputs = jax.vjp(forward, differentiated, shifts, has_aux=True)
    grads, deltas = jax.vmap(back)(jnp.eye(structure.outputs, dtype=outputs.dtype))
    grads, out, gradients = iter(grads), [], []
    for leaf, form in enumerate(forms):
      if form == 'gradient':
        g = trees.at_least_float32(next(grads).reshape(structure.outputs, -1))
        gradients.append(g.reshape(1, -1) if plan.trace else g)
      elif form in ('bias', 'readout'):
        out.append(Factors(trees.at_least_float32(inputs[numbers[leaf]][0]), None))
      elif form != 'unused':
        sites = [i for i, site in factorised.items() if site.leaf == leaf]
        factors = [_factors(factorised[i], *inputs[i], deltas[i]) for i in sites]
        a_pd = jnp.concatenate([a for a, _ in factors])
        delta_kph = jnp.concatenate([delta for _, delta in factors], axis=1)
        if form == 'grams':
          out.append(Factors(a_pd, delta_kph))
        else:
          gradients.append(_product(a_pd, delta_kph, plan.trace))
      if len(out) <= leaf:
        out.append(gradients.pop() if gradients and not plan.joined else ())
    return [*out, jnp.concatenate(gradients, axis=1) if gradients else ()]

  return feature


def _factors(site, rows, scale, delta):
  """The inputs (P, D), or their indices (P,), and cotangents (k, P, H) of one site, with the scale of its parameter."""
  columns = trees.at_least_float32(jax.vmap(site.columns)(delta))
  if scale is not None:
    columns = columns * scale.astype(columns.dtype)
  return rows if site.indexed else trees.at_least_float32(rows), columns


def _product(a_pd, delta_kph, trace):
  """The gradient of a leaf from its factors: (k, D H), or for the trace (1, k D H), whose order does not matter."""
  p, d, (k, _, h) = *a_pd.shape, delta_kph.shape
  # With positions first this is one matrix product per example, which is twice as fast on a CPU.
  gradient = a_pd.T @ jnp.swapaxes(delta_kph, 0, 1).reshape(p, k * h)
  return gradient.reshape(1, -1) if trace else jnp.swapaxes(gradient.reshape(d, k, h), 0, 1).reshape(k, -1)


def contract(plan: Plan, rows: list[Tree], columns: list[Tree]) -> list[Array | None]:
  """The kernel of each leaf from the features of n and of m examples: (n, m) with trace, else (n, k, m, k).

  None for an unused leaf, and for one whose gradient is joined with others: their common kernel is the last of the list.
  """
  grams = {}  # of cotangents, computed once for the weights and the bias of a layer
  for leaf, form in enumerate(plan.forms):
    if form == 'grams' and rows[leaf].cotangents.shape[2] == 1:
      grams[leaf] = _cotangent_gram(rows[leaf].cotangents, columns[leaf].cotangents, plan.trace)

  def kernel(leaf):
    a, b = rows[leaf], columns[leaf]
    if not isinstance(a, Factors):
      return None if isinstance(a, tuple) else _gradient_kernel(a, b, plan.trace)
    inputs = _input_gram(a.inputs, b.inputs)
    if a.cotangents is not None and leaf not in grams:
      return _sum_over_positions(a, b, inputs, plan.trace)
    inputs = inputs[:, 0, :, 0] if plan.trace else inputs[:, 0, :, 0][:, None, :, None]
    if a.cotangents is None and plan.forms[leaf] == 'readout':
      k = plan.structure.outputs
      return inputs * (k if plan.trace else jnp.eye(k, dtype=inputs.dtype)[None, :, None])
    return inputs * grams[leaf if leaf in grams else _weights_of_bias(plan.structure, leaf, plan.forms)]

  return [kernel(leaf) for leaf in range(len(rows))]


def _cotangent_gram(a: Array, b: Array, trace: bool) -> Array:
  """Cotangents at one position, (n, k, 1, h) and (m, k, 1, h) -> (n, m) with trace, else (n, k, m, k)."""
  if trace:
    return a.reshape(a.shape[0], -1) @ b.reshape(b.shape[0], -1).T
  return _pairs(a[:, :, 0], b[:, :, 0])


def _input_gram(a: Array, b: Array) -> Array:
  """Inputs (n, P, D) and (m, Q, D), or their indices (n, P) and (m, Q) -> (n, P, m, Q)."""
  if a.ndim == 2:
    return ((a[:, :, None, None] == b[None, None]) & (a[:, :, None, None] >= 0)).astype(jnp.float32)
  return (_flat(a) @ _flat(b).T).reshape(*a.shape[:2], *b.shape[:2])


def _flat(x: Array) -> Array:
  return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _gradient_kernel(a: Array, b: Array, trace: bool) -> Array:
  """Gradients (n, k, p) and (m, k, p) -> (n, m) with trace, else (n, k, m, k)."""
  if trace:
    return a.reshape(a.shape[0], -1) @ b.reshape(b.shape[0], -1).T
  return _pairs(a, b)


def _pairs(a: Array, b: Array) -> Array:
  """(n, k, p) and (m, l, p) -> (n, k, m, l), as one matrix product: an einsum would first write the transpose of b."""
  return (_flat(a) @ _flat(b).T).reshape(*a.shape[:2], *b.shape[:2])


def _sum_over_positions(a: Factors, b: Factors, inputs: Array, trace: bool) -> Array:
  """The kernel of factors at several positions from the Gram matrix of their inputs (n, P, m, Q)."""
  inputs = inputs.astype(a.cotangents.dtype)
  (n, k, p, h), (m, _, q, _) = a.cotangents.shape, b.cotangents.shape
  if trace:
    outputs_last = lambda x: jnp.swapaxes(x, 1, 2).reshape(x.shape[0] * x.shape[2], k * h)
    outputs = outputs_last(a.cotangents) @ outputs_last(b.cotangents).T
    return jnp.sum(outputs.reshape(n, p, m, q) * inputs, axis=(1, 3))
  outputs = (_flat(a.cotangents) @ _flat(b.cotangents).T).reshape(n, k, p, m, k, q)
  return jnp.einsum('nkpmlq,npmq->nkml', outputs, inputs)
