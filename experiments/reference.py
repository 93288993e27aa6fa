"""Writes docs/reference, a page a family, from signatures and docstrings alone: python -m experiments.reference"""

import inspect
import pathlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

from dynamics import components, schema, study
from dynamics.data.sampling import sampler
from experiments import resolve, source

FOLDER = pathlib.Path(__file__).parents[1] / 'docs' / 'reference'
NOTE = 'Made from signatures and docstrings by `python -m experiments.reference`.'
USE = {  # how a config names a component of a block
  'SINGLE': "In a config: `{block}=dict(name='{name}', ...)`.",
  'ORDERED': "In a config: `{block}=(dict(name='{name}', ...), ...)`, in the order in which they apply.",
  'TIMED': 'In a config: `{block}=dict({name}=dict(...), ...)`; a block takes `on` and its own `schedule` too.',
}
BLOCKS = {'schedule': study.times, 'batch': sampler, 'source': source.source}  # that name no component


def pages() -> dict[str, str]:
  """File name -> text, for all of docs/reference."""
  table, packages = resolve.families(), _packages()
  texts = {f'{_page(package)}.md': _family(block, package, kind, table[block]) for block, (package, kind) in packages.items()}
  texts |= {'config.md': _config(), 'hyper_values.md': _hyper_values(table)}
  rows = [(f'[{name.removesuffix(".md")}]({name})', _first(text.splitlines()[2])) for name, text in sorted(texts.items())]
  lines = ['# Reference', '', NOTE, '', *_table(('page', 'what'), rows)]
  return texts | {'README.md': '\n'.join(lines) + '\n'}


def _packages() -> dict[str, tuple[ModuleType, str]]:
  """block -> (its package, how a config names its components)."""
  return {block: (package, kind) for kind in USE for block, package in getattr(resolve, kind).items()}


def _family(block: str, package: ModuleType, kind: str, makers: Mapping[str, Callable]) -> str:
  name = resolve.DEFAULTS.get(block) or next(iter(makers))
  lines = [f'# {_page(package)}', '', *_prose(package), '', USE[kind].format(block=block, name=name)]
  if block in resolve.DEFAULTS:
    lines[-1] += f' Without the block: `{name}`.'
  if usual := getattr(package, 'USUAL', ()):
    lines[-1] += f' Where none is named, {", ".join(f"`{u}`" for u in usual)} are on.'
  lines += ['', NOTE, '', *_table((block, 'what'), [(f'[{n}](#{n})', _first(inspect.getdoc(m))) for n, m in makers.items()])]
  for also in resolve.ALSO.get(block, ()):
    lines += ['', '## Fields of every block', '', *_described(also)]
  for maker_name, maker in makers.items():
    lines += ['', f'## {maker_name}', '', *_described(maker)]
  return '\n'.join(lines) + '\n'


def _config() -> str:
  lines = ['# config', '', 'The fields of a config that name no component.', '', NOTE, '', '## Top level', '']
  lines += _described(resolve.settings)
  for block, function in BLOCKS.items():
    lines += ['', f'## {block}', '', *_described(function)]
  return '\n'.join(lines) + '\n'


def _hyper_values(table: Mapping[str, Mapping[str, Callable]]) -> str:
  packages, readers = _packages(), {}
  for block, makers in table.items():
    for name, maker in makers.items():
      for value, parameter in schema.hyper_values(maker).items():
        row = (value, _words(parameter.annotation), _default(parameter))
        readers.setdefault(row, []).append(f'[{block} {name}]({_page(packages[block][0])}.md#{name})')
  rows = [(f'`{value}`', words, default, ', '.join(links)) for (value, words, default), links in sorted(readers.items())]
  about = (
    'What the block `hyper` may set, and the components that read it: traced float32 numbers, which may differ between members.'
  )
  lines = ['# hyper_values', '', about, '', NOTE, '', *_table(('hyper value', 'range', 'default', 'read by'), rows)]
  return '\n'.join(lines) + '\n'


def _described(function: Callable) -> Iterator[str]:
  """The docstring of a function, its fields, hyper values and needs, and where it is."""
  yield from _prose(function)
  for head, parameters in (('field', schema.fields(function)), ('hyper value', schema.hyper_values(function))):
    if parameters:
      rows = [(f'`{name}`', _words(p.annotation), _default(p)) for name, p in parameters.items()]
      yield from ['', *_table((head, 'type and range' if head == 'field' else 'range', 'default'), rows)]
  if needs := getattr(function, 'needs', ()):
    yield from ['', f'Needs {", ".join(components.NEEDS[need] for need in needs)}.']
  path = function.__module__.replace('.', '/') + '.py'
  yield from ['', f'Code: [{path}](../../{path})']


def _prose(documented: Any) -> Iterator[str]:
  """A docstring as markdown. A section such as `Reading:` is an item of a list, and its indented lines are items below it."""
  listed = nested = False
  for number, line in enumerate(inspect.getdoc(documented).splitlines()):
    section = number and re.match(r'([A-Z][a-z]+):(?: |$)(.*)', line)
    indent = len(line) - len(line.lstrip())
    if section:
      listed = True
      yield f'- **{section[1]}:** {_escaped(section[2])}'.rstrip()
      nested = not section[2]
    elif listed and indent == 2 and nested:
      yield f'  - {_escaped(line.strip())}'
    elif listed and indent:
      yield f'{"    " if nested else "  "}{_escaped(line.strip())}'
    else:
      listed = listed and not line.strip()
      yield _escaped(line.strip())


def _escaped(text: str) -> str:
  """Text whose signs markdown would take for its own, code in backticks left alone."""
  pieces = text.split('`')
  return '`'.join(piece if i % 2 else re.sub(r'([*<])', r'\\\1', piece) for i, piece in enumerate(pieces))


def _first(text: str) -> str:
  """The first sentence of a text."""
  paragraph = ' '.join(text.split('\n\n')[0].split())
  return re.split(r'(?<!\.)\. (?=\S)', paragraph)[0].rstrip('.')


def _words(kind: Any) -> str:
  """A type, in the words of the error messages."""
  if isinstance(kind, schema.Range):
    bounds = kind.words()
    return (
      f'{schema.KINDS[kind.kind].removeprefix("a ")}, {bounds}'
      if bounds != 'finite'
      else schema.KINDS[kind.kind].removeprefix('a ')
    )
  if get_origin(kind) is Literal:
    return ', '.join(f'`{value!r}`' for value in get_args(kind))
  if get_origin(kind) is tuple:
    return f'tuple of ({_words(get_args(kind)[0])})'
  return schema.KINDS.get(kind, 'anything').removeprefix('a ')


def _default(parameter: inspect.Parameter) -> str:
  return 'must be set' if parameter.default is inspect.Parameter.empty else f'`{parameter.default!r}`'


def _page(package: ModuleType) -> str:
  return package.__name__.rpartition('.')[2]


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
  cell = lambda text: _escaped(text).replace('|', r'\|')
  return [f'| {" | ".join(map(cell, row))} |' for row in (header, ('---',) * len(header), *rows)]


def main() -> int:
  """Writes all pages, and removes those that no longer belong."""
  texts = pages()
  FOLDER.mkdir(exist_ok=True)
  for path in FOLDER.glob('*.md'):
    if path.name not in texts:
      path.unlink()
  for name, text in texts.items():
    (FOLDER / name).write_text(text)
  print(f'{len(texts)} pages in {FOLDER}')
  return 0


if __name__ == '__main__':
  sys.exit(main())
