"""The mean loss of labelled examples."""

from dynamics import losses
from dynamics.components import component
from dynamics.types import Aux


@component()
def supervised():
  """mean over n of loss(f(x_n), y_n)."""

  def objective(model, loss, source):
    def value(variables, batch, key):
      outputs, trace = model.forward(variables, batch.x, key=key, train=True)
      each = losses.each(loss, outputs, batch.y)
      return losses.mean(each), Aux(outputs, each, trace.mutated)

    return value

  return objective
