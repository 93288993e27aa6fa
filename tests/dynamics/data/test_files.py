"""Data of a user's own: tables, arrays, and examples that stay with the host."""

import chex
import duckdb
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics import data, losses, modules, parallel, train
from dynamics.data import host
from dynamics.data.arrays import from_arrays
from dynamics.data.sampling import row_numbers
from dynamics.types import Batch, Data

KEY = jax.random.key(0, impl='threefry2x32')
rng = np.random.default_rng(3)
ROWS = 20
HEIGHT, WEIGHT = rng.normal(2, 3, ROWS), rng.integers(0, 9, ROWS)
KIND = np.array(['cat', 'ant', 'bee', 'ant'] * 5)


def write(path, **columns):
  """A table as a file of any of the three kinds."""
  names, rows = ', '.join(columns), zip(*(values.tolist() for values in columns.values()), strict=True)
  kind = {'.parquet': '(FORMAT parquet)', '.csv': '(HEADER)', '.tsv': "(HEADER, DELIMITER '\t')"}[path.suffix]
  with duckdb.connect() as connection:
    values = ', '.join(str(tuple(row)) for row in rows)
    target = str(path).replace("'", "''")
    connection.execute(f"COPY (SELECT * FROM (VALUES {values}) t({names})) TO '{target}' {kind}")
  return str(path)


def joined(*batches):
  return Batch(*(np.concatenate(parts) for parts in zip(*batches, strict=True)))


def rows_of(batch):
  """Rows as sortable tuples."""
  return sorted(
    (*np.round(np.atleast_1d(x), 4).tolist(), *np.atleast_1d(y).tolist()) for x, y in zip(*map(np.asarray, batch), strict=True)
  )


@pytest.mark.parametrize('name', ['t.csv', 't.tsv', "it's [1]*.parquet"])
def test_tables_are_read_whole_with_labels_in_the_order_of_their_words(tmp_path, name):
  file = write(tmp_path / name, height=HEIGHT, weight=WEIGHT, kind=KIND)
  task = data.table(file=file, target='kind', standardise=False)
  drawn = task.draw(KEY)
  assert (len(drawn.train.y), len(drawn.test.y), task.outputs, task.vocabulary) == (16, 4, 3, None)
  both = joined(drawn.train, drawn.test)
  labels = np.searchsorted(['ant', 'bee', 'cat'], KIND)
  assert rows_of(both) == rows_of(Batch(np.stack([HEIGHT, WEIGHT], 1).astype(np.float32), labels))
  assert drawn.train.x.dtype == jnp.float32
  other = task.draw(jax.random.key(1))
  assert not np.array_equal(other.train.x, drawn.train.x)


def test_inputs_are_standardised_by_the_training_rows_and_numbers_are_targets(tmp_path):
  file = write(tmp_path / 't.csv', height=HEIGHT, weight=WEIGHT, same=np.full(ROWS, 7))
  drawn = data.table(file=file, target='height', inputs=('weight', 'same')).draw(KEY)
  np.testing.assert_allclose(drawn.train.x.mean(0), 0, atol=1e-6)
  np.testing.assert_allclose(drawn.train.x.std(0), [1, 0], atol=1e-6)
  assert (drawn.test.x[:, 1] == 0).all()
  assert (drawn.train.y.shape, drawn.train.y.dtype) == ((16, 1), jnp.float32)


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    (dict(target='kid'), "no column 'kid'; there are: height, kind"),
    (dict(target='height'), "column 'kind' of .* not numbers: name the columns"),
    (dict(target='kind', test=0.01), 'leave 20 for training and 0 for the test'),
    (dict(target='kind', file='nowhere.csv'), 'nowhere.csv is no file'),
    (dict(target='kind', file=__file__), 'must end in .csv, .tsv, .parquet'),
  ],
)
def test_tables_that_do_not_fit_are_told(tmp_path, fields, words):
  file = write(tmp_path / 't.csv', height=HEIGHT, kind=KIND)
  with pytest.raises((ValueError, OSError), match=words):
    data.table(**{'file': file, **fields})


def test_empty_cells_are_told(tmp_path):
  (tmp_path / 't.csv').write_text('a,b\n1,2\n,3\n')
  with pytest.raises(ValueError, match=r"column 'a' of .* has 1 empty cells"):
    data.table(file=str(tmp_path / 't.csv'), target='b')


# ---- arrays ---------------------------------------------------------------------------------------------------------

X, Y = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ((X, Y[:29]), r'\(30, 4\) and the targets \(29,\)'),
    ((X, Y.astype(float)), r'give \(30, 1\)'),
    ((X, Y - 1), 'labels go down to -1'),
    ((np.where(X > 1, np.nan, X), Y), 'no finite numbers'),
    ((X[:0], Y[:0]), 'no training examples'),
    ((X.astype(str), Y), 'data are numbers'),
    ((X, Y, X[:3], Y[:2]), 'the test inputs'),
    ((3.0, Y), 'first axes must be equal'),
  ],
)
def test_arrays_that_are_no_examples_are_told(arguments, words):
  with pytest.raises(ValueError, match=words):
    from_arrays(*arguments)


