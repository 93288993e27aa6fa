"""Three hundred broken inputs, drawn from a seed: each ends in a sentence or is taken, and what is refused writes nothing."""

import collections
import random

import pytest

from dynamics import plan
from experiments import config, run

SEED, COUNT = 20061, 100  # of each kind

NUMBERS = ['nan', 'inf', '-inf', '1e39', '5e-324', '-1', '0', '1', '2', '3.5', 'True', '1j', '10**400', '9' * 400, '7.0', '0.5']
WORDS = [
  '',
  'None',
  'ab',
  "'a'",
  '\x00',
  'é💥',
  'a' * 300,
  'x' * 11_000,
  '[1',
  '(',
  ')',
  '...',
  "b'x'",
  '-' * 300 + '1',
  'add',
  'adam',
]
TUPLES = [
  '[]',
  '()',
  '(1,)',
  '(0.1,0.2)',
  '(0,0)',
  '[' * 90 + ']' * 90,
  "({'name':'ntk'},)",
  "({'name':'ntk'},)*2",
  "({'name':'ntk'},)*1",
]
BLOCKS = ['{}', "{'a':1}", '{1:2}', '{[1]:2}', "{'name':'mlp'}", "{'name':3}", '{"on":True}', "{'stride':0}", "{'at':(3,)}"]
SWEEPS = [
  "(('hyper.lr',(0.1,)),)", "(('hyper.lr',0.1),)", "((('hyper.lr','steps'),((0.1,2),)),)", "(('data.p',(5,'x')),)",
  "(('data.p',(5,7)),)",
]  # fmt: skip
OUTSIDE = [
  ':', 'x:', ':x', 'os:getcwd', 'os:sep', 'json:loads', 'builtins:dict', 'numpy:ndarray', 'a..b:c', 'flax.linen:Dense', 'x y:z',
  'flax.linen:Module', 'optax:adam', 'optax:chain', 'optax:nothing', 'math:sqrt', 'functools:partial', 'jax:nn', '../x:y',
  'dynamics.types:Probe', 'optax:sgd', 'optax:adabelief', 'optax.losses:squared_error', 'jax.nn:relu',
  'optax:cosine_decay_schedule',
]  # fmt: skip
VALUES = [*NUMBERS, *WORDS, *TUPLES, *BLOCKS, *SWEEPS, *OUTSIDE]
FLAGS = [
  '--out',
  '--dry_run',
  '--save_every',
  '--at',
  '--config',
  '--config.',
  '--config.steps',
  '--cnfig',
  '-x',
  '',
  '=',
  '--',
  'word',
]


def fields(tiny):
  """Field -> values that look like its own: those of the tiny config, of blocks that it leaves out, and blocks as a whole."""
  (cell,) = config.cells(tiny.removeprefix('--config='))
  blocks = {'probes': cell.probes, 'hyper': cell.hyper, 'milestones': cell.milestones, 'seeds': cell.seeds}
  known = plan.flat({**cell.config, **blocks})
  kinds = {bool: ['True', 'False', '1'], int: NUMBERS, float: NUMBERS, str: WORDS, tuple: TUPLES}
  likely = {name: kinds.get(type(value), WORDS) for name, value in known.items()}
  likely |= {name: NUMBERS for name in likely if name.startswith('hyper.')}
  likely |= {name.rpartition('.')[0]: BLOCKS for name in likely if '.' in name}
  likely |= {
    name: OUTSIDE for name in [*likely, 'probes.x.name', 'interventions.x.name', 'stopping.name'] if name.endswith('.name')
  }
  return likely | {
    'sweep': SWEEPS,
    'transforms': TUPLES,
    'source': BLOCKS,
    'probes.sharpness': BLOCKS,
    'source.config': WORDS,
    'a.b': WORDS,
  }


def misspelt(draw, word):
  place = draw.randrange(len(word) + 1)
  return draw.choice([word[:place] + word[place + 1 :], word[:place] + draw.choice('xyz._:=') + word[place:], word.upper()])


def overrides(draw, tiny):
  """A field or two set to a value, mostly of its own kind."""
  likely = fields(tiny)

  def word():
    name = draw.choice(sorted(likely))
    value = draw.choice(likely[name] if draw.random() < 0.8 else VALUES)
    return f'--config.{name if draw.random() < 0.95 else misspelt(draw, name)}={value}'

  while True:
    yield [tiny, *(word() for _ in range(draw.choice([1, 1, 2])))]


def command_lines(draw, tiny):
  """Words that are no arguments, arguments without values, twice, or with values of another kind."""
  word = lambda: draw.choice([*FLAGS, f'{draw.choice(FLAGS)}={draw.choice(VALUES)}', tiny, draw.choice(VALUES)])
  while True:
    yield [*(word() for _ in range(draw.randrange(4))), *([tiny] if draw.random() < 0.7 else [])]


def config_files(draw, tiny):
  """The text of the tiny config with pieces cut out, doubled or replaced."""
  path = tiny.removeprefix('--config=')
  with open(path, encoding='utf-8') as file:
    text = file.read()
  for number in range(10**6):
    changed = text
    for _ in range(draw.randrange(1, 4)):
      a = draw.randrange(len(changed))
      b = min(len(changed), a + draw.choice([1, 1, 2, 5, 20]))
      changed = (
        changed[:a] + draw.choice(['', changed[a:b] * 2, draw.choice('0123456789'), draw.choice('()[]{},=.:\n ')]) + changed[b:]
      )
    name = path.replace('.py', f'_{number}.py')
    with open(name, 'w', encoding='utf-8') as file:
      file.write(changed)
    yield [f'--config={name}']


@pytest.mark.parametrize('kind', [overrides, command_lines, config_files], ids=lambda kind: kind.__name__)
def test_no_input_ends_in_a_traceback_and_none_that_is_refused_writes(tiny, tmp_path, monkeypatch, capsys, is_sentence, kind):
  (tmp_path / 'here').mkdir()
  monkeypatch.chdir(tmp_path / 'here')  # where --out=WORD would write
  draw, ended = random.Random(f'{SEED} {kind.__name__}'), collections.Counter()
  inputs = kind(draw, tiny)
  for _ in range(COUNT):
    words = next(inputs)
    try:
      status = run.main([*words, f'--out={tmp_path / "out"}', '--dry_run'])
    except BaseException as error:
      raise AssertionError(f'{words} ends in {type(error).__name__}: {error}') from error
    said = capsys.readouterr()
    ended[status] += 1
    assert status in (0, 2), (words, said)
    assert status == 0 or is_sentence(said.err), (words, said)
    assert not (tmp_path / 'out').exists(), words
    assert not list((tmp_path / 'here').iterdir()), words
  print(f'{kind.__name__}: {ended[2]} refused, {ended[0]} taken')
  assert ended[2] > COUNT / 2
  assert ended[0]
