"""What Python calls: a page a group of modules, from signatures and docstrings, read off the source. Nothing is imported."""

import ast
import functools
import io
import pathlib
import re
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from paper_figures.site.documents import ROOT, escaped
from paper_figures.site.examples import Example

GROUPS = {  # page -> its title, what it is for, its files. Components are in the reference.
  'training': (
    'Training',
    'A problem, the loop that trains it, and what it gives.',
    ('dynamics/types.py', 'dynamics/study.py', 'dynamics/train.py', 'dynamics/data/sampling.py'),
  ),
  'models': (
    'Models and optimizers',
    'Modules of other libraries as models, networks by their leaves, and optimizers of optax.',
    ('dynamics/network.py', 'dynamics/modules.py', 'dynamics/leaves.py', 'dynamics/trees.py', 'dynamics/optim/chain.py'),
  ),
  'linalg': (
    'Kernels and curvature',
    'Tangent kernels, curvature as products with vectors, spectra and traces. No config and no run is needed.',
    ('dynamics/linalg/[!_]*.py', 'dynamics/matching.py', 'dynamics/probes/landscape.py'),
  ),
  'theory': ('Closed forms', 'Kernels of infinite width, mean field, and exact training dynamics.', ('dynamics/theory/*.py',)),
  'stored': (
    'Stored runs',
    'Reading what a run left, or has left so far.',
    ('experiments/__init__.py', 'experiments/loaded.py:Loaded'),
  ),
  'analysis': (
    'Analysis',
    'Tables of stored runs, readings as arrays, fits, and claims. No jax is needed.',
    ('analysis/[!_]*.py',),
  ),
}
INSIDE = ('blocks', 'copies', 'hidden', 'layers', 'sites', 'export')  # files of these folders that nobody else calls
COMMANDS = (
  'experiments/run.py',
  'experiments/sweep.py',
  'experiments/watch.py',
  'analysis/report/__main__.py',
  'analysis/export.py',
  'paper_figures/__main__.py',
)


class Entry(NamedTuple):
  """A public function or class."""

  module: str  # 'dynamics.linalg.ntk'
  name: str
  kind: str  # 'function' or 'class'
  signature: str
  doc: str
  rows: tuple[tuple[str, str, str], ...] = ()  # fields of a class: name, type, meaning
  methods: tuple['Entry', ...] = ()


def pages(examples: Mapping[str, Sequence[Example]], code: set[str]) -> dict[str, str]:
  """Page -> markdown. `examples` is from `examples.calls`; the source files that pages link to are added to `code`."""
  texts = {'api/commands.md': _commands()}
  for group, (title, about, files) in GROUPS.items():
    lines = [f'# {title}', '', about]
    for file, only in ((path, only) for of in files for path, only in _paths(of)):
      entries, doc = read(file)
      entries = [entry for entry in entries if only in ('', entry.name)]
      if not entries:
        continue
      path = str(file.relative_to(ROOT))
      code.add(path)
      lines += ['', f'## {_module(file)}', '', *prose(doc), '', f'Code: [{path}](code:{path})']
      for entry in entries:
        lines += ['', *_entry(entry, examples)]
        code |= {example.title for example in _shown(entry, examples) if example.title.endswith('.py')}
    texts[f'api/{group}.md'] = '\n'.join(lines) + '\n'
  return texts


def read(file: pathlib.Path) -> tuple[list[Entry], str]:
  """The public functions and classes of a file that have a docstring and are no components, and the file's own docstring."""
  text = file.read_text()
  tree, comments = ast.parse(text), _comments(text)
  _qualify(tree, _module(file))
  entries = [entry for node in tree.body if (entry := _read(node, _module(file), comments)) is not None]
  return entries, ast.get_docstring(tree) or ''


def prose(doc: str) -> Iterator[str]:
  """A docstring as markdown: `Args:` and its like are bold, and their entries items of a list."""
  section = ''
  for line in doc.splitlines():
    words, indent = line.strip(), len(line) - len(line.lstrip())
    head = re.fullmatch(r'([A-Z][a-z]+):(.*)', words) if not indent else None
    if head:
      section = head[1]
      yield from ['', f'**{section}**{": " + escaped(head[2].strip()) if head[2] else ""}', '']
    elif section and indent == 2:
      named = re.match(r'(\**[\w, .]+): (.*)', words)
      yield f'- `{named[1]}`: {escaped(named[2])}' if named else f'- {escaped(words)}'
    elif section and indent:
      yield f'  {escaped(words)}'
    else:
      section = section if not words else ''
      yield escaped(words)


