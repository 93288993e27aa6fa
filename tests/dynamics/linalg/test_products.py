"""Products with curvature matrices against dense second derivatives and dense Jacobians, in both dtypes."""

import functools

import chex
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dynamics import losses, models, parallel, trees
from dynamics.linalg import products
from dynamics.linalg.kinks import kinks
from dynamics.types import Batch

N = 8
draw = np.random.default_rng(3)
FLOATS, LABELS = draw.normal(size=(N, 4)).astype(np.float32), np.array([0, 1, 2, 1, 0, 2, 2, 1], np.int32)
TOKENS = draw.integers(0, 5, size=(N, 2)).astype(np.int32)
CASES = {
  'mlp': (models.mlp(widths=(6, 5), activation='tanh', outputs=3), FLOATS),
  'transformer': (
    models.transformer(width=4, heads=2, expansion=2, activation='gelu', norm='none', outputs=3, vocabulary=5), TOKENS
  ),
}  # fmt: skip


@functools.cache
def setting(name, loss='cross_entropy', dtype='float64'):
  """(apply, loss, params, batch), and flat versions of both functions."""
  module, x = CASES[name]
  x = x if x.dtype == np.int32 else x.astype(dtype)
  shapes, rng = jax.eval_shape(module.init, jax.random.key(0), x)['params'], np.random.default_rng(1)
  weights = lambda w: (0.7 * rng.normal(size=w.shape).astype(np.float32)).astype(dtype)  # the same in both dtypes
  params = jax.tree.map(weights, shapes)
  batch = Batch(x, LABELS)
  return lambda params, x: module.apply({'params': params}, x), getattr(losses, loss)(dtype=dtype), params, batch


@functools.cache
def oracle(name, loss='cross_entropy'):
  """float64: (params, p) -> dense Hessian, J (n, k, p), softmax of outputs, gradients of examples (n, p)."""
  apply, loss, params, batch = setting(name, loss)
  flat, back = jax.flatten_util.ravel_pytree(params)
  values = lambda w: loss(apply(back(w), batch.x), batch.y)
  outputs = lambda w: apply(back(w), batch.x)
  derivatives = lambda w: (jax.hessian(lambda w: jnp.mean(values(w)))(w), jax.jacobian(outputs)(w), jax.jacobian(values)(w))
  (hessian, jacobian, gradients), z = jax.device_get(jax.jit(lambda w: (derivatives(w), outputs(w)))(flat))
  return hessian, jacobian, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), gradients


def dense(make, params, like=None):
  """The whole matrices of the operators make(params), column by column, in one program."""
  flat, back = jax.flatten_util.ravel_pytree(params if like is None else like)
  column = lambda matvec, e: jax.flatten_util.ravel_pytree(matvec(back(e)))[0]
  columns = lambda matvec: jax.vmap(functools.partial(column, matvec))(np.eye(flat.size, dtype=flat.dtype))
  product = jax.jit(lambda p: jax.tree.map(columns, make(p), is_leaf=callable))(params)
  return jax.tree.map(lambda m: np.asarray(m).T, product)


def gauss_newton(name, loss='cross_entropy'):
  """J^T L J / n from the dense Jacobian, with L written out."""
  _, j, s, _ = oracle(name, loss)
  inner = np.einsum('nk,kl->nkl', s, np.eye(3)) - s[:, :, None] * s[:, None] if loss == 'cross_entropy' else np.eye(3)[None]
  return np.einsum('nkp,nkl,nlq->pq', j, np.broadcast_to(inner, (N, 3, 3)), j) / N


def close(product, true, tolerance=1e-10):
  np.testing.assert_allclose(product, true, rtol=0, atol=tolerance * np.abs(true).max())


slow = pytest.mark.slow


