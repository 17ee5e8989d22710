"""The verb that publishes a saved model."""

from __future__ import annotations

from pathlib import Path

from denseil.cli import options, values
from denseil.cli.output import show
from denseil.cli.parser import Verbs


def declare(verbs: Verbs) -> None:
    """Declare `publish`."""
    verb = verbs.add(
        "publish",
        publish,
        "Check a saved model and publish it on the Hugging Face Hub.",
        examples=("denseil publish runs/mars/final --check", "denseil publish runs/mars/final owner/name --private"),
        more="The token is the one that `hf auth login` stored, or that of the variable HF_TOKEN.",
    )
    what = verb.subject("input")
    what.add("folder", type=values.path, help="folder that a training or save_pretrained wrote, its card completed")
    what.flag("--check", help="only list what is missing; nothing is sent")
    where = verb.subject("output")
    where.add("repo", nargs="?", help="repository on the Hub, owner/name; created if it does not exist")
    where.flag("--private", help="make a new repository private")
    where.add("--revision", metavar="BRANCH", help="branch to commit to (default: main)")
    where.flag("--create-pr", help="open a pull request instead")
    options.general(verb, json=True, modules=True)


def publish(
    folder: Path, check: bool, repo: str | None, private: bool, revision: str | None, create_pr: bool, json: bool
) -> int:
    """Check a saved model and publish it on the Hugging Face Hub."""
    from denseil import models

    if check:
        gaps = models.publishing_gaps(folder)
        show({"gaps": gaps}, as_json=json, text="\n".join(gaps) or f"{folder} is ready to be published")
        return 1 if gaps else 0
    if repo is None:
        raise ValueError("no repository is given: add owner/name, or --check to see what is missing")
    address = models.publish(folder, repo, private=private, revision=revision, create_pr=create_pr)
    show({"commit": address}, as_json=json, text=address)
    return 0
