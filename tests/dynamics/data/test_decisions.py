"""Trials over time: period by period against what was asked for, and labels against an ideal observer."""

import jax
import numpy as np
import pytest
import scipy.stats

from dynamics import data

KEY = jax.random.key(0, impl='threefry2x32')
N = dict(train=400, test=10)


def trials(name, **choices):
  batch = jax.jit(getattr(data, name)(**{**N, **choices}).draw)(KEY).train
  return np.asarray(batch.x, np.float64), np.asarray(batch.y)


def test_a_choice_between_two_is_shown_in_its_period_and_nowhere_else():
  c = (0.1, 0.4)
  x, y = trials('two_alternative', coherences=c, noise=0.0, fixation=2, stimulus=3, delay=4, response=2)
  np.testing.assert_array_equal(x[:, :, 0], np.tile([1.0] * 9 + [0.0] * 2, (400, 1)))
  assert not x[:, [0, 1, *range(5, 11)], 1:].any()
  shown = x[:, 2:5, 1:]
  np.testing.assert_array_equal(shown, np.repeat(shown[:, :1], 3, axis=1))
  strong, weak = shown[np.arange(400), 0, y], shown[np.arange(400), 0, 1 - y]
  np.testing.assert_allclose(strong + weak, 1, rtol=1e-6)
  gaps = np.round(strong - weak, 5)
  assert set(gaps) == set(c)
  for share in (np.mean(y), np.mean(gaps == 0.1)):
    assert abs(share - 0.5) < 5 * 0.5 / 400**0.5
  assert abs(np.corrcoef(y, gaps)[0, 1]) < 0.25


@pytest.mark.parametrize('name', ['two_alternative', 'match_to_sample', 'context_integration'])
def test_noise_is_fresh_at_each_step_of_evidence_and_on_evidence_alone(name):
  clean, y = trials(name, noise=0.0)
  loud, same = trials(name, noise=0.5)
  np.testing.assert_array_equal(y, same)
  added = loud - clean
  on = np.abs(added) > 0
  evidence = on.any(0)
  np.testing.assert_array_equal(evidence.any(1), np.abs(clean[:, :, 1:3]).any((0, 2)))
  assert not evidence[:, 0].any()
  assert not evidence[:, 5:].any()  # the cue of a context
  noise = added[:, evidence]
  assert abs(noise.std() - 0.5) < 0.02
  correlations = np.corrcoef(noise.T) - np.eye(noise.shape[1])
  assert np.abs(correlations).max() < 5 / 400**0.5


@pytest.mark.parametrize('kinds', [2, 4])
def test_a_match_is_two_equal_stimuli(kinds):
  x, y = trials('match_to_sample', kinds=kinds, noise=0.0, fixation=1, sample=2, delay=3, comparison=2, response=1)
  assert x.shape == (400, 9, 1 + kinds)
  first, second = x[:, 1, 1:].argmax(1), x[:, 6, 1:].argmax(1)
  assert (x[:, [1, 2, 6, 7], 1:].sum(2) == 1).all()
  assert not x[:, [0, 3, 4, 5, 8], 1:].any()
  np.testing.assert_array_equal(y, first == second)
  assert abs(y.mean() - 0.5) < 5 * 0.5 / 400**0.5
  for some in (first, second[y == 0]):
    assert (np.abs(np.bincount(some, minlength=kinds) / len(some) - 1 / kinds) < 0.15).all()


def test_the_context_says_which_sense_counts():
  x, y = trials('context_integration', noise=0.0, fixation=1, stimulus=3, delay=1, response=1)
  np.testing.assert_array_equal(x[:, :, 5:], np.repeat(x[:, :1, 5:], 6, axis=1))
  assert (x[:, 0, 5:].sum(1) == 1).all()
  context = x[:, 0, 6].astype(int)
  stronger = np.stack([x[:, 2, 1:3].argmax(1), x[:, 2, 3:5].argmax(1)], axis=1)
  np.testing.assert_array_equal(y, stronger[np.arange(400), context])
  other = stronger[np.arange(400), 1 - context]
  for a, b in ((y, other), (y, context), (stronger[:, 0], stronger[:, 1])):
    assert abs(np.mean(a == b) - 0.5) < 5 * 0.5 / 400**0.5
  assert not x[:, [0, 4, 5], 1:5].any()


def test_evidence_summed_over_time_decides_as_often_as_signal_detection_says():
  """An ideal observer takes the sign of the summed difference: right with probability Phi(c sqrt(T) / (sqrt(2) noise))."""
  c, noise, steps, n = 0.2, 0.6, 8, 4000
  x, y = trials('two_alternative', coherences=(c,), noise=noise, stimulus=steps, train=n)
  right = np.mean(((x[:, :, 2] - x[:, :, 1]).sum(1) > 0) == y)
  expected = scipy.stats.norm.cdf(c * steps**0.5 / (2**0.5 * noise))
  assert abs(right - expected) < 5 * (expected * (1 - expected) / n) ** 0.5
  assert 0.6 < expected < 0.9


@pytest.mark.parametrize('name', ['two_alternative', 'context_integration'])
def test_no_coherence_is_an_error(name):
  with pytest.raises(ValueError, match='must hold at least one'):
    getattr(data, name)(coherences=())
