"""Where a model uses its parameters: the places, found in its jaxpr, at which a parameter meets an activation linearly.

A *site* is an equation z = a w of one example: a matrix product, a convolution or the reading of rows, in which w is a
parameter leaf up to a scalar factor and the order of its entries. The gradient of that leaf is then the outer product of
the site's inputs a and the cotangents of z, so a kernel needs only these two. A bias is a site too, of input 1; where nothing
else reads the product that it is added to, the two have the same cotangents. A leaf that is used in any other way too is
*opaque*: nothing is assumed about it. So an unknown model costs time, and never correctness.
"""

import collections
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from dynamics import trees
from dynamics.types import Array, Variables

INLINED = {'jit': 'jaxpr', 'pjit': 'jaxpr', 'closed_call': 'call_jaxpr', 'core_call': 'call_jaxpr'}
INLINED |= {'remat2': 'jaxpr', 'remat': 'jaxpr', 'checkpoint': 'jaxpr'}
PATCHES = 64  # entries of a filter up to which its patches are cut out one by one


class Site(NamedTuple):
  """One use of one leaf by one example, at P positions. The gradient is the sum over positions of row times column."""

  leaf: int
  layout: tuple  # how the leaf's entries lie in rows and columns: sites of equal layout may be added up
  output: jax.ShapeDtypeStruct
  positions: int  # P
  inputs: int  # D
  outputs: int  # H
  indexed: bool  # rows are unit vectors, given by their places (P,), -1 for none
  rows: Callable[[Array], Array]  # the other operand -> (P, D), or (P,)
  columns: Callable[[Array], Array]  # a cotangent of the output -> (P, H)
  product: Callable[[Array, Array], Array] | None = None  # (rows, parameter) -> output, where rows spare the equation itself
  after: int | None = None  # the number of the site whose cotangents are the same, because this one adds a bias to its output
  last: bool = False  # its output is that of the model, so its cotangents are unit vectors


class Structure(NamedTuple):
  """What is known of a model from shapes alone, and its forward pass for one example."""

  names: tuple[str, ...]  # of the leaves
  sizes: tuple[int, ...]
  sites: tuple[Site, ...]
  opaque: frozenset[int]  # leaves with a use that is no site
  outputs: int  # k, all output axes of an example together
  residuals: int  # scalars that one example's forward pass makes
  operations: int  # multiplications and additions of one example's forward pass
  forward: Callable  # (leaves, rest, x of one example, {site: shift of its output}) -> (outputs (k,), inputs of the sites)


class _Link(NamedTuple):
  """A variable that is a leaf times a scalar, its entries in another order."""

  leaf: int
  layout: tuple
  scale: Array | None


def structure(apply: Callable[..., Array], variables: Variables, x: jax.ShapeDtypeStruct) -> Structure:
  """Traces `apply` for one example of x (n, ...) and finds the sites of variables['params']; nothing is computed."""
  rest = {name: value for name, value in variables.items() if name != 'params'}
  leaves, treedef = jax.tree.flatten(variables['params'])
  one = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
  call = lambda leaves, rest, x: apply({**rest, 'params': jax.tree.unflatten(treedef, leaves)}, x)
  closed = jax.make_jaxpr(call)(leaves, rest, one)

  def evaluate(leaves, rest, x, shifts):
    ties = [_Link(i, (), None) for i in range(len(leaves))] + [None] * (len(closed.jaxpr.invars) - len(leaves))
    walk = _Walk([], [], set(), shifts, set())
    (outputs,), links = _evaluate(closed.jaxpr, closed.consts, [*leaves, *jax.tree.leaves((rest, x))], ties, walk)
    walk.opaque.update(link.leaf for link in links if link)
    return outputs, walk

  found = []
  jax.eval_shape(lambda *args: found.append(evaluate(*args, {})[1]), leaves, rest, one)

  def forward(leaves, rest, x, shifts):
    outputs, walk = evaluate(leaves, rest, x[None], shifts)
    return outputs.reshape(-1), walk.inputs

  return Structure(
    names=tuple(trees.by_path(variables['params'])),
    sizes=tuple(leaf.size for leaf in leaves),
    sites=tuple(site._replace(last=i in found[0].last) for i, site in enumerate(found[0].sites)),
    opaque=frozenset(found[0].opaque),
    outputs=closed.out_avals[0].size,
    residuals=sum(v.aval.size for eqn in closed.jaxpr.eqns for v in eqn.outvars),
    operations=_operations(closed.jaxpr),
    forward=forward,
  )


