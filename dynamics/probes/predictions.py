"""The outputs themselves, so that one run can be held against another afterwards."""

from collections.abc import Callable

from dynamics.components import component
from dynamics.losses import Loss
from dynamics.schema import Range
from dynamics.types import Array, Probe, stateless


@component()
def predictions(apply: Callable[..., Array], loss: Loss, *, examples: Range(int, least=1) = 64) -> Probe:
  """Outputs on the first `examples` (n) test inputs, in evaluation mode.

  Reading: outputs (n, k), in the model's units. In a table, output j of example i is column outputs/(i k + j). Runs that share
    their data can be compared example by example; with own_data each seed has its own.
  Cost: one forward pass on n examples; n k numbers a row of the table.
  Oracle: the model itself.
  Source: none.
  """
  return stateless(lambda view, key: {'outputs': apply(view.variables, view.data.test.x[:examples])})
