"""A single node of OpenStack Swift with its S3 interface, on the loopback, from Debian's packages (swift-proxy, swift-account,
swift-container, swift-object, memcached)."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

PROGRAMS = ('swift-proxy-server', 'swift-account-server', 'swift-container-server', 'swift-object-server', 'swift-ring-builder')
KINDS = ('account', 'container', 'object')
PIPELINE = (
  'lengths catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth copy slo dlo versioned_writes '
  'proxy-logging proxy-server'
)
# Where an answer to HEAD names no length, the server ends it like a chunked one, which clients take for the next answer.
LENGTHS = """
def with_length(app):
  def answer(environ, start):
    def begin(status, headers, *rest):
      named = any(name.lower() == 'content-length' for name, _ in headers)
      bare = environ['REQUEST_METHOD'] == 'HEAD' or status.startswith('204')
      return start(status, headers if named or not bare else [*headers, ('Content-Length', '0')], *rest)
    return app(environ, begin)
  return answer

def filter_factory(*args, **kwargs):
  return with_length
"""
USER, KEY = 'test:tester', 'testing'


def is_installed() -> bool:
  return all(map(shutil.which, (*PROGRAMS, 'memcached')))


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[dict[str, str]]:
  """The variables of an environment with which S3 clients reach the node."""
  ports = dict(zip(('proxy', 'memcached', *KINDS), _free(5), strict=True))
  _write_files(folder, ports)
  processes, environment = [], {**os.environ, 'PYTHONPATH': str(folder)}

  def start(*words):
    with (folder / 'errors').open('ab') as errors:
      command = [str(word) for word in words]
      processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, cwd=folder, env=environment))

  try:
    start('memcached', '-l', '127.0.0.1', '-p', ports['memcached'], '-u', 'nobody')
    for kind in (*KINDS, 'proxy'):
      start(f'swift-{kind}-server', folder / f'{kind}.conf')
    _wait(ports['proxy'], processes, folder)
    yield {
      'AWS_ACCESS_KEY_ID': USER,
      'AWS_SECRET_ACCESS_KEY': KEY,
      'AWS_ENDPOINT_URL': f'http://127.0.0.1:{ports["proxy"]}',
      'AWS_DEFAULT_REGION': 'us-east-1',
    }
  finally:
    for process in processes:
      process.terminate()
    for process in processes:
      process.wait()


def _write_files(folder: pathlib.Path, ports: dict[str, int]) -> None:
  (folder / 'disks' / 'd1').mkdir(parents=True)
  (folder / 'swift.conf').write_text('[swift-hash]\nswift_hash_path_suffix = a\nswift_hash_path_prefix = b\n')
  common = f'swift_dir = {folder}\nuser = {os.environ.get("USER", "root")}\nworkers = 0\nbind_ip = 127.0.0.1\nlog_level = ERROR\n'
  for kind in KINDS:
    disk = f'devices = {folder / "disks"}\nmount_check = false\ndisable_fallocate = true\n'
    server = f'[DEFAULT]\n{common}bind_port = {ports[kind]}\n{disk}[pipeline:main]\npipeline = {kind}-server\n'
    (folder / f'{kind}.conf').write_text(f'{server}[app:{kind}-server]\nuse = egg:swift#{kind}\n')
    builder = str(folder / f'{kind}.builder')
    place = ('--region', '1', '--zone', '1', '--ip', '127.0.0.1', '--port', str(ports[kind]), '--device', 'd1', '--weight', '1')
    for words in (('create', '2', '1', '0'), ('add', *place), ('rebalance',)):
      subprocess.run(['swift-ring-builder', builder, *words], check=True, capture_output=True)
  filters = {name: f'use = egg:swift#{name.replace("-", "_")}\n' for name in PIPELINE.split()[:-1]}
  filters['tempauth'] += 'user_test_tester = testing .admin\n'
  filters['lengths'] = 'paste.filter_factory = lengths:filter_factory\n'
  (folder / 'lengths.py').write_text(LENGTHS)
  filters['cache'] = f'use = egg:swift#memcache\nmemcache_servers = 127.0.0.1:{ports["memcached"]}\n'
  text = f'[DEFAULT]\n{common}bind_port = {ports["proxy"]}\n[pipeline:main]\npipeline = {PIPELINE}\n'
  text += '[app:proxy-server]\nuse = egg:swift#proxy\nallow_account_management = true\naccount_autocreate = true\n'
  (folder / 'proxy.conf').write_text(text + ''.join(f'[filter:{name}]\n{lines}' for name, lines in filters.items()))


def _free(count: int) -> list[int]:
  """Ports that nobody listens on."""
  with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
    for each in sockets:
      each.bind(('127.0.0.1', 0))
    return [each.getsockname()[1] for each in sockets]


def _wait(port: int, processes, folder: pathlib.Path) -> None:
  """Until the port is open; raises where a server ends first."""
  for _ in range(600):
    if any(process.poll() is not None for process in processes):
      raise RuntimeError((folder / 'errors').read_text()[-2000:])
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 1):
      return
    time.sleep(0.1)
  raise TimeoutError('the proxy does not listen')
