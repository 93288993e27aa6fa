"""Code of the texts and of papers by what it calls: the examples of the API, which tests run."""

import ast
import pathlib
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

BLOCK = re.compile(r'^```python\n(.*?)^```$', re.DOTALL | re.MULTILINE)
LINES = 18  # an example may have


class Example(NamedTuple):
  """Statements that call a function, with the import that it needs."""

  code: str
  page: str  # a link, from a page of the API
  title: str  # where it stands, 'docs/own_model.py'


def calls(root: pathlib.Path, places: Mapping[str, str]) -> dict[str, list[Example]]:
  """'dynamics.linalg.ntk.ntk' -> the examples in which it is called, the shortest first: of texts, then of papers' files;
  where there are none, of tests.

  Args:
    root: of the repository.
    places: path in the repository -> path in the site, from `documents.places`.
  """
  defined, examples = _defined(root), {}
  texts = [
    (path, page, BLOCK.findall((root / path).read_text())) for path, page in places.items() if (root / path).suffix == '.md'
  ]
  papers, tests = (_files(root, pattern) for pattern in ('paper_figures/*.py', 'tests/**/*.py'))
  for kind in (texts, papers, tests):
    new: dict[str, list[Example]] = {}
    for path, page, blocks in kind:
      for function, code in _of_page(blocks, defined):
        if kind is not tests or (function not in examples and 'pytest.raises' not in code):
          new.setdefault(function, []).append(
            Example(code, page if page.startswith('code:') else posixpath.relpath(page, 'api'), path)
          )
    for function, those in new.items():
      each = {example.page: example for example in sorted(those, key=_length, reverse=True)}
      examples.setdefault(function, []).extend(sorted(each.values(), key=_length))
  return examples


def _files(root: pathlib.Path, pattern: str) -> list[tuple[str, str, list[str]]]:
  """(path, page that shows it, [its text]) for source files."""
  paths = [path.relative_to(root) for path in sorted(root.glob(pattern))]
  return [(str(path), f'code:{path}', [(root / path).read_text()]) for path in paths]


def _of_page(blocks: Sequence[str], defined: Mapping[str, str]) -> Iterator[tuple[str, str]]:
  """(a function, a statement that calls it with the import that it needs) for all blocks of a page, which share their names."""
  names: dict[str, tuple[str, str]] = {}  # local name -> (what it stands for, its import)
  for block in blocks:
    tree = _parsed(block)
    for node in tree.body:
      names |= _imported(node)
    for node in tree.body:
      first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, 'decorator_list', ()))])
      text = '\n'.join(block.splitlines()[first - 1 : node.end_lineno])
      for called in dict.fromkeys(_called(node)):
        head, _, rest = called.partition('.')
        target, line = names.get(head, ('', ''))
        function = defined.get(f'{target}.{rest}' if rest else target)
        if function and text.count('\n') < LINES and not isinstance(node, ast.ClassDef):
          yield function, f'{line}\n\n{text}'


def _length(example: Example) -> int:
  return len(example.code)


def _defined(root: pathlib.Path) -> dict[str, str]:
  """Every name under which a function or class can be imported -> where it is defined; packages show what they import."""
  names, shown = {}, []
  for path in [path for layer in ('dynamics', 'analysis', 'experiments') for path in sorted((root / layer).rglob('*.py'))]:
    module = '.'.join(path.relative_to(root).with_suffix('').parts).removesuffix('.__init__')
    for node in ast.parse(path.read_text()).body:
      if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        names[f'{module}.{node.name}'] = f'{module}.{node.name}'
      elif isinstance(node, ast.ImportFrom) and node.module:
        shown += [(f'{module}.{alias.asname or alias.name}', f'{node.module}.{alias.name}') for alias in node.names]
  return {name: names[target] for name, target in shown if target in names} | names


def _parsed(block: str) -> ast.Module:
  try:
    return ast.parse(block)
  except SyntaxError:  # an excerpt
    return ast.Module([], [])


def _imported(node: ast.stmt) -> dict[str, tuple[str, str]]:
  if isinstance(node, ast.ImportFrom) and node.module:
    line = lambda alias: ast.unparse(ast.ImportFrom(node.module, [alias], 0))
    return {alias.asname or alias.name: (f'{node.module}.{alias.name}', line(alias)) for alias in node.names}
  if isinstance(node, ast.Import):
    return {alias.asname or alias.name: (alias.name, ast.unparse(ast.Import([alias]))) for alias in node.names}
  return {}


def _called(node: ast.stmt) -> list[str]:
  """'quadrature.slq' for every call in a statement."""
  return [ast.unparse(part.func) for part in ast.walk(node) if isinstance(part, ast.Call)]
