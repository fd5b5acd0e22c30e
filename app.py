"""Starts the page and its API.

python app.py        starts both on http://127.0.0.1:7860
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import tempfile
from typing import NoReturn

from ui.sweeping import own_folder

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has one of them


def end(*_: object) -> None:
    """End as by Ctrl-C: clean up first, and let no second signal break that off."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def leave() -> NoReturn:
    """End without taking Python apart, which ends a thread that reads a picture in the middle of OpenVINO: an abort."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    """Serve the page, and leave no file of a visitor behind."""
    atexit.register(leave)  # before all others, so it is called after them
    try:
        _serve()
    except BaseException as error:
        if not isinstance(error, SystemExit) or error.code:
            atexit.unregister(leave)  # with a status of its own
        raise


def _serve() -> None:
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup wants it ignored
            signal.signal(number, end)
    with own_folder(os.environ.get("GRADIO_TEMP_DIR")) as files:
        # Visitors' files go when the server does: what the page shows, and what is still being made.
        shown = files / "shown"
        os.environ["GRADIO_TEMP_DIR"] = str(shown)
        tempfile.tempdir = str(files)
        from ui.server import serve  # Gradio asks for the folder when it is imported

        serve(shown)


if __name__ == "__main__":
    main()
