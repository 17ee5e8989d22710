"""The parser: verbs with their options by subject, declared beside the functions that run them.

A verb is declared without importing the library, so that help needs no torch. Its function takes each option by name.
Over 250 lines because every argument of a declaration is documented.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from textwrap import fill
from typing import Any, NoReturn

from denseil.cli import values
from denseil.cli.output import say
from denseil.common.text import did_you_mean

WIDTH = 100
Run = Callable[..., int]


class UsageError(ValueError):
    """The arguments are not a valid command."""


def refuse_unused(kind: str, options: Mapping[str, object]) -> None:
    """Raise UsageError if an option was given that has no effect on this kind of call; `options` says which were."""
    if unused := [name for name, given in options.items() if given]:
        raise UsageError(f"{kind}: {', '.join(unused)} would change nothing: leave it out")


class InterruptedRunError(KeyboardInterrupt):
    """Ctrl-C in a verb that can be continued; the argument is the command line to do so, without `denseil`."""


class Parser(argparse.ArgumentParser):
    """argparse's parser, with errors raised as `UsageError` and help printed by `say`."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise the error that argparse would print."""
        raise UsageError(f"{message} ({self.prog} --help)")

    def print_help(self, file: object = None) -> None:
        """Print the help to stdout."""
        say(self.format_help().rstrip("\n"))


