"""Where a model multiplies its parameters with activations: the sites in its jaxpr.

A *site* is an equation z = a w of one example: a matrix product, a convolution or a lookup of rows, where w is a parameter
leaf up to a scalar factor and the order of its entries. The gradient of that leaf is then the outer product of the inputs a
and the cotangents of z, which is all that a kernel needs. The addition of a bias is a site with input 1. If nothing else reads
the product to which a bias is added, both sites have the same cotangents. A leaf with any other use is *opaque*, and its
gradient is computed by reverse mode. Hence an unknown layer costs time, but not correctness.
"""

import collections
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from dynamics import jaxprs, trees
from dynamics.types import Array, Tree, Variables

INLINED = {'jit': 'jaxpr', 'pjit': 'jaxpr', 'closed_call': 'call_jaxpr', 'core_call': 'call_jaxpr'}
INLINED |= {'remat2': 'jaxpr', 'remat': 'jaxpr', 'checkpoint': 'jaxpr'}
PATCHES = 64  # positions in a filter's window up to which patches are sliced one position at a time


class Site(NamedTuple):
  """One use of one leaf, at P positions. The gradient is the sum over positions of the outer products of row and column."""

  leaf: int
  layout: tuple  # how rows and columns index the leaf's entries; gradients of sites with equal layouts may be added
  output: jax.ShapeDtypeStruct
  positions: int  # P
  inputs: int  # D
  outputs: int  # H
  indexed: bool  # rows are unit vectors, given by their indices (P,), -1 for a zero vector
  rows: Callable[[Array], Array]  # the other operand -> (P, D), or (P,)
  columns: Callable[[Array], Array]  # a cotangent of the output -> (P, H)
  product: Callable[[Array, Array], Array] | None = None  # (rows, parameter) -> output, in place of the equation itself
  bias_of: int | None = None  # the number of the site to whose output this one adds a bias, so that cotangents are the same
  is_output: bool = False  # its output is that of the model, so that its cotangents are unit vectors


class Structure(NamedTuple):
  """The sites of a model and counts for one example, all known from shapes, and its forward pass."""

  names: tuple[str, ...]  # of the leaves
  sizes: tuple[int, ...]
  sites: tuple[Site, ...]
  opaque: frozenset[int]  # leaves with a use that is not a site
  outputs: int  # k, all output axes of an example together
  residuals: int  # scalars that the forward pass of an example computes
  operations: int  # multiplications and additions of that forward pass
  forward: Callable  # (leaves, rest, x of one example, {site: shift of its output}) -> (outputs (k,), inputs of the sites)


class _Link(NamedTuple):
  """A variable that is a leaf times a scalar, with its entries reordered."""

  leaf: int
  layout: tuple  # the reshapes and transposes from the leaf to the variable
  scale: Array | None


def structure(apply: Callable[..., Array], variables: Variables, x: Tree) -> Structure:
  """Traces `apply` for one example of x (n, ...), an array or a tree, or its shapes, and finds the sites of
  variables['params']; computes nothing."""
  rest = {name: value for name, value in variables.items() if name != 'params'}
  leaves, treedef = jax.tree.flatten(variables['params'])
  example = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), x)
  call = lambda leaves, rest, x: apply({**rest, 'params': jax.tree.unflatten(treedef, leaves)}, x)
  closed = jax.make_jaxpr(call)(leaves, rest, example)

  def evaluate(leaves, rest, x, shifts):
    links = [_Link(i, (), None) for i in range(len(leaves))] + [None] * (len(closed.jaxpr.invars) - len(leaves))
    trace = _Trace([], [], set(), shifts, set())
    (outputs,), links = _evaluate(closed.jaxpr, closed.consts, [*leaves, *jax.tree.leaves((rest, x))], links, trace)
    trace.opaque.update(link.leaf for link in links if link)
    return outputs, trace

  traces = []
  jax.eval_shape(lambda *args: traces.append(evaluate(*args, {})[1]), leaves, rest, example)

  def forward(leaves, rest, x, shifts):
    outputs, trace = evaluate(leaves, rest, jax.tree.map(lambda a: a[None], x), shifts)
    return outputs.reshape(-1), trace.inputs

  return Structure(
    names=tuple(trees.by_path(variables['params'])),
    sizes=tuple(leaf.size for leaf in leaves),
    sites=tuple(site._replace(is_output=i in traces[0].output_sites) for i, site in enumerate(traces[0].sites)),
    opaque=frozenset(traces[0].opaque),
    outputs=closed.out_avals[0].size,
    residuals=sum(v.aval.size for eqn in closed.jaxpr.eqns for v in eqn.outvars),
    operations=_operations(closed.jaxpr),
    forward=forward,
  )


