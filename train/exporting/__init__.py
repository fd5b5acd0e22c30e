"""From a finished run to a model: calibrated, measured, with its config beside it."""
