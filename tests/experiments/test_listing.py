"""`experiments.run --list`: every config, by paper, with what is done of it."""

import pathlib

from experiments import listing, run
from tests.experiments.conftest import TINY


def test_every_config_says_what_it_is_of_and_how_long_it_takes():
  entries = listing.entries()
  assert {entry.path.stem for entry in entries} == {path.stem for path in pathlib.Path('configs').glob('[!_]*.py')}
  for entry in entries:
    assert entry.source.startswith('arXiv '), entry.path
    assert entry.title, entry.path
    assert entry.time != 'run time not stated', entry.path


def test_what_is_done_is_read_from_the_folder_of_results(whole, tmp_path):
  folder = tmp_path / 'mine'
  folder.mkdir()
  text = TINY
  (folder / 'done.py').write_text(f'"""arXiv 1234.56789, figure 1: a run.\n\nRun time: 2 seconds; more elsewhere.\n"""\n{text}')
  (folder / 'other.py').write_text(text.replace('seeds=', 'data_seed=5, seeds='))
  (folder / 'wrong.py').write_text(text.replace('modular', 'modulra'))
  done, other, wrong = listing.entries(folder)
  assert done._replace(path=None) == (None, 'arXiv 1234.56789, figure 1', 'a run.', '2 seconds; more elsewhere')
  assert listing.progress(done, whole.parent) == 'done'
  assert listing.progress(other, whole.parent) == 'not run'
  assert listing.progress(done, tmp_path) == 'not run'
  assert 'modular' in listing.progress(wrong, tmp_path)
  lines = list(listing.lines(whole.parent, lambda text: None, folder))
  assert lines[0] == 'arXiv 1234.56789'
  assert lines[1].split()[:2] == ['done', 'done']
  assert lines[2] == 'of no paper'
  assert '3 configs' in lines[-1]


def test_the_command_lists_and_runs_nothing(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(listing, 'lines', lambda out, show: [f'all in {out}'])
  assert run.main(['--list', f'--out={tmp_path / "out"}']) == 0
  assert capsys.readouterr().out == f'all in {tmp_path / "out"}\n'
  assert not (tmp_path / 'out').exists()
  assert run.main(['--list', '--dry_run']) == 2
  assert '--dry_run is no argument here' in capsys.readouterr().err
