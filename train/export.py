"""Turn a finished run into a model that can be used: weights, and the `config.json` that travels with them.

    python -m train.export --run RUN_DIR --data DIR [--out DIR]

The temperatures are fitted on validation and both splits are measured, so `config.json` says what the model is worth;
`figures/` beside it draws that (`train.report`).
Without `--out` the model becomes the bundled one; the run's own records go to `train/results/` beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from emotion_model.files import copy_file, write_json
from emotion_model.network.config import BUNDLED_DIR, ModelError
from train.config import explain
from train.evaluation.report import make_report
from train.exporting.model import export
from train.runs import RECORDS, RESULTS


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m train.export", description="Make a finished run usable.")
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished run")
    parser.add_argument("--data", type=Path, required=True, help="folder with FER2013")
    parser.add_argument("--out", type=Path, help="where the model goes; default: the bundled model is replaced")
    parser.add_argument("--no-test", action="store_true", help="leave the test split alone (while choosing a model)")
    options = parser.parse_args(arguments)
    try:
        config = export(options.run, options.data, options.out or BUNDLED_DIR, not options.no_test)
        make_report(options.out or BUNDLED_DIR, options.data)
    except (ModelError, ValueError, OSError) as error:
        print(f"error: {explain(error, options.out or BUNDLED_DIR)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command begins anew", file=sys.stderr)
        return 130
    if options.out is None:
        records = RESULTS / "bundled"
        records.mkdir(parents=True, exist_ok=True)
        for name in RECORDS:
            copy_file(options.run / f"{name}.json", records / f"{name}.json")
        write_json(records / "scores.json", config.metrics)
        (records / "validation.json").unlink(missing_ok=True)  # laid there by hand, of the run before
    print(json.dumps({"temperature": config.temperature, "metrics": config.metrics}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
