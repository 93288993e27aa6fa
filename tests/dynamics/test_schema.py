"""Sentences about config fields: each names the field, the value and what would be right."""

import subprocess
import sys
from typing import Literal

import pytest

from dynamics.schema import ConfigError, Range, Traced, check, choose, fields, hyper_values, resolve


def block(operand, *, p: Range(int, least=2) = 7, share: Range(float, above=0.0, below=1.0), kind: Literal['a', 'b'] = 'a',
          widths: tuple[Range(int, least=1), ...] = (3,), on: bool = True, given: int = 0, lr: Traced() = 0.1):  # fmt: skip
  """What a config block may look like."""


ALLOWED = fields(block)


def settle(**given):
  return resolve(given, ALLOWED, 'data', leave=('given',))


def test_fields_are_the_keyword_only_arguments_and_defaults_are_filled_in():
  assert list(ALLOWED) == ['p', 'share', 'kind', 'widths', 'on', 'given']
  assert list(hyper_values(block)) == ['lr']
  assert settle(share=0.5) == {'p': 7, 'share': 0.5, 'kind': 'a', 'widths': (3,), 'on': True}


def test_whole_numbers_pass_as_floats_and_lists_as_tuples():
  out = settle(share=0.5, widths=[4, 5])
  assert out['widths'] == (4, 5)
  assert isinstance(check('x', 1, float), float)
  assert check('x', 1, Range(float, least=0.0)) == 1.0


@pytest.mark.parametrize(
  ('given', 'sentence'),
  [
    ({'shrae': 0.5}, "data.shrae is no field of data; did you mean 'share'? (there are: p, share, kind, widths, on)."),
    ({'zzz': 1}, 'data.zzz is no field of data; it must be one of: p, share, kind, widths, on.'),
    ({'share': 0.5, 'given': 1}, 'data.given is no field of data; it must be one of: p, share, kind, widths, on.'),
    ({}, 'data.share is missing: it has no default, so the config must set it.'),
    ({'share': 1.0}, 'data.share is 1.0; it must be above 0 and below 1.'),
    ({'share': float('nan')}, 'data.share is nan; it must be above 0 and below 1.'),
    ({'share': 'half'}, "data.share is 'half', which is a word; it must be a number."),
    ({'share': True}, 'data.share is True, which is True or False; it must be a number.'),
    ({'share': 0.5, 'p': 1}, 'data.p is 1; it must be at least 2.'),
    ({'share': 0.5, 'p': 7.0}, 'data.p is 7.0, which is a number; it must be a whole number.'),
    ({'share': 0.5, 'p': True}, 'data.p is True, which is True or False; it must be a whole number.'),
    ({'share': 0.5, 'p': None}, 'data.p is None, which is of type NoneType; it must be a whole number.'),
    ({'share': 0.5, 'kind': 'c'}, "data.kind is 'c'; it must be one of: a, b."),
    ({'share': 0.5, 'kind': ['a']}, "data.kind is ['a']; it must be one of: a, b."),
    ({'share': 0.5, 'widths': 4}, 'data.widths is 4, which is a whole number; it must be a tuple, such as (1, 2).'),
    ({'share': 0.5, 'widths': (4, 0)}, 'data.widths[1] is 0; it must be at least 1.'),
    ({'share': 0.5, 'on': 1}, 'data.on is 1, which is a whole number; it must be True or False.'),
  ],
)
def test_every_mistake_has_its_sentence(given, sentence):
  with pytest.raises(ConfigError) as caught:
    settle(**given)
  assert str(caught.value) == sentence


@pytest.mark.parametrize('value', [float('inf'), float('-inf'), float('nan')])
def test_numbers_are_finite(value):
  with pytest.raises(ConfigError, match=r'x is -?(inf|nan); it must be'):
    check('x', value, Range(float, least=0.0) if value > 0 else Range(float, most=0.0))


@pytest.mark.parametrize('value', [1e39, 5e-324, -1e39, 1e-40])
def test_numbers_that_float32_does_not_hold_are_refused(value):
  with pytest.raises(ConfigError, match='which a float32 does not hold'):
    check('hyper.lr', value, Traced())
  assert check('hyper.lr', 0.0, Traced()) == 0


@pytest.mark.parametrize(
  ('name', 'near'), [('mpl', "did you mean 'mlp'?"), ('q', 'it must be one of: mlp, cnn'), (['mlp'], 'mlp')]
)
def test_choices_suggest_the_nearest(name, near):
  assert choose('model.name', 'mlp', {'mlp': 1, 'cnn': 2}) == 1
  with pytest.raises(ConfigError) as caught:
    choose('model.name', name, {'mlp': 1, 'cnn': 2})
  assert str(caught.value).startswith(f'model.name is {name!r}; ')
  assert near in str(caught.value)


@pytest.mark.parametrize('module', ['plan', 'schema', 'components'])
def test_no_jax_is_imported(module):
  code = f'import dynamics.{module}, sys; sys.exit(bool({{"jax", "flax", "optax", "numpy"}} & set(sys.modules)))'
  assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
