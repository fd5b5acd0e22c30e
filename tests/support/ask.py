"""In the place of a program: hands its arguments, folder, environment and streams to `warm.py`, and waits for it."""

import json
import os
import signal
import socket
import sys

ROOT = os.path.abspath(f"{__file__}/../../..")  # noqa: PTH100 - pathlib takes long to import


def read_at_import():
    """The variables that packages look at when they are imported, and never again."""
    return {name: os.environ[name] for name in ("MPLCONFIGDIR", "PYTHONPATH") if os.environ.get(name, ROOT) != ROOT}


def run(python, address, imported):
    """Run the command line there, pass signals on, and end as it ends.

    Or run it here where it asks for something that has to be known at import.
    """
    if read_at_import() == imported:
        _run_there(address)
    os.execv(python, [python, *sys.argv[1:]])  # noqa: S606


def _run_there(address):
    """Ends this process, unless there is nothing there that can run it."""
    asked = {"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109 - pathlib takes long to import
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.connect(address)
        socket.send_fds(door, [json.dumps(asked).encode()], [0, 1, 2])
        program = int(door.recv(99) or 0)
        if not program:
            return
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, _: os.kill(program, received))
        status = int(door.recv(99) or 1)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