class _Trace(NamedTuple):
  """What the evaluation of a jaxpr has collected so far."""

  sites: list[Site]
  inputs: list[Array]  # of the sites
  opaque: set[int]
  shifts: dict[int, Array]
  output_sites: set[int]  # sites whose output is that of the jaxpr evaluated last


def _evaluate(jaxpr: core.Jaxpr, consts, args, arg_links, trace: _Trace):
  """The outputs of a jaxpr and their links; adds shifts to the outputs of sites and collects the sites in `trace`."""
  values, links = dict(zip(jaxpr.constvars, consts, strict=True)), {}
  values |= zip(jaxpr.invars, args, strict=True)
  links |= {v: link for v, link in zip(jaxpr.invars, arg_links, strict=True) if link}
  read = lambda v: v.val if isinstance(v, core.Literal) else values[v]
  link_of = lambda v: None if isinstance(v, core.Literal) else links.get(v)
  no_literals = lambda variables: [v for v in variables if not isinstance(v, core.Literal)]
  uses = collections.Counter(no_literals(itertools.chain(jaxpr.outvars, *(eqn.invars for eqn in jaxpr.eqns))))
  outputs_of = {}  # variables that are read once -> the sites of which they are the output, up to a shape
  for eqn in jaxpr.eqns:
    operands, operand_links = [read(v) for v in eqn.invars], [link_of(v) for v in eqn.invars]
    inner = eqn.params.get(INLINED.get(eqn.primitive.name)) if any(operand_links) else None
    if inner is not None:
      closed = inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ())
      outs, out_links = _evaluate(closed.jaxpr, closed.consts, operands, operand_links, trace)
      if trace.output_sites and len(outs) == 1 and uses[eqn.outvars[0]] == 1:
        outputs_of[eqn.outvars[0]] = tuple(sorted(trace.output_sites))
    else:
      outs, out_links = jaxprs.applied(jaxpr, eqn, operands), [None] * len(eqn.outvars)
      if any(operand_links):
        number, addends = len(trace.sites), next((outputs_of[v] for v in no_literals(eqn.invars) if v in outputs_of), ())
        outs, out_links = _use(eqn, operands, operand_links, outs, trace, addends)
        if len(trace.sites) > number and uses[eqn.outvars[0]] == 1:
          outputs_of[eqn.outvars[0]] = (*(addends if trace.sites[-1].bias_of is not None else ()), number)
      elif eqn.primitive.name in ('reshape', 'squeeze') and eqn.invars[0] in outputs_of and uses[eqn.outvars[0]] == 1:
        outputs_of[eqn.outvars[0]] = outputs_of[eqn.invars[0]]
    values |= zip(eqn.outvars, outs, strict=True)
    links |= {v: link for v, link in zip(eqn.outvars, out_links, strict=True) if link}
  trace.output_sites.clear()  # those of inner jaxprs
  trace.output_sites.update(*(outputs_of[v] for v in no_literals(jaxpr.outvars) if v in outputs_of))
  return [read(v) for v in jaxpr.outvars], [link_of(v) for v in jaxpr.outvars]


def _use(eqn, operands, links, outs, trace, addends):
  """(outputs, their links) of an equation with linked operands: it scales or reorders a leaf, is a site, or makes it opaque.

  `addends` are the sites of which an operand is the output: if the equation adds a bias, it is the bias of the first.
  """
  no_links = [None] * len(outs)
  linked = [i for i, link in enumerate(links) if link]
  if len(linked) == 1:
    (i,) = linked
    out_link = _follow(eqn, operands, i, links[i])
    if out_link:
      return outs, [out_link]
    site = SITES[eqn.primitive.name](eqn, i, links[i]) if eqn.primitive.name in SITES else None
    if site and addends and eqn.primitive.name == 'add':
      site = site._replace(bias_of=addends[0])
    if site:
      number = len(trace.sites)
      trace.sites.append(site)
      rows, scale = site.rows(operands[1 - i]), links[i].scale
      if site.product:
        outs = [site.product(rows, operands[i])]
      if scale is not None and not site.indexed:
        rows = trees.at_least_float32(rows) * scale.astype(trees.at_least_float32(rows).dtype)
      trace.inputs.append((rows, scale) if site.indexed else (rows, None))
      return [outs[0] + trace.shifts[number]] if number in trace.shifts else outs, no_links
  trace.opaque.update(links[i].leaf for i in linked)
  return outs, no_links


