"""Every mistake gets one sentence with the field, the value and what would be right, before anything compiles or is written."""

import jax
import pytest

from experiments import config, run

SWEEP = '--config.sweep='

TRANSFORMS = '--config.transforms='

CASES = [  # arguments, words of the sentence
  # misspelt
  (['--config.stepps=3'], ['stepps is no field', "did you mean 'steps'"]),
  (['--config.data.q=3'], ['data.q is no field of data']),
  (['--config.data.train_fractoin=.3'], ['data.train_fractoin', "did you mean 'train_fraction'"]),
  (['--config.hyper.lrr=3'], ['hyper.lrr is no field of hyper', "did you mean 'lr'"]),
  ([TRANSFORMS + "(dict(name='linearized'),)"], ['transforms', 'tuple of blocks']),  # no python value: a word
  ([TRANSFORMS + "({'name': 'linearized'},)"], ['transforms', "did you mean 'linearised'"]),
  ([TRANSFORMS + "({'name': 'subspace', 'mots': 3},)"], ['transforms.subspace.mots', "did you mean 'most'"]),
  ([TRANSFORMS + "({'name': 'subspace'},)"], ['transforms.subspace.most is missing']),
  ([TRANSFORMS + "({'name': 'ntk'}, {'name': 'ntk'})"], ['transforms has ntk twice']),
  ([TRANSFORMS + '({"most": 3},)'], ['transforms has a block without name']),
  (['--config.hyper.dimension=3'], ['hyper.dimension is read by nothing', 'transforms subspace']),
  ([TRANSFORMS + "({'name': 'subspace', 'most': 3},)", '--config.hyper.dimension=4'], ['hyper.dimension is 4', 'most, 3']),
  (['--config.hyper.drop=0.5'], ['hyper.drop is read by nothing', 'lr_schedule drops']),
  (['--config.lr_schedule.name=drops', '--config.hyper.drop_every=0'], ['hyper.drop_every', 'at least 1']),
  (['--config.hyper.factor_rank=2'], ['hyper.factor_rank is read by nothing', 'init factors']),
  (['--config.stopping.name=at_loss', '--config.hyper.stop_loss=-1'], ['hyper.stop_loss', '-1', 'at least 0']),
  (['--config.init.name=low_rnk'], ['init.name', "did you mean 'low_rank'"]),
  (['--config.init.name=low_rank'], ['init.rank is missing']),
  (['--config.init.name=low_rank', '--config.init.rank=0'], ['init.rank is 0', 'at least 1']),
  (['--config.init.rank=3'], ['init.rank is no field of init']),
  (['--config.init.name=dale', '--config.init.excitatory=1.0'], ['init.excitatory is 1.0', 'above 0 and below 1']),
  (['--config.init.name=low_rank', '--config.init.rank=1', '--config.init.where=nothing*'], ["'nothing*'", 'input/kernel']),
  (['--config.init.name=low_rank', '--config.init.rank=9'], ['rank is 9', 'take 4 at most']),
  (['--config.probes.colapse.on=True'], ['probes.colapse']),
  (['--config.probes.alignment.strech=0.1'], ['probes.alignment.strech']),
  (['--config.probes.meters.schedule.strid=2'], ['probes.meters.schedule.strid', "did you mean 'stride'"]),
  (['--config.data.operation=muliply'], ['data.operation', "'muliply'", "did you mean 'multiply'"]),
  (['--config.model.name=mpl'], ['model.name', "did you mean 'mlp'"]),
  (['--config.optimizer.name=Adamw'], ['optimizer.name', "did you mean 'adamw'"]),
  (['--config.optimizer.name=on_the_fly', '--config.optimizer.evry=3'], ['optimizer.evry', "did you mean 'every'"]),
  (['--config.optimizer.every=3'], ['optimizer.every is no field of optimizer']),  # of another optimizer
  (['--config.optimizer.lr=3'], ['optimizer.lr is a traced value', 'set hyper.lr']),
  (['--config.loss.dtype=float23'], ['loss.dtype', "'float23'", 'float32']),
  ([SWEEP + "(('hyper.lrr', (0.1,)),)"], ['hyper.lrr is no field of hyper', "did you mean 'lr'"]),
  ([SWEEP + "(('dta.p', (5, 7)),)"], ['sweep: dta.p', "did you mean 'data.p'"]),
  # mistyped
  (['--config.steps=ten'], ['config.steps', "'ten'", 'a whole number']),
  (['--config.steps=3.5'], ['config.steps', '3.5', 'a whole number']),
  (['--config.hyper.lr=fast'], ['hyper.lr', "'fast'", 'a number']),
  (['--config.model.bias=false'], ['model.bias', "'false'", 'True or False']),
  (['--config.model.widths=64'], ['model.widths', '64', 'a tuple']),
  (['--config.model=mlp'], ['model', "'mlp'", 'a block']),
  (['--config.model.name=[1]'], ['model.name', '(1,)', 'a word']),
  (['--config.hyper.label_noise=0.2', SWEEP + "(('hyper.label_noise', (0.1, 0.2)),)"], ['cannot be set', 'sweep']),
  ([SWEEP + "(('hyper.label_noise', (0.1, 0.2)),)", '--config.own_data=False'], ['hyper.label_noise', 'own_data=True']),
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
  # the same members twice, and fields that a sweep would overrule
  ([SWEEP + "(('hyper.lr', (0.1, 0.1)),)"], ['twice: each setting only once']),
  ([SWEEP + "(('hyper.lr', (0.1,)), ('hyper.lr', (0.2,)))"], ['sweep names hyper.lr twice']),
  ([SWEEP + "((('hyper.lr', 'hyper.eps'), ((0.1, 1e-8), (0.1, 1e-8))),)"], ['twice: each setting only once']),
  ([SWEEP + "(('hyper.lr', (0.1, 0.2)),)", '--config.hyper.lr=0.3'], ['hyper.lr cannot be set', 'change the sweep']),
  ([SWEEP + "(('steps', (2, 4)),)", '--config.steps=20'], ['steps cannot be set', 'change the sweep']),
  ([SWEEP + "(('hyper.lr', (0.1, 0.2)),)", '--config.hyper={"lr": 0.3}'], ['cannot be set', 'change the sweep']),
  # out of range
  (['--config.data.train_fraction=0'], ['data.train_fraction', 'is 0', 'above 0']),
  (['--config.data.train_fraction=0.001'], ['train_fraction', '0.001', 'leaves 0']),
  (['--config.model.widths=(8,-1)'], ['model.widths[1]', '-1', 'at least 1']),
  (['--config.hyper.lr=-0.1'], ['hyper.lr', '-0.1', 'above 0']),
  (['--config.hyper.lr=1e999'], ['hyper.lr is inf', 'above 0']),
  (['--config.hyper.lr=1e39'], ['hyper.lr is 1e+39', 'float32']),
  (['--config.hyper.lr=5e-324'], ['hyper.lr is 5e-324', 'float32']),
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
  (['--config.schedule.at=(99,)'], ['99']),
  # values that are none
  (['--config.hyper.lr={[1]:2}'], ['hyper.lr', 'a number']),
  (['--config.hyper.lr={1:2}'], ['--config.hyper.lr has a field named 1', 'words as names']),
  (['--config.hyper.lr={1, 2}'], ['--config.hyper.lr is of type set']),
  (['--config.hyper.lr=1j'], ['--config.hyper.lr is of type complex']),
  (['--config.hyper.lr=' + '-' * 3000 + '1'], ['-----']),
  (['--config.hyper.lr=' + '[' * 60 + ']' * 60], ['--config.hyper.lr', 'nested more than 32 deep']),
  (['--config.hyper.lr=1' + 400 * '0'], ['a whole number of 1329 bits']),
  (['--config.steps=1' + 5000 * '0'], ['config.steps', 'a whole number']),
  (['--config.steps=' + 20_000 * '1'], ['a value of 20000 characters']),
  # values that do not go together
  (['--config.data.operation=divide', '--config.data.p=6'], ['p is 6', 'not prime']),
  (['--config.data.name=images', '--config.data.source=mnist'], ['data', 'mnist', 'train-images-idx3-ubyte', 'DYNAMICS_DATA']),
  (['--config.data.name=images', '--config.data.train=9999'], ['9999', '1797']),
  (['--config.batch.size=1000'], ['batch.size', '1000', '10 training examples']),
  (['--config.data_parallel=3', '--config.batch.size=10'], ['data_parallel', '3', 'does not divide', '10']),
  (['--config.data_parallel=5', '--config.batch.size=10'], ['data_parallel is 5', 'only 4 devices']),
  (['--config.model.name=normalised_mlp', '--config.model.ghost=3'], ['model.ghost is 3', '10 examples']),
  (
    ['--config.model.name=normalised_mlp', '--config.model.ghost=2', '--config.data_parallel=2'],
    ['model.ghost is 2', '5 examples', 'one device'],
  ),
  (['--config.model.name=transformer', '--config.model.width=10'], ['width is 10', '4 heads', 'a multiple of heads']),
  (['--config.model.widths=(8,8)', TRANSFORMS + "({'name': 'mean_field'},)"], ['mean_field', 'one hidden layer']),
  (['--config.data.name=teacher'], ['loss', "'cross_entropy'", 'needs integer labels', 'mean_squared_error']),
  (
    ['--config.data.name=teacher', '--config.data.target=label', '--config.loss.name=mean_squared_error'],
    ['the targets are labels'],
  ),
  (['--config.init.name=source'], ['needs a block source']),
  # sizes
  (['--config.steps=1000000000', '--config.schedule.stride=1'], ['1,000,000,001 readings', 'longer stride']),
  (['--config.schedule.log_points=1000000000'], ['readings', 'fewer points']),
  (['--config.schedule.linear_points=1000000000'], ['readings', 'fewer points']),
  (['--config.model.name=transformer', '--config.model.layers=4294967296'], ['model.layers is 4294967296', 'at most']),
  (['--config.data.p=100003'], ['data.p is 100003', 'at most']),
  (['--config.model.widths=(1000000,1000000)'], ['of memory', 'not even one fits', 'a smaller model']),
  (
    ['--config.model.widths=(10000,10000)', f'--config.seeds={tuple(range(1000))}'],
    ['1000 members', 'of them fit', 'fewer seeds'],
  ),
  (['--config.data.name=parity', '--config.data.train=100000000000'], ['not even one fits', 'fewer examples']),
  (['--config.probes.dense_spectrum.most=1'], ['probes.dense_spectrum', '69']),
  (['--config.probes.gradient_noise.examples=1'], ['gradient_noise.examples is 1', 'at least 3']),
  (
    ['--config.data.name=parity', '--config.data.train=1', '--config.probes.gradient_noise.on=True'],
    ['probes.gradient_noise', '3'],
  ),
  # the command
  (['--outt=x'], ['--outt is no argument', 'did you mean --out']),
  (['extra'], ['extra is no argument', '--config']),
  (['--save_every=abc'], ['--save_every', "'abc'", 'a number of seconds']),
  (['--save_every=-1'], ['--save_every', "'-1'", 'at least 0']),
  (['--save_every'], ['--save_every', 'a number of seconds']),
  (['--out='], ['--out needs a value']),
  (['--out=gs://bucket/x'], ["--out is 'gs://bucket/x'", 'a folder of this machine']),
  (['--out=~nobody_of_that_name/x'], ['no such user']),
  (['--at=start'], ["--at is 'start'"]),
  (['--dry_run=yes'], ['--dry_run takes no value', "'yes'"]),
  (['--config.steps'], ['--config.steps needs a value']),
  (['--config='], ['is no file']),
  (['--config=' + 300 * 'a'], ['is no file', 'there are: configs/']),
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
  'syntax': ('def get_config(:\n', ['syntax.py, line 1', 'SyntaxError']),
  'raises': ('\ndef get_config():\n  return 1 / 0\n', ['raises.py, line 3', 'ZeroDivisionError', 'division by zero']),
  'imports': ('import nothing_of_that_name\n', ['line 1', 'ModuleNotFoundError', 'nothing_of_that_name']),
  'exits': ('raise SystemExit(3)\n', ['line 1', 'SystemExit']),
  'base': ('class Odd(BaseException):\n  pass\nraise Odd("no")\n', ['base.py, line 3', 'Odd: no']),
  'mute': (
    'class Odd(Exception):\n  def __str__(self):\n    raise ValueError\nraise Odd\n',
    ['mute.py, line 4', 'Odd: an error without words'],
  ),
  'lacks': ('x = 3\n', ['has no function get_config()']),
  'dict': ('def get_config():\n  return dict(steps=3)\n', ['gives dict', 'ml_collections.ConfigDict']),
  'argument': ('def get_config(x):\n  return x\n', ['get_config() takes an argument', "'file.py:small'"]),
  'lines': ('raise ValueError("one\\ntwo")\n', ['ValueError: one two']),
  'bytes': ('\0\1', ['bytes.py', 'null bytes']),
  'array': (
    'import ml_collections, numpy\ndef get_config():\n  return ml_collections.ConfigDict({"model": {"name": numpy.ones(2)}})\n',
    ['array.py: model.name is of type ndarray', 'values of a config are'],
  ),
  'huge': (
    'import ml_collections\ndef get_config():\n  return ml_collections.ConfigDict({"hyper": {"lr": 10**5000}})\n',
    ['huge.py: hyper.lr is a whole number of 16610 bits'],
  ),
  'keys': (
    'import ml_collections\ndef get_config():\n  return ml_collections.ConfigDict({"sweep": ({1: 2},)})\n',
    ['keys.py: sweep[0] has a field named 1'],
  ),
}


