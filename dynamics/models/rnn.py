"""Leaky recurrent networks, trained by backpropagation through time."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from dynamics import contracts
from dynamics.components import component
from dynamics.models.mlp import ACTIVATIONS
from dynamics.schema import Range
from dynamics.types import Array


class Recurrence(nn.Module):
  """h <- leak h + (1 - leak)(phi(h) W + drive_t + b) from h = 0: (n, l, h) drives to (n, l, h) states."""

  activation: Literal['relu', 'tanh', 'identity']
  leak: float
  bias: bool

  @nn.compact
  def __call__(self, drive: Array) -> Array:
    n, _, h = drive.shape
    kernel = self.param('kernel', nn.initializers.lecun_normal(), (h, h), jnp.float32).astype(drive.dtype)
    if self.bias:
      drive = drive + self.param('bias', nn.initializers.zeros, (h,), jnp.float32).astype(drive.dtype)[None, None]

    def step(state, drive_t):
      state = self.leak * state + (1 - self.leak) * (ACTIVATIONS[self.activation](state) @ kernel + drive_t)
      return state, state

    states_lnh = jax.lax.scan(step, jnp.zeros((n, h), drive.dtype), jnp.swapaxes(drive, 0, 1))[1]
    return jnp.swapaxes(states_lnh, 0, 1)


class RNN(nn.Module):
  """(n, l, d) floats, or (n, l) tokens below `vocabulary`, to (n, outputs), the mean answer over the last positions."""

  width: int
  outputs: int
  activation: Literal['relu', 'tanh', 'identity']
  leak: float
  bias: bool
  response: int
  vocabulary: int | None = None

  @nn.compact
  def __call__(self, x: Array) -> Array:
    tokens = jnp.issubdtype(x.dtype, jnp.integer)
    if x.ndim != (2 if tokens else 3):
      raise ValueError(f'an rnn reads sequences, (n, l, d) floats or (n, l) tokens, but the inputs are {x.shape} of {x.dtype}')
    if self.response > x.shape[1]:
      raise ValueError(f'response is {self.response}, but the sequences have {x.shape[1]} positions')
    if tokens:
      contracts.tokens(x, self.vocabulary, 'an rnn')
      drive = nn.Embed(self.vocabulary, self.width, name='input')(x)
    else:
      drive = nn.Dense(self.width, False, dtype=x.dtype, name='input')(x)
    states = Recurrence(self.activation, self.leak, self.bias, name='recurrent')(drive)
    rates_nlh = ACTIVATIONS[self.activation](states)
    self.sow('intermediates', 'after_recurrent', rates_nlh)
    rates = jnp.mean(rates_nlh[:, -self.response :], axis=1)
    return nn.Dense(self.outputs, self.bias, dtype=rates.dtype, name='readout')(rates)


@component()
def rnn(
  outputs: int,
  vocabulary: int | None = None,
  *,
  width: Range(int, least=1) = 64,
  activation: Literal['relu', 'tanh', 'identity'] = 'relu',
  leak: Range(float, least=0.0, below=1.0) = 0.0,
  bias: bool = False,
  response: Range(int, least=1) = 1,
) -> nn.Module:
  """A recurrent network h_(t+1) = leak h_t + (1 - leak)(W phi(h_t) + W_x x_t), answering W_y phi(h).

  Leaves: input/kernel (d, h), recurrent/kernel (h, h), readout/kernel (h, k), and biases of the last two.

  Args:
    width: hidden units.
    activation: phi.
    leak: the share of the state that a step keeps: 1 - dt / tau. 0 is the plain recurrent network.
    bias: of the states and of the readout.
    response: the answer is the mean over this many last positions; 1 reads the last alone.
  Source: 2310.08513.
  """
  return RNN(width, outputs, activation, leak, bias, response, vocabulary)
