"""Programs that start at once: forked from a process that has imported what they need.

Importing Keras with PyTorch takes five seconds, and the tests start some forty programs that do. `interpreter` gives
one that has: use it in the place of `sys.executable`. What it runs is a process of its own all the same, with its own
signals, streams, folder, environment and exit status. Where a program asks for another Keras backend, it is the
ordinary interpreter.

This module is the process that is forked; `ask.py` runs in the place of the program and asks it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

STREAMS = (0, 1, 2)
CLIENT = """#!{python} -IS
import sys
sys.path.append({folder!r})
import ask
ask.run({python!r}, {socket!r}, {backend!r})
"""


@contextlib.contextmanager
def interpreter() -> Iterator[str]:
    """The path to give in the place of `sys.executable`, as long as this lasts."""
    with tempfile.TemporaryDirectory(prefix="warm-") as name:
        folder = Path(name)
        address = folder / "socket"
        client = folder / "python"
        here = Path(__file__).resolve().parent
        backend = os.environ.get("KERAS_BACKEND", "")
        client.write_text(CLIENT.format(python=sys.executable, folder=str(here), socket=str(address), backend=backend))
        client.chmod(0o755)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm", str(address), str(client)], cwd=here.parents[1]
        )
        try:
            while not address.exists():
                if server.poll() is not None:
                    raise RuntimeError("the process that programs are forked from has ended")
                time.sleep(0.02)
            yield str(client)
        finally:
            server.terminate()
            server.wait(20)


def serve(address: str, client: str) -> NoReturn:
    """Import what the programs need, then fork one for each that asks."""
    import keras

    import train.ablate
    import train.finetune
    import train.release  # noqa: F401
    from train.evaluation.figures import draw_curves

    keras.utils.set_random_seed(0)  # imports TensorFlow, where it is there
    with tempfile.TemporaryDirectory() as folder:
        draw_curves([{"epoch": 1, "val_accuracy": 0.5}], Path(folder) / "curves.png")  # fonts
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies of those who wait for the programs
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        while True:
            caller, _ = door.accept()
            with caller:
                if os.fork() == 0:
                    door.close()
                    _wait_for_program(caller, client)


def _wait_for_program(caller: socket.socket, client: str) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked, streams = _receive(caller)
    program = os.fork()
    if program == 0:
        caller.close()
        _become(asked, streams, client)
    for stream in streams:
        os.close(stream)
    caller.sendall(f"{program}\n".encode())
    _, status = os.waitpid(program, 0)
    with contextlib.suppress(BrokenPipeError):
        caller.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _receive(caller: socket.socket) -> tuple[dict, list[int]]:
    message, streams, _, _ = socket.recv_fds(caller, 1 << 20, len(STREAMS))
    length, _, text = message.partition(b"\n")
    while len(text) < int(length):
        text += caller.recv(1 << 20)
    return json.loads(text), streams


def _become(asked: dict, streams: list[int], client: str) -> NoReturn:
    for target, stream in zip(STREAMS, streams, strict=True):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.executable = client  # what it starts in turn is to start at once too
    sys.path[0] = asked["folder"]
    arguments = asked["arguments"]
    if arguments[0] == "-u":
        sys.stdout.reconfigure(write_through=True)
        arguments = arguments[1:]
    status = 0
    try:
        kind, what, *rest = arguments
        sys.argv = [what if kind == "-m" else kind, *rest]
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(*sys.argv[1:])
