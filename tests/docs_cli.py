"""docs/cli.md from the parser. `python -m tests.docs_cli` writes it; a test compares it."""

from __future__ import annotations

import argparse

from denseil.cli.commands import all_verbs
from denseil.cli.parser import Subject, Verb
from denseil.cli.train_fields import SUBJECTS
from tests.docs_tables import DOCS, between_markers

PAGE = DOCS / "cli.md"


def verbs_of_the_page() -> str:
    """A section for each verb."""
    return "\n\n".join(section(verb) for verb in all_verbs().verbs.values() if verb.name != "gallery search")


def section(verb: Verb) -> str:
    more = f" {paragraph}" if (paragraph := " ".join((verb.parser.description or "").split("\n")[2:])) else ""
    examples = "\n".join(verb.examples)
    parts = [
        f"## denseil {verb.name}",
        f"{verb.help}{more}",
        f"```\n{verb.parser.usage}\n```",
        f"```bash\n{examples}\n```",
    ]
    subjects = verb.subjects
    if verb.name == "ablate":
        subjects = [subject for subject in subjects if subject.title not in SUBJECTS]
        parts.append("The fields of [train](#denseil-train) are options here, too.")
    return "\n\n".join([*parts, *(table(subject) for subject in subjects)])


def table(subject: Subject) -> str:
    rows = [f"| {invocation(action)} | {(action.help or '').replace('%%', '%')} |" for action in subject.actions]
    return "\n".join([f"| {subject.title} | |", "|---|---|", *rows])


def invocation(action: argparse.Action) -> str:
    """The spellings of an option and its value, each as code, so that a line breaks between them."""
    name = " ".join(action.metavar) if isinstance(action.metavar, tuple) else str(action.metavar or action.dest)
    if not action.option_strings:
        return f"`{name}`"
    spellings = ", ".join(f"`{spelling}`" for spelling in action.option_strings)
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return spellings
    values = " or ".join(f"`{choice}`" for choice in action.choices or [name])
    return f"{spellings} {values}{' ...' if action.nargs == '+' else ''}"


if __name__ == "__main__":
    PAGE.write_text(between_markers(PAGE.read_text(), verbs_of_the_page()))