class _Gather(argparse.Action):
    """Action that joins the lists or mappings of all words of an option."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, words: Any, name: str | None = None
    ) -> None:
        found = getattr(namespace, self.dest, None)
        for word in words:
            found = values.merged(found or {}, word) if isinstance(word, dict) else [*(found or []), *word]
        setattr(namespace, self.dest, found)


@dataclass
class Subject:
    """Options of one subject: a group in the help, a table in the docs."""

    title: str
    group: argparse._ArgumentGroup
    parser: Parser
    actions: list[argparse.Action] = field(default_factory=list)

    def add(
        self,
        *names: str,
        help: str,
        type: Callable[[str], object] = str,
        default: object = None,
        choices: Sequence[str] | None = None,
        required: bool = False,
        metavar: str | tuple[str, ...] | None = None,
        nargs: int | str | None = None,
        optional: bool = False,
        shown: object = None,
        unset: bool = False,
    ) -> argparse.Action:
        """Declare an option or a positional.

        Args:
            names: `--frames`, or `-o` and `--output`; a name without dashes is a positional.
            help: One sentence; the default is appended.
            type: Function that converts one word.
            default: Value if the option is not given.
            choices: Allowed words.
            required: Whether it must be given.
            metavar: Name of the value in the help.
            nargs: Number of words, if not one.
            optional: Whether a positional may be left out.
            shown: Default in the help, if it differs from `default`.
            unset: Omit it from the options if it is not given.
        """
        shown = default if shown is None else shown
        text = help if shown is None or shown == "" else f"{help} (default: {shown})"
        keywords: dict[str, object] = {"help": text.replace("%", "%%"), "default": default}
        if unset:
            keywords["default"] = argparse.SUPPRESS
        if not names[0].startswith("-"):
            keywords |= {"nargs": "?"} if optional else {}
            keywords |= {"metavar": names[0]} if choices is not None else {}
        else:
            keywords["required"] = required
        keywords |= {"type": type} if choices is None else {"choices": choices}
        keywords |= {} if metavar is None else {"metavar": metavar}
        keywords |= {} if nargs is None else {"nargs": nargs}
        return self._keep(*names, **keywords)

    def gather(
        self, *names: str, help: str, type: Callable[[str], object], metavar: str, unset: bool = False
    ) -> argparse.Action:
        """Declare an option of one or more words, each a list or a mapping, which are joined."""
        keywords: dict[str, object] = {"default": argparse.SUPPRESS} if unset else {}
        return self._keep(
            *names, help=help.replace("%", "%%"), type=type, metavar=metavar, nargs="+", action=_Gather, **keywords
        )

    def flag(
        self, *names: str, help: str, default: bool = False, unset: bool = False, both: bool = False
    ) -> argparse.Action:
        """Declare a switch; `both` ways, `--NAME` and `--no-NAME`, if it is on by default."""
        both = both or default
        text = f"{help} (default: {'yes' if default else 'no'})" if both else help
        return self._keep(
            *names,
            help=text.replace("%", "%%"),
            default=argparse.SUPPRESS if unset else default,
            action=argparse.BooleanOptionalAction if both else "store_true",
        )

    def _keep(self, *names: str, **keywords: object) -> argparse.Action:
        action = self.group.add_argument(*names, **keywords)  # type: ignore[arg-type]
        self.actions.append(action)
        if action.required or not action.option_strings:
            self.parser.usage = f"{self.parser.usage or self.parser.prog} {_usage(action)}"
        return action


def _usage(action: argparse.Action) -> str:
    """Format a positional or a required option for the usage."""
    name = str(action.metavar or action.dest).upper()
    if action.option_strings:
        return f"{action.option_strings[-1]} {name}"
    return {"?": f"[{name}]", "+": f"{name} ..."}.get(str(action.nargs), name)


@dataclass
class Verb:
    """A verb: its parser, its function, and the content of its help."""

    name: str
    help: str
    run: Run
    parser: Parser
    examples: tuple[str, ...]
    again: str
    subjects: list[Subject] = field(default_factory=list)

    def subject(self, title: str) -> Subject:
        """Start a group of options."""
        subject = Subject(title, self.parser.add_argument_group(title), self.parser)
        self.subjects.append(subject)
        return subject


class Verbs:
    """All verbs, as one parser. A verb in a group has two words, such as `data check`."""

    def __init__(self, description: str) -> None:
        self.parser = Parser(
            prog="denseil", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        self.verbs: dict[str, Verb] = {}
        self.groups: dict[str, str] = {}
        self._places = {"": self.parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)}

    def group(self, name: str, help: str) -> None:
        """Start a group of verbs."""
        parser = self._places[""].add_parser(name, help=help, description=help)
        self.groups[name] = help
        self._places[name] = parser.add_subparsers(title="verbs", metavar="VERB", parser_class=Parser)

    def add(
        self,
        name: str,
        run: Run,
        help: str,
        *,
        examples: tuple[str, ...],
        more: str = "",
        again: str = "run the same command again",
    ) -> Verb:
        """Declare a verb.

        Args:
            name: `embed`, or `data check` for a verb of a group.
            run: Function that takes the options by name and returns the exit status.
            help: One sentence.
            examples: Complete command lines.
            more: Paragraph after the sentence.
            again: How to continue after Ctrl-C.
        """
        group, _, word = name.rpartition(" ")
        parser = self._places[group].add_parser(
            word,
            help=help,
            description="\n\n".join(fill(text, WIDTH) for text in (help, more) if text),
            epilog="examples:\n" + "\n".join(f"  {line}" for line in examples),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.usage = f"{parser.prog} [options]"
        self.verbs[name] = Verb(name, help, run, parser, examples, again)
        return self.verbs[name]

    def find(self, words: Sequence[str]) -> tuple[Verb, list[str]]:
        """Split a command line into its verb and the words that follow.

        Raises:
            UsageError: If the verb does not exist.
        """
        given = list(takewhile(lambda word: not word.startswith("-"), words[:2]))
        for count in range(len(given), 0, -1):
            if verb := self.verbs.get(" ".join(given[:count])):
                return verb, list(words[count:])
        within = given[0] if given[0] in self.groups else ""
        start = f"{within} ".lstrip()
        known = sorted({name.removeprefix(start).split()[0] for name in self.verbs if name.startswith(start)})
        asked = given[1:] if within else given
        if not asked:
            raise UsageError(f"{within} has the verbs {', '.join(known)} (denseil {within} --help)")
        hint = did_you_mean(asked[0], known) or f"there are {', '.join(known)}"
        raise UsageError(f"no verb {start + asked[0]!r}: {hint} (denseil {start}--help)")

    def options(self, verb: Verb, words: Sequence[str]) -> dict[str, object]:
        """Parse the options of a verb; positionals may stand anywhere.

        Raises:
            UsageError: If an option is unknown, or a value is invalid.
        """
        parsed, unknown = verb.parser.parse_known_intermixed_args(dashed(words))
        if unknown:
            raise UsageError(self._unknown(verb, unknown[0]))
        return vars(parsed)

    def _unknown(self, verb: Verb, word: str) -> str:
        help = f"({verb.parser.prog} --help)"
        if not word.startswith("-"):
            return f"{verb.name} takes no further word {word!r} {help}"
        name = word.partition("=")[0]
        known = [name for subject in verb.subjects for action in subject.actions for name in action.option_strings]
        hint = did_you_mean(name, known)
        return f"{verb.name} has no option {name!r}{f': {hint}' if hint else ''} {help}"


def dashed(words: Iterable[str]) -> list[str]:
    """Read `--model_args` as `--model-args`; text after `=` is kept."""
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        found.append(name.replace("_", "-") + equals + value if name.startswith("--") else word)
    return found