class _Walk(NamedTuple):
  """What is met on the way through a jaxpr, in order."""

  sites: list[Site]
  inputs: list[Array]
  opaque: set[int]
  shifts: dict[int, Array]
  last: set[int]  # sites whose output is that of the jaxpr just left


def _evaluate(jaxpr: core.Jaxpr, consts, args, ties, walk: _Walk):
  """The outputs of a jaxpr and their links, with the sites' outputs shifted."""
  values, links = dict(zip(jaxpr.constvars, consts, strict=True)), {}
  values |= zip(jaxpr.invars, args, strict=True)
  links |= {v: tie for v, tie in zip(jaxpr.invars, ties, strict=True) if tie}
  read = lambda v: v.val if isinstance(v, core.Literal) else values[v]
  link = lambda v: None if isinstance(v, core.Literal) else links.get(v)
  plain = lambda variables: [v for v in variables if not isinstance(v, core.Literal)]
  uses = collections.Counter(plain(itertools.chain(jaxpr.outvars, *(eqn.invars for eqn in jaxpr.eqns))))
  made = {}  # variables that are read once -> the sites whose output they are, entry by entry
  for eqn in jaxpr.eqns:
    operands, tied = [read(v) for v in eqn.invars], [link(v) for v in eqn.invars]
    inner = eqn.params.get(INLINED.get(eqn.primitive.name)) if any(tied) else None
    if inner is not None:
      closed = inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ())
      outs, onward = _evaluate(closed.jaxpr, closed.consts, operands, tied, walk)
      if walk.last and len(outs) == 1 and uses[eqn.outvars[0]] == 1:
        made[eqn.outvars[0]] = tuple(sorted(walk.last))
    else:
      outs, onward = _apply(jaxpr, eqn, operands), [None] * len(eqn.outvars)
      if any(tied):
        number, before = len(walk.sites), next((made[v] for v in plain(eqn.invars) if v in made), ())
        outs, onward = _use(eqn, operands, tied, outs, walk, before)
        if len(walk.sites) > number and uses[eqn.outvars[0]] == 1:
          made[eqn.outvars[0]] = (*(before if walk.sites[-1].after is not None else ()), number)
      elif eqn.primitive.name in ('reshape', 'squeeze') and eqn.invars[0] in made and uses[eqn.outvars[0]] == 1:
        made[eqn.outvars[0]] = made[eqn.invars[0]]
    values |= zip(eqn.outvars, outs, strict=True)
    links |= {v: tie for v, tie in zip(eqn.outvars, onward, strict=True) if tie}
  walk.last.clear()  # which an inner jaxpr has set
  walk.last.update(*(made[v] for v in plain(jaxpr.outvars) if v in made))
  return [read(v) for v in jaxpr.outvars], [link(v) for v in jaxpr.outvars]


def _apply(jaxpr, eqn, operands):
  """One equation as it stands, custom derivatives and all."""
  free = {v: x for v, x in zip(eqn.invars, operands, strict=True) if not isinstance(v, core.Literal)}
  single = core.Jaxpr([], list(free), eqn.outvars, [eqn], eqn.effects, jaxpr.debug_info)
  return core.jaxpr_as_fun(core.ClosedJaxpr(single, ()))(*free.values())


def _use(eqn, operands, tied, outs, walk, before):
  """What an equation with a tied operand is: a change of order or scale, a site, or nothing that is known."""
  nothing = [None] * len(outs)
  places = [i for i, tie in enumerate(tied) if tie]
  if len(places) == 1:
    (place,) = places
    onward = _follow(eqn, operands, place, tied[place])
    if onward:
      return outs, [onward]
    site = SITES[eqn.primitive.name](eqn, place, tied[place]) if eqn.primitive.name in SITES else None
    if site and before and eqn.primitive.name == 'add':
      site = site._replace(after=before[0])
    if site:
      number = len(walk.sites)
      walk.sites.append(site)
      rows, scale = site.rows(operands[1 - place]), tied[place].scale
      if site.product:
        outs = [site.product(rows, operands[place])]
      if scale is not None and not site.indexed:
        rows = trees.at_least_float32(rows) * scale.astype(trees.at_least_float32(rows).dtype)
      walk.inputs.append((rows, scale) if site.indexed else (rows, None))
      return [outs[0] + walk.shifts[number]] if number in walk.shifts else outs, nothing
  walk.opaque.update(tied[i].leaf for i in places)
  return outs, nothing