@pytest.mark.parametrize('name', FILES)
def test_config_file(refused, tmp_path, name):
  text, words = FILES[name]
  (tmp_path / f'{name}.py').write_text(text)
  refused([f'--config={tmp_path / name}.py'], [f'{name}.py', *words])


def test_a_misspelt_variant_is_answered_with_the_nearest(refused, tmp_path):
  (tmp_path / 'mine.py').write_text(
    "VARIANTS = {'': {}, 'narrow': {}, 'deep': {}}\ndef get_config(variant=''):\n  return VARIANTS[variant]\n"
  )
  refused([f'--config={tmp_path / "mine.py"}:narow'], ["the variant is 'narow'; did you mean 'narrow'?", 'narrow, deep'])


def test_a_syntax_error_in_an_imported_module_names_that_module(refused, tmp_path, monkeypatch):
  (tmp_path / 'broken_module.py').write_text('x = 1\ny = (\n')
  (tmp_path / 'innocent.py').write_text('\n\n\nimport broken_module\n')
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.setattr('sys.dont_write_bytecode', True)
  refused([f'--config={tmp_path / "innocent.py"}'], [f'{tmp_path / "broken_module.py"}, line 2', 'SyntaxError'])


def test_fields_of_a_block_are_merged(tiny):
  path = tiny.removeprefix('--config=')
  (plain,), (merged,) = (config.cells(path, changes) for changes in ([], [('hyper', {'lr': 0.1})]))
  assert merged.hyper == {**plain.hyper, 'lr': (0.1, 0.1)}


