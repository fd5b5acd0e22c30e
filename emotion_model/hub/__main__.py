"""Command line: `python -m emotion_model.hub`."""

import sys

from emotion_model.hub.command import main

if __name__ == "__main__":
    sys.exit(main())
