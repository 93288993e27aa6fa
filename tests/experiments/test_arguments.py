"""Arguments of a command line, and the sentence for each mistake in them."""

import pytest

from dynamics.schema import ConfigError
from experiments import arguments

TEXTS, SWITCHES, NAMES = {'--to': 'here', '--probe': None}, ('--once',), ('first', 'second')


def read(*words):
  return arguments.read(words, TEXTS, SWITCHES, NAMES, before=('--config',))


def test_texts_switches_and_names_are_read_in_any_order():
  options = read('--probe', 'loss', 'second', '--once', '--to=a=b', 'first')
  assert vars(options) == {'to': 'a=b', 'probe': 'loss', 'once': True, 'names': ['second', 'first']}
  assert vars(read('--probe=')) == {'to': 'here', 'probe': '', 'once': False, 'names': []}


@pytest.mark.parametrize(
  ('words', 'sentence'),
  [
    (['--prob=x'], '--prob is no argument here; did you mean --probe? there are: --config, --to, --probe, --once.'),
    (['-x'], '-x is no argument here; there are: '),
    (['--probe=x', 'frist'], "name is 'frist'; did you mean 'first'?"),
    (['--probe'], '--probe needs a value: --probe=VALUE.'),
    (['--probe', '--once'], '--probe needs a value: --probe=VALUE.'),
    (['--probe=x', '--once=yes'], "--once takes no value, but is given 'yes'."),
    (['--probe=x', '--probe=y'], '--probe is given twice.'),
    (['--to=x'], '--probe is missing: add --probe=VALUE.'),
  ],
)
def test_a_mistake_is_a_sentence(words, sentence):
  with pytest.raises(ConfigError) as error:
    read(*words)
  assert str(error.value).startswith(sentence)


def test_where_there_are_no_names_a_word_is_a_mistake():
  with pytest.raises(ConfigError, match='stray is no argument here'):
    arguments.read(['stray'], {})
