"""Every mistake gets one sentence with the field, the value and what would be right, before anything compiles or is written."""

import jax
import pytest

from experiments import run

SWEEP = '--config.sweep='

CASES = [  # arguments, words of the sentence
  # misspelt
  (['--config.stepps=3'], ['stepps is no field', "did you mean 'steps'"]),
  (['--config.data.q=3'], ['data.q is no field of data']),
  (['--config.data.train_fractoin=.3'], ['data.train_fractoin', "did you mean 'train_fraction'"]),
  (['--config.hyper.lrr=3'], ['hyper.lrr is no field of hyper', "did you mean 'lr'"]),
  (['--config.predictor.linearized=True'], ['predictor.linearized', "did you mean 'linearised'"]),
  (['--config.subspace.mots=3'], ['subspace.mots is no field', "did you mean 'most'"]),
  (['--config.subspace.kind=dense'], ['subspace.most is missing']),
  (['--config.hyper.dimension=3'], ['hyper.dimension is no field of hyper']),
  (['--config.subspace.most=3', '--config.hyper.dimension=4'], ['hyper.dimension is 4', 'subspace.most is 3']),
  (['--config.subspace.most=3', '--config.hyper.dimension=2', '--config.init.rule=mup'], ['init.rule', "'mup'", "'ntk'"]),
  (['--config.hyper.gain=2'], ['hyper.gain', "init.law is 'gaussian'", 'hyper.init_scale']),
  (['--config.hyper.drop=0.5'], ['hyper.drop is no field of hyper']),
  (['--config.hyper.drop_every=0'], ['hyper.drop_every', 'at least 1']),
  (['--config.hyper.factor_rank=2'], ['hyper.factor_rank', "init.law 'factors'", "'gaussian'"]),
  (['--config.hyper.stop_loss=-1'], ['hyper.stop_loss', '-1', 'at least 0']),
  (['--config.probes.colapse.on=True'], ['probes.colapse', "did you mean 'collapse'"]),
  (['--config.probes.alignment.strech=0.1'], ['probes.alignment.strech', "did you mean 'stretch'"]),
  (['--config.probes.meters.schedule.strid=2'], ['probes.meters.schedule.strid', "did you mean 'stride'"]),
  (['--config.data.operation=muliply'], ['data.operation', "'muliply'", "did you mean 'multiply'"]),
  (['--config.model.name=mpl'], ['model.name', "did you mean 'mlp'"]),
  (['--config.optimizer.name=Adamw'], ['optimizer.name', "did you mean 'adamw'"]),
  (['--config.optimizer.name=on_the_fly', '--config.optimizer.evry=3'], ['optimizer.evry', "did you mean 'every'"]),
  (['--config.optimizer.every=3'], ['optimizer.every is no field of optimizer']),  # of another optimiser
  (['--config.loss.dtype=float23'], ['loss.dtype', "'float23'", 'float32']),
  ([SWEEP + "(('hyper.lrr', (0.1,)),)"], ['sweep: hyper.lrr', "did you mean 'hyper.lr'"]),
  ([SWEEP + "(('dta.p', (5, 7)),)"], ['sweep: dta.p', "did you mean 'data.p'"]),
  # mistyped
  (['--config.steps=ten'], ['config.steps', "'ten'", 'a whole number']),
  (['--config.steps=3.5'], ['config.steps', '3.5', 'a whole number']),
  (['--config.hyper.lr=fast'], ['hyper.lr', "'fast'", 'a number']),
  (['--config.model.bias=false'], ['model.bias', "'false'", 'True or False']),
  (['--config.model.widths=64'], ['model.widths', '64', 'a tuple']),
  (['--config.model=mlp'], ['model', "'mlp'", 'a block']),
  (['--config.model.name=[1]'], ['model.name', '[1]', 'a word']),
  (['--config.hyper.label_noise=0.2', '--config.own_data=False'], ['hyper.label_noise', '0.2', 'own_data=True']),
  (['--config.probes.meters=True'], ['probes.meters', 'True', 'a block']),
  (['--config.probes.meters.on=yes'], ['probes.meters.on', "'yes'", 'True or False']),
  (['--config.probes.meters.schedule=3'], ['probes.meters.schedule', '3', 'a block']),
  (['--config.seeds=3'], ['config.seeds', '3', 'a tuple']),
  (['--config.steps.x=3'], ['steps.x cannot be set', 'single value']),
  # sweeps
  ([SWEEP + "(('hyper.p', (5, 7)),)"], ['hyper.p', 'static', 'sweep data.p']),
  ([SWEEP + "(('optimizer.lr', (0.1,)),)"], ['optimizer.lr', 'traced', 'sweep hyper.lr']),
  ([SWEEP + "(('seeds', (0, 1)),)"], ['seeds', 'need no sweep']),
  ([SWEEP + "('hyper.lr', (0.1, 0.2))"], ['sweep', 'a tuple of pairs']),
  ([SWEEP + '3'], ['sweep is 3', 'a tuple of pairs']),
  ([SWEEP + '((3, (0.1,)),)'], ['sweep', '3', 'a tuple of pairs']),
  ([SWEEP + "(('hyper.lr', ()),)"], ['sweep', 'a tuple of pairs']),
  ([SWEEP + "((('hyper.lr', 'steps'), ((0.1,),)),)"], ['hyper.lr, steps', '2 values']),
  ([SWEEP + "(('hyper.lr', (0.1, 'fast')),)"], ['hyper.lr', "'fast'", 'a number']),
  # out of range
  (['--config.data.train_fraction=0'], ['data.train_fraction', 'is 0', 'above 0']),
  (['--config.data.train_fraction=0.001'], ['train_fraction', '0.001', 'leaves 0']),
  (['--config.model.widths=(8,-1)'], ['model.widths[1]', '-1', 'at least 1']),
  (['--config.hyper.lr=-0.1'], ['hyper.lr', '-0.1', 'above 0']),
  (['--config.hyper.lr=1e999'], ['hyper.lr is inf', 'above 0']),
  (['--config.hyper.lr=nan'], ['hyper.lr', 'nan', 'a number']),
  (['--config.hyper.beta2=1.0'], ['hyper.beta2', '1', 'below 1']),
  (['--config.steps=0'], ['config.steps', '0', 'at least 1']),
  (['--config.steps=3000000000'], ['config.steps', '3000000000', 'below']),
  (['--config.seeds=(0,1,0)'], ['config.seeds', '(0, 1, 0)', 'each only once']),
  (['--config.seeds=()'], ['config.seeds', 'at least one']),
  (['--config.seeds=(-1,)'], ['config.seeds[0]', '-1', 'at least 0']),
  (['--config.milestones=(99,)'], ['config.milestones', '99', 'ends at step 24']),
  (['--config.schedule.stride=-2'], ['stride', '-2', 'at least 0']),
  (['--config.schedule.log_points=-2'], ['log_points', '-2', 'at least 0']),
  # values that do not go together
  (['--config.data.operation=divide', '--config.data.p=6'], ['data', 'p is 6', 'not prime']),
  (['--config.data.name=images', '--config.data.source=mnist'], ['data', 'mnist', 'train-images-idx3-ubyte', 'DYNAMICS_DATA']),
  (['--config.data.name=images', '--config.data.train=9999'], ['data', '9999', '1797']),
  (['--config.batch.size=1000'], ['batch.size', '1000', '10 training examples']),
  (['--config.data_parallel=3', '--config.batch.size=10'], ['data_parallel', '3', 'does not divide', '10']),
  (['--config.data_parallel=5', '--config.batch.size=10'], ['data_parallel is 5', 'only 4 devices']),
  (['--config.model.name=normalised_mlp', '--config.model.ghost=3'], ['model.ghost is 3', '10 examples']),
  (
    ['--config.model.name=normalised_mlp', '--config.model.ghost=2', '--config.data_parallel=2'],
    ['model.ghost is 2', '5 examples', 'one device'],
  ),
  (['--config.model.name=transformer', '--config.model.width=10'], ['width is 10', '4 heads', 'a multiple of heads']),
  (['--config.model.widths=(8,8)', '--config.init.rule=mean_field'], ['mean_field', 'one hidden layer', 'hidden_1']),
  (['--config.data.name=teacher'], ['loss.name', "'cross_entropy'", 'needs labels', 'mean_squared_error']),
  (['--config.data.name=teacher', '--config.data.target=label'], ['loss.name', 'a single output', 'hinge']),
  # the command
  (['--outt=x'], ['--outt is no argument', 'did you mean --out']),
  (['extra'], ['extra is no argument', '--config']),
  (['--save_every=abc'], ['--save_every', "'abc'", 'a number of seconds']),
  (['--save_every=-1'], ['--save_every', "'-1'", 'at least 0']),
  (['--save_every'], ['--save_every', 'a number of seconds']),
  (['--out='], ['--out needs a value']),
  (['--dry_run=yes'], ['--dry_run takes no value', "'yes'"]),
  (['--config.steps'], ['--config.steps needs a value']),
]


