"""Runs that are stopped, killed and damaged end with the bits of a run that was left alone."""

import json
import shlex
import signal

import pytest

KILL, TERM, INT, HUP = (int(number) for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP))

KILLS = [  # each goes on where the one before was killed
  ('disk.os', 'fsync', 1, 'before'),  # run.json is half-written
  ('tables', 'write', 5, 'after'),  # between the parts of the third save
  ('tables.os', 'fsync', 7, 'before'),  # a part lies there under its temporary name
  ('checkpoints.ocp.CheckpointManager', 'save', 2, 'after'),  # a checkpoint is being written
  ('store.tables', 'keep_only', 1, 'before'),  # while going on
  ('checkpoints.ocp.CheckpointManager', 'wait_until_finished', 4, 'before'),
  ('store', 'write_json', 1, 'before'),  # all is there but the tables' done-markers
  ('store', 'write_json', 2, 'after'),  # of one table it is there
  ('store.Run', 'finish', 1, 'before'),  # all but the done-marker of the training
]


@pytest.mark.parametrize('kills', [KILLS[::3], pytest.param(KILLS, marks=pytest.mark.slow)], ids=['some', 'all'])
def test_killed_at_many_moments(tiny, tmp_path, whole, same, only, command, signalled, kills):
  words = (tiny, '--out', tmp_path / 'out', '--save_every', 0)
  for moment in kills:
    status, out, err = signalled((*moment, KILL), *words)
    assert status == -KILL, (moment, out, err)
    assert not list((tmp_path / 'out').glob('*/done.json'))
  status, out, err = command(*words)
  assert (status, err) == (0, '')
  folder = only(tmp_path / 'out')
  same(folder, whole)
  assert len(json.loads((folder / 'run.json').read_text())['sessions']) == len(kills)  # the first was killed before it
  assert not list(folder.rglob('*tmp*'))
  assert not (folder / 'damaged').exists()


@pytest.mark.parametrize('number', [TERM, pytest.param(HUP, marks=pytest.mark.slow)])
def test_stopped_and_resumed_by_the_printed_command(tiny, tmp_path, whole, same, only, command, signalled, number):
  words = (tiny, '--out', tmp_path / 'out')
  status, out, err = signalled(('store.Pass', 'append', 4, 'after', number), *words)
  assert status == 130, err
  assert 'saving before stopping' in err
  assert 'Traceback' not in err
  folder = only(tmp_path / 'out')
  assert [path.name for path in (folder / 'checkpoints').iterdir()] == [out.split('stopped at step ')[1].split()[0]]
  again = out.splitlines()[-1].removeprefix('go on with: ')
  assert again.startswith('python -m experiments.run --config=')
  status, out, err = command(*shlex.split(again)[3:])
  assert (status, err) == (0, '')
  assert 'going on from step' in out
  same(folder, whole)
  before = {path: path.stat().st_mtime_ns for path in folder.rglob('*')}
  status, out, err = command(*words)
  assert (status, err) == (0, '')
  assert 'done before' in out
  assert before == {path: path.stat().st_mtime_ns for path in folder.rglob('*')}


@pytest.mark.parametrize(
  'moment', [('work.train', 'join', 1, 'before', INT), ('train.jax', 'block_until_ready', 1, 'after', TERM)]
)
def test_stopped_while_compiling(tiny, tmp_path, only, signalled, moment):
  status, out, err = signalled(moment, tiny, '--out', tmp_path / 'out')
  assert (status, err) == (130, '')
  assert out.splitlines()[-1].startswith('go on with: python -m experiments.run')
  assert not (only(tmp_path / 'out') / 'checkpoints').exists()


def test_a_second_interrupt_stops_at_once(tiny, tmp_path, signalled):
  twice = ('store.Pass', 'append', 2, 'after', INT)
  status, _, err = signalled(twice, tiny, '--out', tmp_path / 'out')
  assert status == 130
  assert 'Traceback' not in err


def test_a_running_job_is_heard_and_not_disturbed(tiny, tmp_path, start, command, only):
  words = (tiny, '--config.steps=1000000000', '--config.schedule.stride=500000000', '--out', tmp_path / 'out', '--save_every=1')
  process = start('-m', 'experiments.run', *words)
  try:
    lines = []
    while 'member-steps/s' not in ''.join(lines[-1:]):
      lines.append(process.stdout.readline())
      assert lines[-1], process.stderr.read()
    assert lines[-1].startswith('  step ')
    assert lines[-1].endswith('\n')
    assert ' left  train_loss ' in lines[-1]
    assert len(lines[-1]) > 80  # not wrapped

    status, out, err = command(*words)
    assert (status, err) == (4, '')
    assert f'cell 1/1 {only(tmp_path / "out").name} is held by pid {process.pid} on ' in out
    assert out.splitlines()[-1].startswith('not finished: others hold what is left')

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert 'stopped at step' in out
    assert 'Traceback' not in err
  finally:
    process.kill()
    process.communicate()


def test_one_flipped_byte_ends_with_the_same_bits(tiny, tmp_path, whole, same, only, command, signalled, flip):
  words = (tiny, '--out', tmp_path / 'out', '--save_every', 0)
  assert signalled(('store.Pass', 'append', 8, 'after', TERM), *words)[0] == 130
  folder = only(tmp_path / 'out')
  newest = max(int(path.name) for path in (folder / 'checkpoints').iterdir())
  files = [path for path in (folder / 'checkpoints' / str(newest) / 'state').rglob('*') if path.is_file()]
  flip(max(files, key=lambda path: path.stat().st_size))
  status, out, err = command(*words)
  assert status == 0, err
  assert f'checkpoint {newest} cannot be used' in out
  assert (folder / 'damaged' / f'{newest}-0').is_dir()
  same(folder, whole)
