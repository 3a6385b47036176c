"""`cost-ops` in a tenth of a second: a process that has imported it forks each call.

A page of commands spends most of its minute on imports, which are the same every time. The program
on the path is a client of a few lines: it hands its descriptors, directory, environment and
arguments over, passes signals on and ends with the exit code. What is forked has opened nothing
yet. Pages that judge the start itself run cold.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

_CLIENT = """#!{python} -IS
import array, json, os, signal, socket, sys

there = socket.socket(socket.AF_UNIX)
there.connect({address!r})
given = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
three = array.array("i", [0, 1, 2])
there.sendmsg([len(given).to_bytes(4, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, three)])
there.sendall(given)
answers = there.makefile()
pid = int(answers.readline())
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.kill(pid, number))
code = int(answers.readline() or 1)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""

_PROGRAM = """
import array, gc, json, os, signal, socket, sys
import uvicorn.protocols.http.httptools_impl, uvloop, xlsxwriter, pyarrow.parquet
from llm_cost_ops.cli import main
from llm_cost_ops.cli import app, local
from llm_cost_ops.server import serve

ROOM = socket.CMSG_SPACE(3 * array.array("i").itemsize)

def handed_over(caller):
    data, ancillary, _, _ = caller.recvmsg(4, ROOM)
    three = array.array("i")
    for _, _, content in ancillary:
        three.frombytes(content)
    with caller.makefile("rb") as rest:
        return list(three), json.loads(rest.read(int.from_bytes(data, "big")))

def called(three, given):
    for place, opened in enumerate(three):
        os.dup2(opened, place)
        os.close(opened)
    arguments, directory, environment = given
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["cost-ops", *arguments]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    main()

def watched(caller):
    # One process waits for each call, so that the one that forks never waits.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    three, given = handed_over(caller)
    pid = os.fork()
    if not pid:
        caller.close()
        called(three, given)
    for opened in three:
        os.close(opened)
    caller.sendall(b"%d\\n" % pid)
    _, status = os.waitpid(pid, 0)
    caller.sendall(b"%d\\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
door = socket.socket(socket.AF_UNIX)
door.bind(sys.argv[1])
door.listen(64)
gc.freeze()
print("warm", flush=True)
while True:
    caller, _ = door.accept()
    if not os.fork():
        door.close()
        watched(caller)
    caller.close()
"""


class WarmProgram:
    """`program` is a file to run as `cost-ops`; what it started ends with the `with` block."""

    def __init__(self, place: Path) -> None:
        address = place / "door"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(address)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "warm\n"
        self.program = place / "cost-ops"
        self.program.write_text(_CLIENT.format(python=sys.executable, address=str(address)))
        self.program.chmod(0o755)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
