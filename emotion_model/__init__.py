"""See which of seven emotions each face shows.

What `__init__.pyi` lists is the public face of the package. Each name is imported when it is first used, so that a
photo loads no video library, and a learner's script no face detector.
"""

import os

import lazy_loader

__version__ = "0.1.0"

# Before anything imports TensorFlow: its start-up notes are not for the users of this package.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
