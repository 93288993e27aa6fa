"""One strict world for all tests: four CPU devices, no implicit promotion of dtypes or ranks, keys used once."""

import os

os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=4'
os.environ.setdefault('MPLBACKEND', 'agg')

import jax
import pytest

jax.config.update('jax_numpy_dtype_promotion', 'strict')
jax.config.update('jax_numpy_rank_promotion', 'raise')


@pytest.fixture
def wide():
  """64-bit mode, for float64 losses and oracles."""
  with jax.enable_x64(True):
    yield
