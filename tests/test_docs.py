"""The documentation is made from the code, or run."""

import importlib
import inspect
import pathlib
import re
import runpy
import shlex

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import reference, resolve, run

ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted([ROOT / 'README.md', ROOT / 'benchmarks/README.md', *(ROOT / 'docs').rglob('*.md')])


def test_the_reference_is_that_of_the_signatures_and_docstrings():
  stored = {path.name: path.read_text() for path in reference.FOLDER.glob('*.md')}
  assert stored == reference.pages(), 'run: python -m experiments.reference'


def test_the_reference_has_every_component_and_every_hyper_value():
  texts = reference.pages()
  for block, makers in resolve.families().items():
    for name, maker in makers.items():
      page = texts[f'{maker.__module__.split(".")[1]}.md'].split(f'\n## {name}\n')[1].split('\n## ')[0]
      assert f'[{block} {name}]' in texts['hyper_values.md'] or '| hyper value |' not in page
      assert f'Code: [{maker.__module__.replace(".", "/")}.py]' in page


@pytest.mark.parametrize('page', PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
  for target, anchor in re.findall(r'\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)', page.read_text()):
    linked = page.parent / target if target else page
    assert linked.exists(), f'{page.name} links to {target}'
    if anchor:
      assert any(_anchor(line) == anchor for line in linked.read_text().splitlines()), f'{page.name}: no #{anchor} in {target}'


@pytest.mark.parametrize('layer', ['dynamics', 'experiments', 'analysis'])
def test_the_architecture_names_every_file(layer):
  text = (ROOT / 'docs/architecture.md').read_text()
  names = [path.name + '/' * path.is_dir() for path in (ROOT / layer).iterdir() if not path.name.startswith('__')]
  assert not [name for name in names if name not in text]


def _anchor(line: str) -> str | None:
  """The name under which github links to a heading."""
  heading = re.match(r'#+ (.*)', line)
  return heading and re.sub(r'[^\w\- ]', '', heading[1].lower()).replace(' ', '-')


def test_the_readme_shows_the_script_that_is_tested():
  script = (ROOT / 'docs/own_model.py').read_text().split('"""\n', 1)[1].strip()
  assert script in (ROOT / 'README.md').read_text()


def test_the_script_of_the_readme_runs(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with jax.numpy_rank_promotion('allow'), jax.numpy_dtype_promotion('standard'):  # as a user has it
    names = runpy.run_path(str(ROOT / 'docs/own_model.py'))
  table = names['result'].tables['performance']
  assert table.groupby('lr')['seed'].unique().map(list).to_dict() == {lr: [0, 1, 2, 3] for lr in (0.01, 0.03, 0.1, 0.3)}
  assert table.loc[(table['lr'] == 0.3) & (table['step'] == 1000), 'train_accuracy'].min() > 0.9
  assert (tmp_path / 'own_model.png').stat().st_size > 5_000


@pytest.mark.slow
def test_the_script_of_barriers_runs(tmp_path, monkeypatch):
  """At a small size: fewer seeds, one width and few steps."""
  monkeypatch.chdir(tmp_path)
  script, full = (ROOT / 'docs/barriers.py').read_text(), '(32, 128, 512), range(100, 110), 300'
  assert full in script
  names = {}
  with jax.numpy_rank_promotion('allow'), jax.numpy_dtype_promotion('standard'):
    exec(script.replace(full, '(16,), range(4), 60'), names)
  assert names['bars'][16].shape == (2, 2)
  trained, matched = names['bars'][16].mean(0)
  assert 0 <= matched < 0.8 * trained
  assert (tmp_path / 'barriers.png').stat().st_size > 5_000


def test_the_code_of_curvature_and_kernels_runs_and_its_numbers_are_right():
  page = (ROOT / 'docs/curvature_and_kernels.md').read_text()
  names = {}
  with jax.numpy_rank_promotion('allow'), jax.numpy_dtype_promotion('standard'):
    exec('\n'.join(re.findall(r'```python\n(.*?)```', page, re.DOTALL)), names)
    flat, back = jax.flatten_util.ravel_pytree(names['params'])
    total = lambda w: jnp.mean(names['loss'](names['apply'](back(w), names['x']), names['y']))
    hessian = np.asarray(jax.jit(jax.hessian(total))(flat), np.float64)
  values, reading = np.linalg.eigvalsh(hessian), names['reading']
  np.testing.assert_allclose(reading['largest'], values[-1], rtol=1e-4)
  assert abs(reading['trace'].mean - values.sum()) < 5 * reading['trace'].error
  assert reading['density'].shape == (100,)
  assert reading['gauss_newton_trace'].mean > 0
  assert names['not_smooth'] == {}
  np.testing.assert_allclose(names['values'].sum(), np.trace(names['kernel']), rtol=1e-4)
  np.testing.assert_allclose(names['explained'][-1], 1, rtol=1e-4)
  assert names['predictions'].shape == (4, 3)
  assert names['product'].shape == (30, 3)
  assert names['text_reading']['gauss_newton_trace'].mean > 0
  assert 0 < names['text_reading']['kernel_trace'].error < names['text_reading']['kernel_trace'].mean
  np.testing.assert_allclose(names['outputs'].mean, names['targets'][:4], atol=1e-3)
  assert np.all(names['depth'] > 0)


INTERNAL = {'tridiagonal', 'orthogonalise', 'block_rows', 'orthogonality', 'check_steps', 'precise'}


@pytest.mark.parametrize(
  'module',
  [
    f'linalg.{name}'
    for name in (
      'dense',
      'eigen',
      'intervals',
      'kinks',
      'lanczos',
      'ntk',
      'products',
      'projections',
      'quadrature',
      'spectrum',
      'traces',
    )
  ]
  + [f'theory.{path.stem}' for path in sorted((ROOT / 'dynamics/theory').glob('[!_]*.py'))],
)
def test_every_function_of_linalg_and_theory_is_listed(module):
  page, module = (ROOT / 'docs/curvature_and_kernels.md').read_text(), importlib.import_module(f'dynamics.{module}')
  functions = {name for name, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == module.__name__}
  listed = set(re.findall(r'`(?:\w+\.)*(\w+)`', page))
  assert {name for name in functions - INTERNAL if name[0] != '_'} <= listed


@pytest.mark.parametrize('config', sorted((ROOT / 'configs').glob('[!_]*.py')), ids=lambda p: p.stem)
def test_a_config_says_what_it_is(config):
  text = config.read_text().split('"""')[1]
  for word in ('arXiv ', 'Command: python -m experiments.run --config=configs/' + config.name, 'Run time: ', 'Expected: '):
    assert word in text
  assert len(config.read_text().splitlines()) <= 50


def test_every_figure_of_the_gallery_is_small_and_shown():
  pictures = sorted((ROOT / 'docs/gallery').glob('*.png'))
  shown = (ROOT / 'docs/gallery/README.md').read_text()
  assert pictures
  for picture in pictures:
    assert picture.stat().st_size < 150_000
    assert picture.name in shown


def test_the_page_on_your_own_code_runs(tmp_path, monkeypatch, capsys):
  """Its files are written beside a config, as it says, and each of its commands is checked whole; one is run."""
  page = (ROOT / 'docs/your_own.md').read_text()
  files = dict(re.findall(r'```python\n# (\w+\.py)\n(.*?)```', page, re.DOTALL))
  commands = [shlex.split(line)[3:] for line in page.splitlines() if line.startswith('    python -m experiments.run')]
  assert (len(files), len(commands)) == (6, 12)
  for name, text in files.items():
    (tmp_path / name).write_text(text)
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(tmp_path)
  with jax.numpy_rank_promotion('allow'):
    for words in commands:
      assert run.main([*words, '--dry_run']) == 0, capsys.readouterr().err
    assert run.main(commands[0]) == 0
  assert 'done in' in capsys.readouterr().out
