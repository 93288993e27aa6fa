"""The worker of our kernel, and of torch.func's: python -m benchmarks.own_ntk METHOD PROBLEM.npz ANSWER.npy."""

import sys
from collections.abc import Callable

import numpy as np

from benchmarks import worker


def ours(arrays: dict[str, np.ndarray]) -> tuple[Callable[[], np.ndarray], str]:
  """dynamics.linalg.ntk of a flax module."""
  import flax.linen as nn
  import jax
  import jax.numpy as jnp

  from dynamics.linalg.ntk import ntk
  from dynamics.models import mlp

  class CNN(nn.Module):
    @nn.compact
    def __call__(self, x):
      for i, channels in enumerate((16, 32)):
        x = nn.relu(nn.Conv(channels, (3, 3), strides=2, name=f'{i}')(x))
      return nn.Dense(10, name='2')(x.reshape((x.shape[0], -1)))

  x = jnp.asarray(arrays['x'])
  model, names = (CNN(), '012') if x.ndim == 4 else (mlp(10, None, widths=(512, 512)), ('input', 'hidden_1', 'readout'))
  params = {name: dict(kernel=jnp.asarray(w), bias=jnp.asarray(b)) for name, (w, b) in zip(names, pairs(arrays), strict=True)}
  variables, trace = {'params': params}, bool(arrays['trace'])
  return lambda: jax.block_until_ready(ntk(model.apply, variables, x, trace=trace)), f'jax {jax.__version__}'


def torch_func(arrays: dict[str, np.ndarray]) -> tuple[Callable[[], np.ndarray], str]:
  """The contraction of per-example Jacobians by torch.func: vmap of jacrev, then one product a parameter array."""
  import torch
  import torch.nn.functional as F

  from benchmarks import peer

  order = lambda w: w.transpose(3, 2, 0, 1) if w.ndim == 4 else w.T
  params = tuple((peer.tensor(order(w).copy()), peer.tensor(b)) for w, b in pairs(arrays))
  x, trace = peer.tensor(arrays['x']), bool(arrays['trace'])

  def network(params, x):
    for i, (w, b) in enumerate(params):
      if w.ndim == 4:
        z = F.conv2d(F.pad(x.permute(2, 0, 1), (0, 1, 0, 1))[None], w, b, stride=2)[0].permute(1, 2, 0)
      else:
        z = F.linear(x.reshape(-1), w, b)
      x = F.relu(z) if i + 1 < len(params) else z
    return x

  jacobians = torch.func.vmap(torch.func.jacrev(network), (None, 0))

  @torch.no_grad()
  def work():
    flat = [j.flatten(2) for pair in jacobians(params, x) for j in pair]
    found = sum(torch.einsum('nkp,mkp->nm' if trace else 'nkp,mlp->nmkl', j, j) for j in flat)
    peer.wait()
    return found.cpu()

  return work, f'torch {torch.__version__}'


METHODS = {'ours': ours, 'torch.func': torch_func}


def pairs(arrays: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
  """Kernel and bias of each layer."""
  return [(arrays[f'w{i}'], arrays[f'b{i}']) for i in range((len(arrays) - 2) // 2)]


def main(method: str, problem: str, answer: str) -> None:
  with np.load(problem) as given:
    work, versions = METHODS[method]({name: given[name] for name in given.files})
  worker.serve(work, answer, versions)


if __name__ == '__main__':
  main(*sys.argv[1:])