@pytest.mark.parametrize(
  ('name', 'loss'),
  [
    ('mlp', 'cross_entropy'),
    ('mlp', 'mean_squared_error'),
    ('transformer', 'cross_entropy'),
    pytest.param('transformer', 'mean_squared_error', marks=slow),
  ],
)
def test_every_matrix_against_dense_ones(wide, name, loss):
  apply, own, params, batch = setting(name, loss)
  hessian, _, _, g = oracle(name, loss)
  true = gauss_newton(name, loss)
  centred = g - g.mean(axis=0)

  def made(params):
    return (
      products.hessian(lambda p: jnp.mean(own(apply(p, batch.x), batch.y)), params),
      products.loss_hessian(apply, own, params, batch),
      products.ggn(apply, own, params, batch),
      products.fisher(apply, params, batch, likelihood=loss),
      products.second_moment(apply, own, params, batch),
      products.noise(apply, own, params, batch),
    )

  for product, matrix in zip(
    dense(made, params), (hessian, hessian, true, true, g.T @ g / N, centred.T @ centred / N), strict=True
  ):
    close(product, matrix)


@pytest.mark.parametrize('name', ['mlp', pytest.param('transformer', marks=slow)])
def test_the_fisher_is_the_mean_over_labels_that_the_model_draws(wide, name):
  """All labels in turn, each with the model's own probability."""
  apply, own, params, batch = setting(name)
  share, total = oracle(name)[2], 0
  flat, back = jax.flatten_util.ravel_pytree(params)
  gradients = jax.jit(jax.jacobian(lambda w, y: own(apply(back(w), batch.x), y)))
  for label in range(3):
    g = np.asarray(gradients(flat, np.full(N, label, np.int32)))
    total = total + np.einsum('n,np,nq->pq', share[:, label], g, g) / N
  close(dense(lambda p: products.fisher(apply, p, batch), params), total)


@pytest.mark.parametrize('name', ['mlp', pytest.param('transformer', marks=slow)])
def test_float32(name):
  apply, own, params, batch = setting(name, dtype='float32')
  with jax.enable_x64(True):
    hessian, _, _, g = oracle(name)
    true = gauss_newton(name)

  def made(params):
    return (
      products.loss_hessian(apply, own, params, batch),
      products.ggn(apply, own, params, batch),
      products.fisher(apply, params, batch),
      products.second_moment(apply, own, params, batch),
    )

  for product, matrix in zip(dense(made, params), (hessian, true, true, g.T @ g / N), strict=True):
    chex.assert_type(product, np.float32)
    close(product, matrix, 1e-5)


MAKERS = {
  'loss_hessian': (products.loss_hessian, True),
  'ggn': (products.ggn, True),
  'fisher': (products.fisher, False),
  'second_moment': (products.second_moment, True),
  'noise': (products.noise, True),
}


@pytest.mark.parametrize('maker', MAKERS)
def test_microbatches_and_devices_give_the_full_batch(wide, maker):
  apply, own, params, batch = setting('mlp')
  make, needs_loss = MAKERS[maker]
  functions = (apply, own) if needs_loss else (apply,)
  v = jax.tree.map(lambda w: draw.normal(size=w.shape), params)
  over = products.sharded(parallel.mesh(4), parallel.MEMBER, make, *functions, chunk=1)
  part = lambda p, b, v, chunk: make(*functions, p, b, **({'chunk': chunk} if chunk else {}))(v)
  whole, *parts = jax.device_get(
    jax.jit(lambda p, b, v: [part(p, b, v, None), part(p, b, v, 3), part(p, b, v, 8), over(p, b)(v)])(params, batch, v)
  )
  flat = lambda tree: np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])
  for product in parts:
    close(flat(product), flat(whole))
  with pytest.raises(ValueError, match='7 examples cannot be split evenly over the 4 devices'):
    over(params, jax.tree.map(lambda x: x[:7], batch))


def test_one_linearisation_serves_many_vectors_and_members(wide):
  """vmap over vectors, over parameters, and lax.map over vectors: all rows of the same matrix."""
  apply, own, params, batch = setting('mlp')
  members = jax.tree.map(lambda w: np.stack([w, 2 * w, -w]), params)
  v = jax.tree.map(lambda w: draw.normal(size=(2, *w.shape)), params)
  make = lambda p: products.loss_hessian(apply, own, p, batch)
  beside = jax.device_get(jax.jit(jax.vmap(lambda p: jax.vmap(make(p))(v)))(members))
  mapped = jax.device_get(jax.jit(lambda p: jax.lax.map(lambda p: jax.lax.map(make(p), v), p))(members))
  jax.tree.map(close, beside, mapped)