@pytest.fixture(scope='module')
def compiled():
  """The functions compiled so far. Constants that a data set or a probe puts on the device are not counted."""
  seen = []

  def listen(event, *_, fun_name='', **__):
    if 'backend_compile' in event and fun_name not in ('jit(stage)', 'jit(convert_element_type)'):
      seen.append(fun_name)

  jax.monitoring.register_event_duration_secs_listener(listen)
  return seen


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys, compiled):
  """Runs a command that must end in one sentence with these words, compile nothing and leave nothing behind."""
  monkeypatch.delenv('DYNAMICS_DATA', raising=False)

  def check(argv, words):
    before, count = sorted(tmp_path.rglob('*')), len(compiled)
    assert run.main(argv) == 2
    assert compiled[count:] == []
    _, err = capsys.readouterr()
    assert err.startswith('error: ')
    assert err.count('\n') == 1, err
    assert err.endswith('.\n')
    for word in words:
      assert word in err
    assert sorted(tmp_path.rglob('*')) == before

  return check


@pytest.mark.parametrize(('argv', 'words'), CASES, ids=lambda value: ' '.join(value)[:60])
def test_mistake(refused, tiny, tmp_path, argv, words):
  refused([tiny, '--out', str(tmp_path / 'out'), *argv], words)


