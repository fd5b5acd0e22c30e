"""Starts the page and its API.

python app.py        starts both on http://127.0.0.1:7860
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Serve the page, and leave no file of a visitor behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as Ctrl-C does: clean up, then end
    place = os.environ.get("GRADIO_TEMP_DIR")
    if place:
        Path(place).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="emotion-lens-", dir=place) as files:
        # Visitors' files go when the server does: what the page shows, and what is still being made.
        shown = Path(files) / "shown"
        os.environ["GRADIO_TEMP_DIR"] = str(shown)
        tempfile.tempdir = files
        from ui.server import serve  # Gradio asks for the folder when it is imported

        serve(shown)


if __name__ == "__main__":
    main()