def _follow(eqn, operands, i, link) -> _Link | None:
  """The link of the output of an equation that only scales or reorders operand i; None for any other equation."""
  name, before, after = eqn.primitive.name, eqn.invars[i].aval, eqn.outvars[0].aval
  floating = jnp.issubdtype(after.dtype, jnp.floating)
  if not floating or before.size != after.size:
    return None
  if name in ('mul', 'div') and before.shape == after.shape:
    other = eqn.invars[1 - i].aval
    if other.size != 1 or (name == 'div' and i == 1):
      return None
    factor = jnp.reshape(jnp.asarray(operands[1 - i], after.dtype), ())
    return _scaled(link, 1 / factor if name == 'div' else factor)
  if name == 'neg':
    return _scaled(link, jnp.asarray(-1, after.dtype))
  if name in ('convert_element_type', 'copy', 'copy_p'):
    return link
  if name in ('squeeze', 'broadcast_in_dim', 'expand_dims') or (name == 'reshape' and eqn.params['dimensions'] is None):
    return link._replace(layout=(*link.layout, after.shape))
  if name == 'transpose':
    return link._replace(layout=(*link.layout, ('transpose', eqn.params['permutation'])))
  return None


def _scaled(link: _Link, factor: Array) -> _Link:
  factor = trees.at_least_float32(factor)
  if link.scale is None:
    return link._replace(scale=factor)
  dtype = jnp.promote_types(factor.dtype, link.scale.dtype)
  return link._replace(scale=link.scale.astype(dtype) * factor.astype(dtype))


# ---- primitives: (equation, index of the parameter among its operands, link of the parameter) -> site, or None ----------


def _dot(eqn, i, link) -> Site | None:
  """A matrix product of the parameter and an activation over any axes, without shared batch axes."""
  contracted, batch = eqn.params['dimension_numbers']
  if batch[0] or batch[1]:
    return None
  w_axes, a_axes = contracted[i], contracted[1 - i]
  w, a, z = eqn.invars[i].aval, eqn.invars[1 - i].aval, eqn.outvars[0].aval
  free = tuple(axis for axis in range(a.ndim) if axis not in a_axes)
  d = math.prod(w.shape[axis] for axis in w_axes)
  p, h = a.size // max(d, 1), w.size // max(d, 1)
  return Site(
    link.leaf, ('dot', link.layout, w_axes), jax.ShapeDtypeStruct(z.shape, z.dtype), p, d, h, False,
    rows=lambda a: jnp.transpose(a, (*free, *a_axes)).reshape(p, d),
    columns=lambda z: z.reshape(p, h) if i == 1 else z.reshape(h, p).T,
  )  # fmt: skip


def _conv(eqn, i, link) -> Site | None:
  """A convolution with the parameter as its filter: the product of the matrix of patches and the filter."""
  params = eqn.params
  if i != 1 or params['feature_group_count'] != 1 or params['batch_group_count'] != 1:
    return None
  lhs, rhs, out = params['dimension_numbers']
  w, z = eqn.invars[1].aval, eqn.outvars[0].aval
  window = tuple(w.shape[i] for i in rhs[2:])
  d, h = math.prod(window) * w.shape[rhs[1]], w.shape[rhs[0]]
  p = z.size // max(h, 1)
  spatial = [z.shape[i] for i in out[2:]]
  large = math.prod(window) > PATCHES

  def patches(a):
    a = jnp.transpose(a, (lhs[0], *lhs[2:], lhs[1]))
    if large:
      # Channels come first here, the window first below. Any order will do, because all sites of a layout take the same.
      axes = ('N', ''.join('XYZUVW'[: len(window)]))
      spec = f'{axes[0]}{axes[1]}C', f'{axes[1]}IO', f'{axes[0]}{axes[1]}C'
      strides, dilations = params['window_strides'], {name: params[name] for name in ('lhs_dilation', 'rhs_dilation')}
      a = jax.lax.conv_general_dilated_patches(a, window, strides, params['padding'], **dilations, dimension_numbers=spec)
      return a.reshape(p, d)
    padding = [(lo, hi, f - 1) for (lo, hi), f in zip(params['padding'], params['lhs_dilation'], strict=True)]
    a = jax.lax.pad(a, jnp.zeros((), a.dtype), [(0, 0, 0), *padding, (0, 0, 0)])
    slices = []
    for start in itertools.product(*(range(0, size * f, f) for size, f in zip(window, params['rhs_dilation'], strict=True))):
      ends = [at + (size - 1) * s + 1 for at, size, s in zip(start, spatial, params['window_strides'], strict=True)]
      strides = (1, *params['window_strides'], 1)
      slices.append(jax.lax.slice(a, (0, *start, 0), (a.shape[0], *ends, a.shape[-1]), strides))
    return jnp.concatenate(slices, axis=-1).reshape(p, d)

  def product(rows, w):
    # The patches exist already, and the derivative of strided slices costs half of that of a dilated convolution.
    filters = jnp.transpose(w, (*rhs[2:], rhs[1], rhs[0])).reshape(d, h)
    outputs = jax.lax.dot(rows, filters, precision=params['precision'], preferred_element_type=z.dtype)
    return jnp.moveaxis(outputs.reshape(z.shape[out[0]], *spatial, h), range(z.ndim), (out[0], *out[2:], out[1]))

  return Site(
    link.leaf, ('conv', link.layout, rhs), jax.ShapeDtypeStruct(z.shape, z.dtype), p, d, h, False,
    rows=patches,
    columns=lambda z: jnp.transpose(z, (out[0], *out[2:], out[1])).reshape(p, h),
    product=None if large else product,
  )  # fmt: skip


