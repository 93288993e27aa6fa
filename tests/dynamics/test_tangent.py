"""The tangent model trained step by step is gradient descent with the tangent kernel, solved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data, inits, losses, models, optim, train
from dynamics.linalg import ntk
from dynamics.problem import supervised
from dynamics.study import Study
from dynamics.theory import flow
from dynamics.types import stateless

STEPS, LR = 60, 0.3


@pytest.mark.parametrize('rule', [inits.standard, inits.ntk], ids=lambda rule: rule.__name__)
@pytest.mark.parametrize('centred', [False, True])
def test_linearised_training_follows_the_closed_form_on_train_and_test(rule, centred):
  """Both outputs of four members, each with its own kernel, after every tenth step."""
  task = data.teacher(inputs=4, outputs=2, hidden=3, train=10, test=6)
  draws, loss = task.draw(jax.random.key(0), {}), losses.mean_squared_error()
  module = models.mlp(widths=(16,), activation='tanh', outputs=2)
  choices = dict(init=inits.independent(inits.gaussian, rule), rule=rule)
  x = jax.ShapeDtypeStruct((1, 4), jnp.float32)
  tangent = supervised(module, x, loss, **choices, centred=centred, linearised=True)
  plain = supervised(module, x, loss, **choices)
  read = {
    'train': stateless(lambda view, key: tangent.apply(view.variables, view.data.train.x)),
    'test': stateless(lambda view, key: tangent.apply(view.variables, view.data.test.x)),
  }
  times = tuple(range(0, STEPS + 1, 10))
  study = Study(tangent, optim.optimizer(optim.sgd), lambda key, hyper: draws, read, dict.fromkeys(read, times), STEPS)
  result = train.run(study, range(4), {'lr': LR})

  @jax.jit
  def solved(params):
    variables = {'params': params}
    kernel = lambda x1, x2: ntk(plain.apply, variables, x1, x2, trace=False)
    inside, across = kernel(draws.train.x, draws.train.x), kernel(draws.test.x, draws.train.x)
    start = [tangent.apply({**variables, 'origin': params}, split.x) for split in draws]
    solution, steps = flow.gradient_descent(inside, LR), jnp.asarray(times, jnp.float32)
    return {
      'train': solution.train(steps, start[0], draws.train.y),
      'test': solution.test(steps, start[0], draws.train.y, across, start[1]),
    }

  anchors = jax.device_get(result.state.anchor['params'])
  for m in range(4):
    for split, outputs in solved(jax.tree.map(lambda v, m=m: v[m], anchors)).items():
      np.testing.assert_allclose(result.tables[split][''][:, m], outputs, rtol=2e-3, atol=2e-4)
  moved = np.abs(result.tables['train'][''][-1] - result.tables['train'][''][0]).max()
  assert moved > 0.1  # or nothing has been compared
