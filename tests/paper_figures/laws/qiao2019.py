"""Weight standardisation and batch-channel normalisation that help, and that harm."""

import numpy as np

from tests.paper_figures.synthetic import spread


def arms(group, standardised, channels):
  """Loss, smoothness and steepness of each arm; one rate is the best."""

  def law(config, probe, table):
    on = table['transforms.weight_standardization.on'].astype(bool)
    value = np.where(table['model.norm'] == 'batch_channel', channels, np.where(on, standardised, group))
    value = value * spread(table) * (1 + 0.1 * np.abs(np.log2(table['lr']) + 5))
    if probe == 'smoothness':
      return table.assign(scaled=value, steepness=value)
    return table.assign(train_loss=value)

  return law


better, worse = arms(2.0, 1.0, 0.5), arms(0.5, 1.0, 2.0)
LAWS = {
  '1a': (better, worse),
  '1b': (better, worse),
  '2a': (better, worse),
  '2b': (better, worse),
}
