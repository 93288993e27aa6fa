"""Who may import whom, read off the source by ast, and what must not be loaded. `docs/architecture.md` says why."""

import ast
import functools
import importlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LAYERS = ('dynamics', 'configs', 'experiments', 'analysis', 'paper_figures', 'benchmarks', 'tests', 'docs')
FILES = sorted(path.relative_to(ROOT) for layer in LAYERS for path in (ROOT / layer).rglob('*.py'))
STDLIB = sys.stdlib_module_names

ALLOWED = {  # layer -> what its files may import beside themselves and the standard library
  'configs': {'ml_collections', 'dynamics.plan'},
  'dynamics': {'dynamics', 'jax', 'flax', 'optax', 'numpy', 'pandas', 'sklearn', 'xarray', 'duckdb', 'equinox'},
  'analysis': {'numpy', 'scipy', 'pandas', 'xarray', 'duckdb', 'altair', 'vl_convert', 'jinja2', 'dynamics.frames',
               'dynamics.plan', 'dynamics.progress', 'dynamics.schema', 'dynamics.sealed'},
  'paper_figures': {'analysis', 'configs', 'matplotlib', 'PIL', 'numpy', 'pandas', 'jinja2', 'pygments', 'sphinx', 'docutils',
                    'latex2mathml', 'altair', 'vl_convert', 'dynamics.plan', 'dynamics.progress', 'dynamics.schema',
                    'dynamics.sealed', 'dynamics.theory'},
}  # fmt: skip
WITHOUT_JAX = {pathlib.Path('dynamics', name) for name in ('components.py', 'plan.py', 'schema.py', 'sealed.py')}


@functools.cache
def imported(path: pathlib.Path) -> frozenset[str]:
  """Dotted names of all imports of a file, those inside of functions too; `from a import b` gives a.b."""
  found = set()
  for node in ast.walk(ast.parse((ROOT / path).read_text())):
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      base = '.'.join([*path.parts[: len(path.parts) - node.level], *([node.module] if node.module else [])])
      found |= {f'{base if node.level else node.module}.{alias.name}' for alias in node.names}
  return frozenset(found)


DRAWN = sorted({  # theory that figures draw
  name.split('.')[2]
  for path in FILES
  if path.parts[0] == 'paper_figures'
  for name in imported(path)
  if name.startswith('dynamics.theory.')
})  # fmt: skip
NUMPY_ALONE = {pathlib.Path('dynamics/theory', f'{name}.py') for name in DRAWN}


@functools.cache
def command_line(path: pathlib.Path) -> bool:
  """Whether a file is run with -m: it is __main__, or has a __main__ guard."""
  tree = ast.parse((ROOT / path).read_text())
  guards = [ast.unparse(node.test) for node in tree.body if isinstance(node, ast.If)]
  return path.name == '__main__.py' or "__name__ == '__main__'" in guards


def within(name: str, allowed: set[str]) -> bool:
  return name.split('.')[0] in STDLIB or any(name == a or name.startswith(f'{a}.') for a in allowed)


def files(*layers):
  return pytest.mark.parametrize('path', [p for p in FILES if p.parts[0] in layers], ids=str)


@files('configs', 'dynamics', 'analysis', 'paper_figures')
def test_each_layer_imports_only_what_stands_below_it(path):
  layer = path.parts[0]
  allowed = ALLOWED[layer] | {layer}
  if layer in ('analysis', 'paper_figures') and command_line(path):
    allowed = allowed | {'experiments', 'analysis'}
  wrong = [name for name in imported(path) if not within(name, allowed)]
  assert not wrong, f'{path} imports {", ".join(wrong)}'


@pytest.mark.parametrize('path', sorted(WITHOUT_JAX), ids=str)
def test_plans_and_schemas_need_the_standard_library_alone(path):
  wrong = [name for name in imported(path) if not within(name, {f'dynamics.{p.stem}' for p in WITHOUT_JAX})]
  assert not wrong, f'{path} imports {", ".join(wrong)}'


@pytest.mark.parametrize('path', sorted(NUMPY_ALONE), ids=str)
def test_theory_that_figures_draw_needs_numpy_alone(path):
  wrong = [name for name in imported(path) if not within(name, {'numpy', *(f'dynamics.theory.{n}' for n in DRAWN)})]
  assert not wrong, f'{path} imports {", ".join(wrong)}'


