import copy

import pytest

from configs._merge import merge
from dynamics.schema import ConfigError

SHARED = dict(data=dict(name='modular', p=113), optimizer=dict(name='adamw', perpendicular='off'), steps=10)


@pytest.mark.parametrize(
  ('changes', 'block', 'expected'),
  [
    ({'data.p': 59}, 'data', dict(name='modular', p=59)),  # a field
    ({'data': dict(name='sphere')}, 'data', dict(name='sphere')),  # a block
    ({'optimizer.name': 'sgd'}, 'optimizer', dict(name='sgd')),  # a new name clears the block
    ({'optimizer.name': 'adamw'}, 'optimizer', dict(name='adamw', perpendicular='off')),  # the old one does not
    ({'probes.norms': dict()}, 'probes', dict(norms=dict())),  # a block that was not there
  ],
)
def test_a_path_sets_a_field_or_a_block_as_on_the_command_line(changes, block, expected):
  before = copy.deepcopy(SHARED)
  assert merge(SHARED, changes)[block].to_dict() == expected
  assert before == SHARED


def test_later_changes_win():
  merged = merge(SHARED, {'data.p': 59, 'steps': 1}, {'data.p': 97})
  assert (merged.data.p, merged.steps) == (97, 1)


def test_a_field_of_a_single_value_is_an_error():
  with pytest.raises(ConfigError, match='steps is a single value'):
    merge(SHARED, {'steps.warmup': 3})
