"""Decisions over time, as animals are trained to make them: sequences of noisy evidence, and one answer at the end.

A trial is a row of periods of fixed lengths. Channel 0, fixation, is 1 until the response period and 0 in it. Evidence is
there in its own periods alone, with N(0, noise^2) added to it at each step. All trials of a task are equally long.
Training and test trials are drawn afresh from the key; `label_noise` falls on the training labels.
Source: 2310.08513, which trains recurrent networks on these three; lengths, noise and coherences are ours.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from dynamics import trees
from dynamics.components import component
from dynamics.data.split import noisy
from dynamics.schema import Range, Traced
from dynamics.types import Array, Batch, Data, Key, Task

Length = Range(int, least=1)
Gap = Range(int, least=0)
Count = Range(int, least=1)
Spread = Range(float, least=0.0)
Coherence = Range(float, above=0.0, most=1.0)
COHERENCES = (0.064, 0.128, 0.256, 0.512)


@component()
def two_alternative(
  *,
  coherences: tuple[Coherence, ...] = COHERENCES,
  noise: Spread = 0.3,
  fixation: Gap = 2,
  stimulus: Length = 10,
  delay: Gap = 0,
  response: Length = 2,
  train: Count = 1000,
  test: Count = 1000,
  label_noise: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """Two-alternative forced choice: which of two noisy channels is the stronger.

  x: (n, l, 3), l = fixation + stimulus + delay + response; y: (n,) 0 or 1. The channels of evidence are 1/2 + c/2 for the
  stronger and 1/2 - c/2 for the other, where c is one of `coherences` at random.

  Raises:
    ValueError: no coherences.
  """
  _check_any(coherences)

  def trials(key, n):
    y, c = _choice(key, 'choice', n), _coherence(key, 'coherence', n, coherences)
    return {'stimulus': _pair(y, c)}, y

  return _task(trials, 2, noise, train, test, label_noise, fixation=fixation, stimulus=stimulus, delay=delay, response=response)


@component()
def match_to_sample(
  *,
  kinds: Range(int, least=2) = 2,
  noise: Spread = 0.3,
  fixation: Gap = 2,
  sample: Length = 4,
  delay: Gap = 6,
  comparison: Length = 4,
  response: Length = 2,
  train: Count = 1000,
  test: Count = 1000,
  label_noise: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """Delayed match to sample: whether the second stimulus is the first again.

  x: (n, l, 1 + kinds), l = fixation + sample + delay + comparison + response; y: (n,) 1 for a match, half of the trials. A
  stimulus is a one-hot vector of its kind; a second one that does not match is any of the others.
  """

  def trials(key, n):
    y = _choice(key, 'choice', n)
    first = jax.random.randint(trees.named_key(key, 'first'), (n,), 0, kinds, jnp.int32)
    step = jax.random.randint(trees.named_key(key, 'step'), (n,), 1, kinds, jnp.int32)
    shown = lambda kind: jax.nn.one_hot(kind, kinds, dtype=jnp.float32)
    return {'sample': shown(first), 'comparison': shown((first + jnp.where(y > 0, 0, step)) % kinds)}, y

  lengths = dict(fixation=fixation, sample=sample, delay=delay, comparison=comparison, response=response)
  return _task(trials, kinds, noise, train, test, label_noise, **lengths)


@component()
def context_integration(
  *,
  coherences: tuple[Coherence, ...] = COHERENCES,
  noise: Spread = 0.3,
  fixation: Gap = 2,
  stimulus: Length = 10,
  delay: Gap = 0,
  response: Length = 2,
  train: Count = 1000,
  test: Count = 1000,
  label_noise: Traced(least=0.0, most=1.0) = 0.0,
) -> Task:
  """Context-dependent integration: the two-alternative choice on one of two senses, as the context says.

  x: (n, l, 7): fixation, two channels of the first sense, two of the second, and the context, one-hot, which is there from
  the first step to the last, without noise; y: (n,) the stronger channel of the sense that counts. Choices and coherences
  of the two senses are independent.

  Raises:
    ValueError: no coherences.
  """
  _check_any(coherences)

  def trials(key, n):
    choice = [_choice(key, f'choice_{i}', n) for i in range(2)]
    senses = [_pair(y, _coherence(key, f'coherence_{i}', n, coherences)) for i, y in enumerate(choice)]
    context = _choice(key, 'context', n)
    cue = jax.nn.one_hot(context, 2, dtype=jnp.float32)
    return {'stimulus': jnp.concatenate(senses, axis=1), 'cue': cue}, jnp.where(context > 0, choice[1], choice[0])

  return _task(trials, 4, noise, train, test, label_noise, fixation=fixation, stimulus=stimulus, delay=delay, response=response)


def _task(
  trials: Callable[[Key, int], tuple[Mapping[str, Array], Array]],
  channels: int,
  noise: float,
  train: int,
  test: int,
  label_noise,
  **lengths: int,
) -> Task:
  """The task of trials: (key, n) -> the evidence (n, channels) by period, with a lasting 'cue' if there is one, and labels."""
  held = sum(n for period, n in lengths.items() if period != 'response')

  def examples(key, n):
    evidence, y = trials(key, n)
    periods = []
    for period, length in lengths.items():
      if period in evidence:
        spread = noise * jax.random.normal(trees.named_key(key, period), (n, length, channels), jnp.float32)
        periods.append(evidence[period][:, None] + spread)
      else:
        periods.append(jnp.zeros((n, length, channels), jnp.float32))
    shown = jnp.concatenate(periods, axis=1)
    lasting = lambda values: jnp.broadcast_to(values, (n, shown.shape[1], values.shape[-1]))
    fixate = (jnp.arange(shown.shape[1]) < held).astype(jnp.float32)[None, :, None]
    cue = [lasting(evidence['cue'][:, None])] if 'cue' in evidence else []
    return Batch(jnp.concatenate([lasting(fixate), shown, *cue], axis=2), y)

  def draw(key):
    seen = examples(trees.named_key(key, 'train'), train)
    return Data(seen._replace(y=noisy(key, seen.y, 2, label_noise)), examples(trees.named_key(key, 'test'), test))

  return Task(draw, outputs=2)


def _choice(key: Key, name: str, n: int) -> Array:
  return jax.random.randint(trees.named_key(key, name), (n,), 0, 2, jnp.int32)


def _coherence(key: Key, name: str, n: int, coherences: tuple[float, ...]) -> Array:
  return jax.random.choice(trees.named_key(key, name), jnp.asarray(coherences, jnp.float32), (n,))


def _pair(y: Array, c: Array) -> Array:
  """(n, 2): 1/2 + c/2 at place y and 1/2 - c/2 at the other."""
  sign = 2 * jax.nn.one_hot(y, 2, dtype=jnp.float32) - 1
  return 0.5 + 0.5 * c[:, None] * sign


def _check_any(coherences: tuple[float, ...]) -> None:
  if not coherences:
    raise ValueError('coherences is (); it must hold at least one, such as (0.5,)')
