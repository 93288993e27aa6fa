"""Shell text that targets share: the lab on a host, and a share of a sweep that is run until it is done."""

import shlex
from collections.abc import Mapping

from experiments.launch import accelerators
from experiments.launch.sweep import Sweep

HEAD = '#!/usr/bin/env bash\n'

INSTALL = r"""
install_lab() {  # once for a commit; of two that come at once, one waits
  mkdir -p "$LAB"
  exec 9>"$LAB/lock"
  flock 9
  if [ ! -e "$LAB/installed" ]; then
    git init --quiet "$LAB/code"
    cd "$LAB/code"
    git fetch --quiet --depth=1 "$REPOSITORY" "$COMMIT" || git fetch --quiet "$REPOSITORY" '+refs/*:refs/fetched/*'
    git checkout --quiet --force "$COMMIT"
    set_up
    for python in python3.13 python3.12 python3.11 python3 none; do
      if "$python" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then break; fi
    done
    if [ "$python" = none ]; then  # the machine's own is too old
      python3 -m pip install --quiet --upgrade --target="$LAB/uv" uv
      "$LAB/uv/bin/uv" venv --quiet --clear --seed --python=3.13 "$LAB/venv"
    else
      "$python" -m venv --clear "$LAB/venv"
    fi
    "$LAB/venv/bin/python" -m pip install --quiet --constraint=constraints.txt "${PACKAGES[@]}"
    touch "$LAB/installed"
  fi
  flock --unlock 9
  cd "$LAB/code"
  PATH="$LAB/venv/bin:$PATH"
}
"""

AGAIN = r"""
child='' stopped='' result=0
trap 'stopped=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' TERM INT

attempt() {  # runs a command and passes signals on to it, at which the lab saves; $status is how it ended
  "$@" &
  child=$! status=0
  wait "$child" || status=$?
  while kill -0 "$child" 2>/dev/null; do  # a signal ended the wait, and not the command
    status=0
    wait "$child" || status=$?
  done
  child=''
}

again() {  # a command until it is done: it goes on where it was stopped; $result is not 0 where it was not done
  local left=$RETRIES
  while [ -z "$stopped" ]; do
    attempt "$@"
    if [ -n "$stopped" ] && [ "$status" != 0 ]; then break; fi
    case $status in
      0) return 0 ;;
      2) result=2; return 0 ;;  # a mistake in what was asked: another try would not mend it
      4) ;;  # another host holds what is left, or has held it and is gone: look again
      *) if [ "$left" = 0 ]; then result=$status; return 0; fi; left=$((left - 1)) ;;
    esac
    echo "status $status; again in ${PAUSE:-60} s, $left tries left"
    sleep "${PAUSE:-60}" &
    wait $! || true
  done
  result=130
}
"""


def variables(values: Mapping[str, str]) -> str:
  """Assignments, quoted."""
  return ''.join(f'{name}={shlex.quote(value)}\n' for name, value in values.items())


def packages(sweep: Sweep, extras: str) -> list[str]:
  """Words for pip: the lab with its extras, and jax for the accelerator."""
  return [f'--editable=.[{extras}]', *filter(None, [accelerators.package(sweep.accelerator)])]


def install(sweep: Sweep) -> str:
  """The function `install_lab`, which leaves the shell in the lab's folder, its python first in PATH; $LAB is set before."""
  code = variables({'REPOSITORY': sweep.repository, 'COMMIT': sweep.commit})
  return f'{code}PACKAGES=({shlex.join(packages(sweep, "mirror"))})\n\n{set_up(sweep)}{INSTALL}'


def set_up(sweep: Sweep) -> str:
  """The function `set_up`: the user's own commands."""
  lines = ''.join(f'  {command}\n' for command in sweep.setup)
  return f'set_up() {{\n  :\n{lines}}}\n'


def share(sweep: Sweep) -> str:
  """Runs the share $SHARE, such as 2/8, of every config."""
  return f'RETRIES={sweep.retries}\n{AGAIN}\n' + ''.join(f'again {run_words(sweep, run)}\n' for run in sweep.runs)


def run_words(sweep: Sweep, run: tuple[str, ...]) -> str:
  """The command line of a config's share."""
  mirror = [f'--mirror={sweep.mirror}'] if sweep.mirror else []
  words = shlex.join(['python', '-m', 'experiments.run', *run, *mirror, f'--save_every={sweep.save_every}'])
  return f'{words} --cells="$SHARE"'