@functools.cache
def components() -> dict[str, str]:
  """'dynamics.optim.sgd' and 'dynamics.optim.sgd.sgd' -> 'optim', for every component of every family."""
  table = {}
  for family in sorted(path.parent.name for path in (ROOT / 'dynamics').glob('*/__init__.py')):
    package = importlib.import_module(f'dynamics.{family}')
    for name, maker in vars(package).items():
      if hasattr(maker, 'revision'):
        table |= dict.fromkeys((f'dynamics.{family}.{name}', f'{maker.__module__}.{name}'), family)
  return table


def mentioned(path: pathlib.Path) -> set[str]:
  """Imported names, and attributes of families: `optim.sgd` gives 'dynamics.optim.sgd'."""
  attributes = [node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.Attribute)]
  return {*imported(path), *(f'dynamics.{node.value.id}.{node.attr}' for node in attributes if isinstance(node.value, ast.Name))}


def test_the_components_of_every_family_are_known():
  assert {'data', 'models', 'inits', 'transforms', 'losses', 'objectives', 'optim', 'probes'} <= set(components().values())


@files('dynamics', 'experiments')
def test_no_file_names_a_component_of_another_family(path):
  """What several families share is no component, so any may be added or taken away."""
  inside = path.parts[1] if path.parts[0] == 'dynamics' else None
  wrong = [name for name in mentioned(path) if components().get(name, inside) != inside]
  assert not wrong, f'{path} names {", ".join(wrong)}'


def test_the_builder_is_short_and_names_no_component():
  text = (ROOT / 'experiments/build.py').read_text()
  words = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
  names = {name.rpartition('.')[2] for name in components()}
  assert not words & names
  assert len(text.splitlines()) <= 150


@files('dynamics')
def test_theory_stands_below_the_rest_of_the_library(path):
  if path.parts[1] == 'theory':
    wrong = [name for name in imported(path) if not within(name, {'dynamics.theory', 'dynamics.types', 'jax', 'numpy'})]
    assert not wrong, f'{path} imports {", ".join(wrong)}'


@files('dynamics', 'configs', 'analysis', 'paper_figures', 'experiments')
def test_only_command_lines_and_tests_import_experiments(path):
  if path.parts[0] != 'experiments' and not command_line(path):
    assert not [name for name in imported(path) if name.split('.')[0] == 'experiments']
  assert not [name for name in imported(path) if name.split('.')[0] in ('tests', 'benchmarks')]


@files(*LAYERS)
def test_files_are_short_and_named_after_what_they_do(path):
  assert len((ROOT / path).read_text().splitlines()) <= 400, f'{path} is too long to be read at once'
  assert path.name not in ('utils.py', 'util.py', 'helpers.py', 'misc.py')


def loaded(code: str, *modules: str) -> str:
  """Which of `modules` a fresh process has after running `code`."""
  check = f'{code}\nimport sys\nprint("loaded:", *[m for m in {modules!r} if m in sys.modules])'
  done = subprocess.run([sys.executable, '-c', check], cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  return done.stdout.rpartition('loaded:')[2].strip()


def test_a_plan_needs_no_jax():
  assert loaded('import dynamics.components, dynamics.plan, dynamics.schema', 'jax', 'flax', 'optax', 'numpy') == ''


def test_theory_that_figures_draw_loads_no_jax():
  assert loaded('import ' + ', '.join(f'dynamics.theory.{n}' for n in DRAWN), 'jax', 'flax', 'optax', 'scipy') == ''


def test_the_runner_and_a_mistake_in_a_config_load_nothing_slow():
  config = next(str(p) for p in FILES if p.parts[0] == 'configs' and not p.stem.startswith('_'))
  code = f"from experiments import run\nassert run.main(['--config={config}', '--config.data.zzz=3']) == 2"
  slow = ('orbax', 'orbax.checkpoint', 'matplotlib', 'duckdb', 'ray', 'sklearn', 'pandas', 'xarray')
  assert loaded('import experiments.run', 'jax', *slow) == ''
  assert loaded(code, *slow) == ''
