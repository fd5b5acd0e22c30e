"""In the place of a program: hands its arguments, folder, environment and streams to `warm.py`, and waits for it."""

import json
import os
import signal
import socket
import sys


def run(python, address, backend):
    """Run the command line there, or here where another Keras backend is wanted; pass signals on; end as it ends."""
    if os.environ.get("KERAS_BACKEND", "") != backend:
        os.execv(python, [python, *sys.argv[1:]])  # noqa: S606
    asked = {"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109 - pathlib takes long to import
    text = json.dumps(asked).encode()
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(address)
        socket.send_fds(door, [b"%d\n" % len(text)], [0, 1, 2])
        door.sendall(text)
        answers = door.makefile()
        program = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, _: os.kill(program, received))
        status = int(answers.readline() or 1)
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
