"""The tangent model trained step by step is gradient descent with the tangent kernel, solved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data, inits, losses, models, network, train, transforms
from dynamics.linalg import ntk
from dynamics.theory import flow

STEPS, LR = 60, 0.3


@pytest.mark.parametrize('parametrization', [None, 'ntk'])
@pytest.mark.parametrize('centred', [False, True])
def test_linearised_training_follows_the_closed_form_on_train_and_test(cases, parametrization, centred):
  """Both outputs of four members, each with its own kernel, after every tenth step."""
  draws = data.teacher(inputs=4, outputs=2, hidden=3, train=10, test=6).draw(jax.random.key(0))
  module = models.mlp(2, widths=(16,), activation='tanh')
  plain = network.initialised(network.from_flax(module, draws.train.x), inits.gaussian())
  plain = transforms.ntk()(plain) if parametrization else plain
  tangent = transforms.linearised()(plain)
  tangent = transforms.centred()(tangent) if centred else tangent
  read = {
    'train': lambda view: tangent.apply(view.variables, view.data.train.x),
    'test': lambda view: tangent.apply(view.variables, view.data.test.x),
  }
  times = tuple(range(0, STEPS + 1, 10))
  study = cases.study_of(tangent, draws, losses.mean_squared_error(), STEPS, read, times)
  result = train.run(study, range(4), {'lr': LR})

  @jax.jit
  def solved(params):
    variables = {'params': params}
    kernel = lambda x1, x2: ntk(plain.apply, variables, x1, x2, trace=False)
    inside, across = kernel(draws.train.x, draws.train.x), kernel(draws.test.x, draws.train.x)
    start = [tangent.apply(network.begun(variables), split.x) for split in (draws.train, draws.test)]
    solution, steps = flow.gradient_descent(inside, LR), jnp.asarray(times, jnp.float32)
    return {
      'train': solution.train(steps, start[0], draws.train.y),
      'test': solution.test(steps, start[0], draws.train.y, across, start[1]),
    }

  starts = jax.device_get(result.frozen.initial['params'])
  for m in range(4):
    for split, outputs in solved(jax.tree.map(lambda v, m=m: v[m], starts)).items():
      np.testing.assert_allclose(result.arrays[split][''][m], outputs, rtol=2e-3, atol=2e-4)
  moved = np.abs(np.diff(result.arrays['train'][''][:, [0, -1]], axis=1)).max()
  assert moved > 0.1  # or nothing has been compared
