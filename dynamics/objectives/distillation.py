"""Learning from the outputs of another run's network."""

import jax
import jax.numpy as jnp

from dynamics import losses
from dynamics.components import component
from dynamics.schema import Traced
from dynamics.types import Aux


@component(needs=('source',))
def distillation(*, temperature: Traced(above=0.0) = 1.0, hard: Traced(least=0.0, most=1.0) = 0.0):
  """(1 - hard) T^2 KL(softmax(teacher / T), softmax(f / T)) + hard * loss, the mean over examples.

  The teacher is the source run's network at its variables, in evaluation mode.

  Args:
    temperature: T, in units of an output.
    hard: the weight of the loss on the labels.

  Raises:
    ValueError: a teacher with another number of outputs.
  Source: 1503.02531.
  """

  def objective(model, loss, source):
    def value(variables, batch, key):
      outputs, trace = model.forward(variables, batch.x, key=key, train=True)
      teacher = jax.lax.stop_gradient(source.model.apply(source.variables, batch.x))
      if teacher.shape != outputs.shape:
        raise ValueError(f'the teacher answers {teacher.shape} and the student {outputs.shape}: they must be the same')
      t = jnp.asarray(temperature, outputs.dtype)
      target, answer = jax.nn.log_softmax(teacher.astype(outputs.dtype) / t), jax.nn.log_softmax(outputs / t)
      soft = losses.at_least_float32(t * t * jnp.sum(jnp.exp(target) * (target - answer), axis=-1))
      labelled = losses.each(loss, outputs, batch.y)
      share = jnp.asarray(hard, jnp.float32)
      each = (1 - share).astype(soft.dtype) * soft + share.astype(labelled.dtype) * labelled
      return losses.mean(each), Aux(outputs, each, trace.mutated)

    return value

  return objective
