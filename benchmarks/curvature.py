"""Our Hessian spectra against PyHessian, matfree and curvlinops with scipy: the same network, data, loss and steps."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from benchmarks.timing import Options, Rates, Table
from dynamics import losses, models
from dynamics.linalg import products
from dynamics.linalg.lanczos import flat
from dynamics.linalg.quadrature import slq
from dynamics.types import Batch

STEPS, VECTORS, MEMBERS = 100, 10, 16
SHORT = 20  # steps where ten vectors go through the larger network, or a turn would take a minute
TOLERANCE = 1e-3  # of the largest eigenvalue, which 100 steps find from any vector
LONG = 3  # rounds of these rows
HEADER = (
  'what', 'target', 'ours, ms', 'other, ms', 'ratio: median', 'min - max', 'met', 'ratio, processor time', 'eigenvalues apart by',
)  # fmt: skip


class Network(NamedTuple):
  """tanh, 64-h-h-10, on all 1,797 digits at once."""

  module: object
  params: dict
  batch: Batch

  @property
  def size(self) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(self.params))

  def matvec(self, params):
    apply = lambda params, x: self.module.apply({'params': params}, x)
    return products.loss_hessian(apply, losses.cross_entropy(), params, self.batch)


def curvature(options: Options) -> Table:
  """A spectrum, side by side; then what it costs beside its products, with more vectors, and with more members."""
  steps, rows, notes = 10 if options.quick else STEPS, [], []
  for h, target in ((16, 6.0), (256, 1.0)):
    net, long = _network(h), options.rounds if h == 16 else min(options.rounds, LONG)
    for vectors in (1, VECTORS):
      short = min(steps, SHORT) if vectors > 1 and h > 16 else steps
      ours, rounds = _ours(net, short, vectors), options.rounds if vectors == 1 else long
      for name, make, least in (('PyHessian', _pyhessian, target), ('matfree', _matfree, 1.0), ('curvlinops', _curvlinops, 1.0)):
        if name == 'curvlinops' and vectors > 1:
          continue
        try:
          peer = make(net, short, vectors)
        except ModuleNotFoundError as error:
          notes.append(f'{name} left out: {error}.')
          continue
        agreement = timing.agree(ours()[1], peer()[1], 1.0 if options.quick else TOLERANCE, f'{name}, {net.size} parameters')
        rates = timing.alternate({'ours': lambda ours=ours: ours()[0], 'peer': lambda peer=peer: peer()[0]}, rounds)
        rows.append(_row(f'{net.size:,} parameters, {vectors} vectors, against {name}', least, rates, agreement))
    rows += _inside(net, steps, short, options.rounds, long)
  rows.append(_members(_network(16), steps, options.rounds))
  how = (
    f'ms: of a step of one vector, of {steps} steps; a step of a spectrum has one Hessian-vector product in it.',
    f'Rounds: {options.rounds}; for {VECTORS} vectors and the larger network at most {LONG}, of {min(steps, SHORT)} steps.',
  )
  return Table('Hessian spectra by Lanczos', HEADER, rows, [*how, *dict.fromkeys(notes)])


def _inside(net: Network, steps: int, short: int, rounds: int, long: int) -> list[tuple]:
  """Ours against its own products, and ten vectors against one."""
  one, few, ten = _ours(net, steps, 1), _ours(net, short, 1), _ours(net, short, VECTORS)
  first = timing.alternate({'ours': lambda: one()[0], 'peer': _bare(net, steps)}, rounds)
  second = timing.alternate({'ours': lambda: ten()[0], 'peer': lambda: few()[0]}, long)
  return [
    _row(f'{net.size:,} parameters, against its bare products', 1 / 1.3, first, '-'),
    _row(f'{net.size:,} parameters, {VECTORS} vectors, against 1 vector', 0.95, second, '-'),
  ]


def _members(net: Network, steps: int, rounds: int) -> tuple:
  """Spectra of 16 networks in one program against one after the other."""
  draw = np.random.default_rng(1)
  several = jax.tree.map(
    lambda w: jnp.asarray(w[None] + 0.1 * draw.normal(size=(MEMBERS, *w.shape)).astype(np.float32)), net.params
  )
  one = lambda params: slq(net.matvec(params), params, jax.random.key(0), steps=steps, vectors=1).nodes
  single, together = jax.jit(one), jax.jit(jax.vmap(one))
  members = [jax.tree.map(lambda w, i=i: w[i], several) for i in range(MEMBERS)]
  largest = lambda nodes: float(np.max(nodes))
  agreement = timing.agree(largest(together(several)[-1]), largest(single(members[-1])), 1e-3, 'members')

  def ours():
    jax.block_until_ready(together(several))
    return steps * MEMBERS

  def theirs():
    for params in members:
      jax.block_until_ready(single(params))
    return steps * MEMBERS

  rates = timing.alternate({'ours': ours, 'peer': theirs}, rounds)
  return _row(f'{net.size:,} parameters, {MEMBERS} members in one program, against one by one', 1.0, rates, agreement)


def _row(what: str, target: float, rates: dict[str, Rates], agreement: str) -> tuple[str, ...]:
  ours, peer = rates['ours'], rates['peer']
  ratios = ours.wall / peer.wall
  middle = float(np.median(ratios))
  return (
    what, f'>= {target:.2g}x', f'{1e3 / np.median(ours.wall):.2f}', f'{1e3 / np.median(peer.wall):.2f}', f'{middle:.2f}x',
    f'{ratios.min():.2f} - {ratios.max():.2f}', 'yes' if middle >= target else 'no',
    f'{timing.spread(ours.processor / peer.processor)}x', agreement,
  )  # fmt: skip


# ---- the sides: each returns (steps that it made, the largest eigenvalue) -----------------------------------------


@functools.cache
def _network(h: int) -> Network:
  from sklearn.datasets import load_digits

  x, y = load_digits(return_X_y=True)
  module = models.mlp(10, None, widths=(h, h), activation='tanh')
  batch = Batch(jnp.asarray(x / 16, jnp.float32), jnp.asarray(y, jnp.int32))
  return Network(module, module.init(jax.random.key(0), batch.x[:1])['params'], batch)


def _ours(net: Network, steps: int, vectors: int) -> Callable[[], tuple[int, float]]:
  run = jax.jit(lambda params, key: slq(net.matvec(params), params, key, steps=steps, vectors=vectors).nodes)
  return lambda: (steps * vectors, float(np.max(run(net.params, jax.random.key(0)))))


def _bare(net: Network, steps: int) -> Callable[[], int]:
  """The products alone, each of the last one's result, as a recurrence has them."""

  @jax.jit
  def run(params):
    matvec, shape = net.matvec(params), flat(params)
    v = jax.random.normal(jax.random.key(0), (shape.size,))
    return jax.lax.fori_loop(0, steps, lambda _, v: shape.ravel(matvec(shape.unravel(v))) * 0.1, v)

  def work():
    jax.block_until_ready(run(net.params))
    return steps

  return work


