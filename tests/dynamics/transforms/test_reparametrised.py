"""Reparametrised weights: closed forms of w(v), the identities of their gradients, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, transforms, trees
from dynamics.leaves import weights
from dynamics.transforms.reparametrised import REPARAMETRISED

KEY = jax.random.key(0, impl='threefry2x32')
X = jax.random.normal(jax.random.key(1), (6, 4))
IMAGES = jax.random.normal(jax.random.key(2), (3, 3, 3, 2))
SOFT = dict(bound=2.0, knee=0.8, power=1.5)
MODULES = {
  'mlp': (models.mlp(3, widths=(5,), activation='tanh'), X),
  'conv': (models.conv(2, channels=(3,), strides=(1,), activation='tanh'), IMAGES),
  'stacked': (models.residual(2, depth=3, width=4, activation='tanh', stacked=True), X),
}
MAKE = {
  'weight_norm': transforms.weight_norm(),
  'weight_standardization': transforms.weight_standardization(),
  'weight_conditioning': transforms.weight_conditioning(),
  'weight_compander': transforms.weight_compander(**SOFT),
}


def plain_of(module):
  net, x = MODULES[module]
  return network.initialised(network.from_flax(net, x), inits.gaussian()), x


def gradients(model, x, dtype=jnp.float32):
  """(v, gradients) of sum sin(outputs) at the start, each by path, for two members at once."""

  @jax.jit
  @jax.vmap
  def read(key):
    params = jax.tree.map(lambda w: w.astype(dtype), model.init(key, None)['params'])
    return params, jax.grad(lambda p: jnp.sum(jnp.sin(model.apply({'params': p}, x.astype(dtype))).astype(jnp.float32)))(params)

  return [trees.by_path(jax.tree.map(lambda w: np.asarray(w, np.float64), tree)) for tree in read(jax.random.split(KEY))]


def by_hand(name, v, axes):
  """w(v) in numpy; axes are those of the inputs."""
  if name == 'weight_standardization':
    return (v - v.mean(axes, keepdims=True)) / v.std(axes, keepdims=True)
  if name == 'weight_compander':
    root = np.prod([v.shape[k] for k in axes]) ** 0.5
    return SOFT['bound'] / root * np.sign(v) * (2 / np.pi * np.arctan(abs(v) * root / SOFT['knee'])) ** (1 / SOFT['power'])
  return v / np.sqrt((v**2).sum(axes, keepdims=True))  # a gain is left out


def seen(name, params, leaves):
  """The tree that the network sees, by hand."""
  flat = trees.by_path(params)
  inside = {leaf.name: leaf.inputs for leaf in weights(leaves)}
  if name != 'weight_norm':
    values = {path: by_hand(name, np.asarray(v, np.float64), inside[path]) if path in inside else v for path, v in flat.items()}
  else:
    base = {path.removeprefix('direction/'): v for path, v in flat.items() if path.startswith('direction/')}
    scale = lambda path: np.asarray(flat[f'gain/{path}'], np.float64)
    values = {p: scale(p) * by_hand(name, np.asarray(v, np.float64), inside[p]) if p in inside else v for p, v in base.items()}
    params = params['direction']
  return jax.tree.unflatten(
    jax.tree.structure(params), [jnp.asarray(values[path], jnp.float32) for path in trees.by_path(params)]
  )


@pytest.mark.parametrize('name', MAKE)
@pytest.mark.parametrize('module', ['mlp', *(pytest.param(name, marks=pytest.mark.slow) for name in ('stacked', 'conv'))])
def test_the_network_sees_the_closed_form_and_the_gradient_is_that_of_finite_differences(module, name):
  plain, x = plain_of(module)
  model = MAKE[name](plain)
  noisy = lambda key: jax.tree.map(lambda w: w + 0.05 * jax.random.normal(key, w.shape), model.init(key, None)['params'])
  params = jax.jit(noisy)(KEY)
  apply = jax.jit(lambda p: plain.apply({'params': p}, x))
  value = jax.jit(lambda p: model.apply({'params': p}, x))
  np.testing.assert_allclose(value(params), apply(seen(name, params, plain.leaves())), rtol=1e-4, atol=1e-5)
  grads = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(model.apply({'params': p}, x)))))(params)
  # Of each entry a share of itself, because a companded weight has no finite slope at 0.
  step = jax.tree.map(lambda w: 3e-2 * w * jax.random.rademacher(KEY, w.shape, w.dtype), params)
  at = lambda s: float(jnp.sum(jnp.sin(apply(seen(name, jax.tree.map(lambda w, d: w + s * d, params, step), plain.leaves())))))
  # Richardson: central differences at 1 and 1/2, whose errors of second order cancel.
  central = [(at(s) - at(-s)) / (2 * s) for s in (1.0, 0.5)]
  np.testing.assert_allclose(trees.dot(grads, step), (4 * central[1] - central[0]) / 3, rtol=2e-2, atol=2e-4)


@pytest.mark.parametrize('name', ['weight_norm', 'weight_standardization', 'weight_conditioning'])
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_gradients_are_orthogonal_to_the_direction_and_of_standardised_weights_to_the_ones(name, dtype):
  """Of every unit, for two members; a scale of v changes nothing in first order."""
  plain, x = plain_of('mlp')
  v, g = gradients(MAKE[name](plain), x, dtype)
  limit = {'float32': 2e-5, 'bfloat16': 3e-2}[dtype]
  for leaf in weights(plain.leaves()):
    path, axes = ('direction/' if name == 'weight_norm' else '') + leaf.name, tuple(k + 1 for k in leaf.inputs)
    along = lambda a, b, axes=axes: np.abs((a * b).sum(axes)) / np.sqrt((a**2).sum(axes) * (b**2).sum(axes))
    assert (g[path] ** 2).sum() > 0
    assert along(g[path], v[path]).max() < limit
    if name == 'weight_standardization':
      assert along(g[path], np.ones_like(v[path])).max() < limit
      assert along(g[path], by_hand(name, v[path], axes)).max() < limit


def test_under_weight_norm_the_gradients_are_those_of_the_source_and_the_square_of_a_direction_grows_by_that_of_the_step():
  """1602.07868, equation 3, from the gradient of the weights themselves; the function at the start is the plain one."""
  plain, x = plain_of('mlp')
  start, g = gradients(plain, x)
  v, h = gradients(MAKE['weight_norm'](plain), x)
  for leaf in weights(plain.leaves()):
    axes = tuple(k + 1 for k in leaf.inputs)
    direction, w, grad = v[f'direction/{leaf.name}'], start[leaf.name], g[leaf.name]
    np.testing.assert_array_equal(direction, w)
    unit = w / np.sqrt((w**2).sum(axes, keepdims=True))
    gain = (grad * unit).sum(axes, keepdims=True)
    np.testing.assert_allclose(h[f'gain/{leaf.name}'], gain, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(h[f'direction/{leaf.name}'], grad - gain * unit, rtol=1e-4, atol=1e-5)
    after = direction - 0.3 * h[f'direction/{leaf.name}']
    growth = (after**2).sum(axes) - (direction**2).sum(axes)
    np.testing.assert_allclose(growth, 0.09 * (h[f'direction/{leaf.name}'] ** 2).sum(axes), rtol=1e-3, atol=1e-5)


def test_a_direction_that_starts_smaller_is_the_same_function_and_turns_as_at_a_larger_rate():
  """Gradients of s v are those of v over s, so a step turns it by 1 / s^2 as much; gains and biases see no difference."""
  plain, x = plain_of('mlp')
  (v, g), (small, h) = (gradients(transforms.weight_norm(direction_scale=scale)(plain), x) for scale in (1.0, 0.25))
  inside = [f'direction/{leaf.name}' for leaf in weights(plain.leaves())]
  for path, gradient in g.items():
    shrunk = 0.25 if path in inside else 1.0
    np.testing.assert_allclose(small[path], shrunk * v[path], rtol=1e-6)
    np.testing.assert_allclose(h[path] * shrunk, gradient, rtol=1e-4, atol=1e-5)


def test_conditioning_is_within_the_root_of_the_outputs_of_the_best_diagonal():
  """Van der Sluis: against 300 random diagonals; and rows of unequal sizes are better off than before."""
  rng = np.random.default_rng(0)
  w = rng.normal(size=(8, 5)) * np.geomspace(1, 100, 5)  # inputs, outputs
  conditioned = np.linalg.cond(by_hand('weight_conditioning', w, (0,)))
  best = min(np.linalg.cond(w * np.exp(rng.normal(0, 2, 5))) for _ in range(300))
  assert conditioned < np.linalg.cond(w)
  assert conditioned <= 5**0.5 * best


def test_companded_weights_start_as_drawn_and_stay_within_their_bound():
  plain, x = plain_of('mlp')
  model = transforms.weight_compander(bound=6.0, power=2.0)(plain)
  begun = [jax.jit(lambda key, m=m: m.apply(m.init(key, None), x))(KEY) for m in (model, plain)]
  np.testing.assert_allclose(*begun, rtol=1e-3, atol=1e-5)
  far = jax.tree.map(lambda w: jnp.full(w.shape, -1e6), jax.eval_shape(model.init, KEY, None)['params'])
  far = {layer: {'kernel': leaf['kernel'], 'bias': 0 * leaf['bias']} for layer, leaf in far.items()}
  hidden = np.tanh(np.asarray(X) @ np.full((4, 5), -6 / 4**0.5))
  np.testing.assert_allclose(model.apply({'params': far}, X), hidden @ np.full((5, 3), -6 / 5**0.5), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', MAKE)
def test_leaves_follow_the_trained_tree_and_units_of_zeros_have_finite_gradients(name):
  plain, x = plain_of('mlp')
  model = transforms.mup(base=2)(plain)
  model = MAKE[name](model)
  variables = jax.jit(lambda key: model.init(key, None))(KEY)
  named = trees.by_path(variables['params'])
  described = {leaf.name: leaf.shape for leaf in jax.tree.leaves(model.leaves(), is_leaf=lambda leaf: hasattr(leaf, 'fan_in'))}
  assert described == {path: value.shape for path, value in named.items()}
  assert jax.tree.structure(model.rates(True)) == jax.tree.structure(variables['params'])
  zeros = jax.tree.map(jnp.zeros_like, variables['params'])
  grads = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(1 + model.apply({'params': p}, x)))))(zeros)
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
  assert trees.norm(grads) > 0  # of the biases


def test_a_second_reparametrisation_and_one_of_a_subspace_are_refused():
  plain, _ = plain_of('mlp')
  assert {*MAKE} == {*REPARAMETRISED}
  with pytest.raises(ValueError, match='transforms has weight_norm before weight_compander'):
    MAKE['weight_compander'](MAKE['weight_norm'](plain))
  with pytest.raises(ValueError, match='put it before the subspace'):
    MAKE['weight_norm'](transforms.subspace(most=6, kind='dense', dimension=4.0)(plain))


def test_the_readout_may_stay_as_it_is_under_weight_standardization():
  plain, x = plain_of('mlp')
  model = transforms.weight_standardization(readout=False)(plain)
  params = model.init(KEY, None)['params']
  inside = {**params, 'input': {**params['input'], 'kernel': by_hand('weight_standardization', params['input']['kernel'], (0,))}}
  np.testing.assert_allclose(model.apply({'params': params}, x), plain.apply({'params': inside}, x), rtol=1e-5, atol=1e-6)
