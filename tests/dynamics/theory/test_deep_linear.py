"""Mode dynamics against the gradient flow of whole matrices, by a general solver."""

import numpy as np
import pytest
from scipy import integrate, stats

from dynamics.theory import deep_linear

TIMES = np.array([0.0, 0.5, 1.5, 3.0, 6.0, 20.0])


def matrices(s, u0, layers, times, loss_of):
  """Strengths (t, modes) of a linear network trained on white inputs, its weights balanced and aligned at the start."""
  d = len(s)
  turns = [stats.ortho_group.rvs(d, random_state=i) for i in range(layers + 1)]
  weights = np.stack([turns[i + 1] @ np.diag(u0 ** (1 / layers)) @ turns[i].T for i in range(layers)])
  target = turns[-1] @ np.diag(s) @ turns[0].T

  def product(some):
    out = np.eye(d)
    for w in some:
      out = w @ out
    return out

  def slope(_, flat):
    w = flat.reshape((layers, d, d))
    error = target - product(w)
    return np.stack([product(w[i + 1 :]).T @ error @ product(w[:i]).T for i in range(layers)]).ravel() / loss_of

  out = integrate.solve_ivp(slope, (0, times[-1]), weights.ravel(), t_eval=times, rtol=1e-10, atol=1e-12).y.T
  return np.stack([np.diag(turns[-1].T @ product(w.reshape((layers, d, d))) @ turns[0]) for w in out])


@pytest.mark.parametrize(('layers', 'tau'), [(1, 1.0), (2, 1.0), (2, 3.0), (3, 1.0), (5, 0.5)])
def test_modes_against_the_gradient_flow_of_all_matrices(layers, tau):
  s, u0 = np.array([3.0, 1.0, 0.4]), np.array([0.01, 0.02, 0.1])
  expected = matrices(s, u0, layers, TIMES, tau)
  np.testing.assert_allclose(deep_linear.deep(TIMES[:, None], s, u0, layers=layers, tau=tau), expected, rtol=1e-6)
  if layers == 2:
    np.testing.assert_allclose(deep_linear.two_layers(TIMES[:, None], s, u0, tau=tau), expected, rtol=1e-6)


def test_two_layers_is_the_formula_of_the_paper_and_holds_at_every_end():
  t, s, u0 = np.array([0.1, 1.0, 4.0]), 1.5, 0.01
  e = np.exp(2 * s * t / 2.0)
  np.testing.assert_allclose(deep_linear.two_layers(t, s, u0, tau=2.0), s * e / (e - 1 + s / u0), rtol=1e-12)
  np.testing.assert_allclose(deep_linear.two_layers([0.0, 1e9, np.inf], s, u0), [u0, s, s])
  np.testing.assert_allclose(deep_linear.two_layers(t, 0.0, u0), u0 / (1 + 2 * u0 * t))  # du/dt = -2 u^2
  assert deep_linear.deep(1e9, s, u0, layers=4) == s


def test_the_learning_time_is_when_the_mode_is_there():
  s, u0 = np.array([2.0, 0.7]), np.array([1e-3, 1e-5])
  for layers in (1, 2, 4):
    t = deep_linear.learning_time(s, u0, layers=layers, fraction=0.3, tau=2.0)
    np.testing.assert_allclose(deep_linear.deep(t, s, u0, layers=layers, tau=2.0), 0.3 * s, rtol=1e-8)
  closed = np.log((s - u0) / u0) / (2 * s)  # the logistic curve at one half
  np.testing.assert_allclose(deep_linear.learning_time(s, u0), closed, rtol=1e-10)
  np.testing.assert_allclose(deep_linear.learning_time(2.0, 1e-8, layers=4), 1e4 / 4, rtol=2e-3)


def test_a_start_outside_of_the_mode_is_an_error():
  for u0 in (0.0, -0.1, 1.0):
    with pytest.raises(ValueError, match='starts between 0 and its singular value'):
      deep_linear.deep(1.0, 1.0, u0, layers=3)
