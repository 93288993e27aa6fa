"""Rows of readings, and the parts they are stored in."""

import numpy as np
import pytest

from dynamics import trees
from experiments import tables
from experiments.disk import write_json


def test_rows_of_scalars_vectors_and_nests(table, tmp_path):
  reading = {
    'loss': np.array([1.0, np.nan], np.float32),
    'top': np.arange(6, dtype=np.float32).reshape(2, 3),
    'of': {'a/b': np.array([[[1.0]], [[np.inf]]])},
    'count': np.array([3, 4], np.int32),
    'half': np.array([0.5, 0.25], np.float16),
  }
  rows = tables.rows(7, reading)
  assert list(rows) == ['step', 'member', 'finite', 'count', 'half', 'loss', 'of/a/b/0', 'top/0', 'top/1', 'top/2']
  np.testing.assert_array_equal(rows['top/2'], [2, 5])
  np.testing.assert_array_equal(rows['finite'], [True, False])
  np.testing.assert_array_equal(rows['member'], [0, 1])
  assert tables.columns({name: leaf[0] for name, leaf in trees.by_path(reading).items()}) == {
    name: values.dtype for name, values in rows.items() if name not in ('step', 'member', 'finite')
  }
  tables.write(tmp_path, "o'hare", 0, 7, [rows, {**rows, 'step': rows['step'] + 1}])
  stored = table(tmp_path / "o'hare")
  np.testing.assert_array_equal(stored['step'], [7, 7, 8, 8])
  assert {name: stored[name].dtype for name in rows} == {name: values.dtype for name, values in rows.items()}
  np.testing.assert_array_equal(stored['of/a/b/0'], [1, np.inf] * 2)
  np.testing.assert_array_equal(np.ma.getmaskarray(stored['loss']), [False, True] * 2)


def test_a_part_appears_whole_or_not_at_all(tmp_path, monkeypatch):
  rows = tables.rows(0, {'x': np.ones(2)})
  monkeypatch.setattr(tables.os, 'fsync', lambda handle: (_ for _ in ()).throw(OSError(5, 'a bad disk')))
  with pytest.raises(OSError, match='a bad disk'):
    tables.write(tmp_path, 'norms', 0, 0, [rows])
  assert list((tmp_path / 'norms').iterdir()) == []


def test_damage_is_seen(tmp_path):
  rows = tables.rows(0, {'x': np.ones(2)})
  paths = [tables.write(tmp_path, 'norms', i, i, [rows]) for i in range(3)]
  parts = {str(path.relative_to(tmp_path)): tables.digest(path) for path in paths}
  assert tables.damaged(tmp_path, parts) == []
  paths[0].unlink()
  paths[2].write_bytes(paths[2].read_bytes()[:-1])
  assert tables.damaged(tmp_path, parts) == [paths[0], paths[2]]


def test_a_table_without_its_marker_or_with_a_damaged_part_is_not_whole(tmp_path):
  path = tables.write(tmp_path, 'norms', 0, 0, [tables.rows(0, {'x': np.ones(2)})])
  place = path.parent
  assert not tables.is_whole(place)
  write_json(place / 'done.json', {'parts': {path.name: tables.digest(path)}})
  assert tables.is_whole(place)
  text = (place / 'done.json').read_text()
  (place / 'done.json').write_text(text.replace(path.name, 'part-1.parquet'))
  assert not tables.is_whole(place)
  (place / 'done.json').write_text(text)
  path.write_bytes(path.read_bytes()[:-1])
  assert not tables.is_whole(place)
