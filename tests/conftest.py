"""One strict world for all tests: four CPU devices, no implicit promotion of dtypes or ranks, keys used once."""

import contextlib
import os

os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=4'
# Compiling is what the suite costs, and this halves it. A variable, so that the processes that tests start agree to the bit.
# The slow tier sets it to 0; modules whose point is bits use the fixture `optimized`.
os.environ.setdefault('JAX_DISABLE_MOST_OPTIMIZATIONS', '1')
os.environ['OPENBLAS_NUM_THREADS'] = '1'  # numpy's threads spin while the other worker needs the core
os.environ.setdefault('MPLBACKEND', 'agg')

import jax
import pytest

jax.config.update('jax_numpy_dtype_promotion', 'strict')
jax.config.update('jax_numpy_rank_promotion', 'raise')


@pytest.fixture(scope='module', autouse=True)
def programs_of_one_module():
  """Compiled programs are dropped when their module ends: together they take gigabytes."""
  yield
  jax.clear_caches()


@contextlib.contextmanager
def _optimizations():
  before = jax.config.read('jax_disable_most_optimizations')  # a flag, which is no attribute
  jax.config.update('jax_disable_most_optimizations', False)
  try:
    yield
  finally:
    jax.config.update('jax_disable_most_optimizations', before)


@pytest.fixture(scope='session')
def optimizations():
  """A context in which programs are compiled as users compile them."""
  return _optimizations


@pytest.fixture(scope='module')
def optimized():
  """The same for a whole module."""
  with _optimizations():
    yield


@pytest.fixture
def wide():
  """64-bit mode, for float64 losses and oracles."""
  with jax.enable_x64(True):
    yield
