"""A language model of 64 positions, 256 bytes and 2 layers of 64, end to end: probes as their docs recommend them."""

import os
import pathlib
import resource
import subprocess
import sys
import time

import duckdb
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
LIMIT = 60  # seconds of a whole process: imports, checks, compiling, a step of training, readings before and after it
CHOICES = {
  'kernel': dict(examples=16, projections=32),
  'sharpness': dict(examples=16),
  'hessian_spectrum': dict(examples=16, steps=32, vectors=2),
  'gradient_noise': dict(examples=16),
  'representation': dict(examples=16, positions='apart'),
}
CONFIG = """
import ml_collections


def get_config():
  return ml_collections.ConfigDict(dict(
    data=dict(name='text', length=64, train=256, test=32),
    model=dict(name='decoder', layers=2, width=64),
    loss=dict(name='cross_entropy'),
    objective=dict(name='next_token'),
    optimizer=dict(name='adam'),
    hyper=dict(lr=1e-3),
    batch=dict(size=16),
    steps=1,
    probes={probes!r},
  ))
"""


@pytest.mark.slow
@pytest.mark.parametrize('probe', CHOICES)
def test_the_first_reading_of_a_probe_comes_within_a_minute(tmp_path, probe):
  config, out = tmp_path / 'language.py', tmp_path / 'results'
  config.write_text(CONFIG.format(probes={probe: CHOICES[probe]}))
  environment = {name: value for name, value in os.environ.items() if not name.startswith(('XLA_', 'JAX_'))}
  begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
  done = subprocess.run(
    [sys.executable, '-m', 'experiments.run', f'--config={config}', f'--out={out}'],
    cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
  )  # fmt: skip
  seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
  processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
  assert done.returncode == 0, done.stderr
  print(f'{probe}: {seconds:.0f} s, {processor:.0f} s of processor time')
  (table,) = {path.parent for path in out.rglob('*.parquet')}
  row = duckdb.sql(f"select * from '{table}/*.parquet' where step = 0").fetchnumpy()
  first = {'kernel': 'trace_se', 'sharpness': 'largest/0', 'hessian_spectrum': 'trace', 'gradient_noise': 'trace'}
  value = np.asarray(row[first.get(probe, 'rank')], np.float64)
  assert value.shape == (1,)
  assert np.isfinite(value).all()
  assert value > 0
  assert processor < LIMIT  # whatever else the machine does; where it does nothing else, the clock shows less