def _matfree(net: Network, steps: int, vectors: int) -> Callable[[], tuple[int, float]]:
  from matfree import decomp

  shape, decompose = flat(net.params), decomp.tridiag_sym(steps, reortho='full', materialize=True)

  @jax.jit
  def run(params, keys):
    matvec = net.matvec(params)
    product = lambda v: shape.ravel(matvec(shape.unravel(v)))
    one = lambda key: jnp.linalg.eigh(decompose(product, jax.random.rademacher(key, (shape.size,), jnp.float32)).J_small)[0]
    return jax.vmap(one)(keys) if shape.size < 10_000 else jax.lax.map(one, keys)

  return lambda: (steps * vectors, float(np.max(run(net.params, jax.random.split(jax.random.key(0), vectors)))))


def _torch(net: Network):
  """The same network and data in torch."""
  import torch

  layers = []
  for name in ('input', 'hidden_1', 'readout'):
    weights = net.params[name]
    layer = torch.nn.Linear(*weights['kernel'].shape)
    with torch.no_grad():
      layer.weight.copy_(torch.tensor(np.array(weights['kernel']).T))
      layer.bias.copy_(torch.tensor(np.array(weights['bias'])))
    layers += [layer, torch.nn.Tanh()]
  data = torch.tensor(np.array(net.batch.x)), torch.tensor(np.array(net.batch.y), dtype=torch.long)
  return torch.nn.Sequential(*layers[:-1]), torch.nn.CrossEntropyLoss(), data


def _pyhessian(net: Network, steps: int, vectors: int) -> Callable[[], tuple[int, float]]:
  import torch
  from pyhessian import hessian

  # It calls torch.eig, which torch took away after 1.8, on a symmetric matrix.
  torch.eig = lambda t, eigenvectors: _eig(*torch.linalg.eigh(t))
  model, loss, data = _torch(net)
  operator = hessian(model, loss, data=data, cuda=False)

  def work():
    nodes, _ = operator.density(iter=steps, n_v=vectors)
    return steps * vectors, float(np.max(nodes))

  return work


def _eig(values, vectors):
  """As torch.eig had it: real and imaginary parts as columns."""
  import torch

  return torch.stack([values, torch.zeros_like(values)], dim=1), vectors


def _curvlinops(net: Network, steps: int, vectors: int) -> Callable[[], tuple[int, float]]:
  """Its product through scipy's operator, in a recurrence of numpy that is made orthogonal once a step."""
  from curvlinops import HessianLinearOperator
  from scipy.linalg import eigvalsh_tridiagonal

  model, loss, data = _torch(net)
  operator = HessianLinearOperator(model, loss, list(model.parameters()), [data], check_deterministic=False).to_scipy()

  def work():
    basis, diagonal, beside = np.zeros((steps, net.size), np.float32), [], []
    v = np.random.default_rng(0).choice([-1.0, 1.0], net.size).astype(np.float32)
    for j in range(steps):
      basis[j] = v / np.linalg.norm(v)
      v = operator @ basis[j]
      diagonal.append(float(basis[j] @ v))
      v = v - (basis[: j + 1] @ v) @ basis[: j + 1]
      beside.append(float(np.linalg.norm(v)))
    return steps, float(eigvalsh_tridiagonal(np.array(diagonal), np.array(beside[:-1]))[-1])

  return work
