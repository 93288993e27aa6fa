"""The worker of neural-tangents 0.6.5: python -m benchmarks.peer_ntk METHOD PROBLEM.npz ANSWER.npy, in an environment of its own.

It needs jax 0.5.3, the newest that its structured derivatives were seen to run on, and there two modules which that jax no
longer shows. Its half for TensorFlow is left out.
"""

import sys
import types

import jax
import jax.interpreters.ad
import jax.numpy as jnp
import numpy as np
from jax import config, lax
from jax._src import source_info_util

from benchmarks import worker

jax.interpreters.ad.source_info_util = source_info_util
jax.interpreters.ad.config = config
sys.modules['neural_tangents.experimental'] = types.ModuleType('neural_tangents.experimental')
import neural_tangents as nt  # noqa: E402

METHODS = {
  'structured': nt.NtkImplementation.STRUCTURED_DERIVATIVES,
  'contraction': nt.NtkImplementation.JACOBIAN_CONTRACTION,
  'products': nt.NtkImplementation.NTK_VECTOR_PRODUCTS,
}


def network(params, x):
  """Convolutions of stride 2, then dense layers, with ReLU between any two layers."""
  for i, (w, b) in enumerate(params):
    if w.ndim == 4:
      z = lax.conv_general_dilated(x, w, (2, 2), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')) + b
    else:
      z = x.reshape((x.shape[0], -1)) @ w + b
    x = jax.nn.relu(z) if i + 1 < len(params) else z
  return x


def main(method: str, problem: str, answer: str) -> None:
  with np.load(problem) as given:
    arrays = {name: jnp.asarray(given[name]) for name in given.files}
  x, trace = arrays['x'], bool(arrays['trace'])
  params = [(arrays[f'w{i}'], arrays[f'b{i}']) for i in range((len(arrays) - 2) // 2)]
  # Without vmap_axes it was a hundred times slower, and ran out of memory.
  kernel = nt.empirical_ntk_fn(network, trace_axes=(-1,) if trace else (), vmap_axes=0, implementation=METHODS[method])
  scale = params[-1][1].size if trace else 1  # its trace is the mean over outputs, ours the sum
  call = jax.jit(lambda x, params: scale * kernel(x, None, params))
  versions = f'neural-tangents {nt.__version__} on jax {jax.__version__}'
  worker.serve(lambda: jax.block_until_ready(call(x, params)), answer, versions)


if __name__ == '__main__':
  main(*sys.argv[1:])
