"""The documentation is made from the code, or run."""

import pathlib
import runpy

import jax
import pytest

from dynamics.probes.__main__ import page

ROOT = pathlib.Path(__file__).parent.parent


def test_the_page_of_probes_is_that_of_the_docstrings():
  assert (ROOT / 'docs/probes.md').read_text() == page(), 'run: python -m dynamics.probes > docs/probes.md'


def test_the_readme_shows_the_script_that_is_tested():
  script = (ROOT / 'docs/own_model.py').read_text().split('"""\n', 1)[1].strip()
  assert script in (ROOT / 'README.md').read_text()


def test_the_script_of_the_readme_runs(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with jax.numpy_rank_promotion('allow'), jax.numpy_dtype_promotion('standard'):  # as a user has it
    found = runpy.run_path(str(ROOT / 'docs/own_model.py'))
  table = found['result'].tables['performance']
  assert table['test_accuracy'].shape[1] == 16
  fast = found['rates'] == 0.3
  assert table['train_accuracy'][-1, fast].min() > 0.9
  assert (tmp_path / 'own_model.png').stat().st_size > 5_000


def test_the_script_of_barriers_runs(tmp_path, monkeypatch):
  """At a small size: fewer seeds, one width and few steps."""
  monkeypatch.chdir(tmp_path)
  script, full = (ROOT / 'docs/barriers.py').read_text(), '(32, 128, 512), range(100, 110), 300'
  assert full in script
  found = {}
  with jax.numpy_rank_promotion('allow'), jax.numpy_dtype_promotion('standard'):
    exec(script.replace(full, '(16,), range(4), 60'), found)
  assert found['bars'][16].shape == (2, 2)
  trained, matched = found['bars'][16].mean(0)
  assert 0 <= matched < 0.8 * trained
  assert (tmp_path / 'barriers.png').stat().st_size > 5_000


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
