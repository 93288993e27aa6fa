"""Networks that follow the mean-field maps, and others that do not."""

import numpy as np

from configs.schoenholz2017_signal import LAYERS
from dynamics.theory import propagation
from paper_figures.schoenholz2017 import chi
from tests.paper_figures.synthetic import spread

NAMES = ('input/kernel', *(f'hidden_{i}/kernel' for i in range(1, LAYERS)))


def through(sizes=1.0, scales=1.0, growth=0.0):
  """The maps, with the fixed point times `sizes`, depth scales times `scales`, and gradients that grow by more a layer."""

  def law(config, probe, table):
    settings = table.groupby(['init_scale', 'bias_std']).indices
    columns = {f'{reading}_of/{name}': np.zeros(len(table)) for reading in ('mean_square', 'correlation', 'gradient_mean_square')
               for name in NAMES}  # fmt: skip
    for (w, b), rows in settings.items():
      q, log_chi = propagation.fixed_variance(np.tanh, w**2, b**2), np.log(chi(w, b))
      for layer, name in enumerate(NAMES):
        columns[f'mean_square_of/{name}'][rows] = sizes * q
        columns[f'correlation_of/{name}'][rows] = 1 - 0.5 * np.exp(-layer * abs(log_chi) / scales)
        columns[f'gradient_mean_square_of/{name}'][rows] = np.exp((LAYERS - layer) * (log_chi + growth))
    return table.assign(**{name: values * (spread(table, 1e-3) if 'square' in name else 1) for name, values in columns.items()})

  return law


LAWS = {
  '1': (through(), through(sizes=1.6)),
  '2': (through(), through(scales=2.0)),
  '3': (through(), through(growth=0.3)),
}