def _follow(eqn, operands, place, tie) -> _Link | None:
  """The link of the output, where the equation only scales or reorders; None for any other."""
  name, before, after = eqn.primitive.name, eqn.invars[place].aval, eqn.outvars[0].aval
  floating = jnp.issubdtype(after.dtype, jnp.floating)
  if not floating or before.size != after.size:
    return None
  if name in ('mul', 'div') and before.shape == after.shape:
    other = eqn.invars[1 - place].aval
    if other.size != 1 or (name == 'div' and place == 1):
      return None
    factor = jnp.reshape(jnp.asarray(operands[1 - place], after.dtype), ())
    return _scaled(tie, 1 / factor if name == 'div' else factor)
  if name == 'neg':
    return _scaled(tie, jnp.asarray(-1, after.dtype))
  if name in ('convert_element_type', 'copy', 'copy_p'):
    return tie
  if name in ('squeeze', 'broadcast_in_dim', 'expand_dims') or (name == 'reshape' and eqn.params['dimensions'] is None):
    return tie._replace(layout=(*tie.layout, after.shape))
  if name == 'transpose':
    return tie._replace(layout=(*tie.layout, ('transpose', eqn.params['permutation'])))
  return None


def _scaled(tie: _Link, factor: Array) -> _Link:
  factor = trees.at_least_float32(factor)
  if tie.scale is None:
    return tie._replace(scale=factor)
  kind = jnp.promote_types(factor.dtype, tie.scale.dtype)
  return tie._replace(scale=tie.scale.astype(kind) * factor.astype(kind))


# ---- the kinds of sites -----------------------------------------------------------------------------------------


def _dot(eqn, place, tie) -> Site | None:
  """A matrix product of the parameter and an activation over any axes, without shared batch axes."""
  contracted, batch = eqn.params['dimension_numbers']
  if batch[0] or batch[1]:
    return None
  own, other = contracted[place], contracted[1 - place]
  w, a, z = eqn.invars[place].aval, eqn.invars[1 - place].aval, eqn.outvars[0].aval
  free = tuple(i for i in range(a.ndim) if i not in other)
  d = math.prod(w.shape[i] for i in own)
  p, h = a.size // max(d, 1), w.size // max(d, 1)
  return Site(
    tie.leaf, ('dot', tie.layout, own), jax.ShapeDtypeStruct(z.shape, z.dtype), p, d, h, False,
    rows=lambda a: jnp.transpose(a, (*free, *other)).reshape(p, d),
    columns=lambda z: z.reshape(p, h) if place == 1 else z.reshape(h, p).T,
  )  # fmt: skip


def _conv(eqn, place, tie) -> Site | None:
  """A convolution with the parameter as its filter: the product of the matrix of patches and the filter."""
  how = eqn.params
  if place != 1 or how['feature_group_count'] != 1 or how['batch_group_count'] != 1:
    return None
  lhs, rhs, out = how['dimension_numbers']
  w, z = eqn.invars[1].aval, eqn.outvars[0].aval
  window = tuple(w.shape[i] for i in rhs[2:])
  d, h = math.prod(window) * w.shape[rhs[1]], w.shape[rhs[0]]
  p = z.size // max(h, 1)
  spatial = [z.shape[i] for i in out[2:]]
  large = math.prod(window) > PATCHES

  def cut(a):
    a = jnp.transpose(a, (lhs[0], *lhs[2:], lhs[1]))
    if large:
      # Channels first here, the window first below: only this site has the layout, so any one order will do.
      kind = ('N', ''.join('XYZUVW'[: len(window)]))
      spec = f'{kind[0]}{kind[1]}C', f'{kind[1]}IO', f'{kind[0]}{kind[1]}C'
      strides, dilations = how['window_strides'], dict(lhs_dilation=how['lhs_dilation'], rhs_dilation=how['rhs_dilation'])
      a = jax.lax.conv_general_dilated_patches(a, window, strides, how['padding'], **dilations, dimension_numbers=spec)
      return a.reshape(p, d)
    edges = [(0, 0, 0), *((lo, hi, f - 1) for (lo, hi), f in zip(how['padding'], how['lhs_dilation'], strict=True)), (0, 0, 0)]
    a = jax.lax.pad(a, jnp.zeros((), a.dtype), edges)
    pieces = []
    for place in itertools.product(*(range(0, size * f, f) for size, f in zip(window, how['rhs_dilation'], strict=True))):
      ends = [at + (size - 1) * s + 1 for at, size, s in zip(place, spatial, how['window_strides'], strict=True)]
      strides = (1, *how['window_strides'], 1)
      pieces.append(jax.lax.slice(a, (0, *place, 0), (a.shape[0], *ends, a.shape[-1]), strides))
    return jnp.concatenate(pieces, axis=-1).reshape(p, d)

  def product(rows, w):
    # The patches are there anyway; and going back, strided slices cost half of what a convolution with holes does.
    filters = jnp.transpose(w, (*rhs[2:], rhs[1], rhs[0])).reshape(d, h)
    found = jax.lax.dot(rows, filters, precision=how['precision'], preferred_element_type=z.dtype)
    return jnp.moveaxis(found.reshape(z.shape[out[0]], *spatial, h), range(z.ndim), (out[0], *out[2:], out[1]))

  return Site(
    tie.leaf, ('conv', tie.layout, rhs), jax.ShapeDtypeStruct(z.shape, z.dtype), p, d, h, False,
    rows=cut,
    columns=lambda z: jnp.transpose(z, (out[0], *out[2:], out[1])).reshape(p, h),
    product=None if large else product,
  )  # fmt: skip


