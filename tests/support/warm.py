"""Programs that start at once: forked from a process that has imported what they need.

Importing Keras with PyTorch takes five seconds, the page's packages four, and the tests start some hundred programs
that do. `interpreter` gives one that has: use it in the place of `sys.executable`. What it runs is a process of its own
all the same, with its own signals, streams, folder, environment and exit status.

This module is the process that is asked. For each Keras backend, and for what runs without Keras, it forks another one,
which imports what such programs need and is forked in turn. `ask.py` runs in the place of the program and asks.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import importlib
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

from .ask import read_at_import

# What pytest's own processes import, which run on PyTorch, each for itself otherwise; what is not there is left out.
FOR_TESTS = (
    "gradio", "onnx", "onnxscript", "playwright.sync_api", "pyarrow.parquet", "skimage.data",
    "torch.onnx", "train.ablate", "train.finetune", "train.release",
    "train.releasing.model", "transformers",
)  # fmt: skip
PATH = "EMOTION_TESTS_PYTHON"  # the variable that says where the interpreter is
CLIENT = """#!{python} -IS
import sys
sys.path.append({folder!r})
import ask
ask.run({python!r}, {socket!r}, {imported!r})
"""


def python() -> str:
    """The interpreter for programs that are to start at once; the ordinary one where there is none."""
    return os.environ.get(PATH, sys.executable)


@contextlib.contextmanager
def interpreter() -> Iterator[None]:
    """Have it as long as this lasts, in this process and those that it starts; on Linux, whose means it needs."""
    if sys.platform != "linux":
        yield
        return
    with tempfile.TemporaryDirectory(prefix="warm-") as name:
        folder = Path(name)
        address = folder / "socket"
        client = folder / "python"
        here = Path(__file__).resolve().parent
        imported = read_at_import()
        client.write_text(
            CLIENT.format(python=sys.executable, folder=str(here), socket=str(address), imported=imported)
        )
        client.chmod(0o755)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm", str(address), str(client)], cwd=here.parents[1]
        )
        try:
            while not address.exists():
                if server.poll() is not None:
                    raise RuntimeError("the process that programs are forked from has ended")
                time.sleep(0.01)
            os.environ[PATH] = str(client)
            yield
        finally:
            os.environ.pop(PATH, None)
            server.terminate()
            server.wait(20)


def serve(address: str, client: str) -> NoReturn:
    """Hand each program that is asked for to the process that has imported what it needs."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    kinds: dict[str, socket.socket] = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(address)
        door.listen()
        while True:
            caller, _ = door.accept()
            message, streams, _, _ = socket.recv_fds(caller, 1 << 20, 3)
            kind = json.loads(message)["environment"].get("KERAS_BACKEND", "")
            if kind not in kinds:
                unneeded = [*streams, *(one.fileno() for one in (door, caller, *kinds.values()))]
                kinds[kind] = _start(kind, client, unneeded)
            with contextlib.suppress(OSError):  # it could not import that: the caller is told by the end of its line
                socket.send_fds(kinds[kind], [message], [*streams, caller.fileno()])
            for stream in streams:
                os.close(stream)
            caller.close()


def _start(kind: str, client: str, unneeded: list[int]) -> socket.socket:
    """The way to a new process, which imports what programs of this kind need and forks one for each message."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        its.close()
        return ours
    for one in (ours.fileno(), *unneeded):
        os.close(one)
    os.environ.pop("KERAS_BACKEND", None)
    try:
        if kind:
            os.environ["KERAS_BACKEND"] = kind
            _import_for_training(kind)
        else:
            _import_for_users()
    except ImportError as error:
        print(f"programs start slowly: {error}", file=sys.stderr)
        os._exit(1)
    gc.freeze()  # what is here stays, so its pages can stay shared
    while True:
        message, handed, _, _ = socket.recv_fds(its, 1 << 20, 4)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            its.close()
            _wait_for_program(json.loads(message), handed, client)
        for one in handed:
            os.close(one)


def _import_for_training(backend: str) -> None:
    import train.__main__  # noqa: F401
    from train.fitting.run import set_seed

    set_seed(0)  # what Keras imports then
    if backend != "torch":
        return
    for name in FOR_TESTS:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    from train.evaluation.figures import draw_curves

    with tempfile.TemporaryDirectory() as folder:
        draw_curves([{"epoch": 1, "val_accuracy": 0.5}], Path(folder) / "curves.png")  # fonts


def _import_for_users() -> None:
    import av  # noqa: F401
    import matplotlib.figure  # noqa: F401

    import emotion_model.__main__  # noqa: F401
    import ui.server  # noqa: F401
    from emotion_model.runtime import import_openvino

    import_openvino()


def _wait_for_program(asked: dict, handed: list[int], client: str) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, line = handed
    program = os.fork()
    if program == 0:
        os.close(line)
        _become(asked, streams, client)
    for stream in streams:
        os.close(stream)
    with socket.socket(fileno=line) as caller:
        caller.send(f"{program}".encode())
        _, status = os.waitpid(program, 0)
        with contextlib.suppress(BrokenPipeError):
            caller.send(f"{os.waitstatus_to_exitcode(status)}".encode())
    os._exit(0)


def _become(asked: dict, streams: list[int], client: str) -> NoReturn:
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    # What the streams were opened on may have been of another kind.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115
    faulthandler.enable(2)  # says where a program was that the system ended
    tempfile.tempdir = None  # TMPDIR may be another one
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    _look_for_the_hub_anew()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    sys.executable = client  # what it starts in turn is to start at once too
    sys.path[:1] = [asked["folder"], *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    arguments = asked["arguments"]
    if arguments[0] == "-u":
        sys.stdout.reconfigure(write_through=True)
        arguments = arguments[1:]
    status = 0
    try:
        _run(arguments)
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


def _look_for_the_hub_anew() -> None:
    """Where it is, and its cache: what has been imported keeps what the environment said then."""
    if "huggingface_hub.constants" not in sys.modules:
        return
    constants = importlib.reload(sys.modules["huggingface_hub.constants"])
    if "huggingface_hub.hf_api" in sys.modules:
        sys.modules["huggingface_hub.hf_api"].api.endpoint = constants.ENDPOINT
    for name in ("transformers.utils.hub", "transformers.utils", "transformers.dynamic_module_utils"):
        if name in sys.modules:
            sys.modules[name].HF_MODULES_CACHE = str(Path(constants.HF_HOME, "modules"))


def _run(arguments: list[str]) -> None:
    kind, *rest = arguments
    if kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
    else:
        sys.argv = arguments
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    serve(*sys.argv[1:])
