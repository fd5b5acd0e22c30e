"""Starts the page and its API.

python app.py        starts both on http://127.0.0.1:7860
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile

from ui.sweeping import own_folder

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has one of them


def end(*_: object) -> None:
    """End as by Ctrl-C: clean up first, and let no second signal break that off."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def main() -> None:
    """Serve the page, and leave no file of a visitor behind."""
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
