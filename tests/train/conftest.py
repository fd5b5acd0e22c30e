"""Training in small."""

import pytest


@pytest.fixture
def without_curves(monkeypatch):
    """Runs end without a third of a second's drawing; `test_report.py` draws."""
    from train.fitting import run

    monkeypatch.setattr(run, "draw_curves", lambda history, path: path.touch())
