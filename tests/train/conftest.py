"""Training in small."""

import pytest


@pytest.fixture
def without_curves(monkeypatch):
    """Runs end without a third of a second's drawing; `test_report.py` draws."""
    from train.fitting import run

    monkeypatch.setattr(run, "draw_curves", lambda history, path: path.touch())


@pytest.fixture
def without_onnx(monkeypatch):
    """Models are made without their ONNX form, which takes seconds; those that are asked about it have it."""
    for made_by in ("train.exporting.model", "train.finetuning.tuning"):
        monkeypatch.setattr(f"{made_by}.with_onnx", lambda classifier, _: classifier.config)


@pytest.fixture
def without_figures(monkeypatch):
    """Fine-tuned models are made without drawings, which take seconds; one test of them looks at theirs."""
    monkeypatch.setattr("train.finetuning.tuning.make_report", lambda _: None)
