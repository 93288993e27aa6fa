"""How complex a network's function is along closed curves in input space: its frequencies, and how well its signs compress."""

import math

import jax
import jax.numpy as jnp

from dynamics.components import component
from dynamics.probes.evaluation import array, first, mean, network
from dynamics.schema import Range
from dynamics.trees import at_least_float32
from dynamics.types import Array, Probe


@component(needs=('features',))
def complexity(*, circles: Range(int, least=1) = 16, points: Range(int, least=4) = 64) -> Probe:
  """The outputs along circles x(a) = c + (x_i - c) cos a + (x_j - c) sin a, with c the mean of the inputs that are read.

  The first 2 `circles` training inputs are taken two by two; there are fewer circles where there are fewer inputs. A circle is
  closed, so its spectrum has no edges. It is read at `points` (q) angles, and frequencies are in cycles a turn, 1 to f = q / 2;
  what turns faster is folded back. Every reading is a mean over circles, and its _se is that mean's standard error, NaN for a
  single circle. An output is constant where it varies by no more than rounding.

  Reading:
    spectrum (f,): the share of the outputs' variance at each frequency, all outputs together; NaN where all are constant.
    frequency, frequency_se (), cycles a turn: the mean of the frequency under these shares.
    lempel_ziv, lempel_ziv_se (): c log2(q) / q with c the phrases (LZ76) of the q signs of an output less its mean on the
      circle, a mean over outputs; about 1 for coin flips.
  Cost: a forward pass on q `circles` inputs, and q^2 comparisons an output and circle; no state.
  Oracle: numpy's fft, and phrases by a search for substrings; a linear network has frequency 1.
  Source: 2403.02241 (Fourier and Lempel-Ziv of random networks), 1606.05340 (circles of inputs), Lempel and Ziv 1976 (phrases).
    Inputs that are tokens are refused.
  """

  def init(view):
    x = array(view.data.train.x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
      raise ValueError(f'complexity needs inputs of floats, to take others between them, but they are {x.dtype}{x.shape}')
    first(view.data.train, 2 * circles, least=2)
    return ()

  def measure(view, state, key):
    read = array(first(view.data.train, 2 * circles, least=2).x)
    x = at_least_float32(read[: read.shape[0] // 2 * 2])
    centre = jnp.mean(x, axis=0, keepdims=True)
    a, b = ((x - centre)[i::2][:, None] for i in (0, 1))
    angles = (jnp.arange(points, dtype=x.dtype) * (2 * math.pi / points)).reshape(1, points, *(1,) * (x.ndim - 1))
    inputs = (centre[None] + a * jnp.cos(angles) + b * jnp.sin(angles)).astype(read.dtype)
    outputs = network(view)(view.variables['params'], inputs.reshape(-1, *x.shape[1:]))
    z = _centred(at_least_float32(outputs).reshape(inputs.shape[0], points, -1))
    share = _shares(z)
    frequencies = jnp.arange(1, share.shape[1] + 1, dtype=z.dtype)
    count = jnp.mean(jax.vmap(jax.vmap(phrases, in_axes=1))(z > 0).astype(z.dtype), axis=1)
    compressed = jnp.where(jnp.all(jnp.isfinite(z), axis=(1, 2)), count * (math.log2(points) / points), jnp.nan)
    reading = {'spectrum': jnp.mean(share, axis=0)}
    for name, values in {'frequency': jnp.sum(share * frequencies[None], axis=1), 'lempel_ziv': compressed}.items():
      reading[name], reading[f'{name}_se'] = mean(values, jnp.ones_like(values))
    return reading, state

  return Probe(init, measure)


def _centred(outputs: Array) -> Array:
  """Outputs (n, q, k) less their mean over q; 0 where they differ by rounding alone."""
  z = outputs - jnp.mean(outputs, axis=1, keepdims=True)
  largest = lambda x: jnp.max(jnp.abs(x), axis=1, keepdims=True)
  return jnp.where(largest(z) <= 8 * jnp.finfo(z.dtype).eps * largest(outputs), 0, z)


def _shares(z: Array) -> Array:
  """Values (n, q, k) on circles -> (n, q // 2): the share of their power at the frequencies 1, 2, ..."""
  power = jnp.sum(jnp.square(jnp.abs(jnp.fft.rfft(z, axis=1))), axis=2)[:, 1:]
  if z.shape[1] % 2 == 0:
    power = power.at[:, -1].divide(2)  # all others stand for two frequencies, k and -k
  return power / jnp.sum(power, axis=1, keepdims=True)


def phrases(bits: Array) -> Array:
  """The number of LZ76 phrases of bits (q,), () int32: each is the shortest string that has not begun at an earlier place."""
  q = bits.shape[0]
  places = jnp.arange(q, dtype=jnp.int32)

  def copied_from(after, i):  # after[j]: for how long the bits from i + 1 on and from j on agree
    agree = jnp.where(bits == bits[i], jnp.append(after[1:], 0) + 1, 0)
    return agree, jnp.max(jnp.where(places < i, agree, 0))

  _, copied = jax.lax.scan(copied_from, jnp.zeros(q, jnp.int32), places, reverse=True)

  def step(state, at):
    count, begin = state
    i, length = at
    begins = i == begin
    return (count + begins.astype(jnp.int32), jnp.where(begins, i + length + 1, begin)), None

  (count, _), _ = jax.lax.scan(step, (jnp.int32(0), jnp.int32(0)), (places, copied))
  return count
