"""How well the network does: loss and accuracy on the training and the test examples."""

from dynamics.components import component
from dynamics.probes.evaluation import mean, score
from dynamics.types import Probe, stateless


@component()
def performance() -> Probe:
  """Loss and accuracy in evaluation mode, over all examples of each split.

  Where the model answers at each position of a sequence, means are over all tokens whose label is not negative. Standard errors
  are those of a sample of independent examples, whose tokens are not; NaN for a single example.

  Reading:
    train_loss, test_loss (), unit of the loss: the mean.
    train_loss_se, test_loss_se (), unit of the loss: its standard error.
    train_accuracy, test_accuracy (): the share of right predictions; outputs that hold a NaN are wrong.
    train_accuracy_se, test_accuracy_se (): its standard error.
  Cost: one forward pass over both splits; memory of one pass.
  Oracle: the same from numpy in float64, example by example.
  Source: Cochran 1977, section 2.11 (the error of a ratio).
  """

  def read(view, key):
    reading = {}
    for split, batch in (('train', view.data.train), ('test', view.data.test)):
      scores = score(view.problem.loss, view.problem.model.apply(view.variables, batch.x), batch.y)
      for name, sums in (('loss', scores.losses), ('accuracy', scores.hits)):
        reading[f'{split}_{name}'], reading[f'{split}_{name}_se'] = mean(sums, scores.counts)
    return reading

  return stateless(read)
