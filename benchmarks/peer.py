"""The peer: the same training as an eager PyTorch loop, written the way people write it."""

import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

try:
  import torch
  import torch.nn.functional as F
  from torch import nn
except ModuleNotFoundError as error:
  raise SystemExit("the peer of the training benchmarks is PyTorch, which is missing: pip install -e '.[bench]'") from error

TINY = 1e-30


class Peer(NamedTuple):
  """One network in training. `step(x, y)` is one step on a batch; `loss(x, y)` the mean loss, without a step."""

  step: Callable[[torch.Tensor, torch.Tensor], None]
  loss: Callable[[torch.Tensor, torch.Tensor], float]


def device() -> torch.device:
  """Where the peer runs; on a GPU with the fast float32 products that jax uses by default there."""
  torch.set_float32_matmul_precision('high')
  return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


def fastest(work: Callable[[], object]) -> int:
  """Sets the number of threads, one or all cores, with which `work` is faster here and now, and returns it.

  On a machine that others use too, torch's threads wait for each other, and one is often many times faster.
  """
  seconds = {}
  for threads in sorted({1, len(os.sched_getaffinity(0))}):
    torch.set_num_threads(threads)
    work()
    begun = time.perf_counter()
    work()
    seconds[threads] = time.perf_counter() - begun
  best = min(seconds, key=seconds.get)
  torch.set_num_threads(best)
  return best


def wait() -> None:
  """Until the device has done what it was given."""
  if torch.cuda.is_available():
    torch.cuda.synchronize()


def tensor(x: np.ndarray) -> torch.Tensor:
  """On the peer's device; labels as int64, which torch's loss asks for."""
  x = torch.from_numpy(np.array(x))
  return (x if x.is_floating_point() else x.long()).to(device())


def network(params: Mapping[str, Mapping[str, np.ndarray]]) -> nn.Sequential:
  """A ReLU network of nn.Linear layers with the weights of a flax tree input, hidden_1, ..., readout."""
  names = ['input', *sorted(name for name in params if name.startswith('hidden')), 'readout']
  layers = []
  for name in names:
    kernel = torch.from_numpy(np.array(params[name]['kernel']).T.copy())
    linear = nn.Linear(kernel.shape[1], kernel.shape[0], bias='bias' in params[name])
    with torch.no_grad():
      linear.weight.copy_(kernel)
      if linear.bias is not None:
        linear.bias.copy_(torch.from_numpy(np.array(params[name]['bias'])))
    layers += [linear, nn.ReLU()]
  return nn.Sequential(*layers[:-1]).to(device())


def train(model: nn.Sequential, optimizer: torch.optim.Optimizer, perpendicular: bool = False) -> Peer:
  """The plain loop's body: forward, cross-entropy, backward, step."""
  parameters = list(model.parameters())

  def step(x, y):
    optimizer.zero_grad(set_to_none=True)
    F.cross_entropy(model(x), y).backward()
    if perpendicular:
      project(parameters)
    optimizer.step()

  @torch.no_grad()
  def loss(x, y):
    return F.cross_entropy(model(x), y).item()

  return Peer(step, loss)


@torch.no_grad()
def project(parameters: list[nn.Parameter]) -> None:
  """Each gradient without its part along the weights, at the length it had. Source: 2501.04697, equation 11."""
  for w in parameters:
    g, flat_w = w.grad.flatten(), w.flatten()
    across = g - (torch.dot(flat_w, g) / (torch.dot(flat_w, flat_w) + TINY)) * flat_w
    w.grad = (across * (torch.linalg.vector_norm(g) / (torch.linalg.vector_norm(across) + TINY))).view_as(w)


def adamw(model: nn.Sequential, lr: float, beta2: float, eps: float) -> torch.optim.Optimizer:
  return torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, beta2), eps=eps, weight_decay=0.0)


def sgd(model: nn.Sequential, lr: float) -> torch.optim.Optimizer:
  return torch.optim.SGD(model.parameters(), lr=lr)


def one_hot(tokens: np.ndarray, vocabulary: int) -> torch.Tensor:
  """(n, l) tokens to (n, vocabulary) floats, the sum of their one-hot vectors."""
  return F.one_hot(tensor(tokens), vocabulary).sum(1).to(torch.float32)


def minibatches(peer: Peer, x: torch.Tensor, y: torch.Tensor, size: int, steps: int) -> None:
  """`steps` steps on random batches, drawn with replacement."""
  for _ in range(steps):
    rows = torch.randint(len(y), (size,), device=y.device)
    peer.step(x[rows], y[rows])
  wait()
