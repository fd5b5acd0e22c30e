"""A run ends between two batches when it is asked to."""

from __future__ import annotations


class StoppedError(Exception):
    """The run was asked to stop; the same command goes on from its checkpoint."""
