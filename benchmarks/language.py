"""A language model of 64 positions, 256 bytes and 2 layers of 64, on 16 texts: ours against curvlinops and torch.func."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import timing
from benchmarks.timing import Options, Rates, Table
from dynamics import data, losses, models, trees
from dynamics.linalg import products
from dynamics.linalg.projections import directional_ntk
from dynamics.types import Batch

LENGTH, SEQUENCES, LAYERS, WIDTH, HEADS = 64, 16, 2, 64, 4
TOLERANCE = 1e-4
REPEATS = 5  # products in one turn
HEADER = ('what', 'peer', 'ours, ms', 'peer, ms', 'ratio: median', 'min - max', 'ratio, processor time', 'apart by')


class Model(NamedTuple):
  """The decoder with its weights, and a batch of text."""

  module: object
  params: dict
  batch: Batch
  direction: np.ndarray  # of outputs, (l, k) signs
  vector: dict  # of the parameters, signs

  def apply(self, params, x):
    return self.module.apply({'params': params}, x)


def language(options: Options) -> Table:
  """Products with the Hessian and the Gauss-Newton matrix, the kernel along one projection, and the gradients of sequences."""
  try:
    from benchmarks import peer
  except SystemExit as error:
    return Table('Language models', HEADER, [], [f'Not run: {error}.'])
  model, rows, notes = _model(), [], []
  ours, torch_func = _ours(model), _torch_func(model)
  peers = {'torch.func': torch_func}
  try:
    peers['curvlinops'] = _curvlinops(model)
  except ModuleNotFoundError as error:
    notes.append(f'curvlinops left out: {error}.')
  threads = peer.fastest(torch_func['Gauss-Newton product'])
  for what, work in ours.items():
    for name in (name for name in peers if what in peers[name]):
      other = peers[name][what]
      agreement = timing.agree(work(), other(), TOLERANCE, f'{what}, {name}')
      rows.append(_row(what, name, timing.alternate({'ours': _turn(work), 'peer': _turn(other)}, options.rounds), agreement))
  size = trees.size(model.params)
  how = f'{SEQUENCES} sequences of {LENGTH} bytes, {size:,} parameters; torch with {threads} thread{"s" if threads > 1 else ""}.'
  return Table('Language models', HEADER, rows, [how, *notes])


def _turn(work: Callable[[], float]) -> Callable[[], int]:
  def turn():
    for _ in range(REPEATS):
      work()
    return REPEATS

  return turn


def _row(what: str, name: str, rates: dict[str, Rates], agreement: str) -> tuple[str, ...]:
  ours, peer = rates['ours'], rates['peer']
  ratios = ours.wall / peer.wall
  return (
    what, name, f'{1e3 / np.median(ours.wall):.1f}', f'{1e3 / np.median(peer.wall):.1f}', f'{np.median(ratios):.2f}x',
    f'{ratios.min():.2f} - {ratios.max():.2f}', f'{timing.spread(ours.processor / peer.processor)}x', agreement,
  )  # fmt: skip


def _model() -> Model:
  task = data.text(length=LENGTH, train=SEQUENCES, test=1)
  module = models.decoder(task.outputs, task.vocabulary, layers=LAYERS, width=WIDTH, heads=HEADS)
  batch = task.draw(jax.random.key(0)).train
  params = jax.jit(module.init)(jax.random.key(1), batch.x)['params']
  rng = np.random.default_rng(0)
  signs = lambda shape: rng.choice([-1.0, 1.0], shape).astype(np.float32)
  return Model(module, params, batch, signs((LENGTH, task.outputs)), jax.tree.map(lambda w: signs(w.shape), params))


# ---- the sides: name -> a function that works and returns a number for the comparison -------------------------------


def _ours(model: Model) -> dict[str, Callable[[], float]]:
  v, (x, y) = model.vector, model.batch
  loss = losses.per_sequence(losses.cross_entropy(), y)
  quadratic = lambda make: jax.jit(lambda params: trees.dot(v, make(params)(v)))

  def noise(params):
    gradient = lambda x, y: jax.grad(lambda p: loss(model.apply(p, x[None]), y[None])[0])(params)
    gradients = jax.vmap(gradient)(x, y)
    return sum(jnp.sum(jnp.square(g - jnp.mean(g, axis=0))) for g in jax.tree.leaves(gradients)) / (len(x) - 1)

  kernel = lambda params: directional_ntk(model.module.apply, {'params': params}, x, direction=jnp.asarray(model.direction))
  programs = {
    'Hessian product': quadratic(lambda params: products.loss_hessian(model.apply, loss, params, model.batch)),
    'Gauss-Newton product': quadratic(lambda params: products.softmax_ggn(model.apply, params, model.batch)),
    'kernel along one projection': jax.jit(lambda params: jnp.trace(kernel(params))),
    'noise of the gradients of sequences': jax.jit(noise),
  }
  return {name: lambda run=run: float(run(model.params)) for name, run in programs.items()}


def _torch(model: Model):
  """The same network as a torch module whose answers are (n l, k), with x and the labels (n l,)."""
  import torch
  import torch.nn.functional as F

  class Decoder(torch.nn.Module):
    def __init__(self):
      super().__init__()
      named = {path: torch.tensor(np.array(w)) for path, w in trees.by_path(model.params).items()}
      self.w = torch.nn.ParameterDict(named)

    def norm(self, h, name):
      # Given its scale, layer_norm of torch 2.13 has a wrong derivative of that scale's gradient under vmap, by some percent.
      return F.layer_norm(h, (WIDTH,), eps=1e-6) * self.w[f'{name}/scale'] + self.w[f'{name}/bias']

    def attention(self, name, y):
      n, l, d = y.shape
      q, k, v = ((y @ self.w[f'{name}/{part}/kernel']).reshape(n, l, HEADS, d // HEADS) for part in ('query', 'key', 'value'))
      scores = torch.einsum('nlhc,nmhc->nhlm', q, k) * (d // HEADS) ** -0.5
      seen = torch.tril(torch.ones(l, l, dtype=torch.bool))
      mixed = torch.einsum('nhlm,nmhc->nlhc', torch.softmax(scores.masked_fill(~seen, -torch.inf), -1), v)
      return mixed.reshape(n, l, d) @ self.w[f'{name}/merge/kernel']

    def forward(self, x):
      w = self.w
      h = w['input/embedding'][x] + w['position_embedding']
      for i in range(LAYERS):
        name = f'hidden_{i}_attention'
        h = h + self.attention(name, self.norm(h, f'{name}_norm'))
        y = self.norm(h, f'hidden_{i}_dense_norm')
        y = F.gelu(y @ w[f'hidden_{i}_up/kernel'] + w[f'hidden_{i}_up/bias'], approximate='tanh')
        h = h + y @ w[f'hidden_{i}_down/kernel'] + w[f'hidden_{i}_down/bias']
      return (self.norm(h, 'norm_final') @ w['readout/kernel']).flatten(0, 1)

  x, y = (torch.tensor(np.array(part), dtype=torch.long) for part in model.batch)
  return Decoder(), x, y


def _torch_func(model: Model) -> dict[str, Callable[[], float]]:
  import torch
  from torch.func import functional_call, grad, jvp, vjp, vmap

  module, x, y = _torch(model)
  params = {name: w.detach() for name, w in module.named_parameters()}
  v = {f'w.{path}': torch.tensor(w) for path, w in trees.by_path(model.vector).items()}
  r = torch.tensor(model.direction)
  apply = lambda params, x: functional_call(module, params, (x,))
  loss = lambda params, x, y: torch.nn.functional.cross_entropy(apply(params, x), y.flatten())
  dot = lambda a, b: sum((a[name] * b[name]).sum() for name in a)

  @torch.no_grad()
  def hessian():
    return float(dot(v, jvp(lambda p: grad(loss)(p, x, y), (params,), (v,))[1]))

  @torch.no_grad()
  def gauss_newton():
    outputs, u = jvp(lambda p: apply(p, x), (params,), (v,))
    s = torch.softmax(outputs, -1)
    (product,) = vjp(lambda p: apply(p, x), params)[1](s * (u - (s * u).sum(-1, keepdim=True)) / len(s))
    return float(dot(v, product))

  @torch.no_grad()
  def kernel():
    gradients = vmap(grad(lambda p, x: (apply(p, x[None]) * r).sum()), (None, 0))(params, x)
    return float(torch.trace(sum(g.flatten(1) @ g.flatten(1).T for g in gradients.values())))

  @torch.no_grad()
  def noise():
    gradients = vmap(grad(lambda p, x, y: loss(p, x[None], y[None])), (None, 0, 0))(params, x, y)
    return float(sum((g - g.mean(0)).square().sum() for g in gradients.values()) / (len(x) - 1))

  return {
    'Hessian product': hessian, 'Gauss-Newton product': gauss_newton, 'kernel along one projection': kernel,
    'noise of the gradients of sequences': noise,
  }  # fmt: skip


def _curvlinops(model: Model) -> dict[str, Callable[[], float]]:
  import torch
  from curvlinops import GGNLinearOperator, HessianLinearOperator

  module, x, y = _torch(model)
  signs = {f'w.{path}': torch.tensor(w) for path, w in trees.by_path(model.vector).items()}
  v = [signs[name] for name, _ in module.named_parameters()]
  given = (module, torch.nn.CrossEntropyLoss(), list(module.parameters()), [(x, y.flatten())])
  size = dict(check_deterministic=False, num_data=y.numel(), batch_size_fn=lambda x: x.numel())

  def product(operator):
    return lambda: float(sum((a * b).sum() for a, b in zip(v, operator @ v, strict=True)))

  operators = {'Hessian product': HessianLinearOperator, 'Gauss-Newton product': GGNLinearOperator}
  return {name: product(make(*given, **size)) for name, make in operators.items()}
