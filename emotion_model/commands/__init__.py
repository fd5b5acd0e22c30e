"""The commands of `python -m emotion_model`, a module each: HELP, `add_arguments` and `run`."""