def _gather(eqn, i, link) -> Site | None:
  """A lookup of whole rows along one axis of the parameter: the product with one-hot vectors, which are not formed."""
  numbers, w, z = eqn.params['dimension_numbers'], eqn.invars[0].aval, eqn.outvars[0].aval
  axes = tuple(numbers.start_index_map)
  if i != 0 or len(axes) != 1 or tuple(numbers.collapsed_slice_dims) != axes or numbers.operand_batching_dims:
    return None
  (axis,) = axes
  if tuple(eqn.params['slice_sizes']) != (*w.shape[:axis], 1, *w.shape[axis + 1 :]):
    return None
  d = w.shape[axis]
  h = w.size // max(d, 1)
  p = z.size // max(h, 1)
  positions = tuple(axis for axis in range(z.ndim) if axis not in numbers.offset_dims)
  clip = eqn.params['mode'] == jax.lax.GatherScatterMode.CLIP

  def indices(start):
    start = start.reshape(p).astype(jnp.int32)
    return jnp.clip(start, 0, d - 1) if clip else jnp.where((start >= 0) & (start < d), start, -1)

  return Site(
    link.leaf, ('gather', link.layout, axis), jax.ShapeDtypeStruct(z.shape, z.dtype), p, d, h, True,
    rows=indices,
    columns=lambda z: jnp.transpose(z, (*positions, *numbers.offset_dims)).reshape(p, h),
  )  # fmt: skip


def _add(eqn, i, link) -> Site | None:
  """The addition of a bias with the shape of the whole activation of one example: the product with an input of 1."""
  w, z = eqn.invars[i].aval, eqn.outvars[0].aval
  if w.shape != z.shape or isinstance(eqn.invars[1 - i], core.Literal):
    return None
  return Site(
    link.leaf, ('add', link.layout), jax.ShapeDtypeStruct(z.shape, z.dtype), 1, 1, w.size, False,
    rows=lambda _: jnp.ones((1, 1), z.dtype),
    columns=lambda z: z.reshape(1, -1),
  )  # fmt: skip


SITES = {'dot_general': _dot, 'conv_general_dilated': _conv, 'gather': _gather, 'add': _add}


# ---- counts -----------------------------------------------------------------------------------------------------


def _operations(jaxpr: core.Jaxpr) -> int:
  """About the multiplications and additions of a jaxpr; a `while` counts as one iteration, a `cond` as its largest branch."""
  total = 0
  for eqn in jaxpr.eqns:
    size = sum(v.aval.size for v in eqn.outvars)
    inner = [_operations(j) for j in jaxprs.inner(eqn)]
    if eqn.primitive.name == 'dot_general':
      contracted = eqn.params['dimension_numbers'][0][0]
      total += 2 * size * math.prod(eqn.invars[0].aval.shape[axis] for axis in contracted)
    elif eqn.primitive.name == 'conv_general_dilated':
      rhs, w = eqn.params['dimension_numbers'].rhs_spec, eqn.invars[1].aval
      total += 2 * size * (w.size // max(w.shape[rhs[0]], 1))
    elif inner:
      total += eqn.params.get('length', 1) * (max(inner) if eqn.primitive.name == 'cond' else sum(inner))
    else:
      total += size
  return total