def test_blocks_and_preconditioning(wide):
  apply, own, params, batch = setting('mlp')
  hessian, make = oracle('mlp')[0], lambda p: products.loss_hessian(apply, own, p, batch)
  keep = lambda path: path.startswith('input')
  inside = np.concatenate([np.full(w.size, keep(path)) for path, w in trees.by_path(params).items()])
  adam = optax.scale_by_adam(b2=0.9, eps=1e-3)
  gradients = jax.tree.map(lambda w: draw.normal(size=(3, *w.shape)), params)

  @jax.jit
  def scaled(gradients):
    start = adam.init(params)
    state, _ = jax.lax.scan(lambda state, g: (adam.update(g, state)[1], 0), start, gradients)
    return products.adam_scale(state, beta2=0.9, eps=1e-3), products.adam_scale(start)

  with jax.numpy_dtype_promotion('standard'):
    scale, first = jax.device_get(scaled(gradients))
  restricted, preconditioned = dense(lambda p: (products.restrict(make(p), keep), products.precondition(make(p), scale)), params)
  close(restricted, np.where(np.outer(inside, inside), hessian, 0))
  like = jax.eval_shape(lambda p: products.block(make(p), p, keep).like, params)
  assert list(like) == ['input/bias', 'input/kernel']
  inputs = {path: trees.by_path(params)[path] for path in like}
  close(dense(lambda p: products.block(make(p), p, keep).matvec, params, inputs), hessian[np.ix_(inside, inside)])
  with pytest.raises(ValueError, match='no leaf is kept; there are hidden_1/bias, '):
    jax.eval_shape(lambda p: products.block(make(p), p, lambda path: False).like, params)

  rows = np.concatenate([g.reshape(3, -1) for g in jax.tree.leaves(gradients)], axis=1)
  second = 0.1 * (0.81 * rows[0] ** 2 + 0.9 * rows[1] ** 2 + rows[2] ** 2)
  diagonal = np.sqrt(second / (1 - 0.9**3)) + 1e-3
  close(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(scale)]), diagonal, 1e-6)
  close(preconditioned, hessian / np.sqrt(np.outer(diagonal, diagonal)), 1e-6)
  assert all(np.all(np.isnan(leaf)) for leaf in jax.tree.leaves(first))


@pytest.mark.parametrize(
  ('function', 'expected'),
  [
    (lambda w: jnp.sum(jnp.tanh(w)) + jnp.sum(jax.nn.softmax(w) ** 2) + jnp.sum(jax.nn.softplus(w)), {}),
    (lambda w: jnp.sum(jax.nn.relu(w)) + jnp.sum(jnp.abs(w)), {'abs': 1, 'max': 1}),
    (lambda w: jnp.sum(jax.nn.leaky_relu(w)), {'select_n': 1}),
    (lambda w: jnp.sum(jnp.where(jnp.arange(3) > 1, w, 2 * w)), {}),
    (lambda w: jnp.sum(w * jnp.sign(w) + jnp.round(w)), {'round': 1, 'sign': 1}),
    (lambda w: jnp.sum(w * jax.lax.stop_gradient(jnp.abs(w))), {}),
    (lambda w: jnp.sum(jax.lax.fori_loop(0, 3, lambda i, w: jax.checkpoint(jax.nn.relu)(w), w)), {'max': 1}),
    (lambda w: jnp.max(jnp.square(w)), {'reduce_max': 1}),
  ],
)
def test_kinks_are_named(function, expected):
  assert kinks(function, jnp.ones(3)) == expected


