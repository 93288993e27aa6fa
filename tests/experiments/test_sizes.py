"""What a run needs of memory and disk, counted from shapes."""

import jax
import jax.numpy as jnp
import pytest

from dynamics.schema import ConfigError
from dynamics.types import Batch, Data, Frozen, State
from experiments import config, disk, sizes
from experiments.check import check_cell


@pytest.fixture(scope='module')
def tiny_shapes(whole):
  (cell,) = config.cells(str(whole.parents[1] / 'tiny.py'))
  return cell, *check_cell(cell)


def test_the_disk_of_a_run_is_foreseen(tiny_shapes, whole):
  cell, study, shapes = tiny_shapes
  foreseen = sum(sizes.disk(cell, study, shapes).values())
  used = sum(path.stat().st_size for path in whole.rglob('*') if path.is_file())
  assert 0.2 < foreseen / used < 5  # of a tiny run, most of which are headers


def test_memory_counts_all_members():
  leaf = jax.ShapeDtypeStruct((1000,), jnp.float32)
  state = State({'params': leaf}, (leaf, leaf), (), {})
  shapes = sizes.Shapes(
    state, Frozen({'params': leaf}, {}), Data(Batch(leaf, leaf), Batch(leaf, leaf)), {'norms': {'norm': leaf}}
  )
  cell = config.plan.Cell({'own_data': False, 'layout': 'vmap', 'data_parallel': 1}, (0, 1, 2), {}, {}, {})
  parts = sizes.memory(cell, shapes)
  assert parts == {'the state': 48_000, 'the gradients': 12_000, 'the data': 16_000, 'a reading of probes.norms': 12_000}
  own_data_ = sizes.memory(cell._replace(config={'own_data': True, 'layout': 'map'}), shapes)
  assert (own_data_['the data'], own_data_['the gradients']) == (48_000, 4_000)


@pytest.mark.parametrize(
  ('there', 'words'),
  [
    (10**5, None),
    (70_000, 'about 2 of them fit, so take fewer seeds'),
    (30_000, 'not even one fits; the largest part is the state'),
  ],
)
def test_advice_helps(tiny_shapes, monkeypatch, tmp_path, there, words):
  _, study, _ = tiny_shapes
  leaf = jax.ShapeDtypeStruct((1000,), jnp.float32)
  data = Data(Batch(leaf, leaf), Batch(leaf, leaf))
  shapes = sizes.Shapes(State({'params': leaf}, (leaf, leaf), (), {}), Frozen({'params': leaf}, {}), data, {})
  cell = config.plan.Cell({'own_data': False, 'layout': 'vmap', 'data_parallel': 1}, (0, 1, 2), {}, {}, {})
  monkeypatch.setattr(sizes, 'device_memory', lambda cell: there)
  if words is None:
    sizes.check_sizes(cell, study, shapes, tmp_path)
    return
  with pytest.raises(ConfigError, match=words):
    sizes.check_sizes(cell, study, shapes, tmp_path)


def test_a_disk_that_is_too_small_is_told_before_the_run(tiny_shapes, monkeypatch, tmp_path):
  cell, study, shapes = tiny_shapes
  monkeypatch.setattr(sizes.shutil, 'disk_usage', lambda folder: type('Usage', (), {'free': 1000})())
  with pytest.raises(ConfigError, match='the largest part is checkpoints'):
    sizes.check_sizes(cell, study, shapes, tmp_path / 'out' / 'below')


def test_files_that_go_while_they_are_counted_are_left_out(tmp_path):
  (tmp_path / 'below').mkdir()
  (tmp_path / 'below' / 'there').write_bytes(b'12345')
  (tmp_path / 'gone').symlink_to(tmp_path / 'nowhere')  # listed, and no file when it is asked for its size
  assert disk.used(tmp_path) == 5
  assert disk.used(tmp_path / 'nowhere') == 0
