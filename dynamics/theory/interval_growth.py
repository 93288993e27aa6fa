"""How interval bounds widen from layer to layer in a random relu network, in numpy, for figures and claims."""

import numpy as np


def gaussian_growth(fan_in: np.ndarray, standard_deviation: np.ndarray) -> np.ndarray:
  """The factor a layer by which interval bounds widen in expectation: fan_in E|w| / 2, for weights N(0, s^2) and relu, no biases.

  A layer turns widths d_i into sum_i |w_i| d_i. relu then keeps one half of it in expectation, exactly, because the middle of
  the interval is as often above zero as below. For s^2 = 2 / fan_in it is sqrt(fan_in / pi), and for s = sqrt(2 pi) / fan_in it
  is 1.

  Args:
    fan_in, standard_deviation: numbers or arrays of one shape.

  Source: 2103.17268 (IBP initialisation).
  """
  return np.asarray(fan_in, float) * np.asarray(standard_deviation, float) / np.sqrt(2 * np.pi)