@pytest.mark.parametrize(('activation', 'loss', 'expected'), [
  ('relu', 'cross_entropy', {'max': 2}),
  ('gelu', 'cross_entropy', {}),
  ('silu', 'mean_squared_error', {}),
  ('tanh', 'hinge', {'max': 1, 'reduce_max': 1}),
])  # fmt: skip
def test_kinks_of_whole_losses(activation, loss, expected):
  module, loss = models.mlp(widths=(4, 4), activation=activation, outputs=3), getattr(losses, loss)()
  x, y = jnp.ones((2, 3)), jnp.array([0, 2], jnp.int32)
  params = jax.eval_shape(module.init, jax.random.key(0), x)['params']
  assert kinks(lambda p: losses.mean(loss(module.apply({'params': p}, x), y)), params) == expected


# ---- contracts --------------------------------------------------------------------------------------------------


def test_inputs_in_a_tree_have_the_curvature_of_their_concatenation():
  """Whole, in microbatches and over devices."""
  apply, loss, params, batch = setting('mlp', dtype='float32')
  joined = lambda p, x: apply(p, jnp.concatenate([x['a'], x['b']], axis=1))
  tree = Batch({'a': batch.x[:, :1], 'b': batch.x[:, 1:]}, batch.y)
  mesh = parallel.mesh(4, devices=jax.devices()[:4])
  makers = {
    'hessian': (lambda p: products.loss_hessian(joined, loss, p, tree), lambda p: products.loss_hessian(apply, loss, p, batch)),
    'ggn': (lambda p: products.ggn(joined, loss, p, tree, chunk=3), lambda p: products.ggn(apply, loss, p, batch, chunk=3)),
    'fisher': (lambda p: products.fisher(joined, p, tree), lambda p: products.fisher(apply, p, batch)),
    'noise': (
      lambda p: products.sharded(mesh, parallel.MEMBER, products.second_moment, joined, loss)(p, tree),
      lambda p: products.second_moment(apply, loss, p, batch),
    ),
  }
  v = jax.tree.map(jnp.ones_like, params)
  of_tree, of_array = jax.jit(lambda p: [{n: pair[i](p)(v) for n, pair in makers.items()} for i in (0, 1)])(params)
  chex.assert_trees_all_close(of_tree, of_array, rtol=1e-4, atol=1e-5)


OF_LOSSES = (products.loss_hessian, products.ggn, products.second_moment, products.noise)
SQUARES, LOG = losses.mean_squared_error(), losses.cross_entropy()
X, Y, Z = jnp.ones((4, 3)), jnp.asarray([0, 1, 1, 0], jnp.int32), jnp.ones((4, 2))
BROADCAST = {  # outputs, loss, x, y, what the sentence says
  'a row of numbers': (1, SQUARES, X, Z[:, 0], r'the outputs are \(4, 1\), but the targets are float32\(4,\)'),
  'a row, to another loss': (
    1,
    lambda z, y: jnp.sum(z[:, 0, None] - y[None], axis=1),
    X,
    Z[:, 0],
    r'outputs are \(4, 1\), but the targets are float32\(4,\)',
  ),
  'a column': (2, SQUARES, X, Z[:, :1], r'\(4, 2\), but the targets are float32\(4, 1\)'),
  'one example for all': (2, SQUARES, X, Z[:1], r'\(4, 2\), but the targets are float32\(1, 2\)'),
  'one number for all': (2, SQUARES, X, jnp.ones(()), r'\(4, 2\), but the targets are float32\(\)'),
  'labels in a column': (2, LOG, X, Y[:, None], r'\(4, 2\), but the labels are \(4, 1\): they must be \(4,\)'),
  'one-hot labels': (2, LOG, X, jnp.eye(2, dtype=jnp.int32)[Y], r'but the labels are \(4, 2\): they must be \(4,\)'),
  'other examples': (2, LOG, X, Y[:3], r'\(4, 2\), but the labels are \(3,\)'),
  'labels from 1': (2, LOG, X, Y + 1, r'labels of targets go from 1 to 2, but with outputs \(n, 2\) they must be 0 to 1'),
  'booleans': (2, LOG, X, Y > 0, r'the targets are bool\(4,\)'),
  'a list': (2, LOG, X, [0, 1, 1, 0], r'\(4, 2\), but the targets are a list'),
  'a mean': (2, lambda z, y: jnp.mean(LOG(z, y)), X, Y, r'one number an example, \(4,\), but this one gives \(\)'),
  'unequal leaves': (
    2,
    LOG,
    {'a': X, 'b': X[:1]},
    Y,
    r'arrays of x must .*, but they are a: float32\(4, 3\), b: float32\(1, 3\)',
  ),
  'inputs of booleans': (2, LOG, X > 0, Y, r'x is bool\(4, 3\)'),
}


