"""What `pip install` brings: the library alone, typed."""

import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.mark.slow  # builds in an environment of its own
def test_a_wheel_holds_the_library_alone(tmp_path):
  copy = tmp_path / 'copy'  # a build leaves its folders where it runs
  shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns('.*', 'results', 'figures', 'docs'))
  build = [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir', str(tmp_path), str(copy)]
  subprocess.run(build, check=True)
  (wheel,) = tmp_path.glob('*.whl')
  names = zipfile.ZipFile(wheel).namelist()
  assert {name.split('/')[0] for name in names} == {'dynamics', f'{"-".join(wheel.name.split("-")[:2])}.dist-info'}
  assert 'dynamics/py.typed' in names
  assert {str(path.relative_to(ROOT)) for path in (ROOT / 'dynamics').rglob('*.py')} <= set(names)
