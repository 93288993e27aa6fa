"""The outputs themselves, so that one run can be held against another afterwards."""

from dynamics.components import component
from dynamics.probes.evaluation import first
from dynamics.schema import Range
from dynamics.types import Probe, stateless


@component()
def predictions(*, examples: Range(int, least=1) = 64) -> Probe:
  """Outputs on the first `examples` (n) test inputs, in evaluation mode.

  In a table, output j of example i is column outputs/(i k + j). Runs that share their data can be compared example by example;
  with own_data each seed has its own.

  Reading:
    outputs (n, k), an output: as the model gives them.
  Cost: one forward pass on n examples; n k numbers a row of the table.
  Oracle: the model itself.
  Source: none.
  """

  def read(view, key):
    return {'outputs': view.problem.model.apply(view.variables, first(view.data.test, examples).x)}

  return stateless(read)