@pytest.mark.parametrize('case', BROADCAST)
@pytest.mark.parametrize('make', OF_LOSSES, ids=lambda make: make.__name__)
def test_what_would_broadcast_has_no_curvature(make, case):
  k, loss, x, y, sentence = BROADCAST[case]
  apply = lambda p, x: (x['a'] + x['b'] if isinstance(x, dict) else x) @ p['w']
  with pytest.raises(ValueError, match=sentence):
    make(apply, loss, {'w': jnp.ones((3, k))}, Batch(x, y))


@pytest.mark.parametrize(
  ('leaf', 'sentence'),
  [
    (2.0, r'parameter gain is a Python float; it must be an array: jnp.asarray'),
    (jnp.int32(2), r'parameter gain is int32, in which there is no derivative'),
    (jnp.complex64(2), r'parameter gain is complex64; .* real and imaginary parts'),
    (np.float64(2), r'parameter gain is float64, but jax is in 32-bit mode'),
  ],
)
def test_leaves_without_a_derivative_are_named(leaf, sentence):
  params, apply = {'gain': leaf, 'w': jnp.ones((3, 2))}, lambda p, x: x @ p['w']
  for make in OF_LOSSES:
    with pytest.raises(ValueError, match=sentence):
      make(apply, LOG, params, Batch(X, Y))
  for call in (
    lambda: products.fisher(apply, params, Batch(X, None)),
    lambda: products.hessian(lambda p: jnp.sum(p['w']), params),
  ):
    with pytest.raises(ValueError, match=sentence):
      call()


@pytest.mark.parametrize('out', [lambda z: jnp.argmax(z, axis=1, keepdims=True), lambda z: z[:2], lambda z: z[:, 0]])
def test_outputs_without_curvature(out):
  with pytest.raises(ValueError, match=r'the model answers .* for 4 examples; it must give floats \(4, ..., k\)'):
    products.fisher(lambda p, x: out(x @ p['w']), {'w': jnp.ones((3, 2))}, Batch(X, None))


W = {'w': jnp.ones(3)}


@pytest.mark.parametrize(
  ('call', 'sentence'),
  [
    (lambda: products.hessian(lambda p: p['w'], W), r'the loss returns \(3,\); it must return a scalar'),
    (lambda: products.hessian(lambda p: jnp.int32(3), W), 'the loss returns int32, in which there is no derivative'),
    (lambda: products.hessian(lambda p: jnp.sum(p['w']), {'w': jnp.ones(3, jnp.int32)}), 'parameter w is int32'),
    (lambda: small(0), r'the batch holds no examples; its x is float32\(0, 3\)'),
    (lambda: small(2, loss=lambda z, y: z), r'a loss must give one number an example, \(2,\), but this one gives \(2, 1\)'),
    (lambda: small(2, chunk=0), 'chunk is 0; it must be a number of examples'),
    (
      lambda: products.fisher(line, W, Batch(jnp.ones((2, 3)), jnp.ones(2)), likelihood='hinge'),
      "likelihood is 'hinge'; it must",
    ),
  ],
)
def test_mistakes_are_sentences(call, sentence):
  with pytest.raises(ValueError, match=sentence):
    call()


def line(params, x):
  return (x @ params['w'])[:, None]


def small(n, loss=lambda z, y: jnp.sum(jnp.square(z - y), axis=1), **more):
  return products.ggn(line, loss, W, Batch(jnp.ones((n, 3)), jnp.ones((n, 1))), **more)
