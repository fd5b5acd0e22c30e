"""Publish the model and the page on the Hugging Face Hub.

    python -m emotion_model.hub push USER/NAME              the model, in every form, with its card
    python -m emotion_model.hub deploy USER/NAME            the page, as a Space
    python -m emotion_model.hub card                        the model card alone, to look at

The token is that of `hf auth login`, or HF_TOKEN. Doing the same twice changes nothing the second time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from emotion_model.download import HubError, check_name
from emotion_model.hub.card import LICENSE, model_card
from emotion_model.hub.push import push
from emotion_model.hub.space import deploy
from emotion_model.network.config import BUNDLED_DIR, ModelError, find_config, read_config


def _model(name: str) -> Path:
    return BUNDLED_DIR if name == "bundled" else Path(name)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 all well, 2 it could not be done."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "push":
            push(
                options.repo,
                options.model,
                private=options.private,
                tag=options.tag,
                figures=options.figures,
                dry_run=options.dry_run,
                license_id=options.license,
            )
        elif options.command == "deploy":
            deploy(options.repo, options.model, options.revision, private=options.private, dry_run=options.dry_run)
        else:
            check_name(options.repo)
            config = read_config(find_config(options.model))
            text = model_card(config, options.repo, license_id=options.license or LICENSE)
            if options.out:
                options.out.write_text(text, encoding="utf-8")
            else:
                print(text)
    except BrokenPipeError:  # nobody reads the card on: `emotion_model.__main__` ends it
        raise
    except (HubError, ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emotion_model.hub", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    pushing = commands.add_parser("push", help="publish the model: weights in every form, figures and card")
    deploying = commands.add_parser("deploy", help="create or update the Space that serves the page")
    card = commands.add_parser("card", help="print the model card")
    for command in (pushing, deploying):
        command.add_argument("repo", metavar="USER/NAME", help="name on the Hub")
        command.add_argument("--private", action="store_true", help="make a new repository private")
        command.add_argument("--dry-run", action="store_true", help="list what would go, and send nothing")
    for command in (pushing, card):
        command.add_argument(
            "--model", type=_model, default=BUNDLED_DIR, help="a .keras file or its folder (default: the bundled model)"
        )
    pushing.add_argument("--tag", help="name of the version (default: the next of v1, v2, ... if anything changed)")
    pushing.add_argument("--figures", type=Path, help="folder that train.report filled (default: figures in --model)")
    for command in (pushing, card):
        command.add_argument("--license", help=f"of the weights, as the Hub abbreviates it (default: {LICENSE})")
    deploying.add_argument("--model", metavar="USER/NAME", help="model on the Hub to pull (default: the bundled one)")
    deploying.add_argument("--revision", help="branch, tag or commit of that model (default: its newest)")
    card.add_argument("--repo", metavar="USER/NAME", default="USER/emotion-cnn", help="name in the card's examples")
    card.add_argument("--out", type=Path, help="where the card goes (default: printed)")
    return parser
