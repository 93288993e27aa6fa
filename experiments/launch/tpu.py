"""TPU machines of Google Cloud: made at once or through the queue, spot or not, slices of one host or several."""

import shlex

from dynamics.schema import ConfigError
from experiments.launch import accelerators, shell
from experiments.launch.sweep import Launch, Sweep, check_cloud

ALONE = """
export TPU_PROCESS_BOUNDS=1,1,1 TPU_CHIPS_PER_PROCESS_BOUNDS=2,2,1 TPU_VISIBLE_CHIPS=0,1,2,3  # each host of the slice by itself
export TPU_WORKER_ID=0 TPU_WORKER_HOSTNAMES=localhost
"""

ABOUT = 'Makes what is missing or was preempted; `start.sh watch` does so every five minutes, and deletes what is done.'

START = r"""
lost=0 failed=0 open=0

state() {
  gcloud compute tpus "${kind[@]}" describe "$1" "${place[@]}" --format="value($field)" 2>/dev/null || true
}

remove() {
  gcloud compute tpus "${kind[@]}" delete "$1" "${place[@]}" "${force[@]}" --quiet
}

outcomes() {  # a line a host that has come to an end
  gcloud compute tpus tpu-vm ssh "$1" "${place[@]}" --worker=all --quiet \
    --command="echo outcome=\$(cat $OUTCOME)" 2>/dev/null | grep -o 'outcome=[0-9]\+' || true
}

make() {
  if create "$1" "$2"; then
    echo "$1: asked for"
  else
    echo "$1: could not be made; the next look tries again"
    lost=1
  fi
}

look() {  # a node and its first share
  if [ -e "$1.done" ]; then return; fi
  local found said
  open=1
  found=$(state "$1")
  case $found in
    '') make "$1" "$2" ;;
    PREEMPTED | TERMINATED | STOPPED | SUSPENDED | FAILED)
      echo "$1: $found, so it is made again and goes on from the mirror"
      if remove "$1"; then make "$1" "$2"; else lost=1; fi ;;
    READY | ACTIVE)
      said=$(outcomes "$1")
      if [ "$(grep -c . <<<"$said")" -lt "$HOSTS" ]; then
        echo "$1: at work"
      elif grep -qv '=0$' <<<"$said"; then
        echo "$1: failed (${said//$'\n'/, }); it is kept for a look: journalctl -u google-startup-scripts"
        failed=1 open=$before
      else
        echo "$1: done"
        if remove "$1"; then
          touch "$1.done"
          open=$before
        fi
      fi ;;
    *) echo "$1: $found" ;;
  esac
}

while true; do
  lost=0 failed=0 open=0
  for ((node = 0; node < NODES; node++)); do
    before=$open
    look "$NAME-$node" $((node * HOSTS + 1))
  done
  if [ "$open" = 0 ] || [ "${1:-}" != watch ]; then break; fi
  sleep "${PAUSE:-300}"
done
if [ "$failed" = 1 ]; then exit 3; fi
exit "$lost"
"""

STOP = r"""
for ((node = 0; node < NODES; node++)); do
  gcloud compute tpus "${kind[@]}" delete "$NAME-$node" "${place[@]}" "${force[@]}" --quiet || true
done
"""


def direct(sweep: Sweep) -> Launch:
  """Machines that are made at once, or refused where none is free."""
  return _launch(sweep, queued=False)


def queued(sweep: Sweep) -> Launch:
  """Machines that are waited for: queued resources, one a slice, so that each comes and goes alone."""
  return _launch(sweep, queued=True)


def _launch(sweep: Sweep, queued: bool) -> Launch:
  tpu = accelerators.tpu(sweep.accelerator or 'v5litepod-8')
  sweep = sweep._replace(accelerator=sweep.accelerator or 'v5litepod-8')
  if sweep.hosts % tpu.hosts:
    raise ConfigError(f'--hosts is {sweep.hosts}, but {sweep.accelerator} has {tpu.hosts} hosts a slice: take a multiple of it.')
  if not sweep.zone:
    raise ConfigError('a TPU lies in a zone: add --zone=ZONE, such as us-west4-a.')
  check_cloud(sweep)
  files = {
    'startup.sh': _startup(sweep, tpu),
    'start.sh': _commands(sweep, tpu, queued, ABOUT, _create(sweep, tpu, queued) + START),
    'stop.sh': _commands(sweep, tpu, queued, 'Deletes all machines of the sweep; the mirror keeps their results.', STOP),
  }
  return Launch(files, ('bash', 'start.sh', 'watch'))


def folder(sweep: Sweep) -> str:
  return f'/opt/sweeps/{sweep.name}/{sweep.commit[:12]}'


def _startup(sweep: Sweep, tpu: accelerators.Slice) -> str:
  """What a machine runs at every boot."""
  worker = '$(metadata agent-worker-number)' if tpu.hosts > 1 else '0'
  return f"""{shell.HEAD}# Runs at every boot: what is installed stays, and the share goes on from the mirror.
set -euo pipefail
export HOME="${{HOME:-/root}}"
LAB="${{SWEEP_FOLDER:-{folder(sweep)}}}"
{shell.install(sweep)}
metadata() {{
  curl --fail --silent --show-error --retry 5 --header 'Metadata-Flavor: Google' \\
    "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}}

mkdir -p "$LAB"
exec 8>"$LAB/running"
if ! flock --nonblock 8; then
  echo 'this host is at work already'
  exit 0
fi
if [ -e "$LAB/outcome" ] && [ "$(cat "$LAB/outcome")" = 0 ]; then exit 0; fi
rm -f "$LAB/outcome"
first=$(metadata sweep-first)
worker={worker}
SHARE=$((first + worker))/{sweep.hosts}
{ALONE if tpu.hosts > 1 else ''}
install_lab
{shell.share(sweep)}
if [ "$result" != 130 ]; then echo "$result" >"$LAB/outcome"; fi
exit "$result"
"""


def _create(sweep: Sweep, tpu: accelerators.Slice, queued: bool) -> str:
  kind = 'queued-resources create "$1" --node-id="$1" --runtime-version' if queued else 'tpu-vm create "$1" --version'
  words = shlex.join([f'--accelerator-type={sweep.accelerator}', *(['--spot'] if sweep.spot else [])])
  return f"""HOSTS={tpu.hosts} OUTCOME={folder(sweep)}/outcome field={'state.state' if queued else 'state'}

create() {{  # a node and its first share
  gcloud compute tpus {kind}={tpu.runtime} "${{place[@]}}" {words} \\
    --metadata="sweep-first=$2" --metadata-from-file=startup-script=startup.sh --quiet
}}
"""


def _commands(sweep: Sweep, tpu: accelerators.Slice, queued: bool, about: str, body: str) -> str:
  """A script that is run on the user's machine."""
  place = [f'--zone={sweep.zone}', *([f'--project={sweep.project}'] if sweep.project else [])]
  return f"""{shell.HEAD}# {about}
set -euo pipefail
cd "$(dirname "$0")"
NAME={sweep.name} NODES={sweep.hosts // tpu.hosts}
place=({shlex.join(place)}) kind=({'queued-resources' if queued else 'tpu-vm'}) force=({'--force' if queued else ''})
{body}"""