def test_no_such_config(refused, tmp_path):
  refused(['--config=configs/nothing.py'], ['configs/nothing.py is no file', 'there are: configs/'])
  refused([f'--config={tmp_path}'], [f'{tmp_path} is no file'])
  refused(['--dry_run'], ['no config is named', '--config=configs/NAME.py'])


def test_a_stored_run_is_not_harmed(refused, tiny, whole, stamps):
  before = stamps(whole)
  refused([tiny, '--out', str(whole.parent), '--config.steps=ten'], ['ten'])
  refused([tiny, '--out', str(whole.parent), '--config.probes.dense_spectrum.most=1'], ['probes.dense_spectrum'])
  assert stamps(whole) == before


def test_a_plan_compiles_nothing_and_writes_nothing(tiny, tmp_path, capsys, compiled):
  before, count = sorted(tmp_path.rglob('*')), len(compiled)
  sweep = "--config.sweep=(('hyper.lr', (0.1, 0.2)), ('loss.dtype', ('float32', 'float64')))"
  assert run.main([tiny, '--out', str(tmp_path / 'out'), '--dry_run', sweep]) == 0
  assert compiled[count:] == []
  assert sorted(tmp_path.rglob('*')) == before
  cells = [line for line in capsys.readouterr().out.splitlines() if not line.startswith('  ')]
  assert len(cells) == 3, cells
  for line, dtype in zip(cells, ('float32', 'float64'), strict=False):
    assert 'to run  4 members x 24 steps  69 parameters a member  6 programs  13 probe times  ' in line
    assert line.endswith(f'kB  [loss.dtype={dtype}]')
  assert cells[2].startswith('2 cells, 8 members, 12 programs to compile, about ')
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