FILES = {
  'syntax': ('def get_config(:\n', ['line 1', 'SyntaxError']),
  'raises': ('\ndef get_config():\n  return 1 / 0\n', ['line 3', 'ZeroDivisionError', 'division by zero']),
  'imports': ('import nothing_of_that_name\n', ['line 1', 'ModuleNotFoundError', 'nothing_of_that_name']),
  'exits': ('raise SystemExit(3)\n', ['line 1', 'SystemExit']),
  'lacks': ('x = 3\n', ['has no function get_config()']),
  'dict': ('def get_config():\n  return dict(steps=3)\n', ['gives dict', 'ml_collections.ConfigDict']),
  'argument': ('def get_config(x):\n  return x\n', ['TypeError', 'missing 1 required positional argument']),
  'lines': ('raise ValueError("one\\ntwo")\n', ['ValueError: one two']),
  'bytes': ('\0\1', ['bytes.py', 'null bytes']),
}


@pytest.mark.parametrize('name', FILES)
def test_config_file(refused, tmp_path, name):
  text, words = FILES[name]
  (tmp_path / f'{name}.py').write_text(text)
  refused([f'--config={tmp_path / name}.py'], [f'{name}.py', *words])


def test_no_such_config(refused, tmp_path):
  refused(['--config=configs/nothing.py'], ['configs/nothing.py is no file', 'there are: configs/'])
  refused([f'--config={tmp_path}'], [f'{tmp_path} is no file'])
  refused(['--dry_run'], ['no config is named', '--config=configs/NAME.py'])


def test_a_stored_run_is_not_harmed(refused, tiny, whole):
  before = {path: path.read_bytes() for path in whole.rglob('*') if path.is_file()}
  refused([tiny, '--out', str(whole.parent), '--config.steps=ten'], ['ten'])
  assert before == {path: path.read_bytes() for path in whole.rglob('*') if path.is_file()}


def test_a_plan_compiles_nothing_and_writes_nothing(tiny, tmp_path, capsys, compiled):
  before, count = sorted(tmp_path.rglob('*')), len(compiled)
  sweep = "--config.sweep=(('hyper.lr', (0.1, 0.2)), ('loss.dtype', ('float32', 'float64')))"
  assert run.main([tiny, '--out', str(tmp_path / 'out'), '--dry_run', sweep]) == 0
  assert compiled[count:] == []
  assert sorted(tmp_path.rglob('*')) == before
  cells = [line for line in capsys.readouterr().out.splitlines() if 'reading the config' not in line]
  assert len(cells) == 3
  for line, dtype in zip(cells, ('float32', 'float64'), strict=False):
    assert 'to run  4 members x 24 steps  69 parameters a member  5 programs  13 probe times  ' in line
    assert line.endswith(f'kB  [loss.dtype={dtype}]')
  assert cells[2].startswith('2 cells, 8 members, 10 programs to compile, about ')
  assert cells[2].endswith(f'kB of results in {tmp_path / "out"}')
  jax.jit(lambda x: x * 2.5 + 1)(1.0)
  assert len(compiled) > count  # the count is alive


def test_a_mistake_is_told_before_the_heavy_imports(start, tiny):
  script = (
    'import sys; from experiments import run; status = run.main(sys.argv[1:]); '
    "print(status, [m for m in ('orbax', 'duckdb', 'matplotlib', 'ray', 'jax') if m in sys.modules])"
  )
  for words, loaded in (([tiny, '--config.steps=ten'], "2 ['jax']"), (['--help'], '0 []')):
    out, err = start('-c', script, *words).communicate()
    assert out.splitlines()[-1] == loaded, err
