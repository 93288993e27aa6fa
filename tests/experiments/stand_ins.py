"""Programs that stand in for python, gcloud and Ray where launch files are run. They log their words to $LOG."""

import os
import pathlib

PYTHON = r"""#!/usr/bin/env bash
case "$1 $2" in
  '-c '*) exit 0 ;;
  '-m venv') mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
  '-m pip') printf '%s\n' "$@" >>"$LOG.pip" ;;
  *)
    printf '%s\n' "$PWD" "$@" >>"$LOG"
    status=$(head -1 "$LOG.next" 2>/dev/null)
    sed -i 1d "$LOG.next" 2>/dev/null
    if [ "$status" = wait ]; then
      trap 'exit 130' TERM
      touch "$LOG.waits"
      while true; do sleep 0.01; done
    fi
    exit "${status:-0}" ;;
esac
"""
GCLOUD = r"""#!/usr/bin/env bash
printf '%q ' gcloud "$@" >>"$LOG"
echo >>"$LOG"
case "$4" in
  create) if [ -e no-capacity ]; then exit 1; fi; echo "$UP" >"$5.state" ;;
  describe) cat "$5.state" 2>/dev/null ;;
  delete) rm "$5.state" ;;
  ssh) cat "$5.outcomes" ;;
esac
"""
RAY = """
init, get = lambda address: None, list
class remote:
  def __init__(self, **options):
    assert options == dict(num_cpus=1, max_retries=-1, scheduling_strategy='SPREAD', resources={'TPU': 8}), options
  def __call__(self, function):
    self.remote = function
    return self
"""


def stand_in(folder: pathlib.Path, **programs: str) -> dict[str, str]:
  """An environment whose programs of these names are other ones, which log to $LOG."""
  (folder / 'bin').mkdir(exist_ok=True)
  for name, text in programs.items():
    path = folder / 'bin' / name.replace('_', '.')
    path.write_text(text)
    path.chmod(0o755)
  path = f'{folder / "bin"}:{os.environ["PATH"]}'
  return {**os.environ, 'PATH': path, 'LOG': str(folder / 'log'), 'SWEEPS': str(folder / 'sweeps'), 'PAUSE': '0'}
