"""Inits of independent weights: moments under every parametrization, names, and which weights are drawn otherwise."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import inits, models, network, transforms
from dynamics.inits import distributions

KEY = jax.random.key(0, impl='threefry2x32')


class Small(nn.Module):
  @nn.compact
  def __call__(self, x):
    x = nn.LayerNorm(use_bias=False, name='norm')(nn.Dense(160, name='input')(x))
    return nn.Dense(40, use_bias=False, name='readout')(jnp.tanh(x))


def model_of(module, x, init=None, transform=None):
  model = network.initialised(network.from_flax(module, x), init)
  return transform(model) if transform else model


DISTRIBUTIONS = ('gaussian', 'truncated', 'uniform', 'orthogonal')
STD = {  # of input/kernel and readout/kernel, by the papers' tables
  'standard': (50**-0.5, 160**-0.5),
  'ntk': (1.0, 1.0),
  'mean_field': (1.0, 1.0),
  'mup': (50**-0.5, 64**-0.5),
}


@pytest.fixture(scope='module')
def draws():
  """init, parametrization -> params at init_scale 1 and 1/2: one program for all."""

  def all_of(key, scale):
    start = lambda name, rule: model_of(
      Small(),
      jnp.zeros((1, 50)),
      getattr(inits, name)(init_scale=scale),
      None if rule == 'standard' else getattr(transforms, rule)(),
    ).init(key, None)['params']
    return {name: {rule: start(name, rule) for rule in STD} for name in DISTRIBUTIONS}

  both = jax.jit(jax.vmap(all_of, (None, 0)))(KEY, jnp.asarray([1.0, 0.5]))
  return lambda i, name, rule: jax.tree.map(lambda w: np.asarray(w[i], np.float64), both[name][rule])


@pytest.mark.parametrize('rule', STD)
@pytest.mark.parametrize('name', DISTRIBUTIONS)
def test_every_init_has_the_moments_of_every_parametrization(draws, name, rule):
  params, halved = (draws(i, name, rule) for i in (0, 1))
  for layer, std in zip(('input', 'readout'), STD[rule], strict=True):
    w = params[layer]['kernel'] / std
    assert abs(w.mean()) < 5 / w.size**0.5
    assert abs((w**2).mean() - 1) < (1e-5 if name == 'orthogonal' else 5 * (2 / w.size) ** 0.5)
  assert (params['input']['bias'] == 0).all()
  assert (params['norm']['scale'] == 1).all()
  largest = {'truncated': 2.28, 'uniform': 1.7321}.get(name, np.inf)
  assert (np.abs(params['input']['kernel']) / STD[rule][0]).max() < largest
  np.testing.assert_array_equal(2 * halved['input']['kernel'], params['input']['kernel'])
  assert (halved['norm']['scale'] == 1).all()


def test_a_square_orthogonal_kernel_is_orthogonal():
  params = model_of(models.linear(12), jnp.zeros((1, 12)), inits.orthogonal()).init(KEY, None)['params']
  w = np.asarray(params['readout']['kernel'], np.float64)
  np.testing.assert_allclose(w @ w.T, np.eye(12), atol=1e-5)


def test_draws_depend_on_the_name_and_not_on_what_else_there_is():
  draw = lambda widths: model_of(models.linear(3, widths=widths), jnp.zeros((1, 3)), inits.gaussian()).init(KEY, None)['params']
  short, long = draw((3,)), draw((3, 3))
  np.testing.assert_array_equal(short['input']['kernel'], long['input']['kernel'])
  np.testing.assert_array_equal(short['readout']['kernel'], long['readout']['kernel'])
  assert not np.allclose(long['input']['kernel'], long['hidden_1']['kernel'])


@pytest.mark.parametrize(
  'law', [distributions.gaussian, distributions.orthogonal, distributions.low_rank(2), distributions.dale(0.5)]
)
def test_leaves_drawn_in_one_loop_are_those_drawn_one_by_one_to_the_bit(law):
  """Where a pattern selects some of the leaves of one shape, too."""
  leaves = network.from_flax(models.mlp(3, widths=(8,) * 6), jnp.zeros((1, 8))).leaves()
  draw = lambda looped: jax.jit(
    lambda key: inits.independent(law, 0.7, 'hidden_[23]/*', distributions.uniform, 3.0, looped)(key, leaves, None)
  )(KEY)
  looped, apart = draw(True), draw(False)
  jax.tree.map(np.testing.assert_array_equal, looped, apart)
  sizes = [float(jnp.abs(looped[f'hidden_{i}']['kernel']).max()) for i in range(1, 6)]
  assert min(sizes[1:3]) > max(sizes[0], *sizes[3:])  # the gain of 3


# ---- some weights otherwise ---------------------------------------------------------------------------------------

SEQUENCES = jnp.zeros((1, 4, 3))
RNN = models.rnn(2, width=8, bias=True)
PLACED = {
  'low_rank': dict(rank=2),
  'power_law': dict(exponent=1.0),
  'dale': dict(excitatory=0.5),
  'block': dict(blocks=2),
}
DIRECT = {
  'low_rank': distributions.low_rank(2),
  'power_law': distributions.power_law(1.0),
  'dale': distributions.dale(0.5),
  'block': distributions.block(2),
}


@pytest.mark.parametrize('name', PLACED)
def test_a_distribution_is_placed_where_the_pattern_says_with_its_gain_and_nowhere_else(name):
  leaves = network.from_flax(RNN, SEQUENCES).leaves()

  def start(gain):
    make = lambda **more: getattr(inits, name)(**PLACED[name], where='recurrent/*', others='uniform', init_scale=2.0, **more)
    return make(gain=gain)(KEY, leaves, None)

  plain, tripled = start(1.0), start(3.0)
  uniform = inits.uniform(init_scale=2.0)(KEY, leaves, None)
  for layer in ('input', 'readout'):
    np.testing.assert_array_equal(plain[layer]['kernel'], uniform[layer]['kernel'])
    np.testing.assert_array_equal(tripled[layer]['kernel'], uniform[layer]['kernel'])
  kernel = plain['recurrent']['kernel']
  direct = inits.independent(DIRECT[name], 2.0)(KEY, leaves, None)['recurrent']['kernel']
  np.testing.assert_allclose(kernel, direct, rtol=1e-6)
  np.testing.assert_allclose(np.linalg.norm(kernel), 2 * 8**0.5, rtol=1e-6)  # std 2/sqrt(8), 64 entries
  np.testing.assert_allclose(tripled['recurrent']['kernel'], 3 * np.asarray(kernel), rtol=1e-6)
  assert (plain['recurrent']['bias'] == 0).all()


def test_a_pattern_that_no_weight_matches_is_refused_with_all_weights():
  leaves = network.from_flax(RNN, SEQUENCES).leaves()
  with pytest.raises(ValueError, match="no weight matches 'recurrent'; they are input/kernel, recurrent/kernel, readout/kernel"):
    inits.low_rank(rank=2, where='recurrent')(KEY, leaves, None)


@pytest.mark.parametrize('directions', ['task', 'inputs'])
def test_low_rank_reads_the_directions_of_its_own_data(cases, directions):
  """The input layer's left singular vectors lie in what numpy finds in the training set."""
  draws = cases.case('linear').draws
  leaves = network.from_flax(models.linear(1, widths=(5,)), draws.train.x).leaves()
  w = inits.low_rank(rank=1, directions=directions, where='input/*')(KEY, leaves, draws)['input']['kernel']
  x, y = (np.asarray(v, np.float64) for v in draws.train)
  expected = np.linalg.svd(y.T @ x)[2][0] if directions == 'task' else np.linalg.svd(x - x.mean(0))[2][0]
  u = np.linalg.svd(np.asarray(w, np.float64))[0][:, 0]
  np.testing.assert_allclose(abs(u @ expected), 1, rtol=1e-5)


# ---- from elsewhere -----------------------------------------------------------------------------------------------


def test_params_of_a_source_are_taken_where_path_and_shape_agree(cases):
  draws = cases.case('linear').draws
  make = lambda *widths: network.from_flax(models.linear(1, widths=widths), draws.train.x).leaves()
  other = inits.gaussian()(jax.random.key(5), make(3, 4), None)
  data = draws._replace(source={'params': other})
  fresh = inits.uniform(init_scale=2.0)(KEY, make(3, 5), None)
  params = inits.source(others='uniform', init_scale=2.0)(KEY, make(3, 5), data)
  np.testing.assert_array_equal(params['input']['kernel'], other['input']['kernel'])
  for layer in ('hidden_1', 'readout'):  # of other widths
    np.testing.assert_array_equal(params[layer]['kernel'], fresh[layer]['kernel'])
  with pytest.raises(ValueError, match=r"no parameter that matches 'hidden_\*' has name and shape of one of the source"):
    inits.source(where='hidden_*')(KEY, make(3, 5), data)