def _gather(eqn, place, tie) -> Site | None:
  """Whole rows read along one axis of the parameter: the product with one-hot vectors, which are not formed."""
  how, w, z = eqn.params['dimension_numbers'], eqn.invars[0].aval, eqn.outvars[0].aval
  axes = tuple(how.start_index_map)
  if place != 0 or len(axes) != 1 or tuple(how.collapsed_slice_dims) != axes or how.operand_batching_dims:
    return None
  (axis,) = axes
  if tuple(eqn.params['slice_sizes']) != (*w.shape[:axis], 1, *w.shape[axis + 1 :]):
    return None
  d = w.shape[axis]
  h = w.size // max(d, 1)
  p = z.size // max(h, 1)
  lead = tuple(i for i in range(z.ndim) if i not in how.offset_dims)
  clip = eqn.params['mode'] == jax.lax.GatherScatterMode.CLIP

  def places(i):
    i = i.reshape(p).astype(jnp.int32)
    return jnp.clip(i, 0, d - 1) if clip else jnp.where((i >= 0) & (i < d), i, -1)

  return Site(
    tie.leaf, ('gather', tie.layout, axis), jax.ShapeDtypeStruct(z.shape, z.dtype), p, d, h, True,
    rows=places,
    columns=lambda z: jnp.transpose(z, (*lead, *how.offset_dims)).reshape(p, h),
  )  # fmt: skip


def _add(eqn, place, tie) -> Site | None:
  """A bias of one example's whole activation: the product with an input of 1."""
  w, z = eqn.invars[place].aval, eqn.outvars[0].aval
  if w.shape != z.shape or isinstance(eqn.invars[1 - place], core.Literal):
    return None
  return Site(
    tie.leaf, ('add', tie.layout), jax.ShapeDtypeStruct(z.shape, z.dtype), 1, 1, w.size, False,
    rows=lambda _: jnp.ones((1, 1), z.dtype),
    columns=lambda z: z.reshape(1, -1),
  )  # fmt: skip


SITES = {'dot_general': _dot, 'conv_general_dilated': _conv, 'gather': _gather, 'add': _add}


# ---- counts -----------------------------------------------------------------------------------------------------


def _operations(jaxpr: core.Jaxpr) -> int:
  """Multiplications and additions of a jaxpr, about; a `while` counts as one turn and a `cond` as its dearest branch."""
  total = 0
  for eqn in jaxpr.eqns:
    size = sum(v.aval.size for v in eqn.outvars)
    inner = [_operations(j) for j in _inside(eqn.params)]
    if eqn.primitive.name == 'dot_general':
      own = eqn.params['dimension_numbers'][0][0]
      total += 2 * size * math.prod(eqn.invars[0].aval.shape[i] for i in own)
    elif eqn.primitive.name == 'conv_general_dilated':
      rhs, w = eqn.params['dimension_numbers'].rhs_spec, eqn.invars[1].aval
      total += 2 * size * (w.size // max(w.shape[rhs[0]], 1))
    elif inner:
      total += eqn.params.get('length', 1) * (max(inner) if eqn.primitive.name == 'cond' else sum(inner))
    else:
      total += size
  return total


def _inside(params) -> list[core.Jaxpr]:
  found = [x for value in params.values() for x in (value if isinstance(value, tuple | list) else (value,))]
  return [x.jaxpr if isinstance(x, core.ClosedJaxpr) else x for x in found if isinstance(x, core.ClosedJaxpr | core.Jaxpr)]
