"""Command line: `python -m emotion_model.hub`."""

import sys

from emotion_model.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["hub", *sys.argv[1:]]))