def test_arrays_in_memory_and_in_a_file(tmp_path):
  task = from_arrays({'a': X, 'b': Y}, Y[:, None] / 2.0)
  drawn = task.draw(KEY)
  assert (task.outputs, task.vocabulary, drawn.train.x['a'].dtype, drawn.train.x['b'].dtype) == (1, 3, jnp.float32, jnp.int32)
  np.savez(tmp_path / 'a.npz', x=X, y=Y, u=X[:5], v=Y[:5])
  file = str(tmp_path / 'a.npz')
  chex.assert_trees_all_equal(data.arrays(file=file, x_test='u', y_test='v').draw(KEY), from_arrays(X, Y, X[:5], Y[:5]).draw(KEY))
  drawn = data.arrays(file=file, test=0.1).draw(KEY)
  both = joined(drawn.train, drawn.test)
  assert (len(drawn.test.y), rows_of(both)) == (3, rows_of(Batch(X.astype(np.float32), Y)))
  with pytest.raises(ValueError, match='lacks z; it holds x, y, u, v'):
    data.arrays(file=file, x='z')
  with pytest.raises(ValueError, match='together or not at all'):
    data.arrays(file=file, x_test='u')


# ---- examples of the host -------------------------------------------------------------------------------------------


TABLE = from_arrays(X, Y).draw(KEY).train
SHOWN = Data(*[jax.tree.map(lambda leaf: leaf[:2], TABLE)] * 2)  # the device sees two rows of the table
LINEAR = (lambda key: {'w': jnp.zeros((4, 3), jnp.float32)}, lambda params, x: x @ params['w'])
HOST = host.rows(lambda places: (X[places], Y[places]), 30, 5)


def on_device(key, data, t):
  return jax.tree.map(lambda leaf: leaf[row_numbers(key, t, 30, 5)], TABLE)


@pytest.mark.parametrize('devices', [1, 2])
def test_rows_of_the_host_train_as_those_of_the_device_and_resume_to_the_bit(cases, devices):
  """Two members with rows of their own; the host's arrays are float64 and int64."""
  model = modules.as_model(LINEAR, TABLE.x)
  study = lambda batch: cases.study_of(model, SHOWN, losses.cross_entropy(), 6, batch=batch)
  grid = parallel.mesh(2, 1, jax.devices()[:devices])
  members = train.join((0, 1), {'lr': 0.3})
  programs = train.compile_programs(study(HOST), grid)
  host_copy = lambda event: event._replace(state=jax.device_get(event.state))  # the next step reuses the buffers
  states = {event.step: host_copy(event) for event in train.events(study(HOST), members, programs, stops=(3,))}
  wanted = train.run(study(on_device), (0, 1), {'lr': 0.3}, grid=grid).state
  chex.assert_trees_all_equal(states[6].state.variables, wanted.variables)
  assert np.abs(np.diff(wanted.variables['params']['w'], axis=0)).max() > 0.01  # members see other rows
  half = states[3]
  *_, resumed = train.events(study(HOST), members, programs, resume=(3, half.state, half.frozen))
  chex.assert_trees_all_equal(resumed.state, states[6].state)


def test_a_function_of_the_host_is_asked_for_the_steps_in_their_order_with_a_seed_for_each_member(cases):
  asked = []

  def read(seed, t):
    asked.append((seed, t))
    return X[t : t + 5], Y[t : t + 5]

  study = cases.study_of(modules.as_model(LINEAR, TABLE.x), SHOWN, losses.cross_entropy(), 3, batch=host.streamed(read, 5))
  train.run(study, (0, 1), {'lr': 0.3}, grid=parallel.mesh(1))
  assert [t for _, t in asked] == [0, 0, 1, 1, 2, 2]
  assert len({seed for seed, _ in asked}) == 2


def test_examples_of_other_shapes_are_told():
  read = lambda *_: (X[:5, :3], Y[:5])
  with pytest.raises(Exception, match=r'shapes \[\(5, 3\), \(5,\)\], but they must be \[\(5, 4\), \(5,\)\]'):
    jax.block_until_ready(host.streamed(read, 5)(KEY, SHOWN, jnp.int32(0)))


def test_a_file_of_arrays_may_stay_with_the_host(tmp_path):
  np.savez(tmp_path / 'a.npz', x=X, y=Y)
  task = data.arrays(file=str(tmp_path / 'a.npz'), test=0.2, fetched=8, resident=10)
  drawn = task.draw(KEY)
  assert (len(drawn.train.y), len(drawn.test.y)) == (10, 6)
  epoch = [task.batch(KEY, drawn, jnp.int32(t)) for t in range(3)]
  assert len(set(rows_of(joined(*epoch)))) == 24
  assert rows_of(joined(*epoch, drawn.test)) == rows_of(Batch(X.astype(np.float32), Y))
  with pytest.raises(ValueError, match='25 examples are to be fetched at every step, and there are 24'):
    data.arrays(file=str(tmp_path / 'a.npz'), fetched=25)