def _paths(of: str) -> list[tuple[pathlib.Path, str]]:
  """The files of a pattern, each with the one name that is shown of it; '' for all."""
  pattern, _, only = of.partition(':')
  return [(path, only) for path in sorted(ROOT.glob(pattern)) if path.stem not in INSIDE]


def _module(file: pathlib.Path) -> str:
  return '.'.join(file.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')


def _read(node: ast.stmt, module: str, comments: Mapping[int, str]) -> Entry | None:
  if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith('_') or not ast.get_docstring(node):
    return None
  if any('component' in ast.unparse(decorator) for decorator in node.decorator_list):
    return None
  doc = ast.get_docstring(node)
  if isinstance(node, ast.FunctionDef):
    return Entry(module, node.name, 'function', _signature(node), doc)
  fields = [part for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)]
  rows = [(part.target.id, ast.unparse(part.annotation), comments.get(part.end_lineno, '')) for part in fields]
  arguments = [f'{f.target.id}={ast.unparse(f.value)}' if f.value else f.target.id for f in fields]
  methods = [method for part in node.body if isinstance(part, ast.FunctionDef) and (method := _read(part, module, comments))]
  return Entry(module, node.name, 'class', f'({", ".join(arguments)})', doc, tuple(rows), tuple(methods))


@functools.cache
def _classes() -> set[str]:
  """The full names of the classes that pages show."""
  files = [file for _, _, patterns in GROUPS.values() for of in patterns for file, _ in _paths(of)]
  return {
    f'{_module(file)}.{node.name}'
    for file in files
    for node in ast.parse(file.read_text()).body
    if isinstance(node, ast.ClassDef)
  }


def _qualify(tree: ast.Module, module: str) -> None:
  """Gives annotations the full names of our own types, by which Sphinx links to the right one of two that share a name."""
  names = {node.name: f'{module}.{node.name}' for node in tree.body if isinstance(node, ast.ClassDef)}
  for node in tree.body:
    if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] in ('dynamics', 'analysis', 'experiments'):
      names |= {alias.asname or alias.name: f'{node.module}.{alias.name}' for alias in node.names}
  names = {name: full for name, full in names.items() if full in _classes()}
  functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
  arguments = [
    a for f in functions for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs, f.args.vararg, f.args.kwarg) if a
  ]
  for annotation in [a.annotation for a in arguments if a.annotation] + [f.returns for f in functions if f.returns]:
    for part in ast.walk(annotation):
      if isinstance(part, ast.Name):
        part.id = names.get(part.id, part.id)


def _signature(node: ast.FunctionDef) -> str:
  return f'({ast.unparse(node.args)})' + (f' -> {ast.unparse(node.returns)}' if node.returns else '')


def _comments(text: str) -> dict[int, str]:
  """Line -> the comment at its end."""
  tokens = tokenize.generate_tokens(io.StringIO(text).readline)
  return {token.start[0]: token.string.lstrip('# ') for token in tokens if token.type == tokenize.COMMENT}


def _entry(entry: Entry, examples: Mapping[str, Sequence[Example]], depth: int = 0) -> Iterator[str]:
  """An entry as a directive of Sphinx, whose content is markdown."""
  fence = '`' * (8 - depth)
  kind = 'method' if depth else entry.kind
  if not depth:
    yield from [f'### {entry.name}', '']
  yield f'{fence}{{py:{kind}}} {entry.name if depth else f"{entry.module}.{entry.name}"}{entry.signature}'
  yield from ['', *prose(entry.doc)]
  if entry.rows:
    cell = lambda text: escaped(text).replace('|', r'\|')
    yield from ['', '| field | type | meaning |', '|---|---|---|']
    yield from (f'| `{name}` | `{of}` | {cell(meaning)} |'.replace(' | None`', r' \| None`') for name, of, meaning in entry.rows)
  for method in entry.methods:
    yield from ['', *_entry(method, examples, depth + 1)]
  for example in _shown(entry, examples):
    yield from ['', f'Example, from [{example.title}]({example.page}):', '', '```python', example.code, '```']
  yield fence


def _shown(entry: Entry, examples: Mapping[str, Sequence[Example]]) -> Sequence[Example]:
  return examples.get(f'{entry.module}.{entry.name}', ())[:2]


def _commands() -> str:
  lines = ['# Commands', '', 'What `--help` prints.']
  for path in COMMANDS:
    doc = ast.get_docstring(ast.parse((ROOT / path).read_text()))
    name = path.removesuffix('.py').removesuffix('/__main__').replace('/', '.')
    lines += ['', f'## python -m {name}', '', '```text', doc, '```']
  return '\n'.join(lines) + '\n'
