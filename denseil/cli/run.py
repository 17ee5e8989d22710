"""Running a verb; exit status 0 for done, 1 for done with problems, 2 for failure, 130 after Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import sys
from argparse import SUPPRESS
from importlib import import_module
from traceback import print_exc

import denseil
from denseil.cli.commands import all_verbs
from denseil.cli.options import MODULE_HELP, QUIET_HELP
from denseil.cli.output import OutputClosedError, complain, messages, say
from denseil.cli.outputs import check_outputs
from denseil.cli.parser import InterruptedRunError, Parser, UsageError, Verb, Verbs, dashed
from denseil.common.arguments import raised_by_us
from denseil.common.heap import keep_heap

COULD_NOT, INTERRUPTED, CLOSED = 2, 130, 141


def main(argv: list[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: The arguments after `denseil`; by default those of this process.

    Returns:
        The exit status.
    """
    own = argv is None
    try:
        return _main(sys.argv[1:] if argv is None else argv, own=own)
    except OutputClosedError:  # `denseil ... | head`: the reader needs no more
        if own:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # silences the last flush
        return CLOSED


def _main(words: list[str], *, own: bool) -> int:
    verbs = all_verbs()
    general = Parser(add_help=False)
    general.add_argument("--import", dest="modules", metavar="MODULE", action="append", default=[])
    general.add_argument("-q", "--quiet", action="store_true")
    general.add_argument("--traceback", action="store_true", help=SUPPRESS)
    try:
        known, words = general.parse_known_args(dashed(words))
        if not words or words[0].startswith("-") or (words[0] in verbs.groups and {"-h", "--help"} & set(words[1:2])):
            return _answer(verbs, words)
        verb, rest = verbs.find(words)
        options = verbs.options(verb, rest)
        check_outputs(options)
    except UsageError as error:
        complain(error)
        return COULD_NOT
    if own:
        keep_heap()
        if known.quiet:
            os.environ["TQDM_DISABLE"] = "1"
    with messages(quiet=known.quiet):
        try:
            for module in known.modules:
                import_own(module)
            status = verb.run(**options)
            if own and "torch" in sys.modules:
                from denseil.common.processes import leave_processes

                leave_processes()
            return status
        except KeyboardInterrupt as stopped:
            return _interrupted(stopped, verb, known.modules, own=own)
        except OutputClosedError:
            raise
        except Exception as error:
            if known.traceback:
                print_exc()
            complain(explain(error))
            return COULD_NOT


def _answer(verbs: Verbs, words: list[str]) -> int:
    """Handle `denseil` without a verb, `denseil --version` and `denseil --help`."""
    general = verbs.parser.add_argument_group("before or after a verb")
    general.add_argument("--import", metavar="MODULE", help=MODULE_HELP)
    general.add_argument("-q", "--quiet", action="store_true", help=QUIET_HELP)
    general.add_argument("--traceback", action="store_true", help="print the traceback of an error")
    verbs.parser.add_argument("--version", action="store_true", help="print the version")
    if words and verbs.parser.parse_args(words).version:
        say(denseil.__version__)
        return 0
    verbs.parser.print_help()
    return COULD_NOT


def import_own(module: str) -> None:
    """Import a user's module, which registers models, readers or losses; the working directory is searched too.

    Raises:
        ImportError: If it cannot be imported, for any error that it raises.
    """
    if os.getcwd() not in sys.path:  # noqa: PTH109 (sys.path holds text)
        sys.path.append(os.getcwd())  # noqa: PTH109
    try:
        import_module(module)
    except Exception as error:
        raise ImportError(
            f"--import {module}: {type(error).__name__}: {error}; give the dotted name of a module that python imports "
            f"in this folder or that is installed"
        ) from error


def explain(error: Exception) -> str:
    """Describe an error in one line; errors of other libraries start with their type."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:  # an error of the system, which names the file
        return f"{error.strerror}: {error.filename}"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.strerror}: make room, or choose another disk, then run the same again"
    if isinstance(error, UnicodeEncodeError):  # a name of bytes, on its way into a text file
        return f"{error.object!r} is not text in {error.encoding} ({error.reason}): rename the file or folder in it"
    text = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    return text if text and raised_by_us(error) else f"{type(error).__name__}: {text}"


def _interrupted(stopped: KeyboardInterrupt, verb: Verb, modules: list[str], *, own: bool) -> int:
    """Print in one line how to continue."""
    if own:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would print the tracebacks of workers
    if os.environ.get("RANK", "0") == "0":
        words = [part for module in modules for part in ("--import", module)]
        go_on = stopped.args[0] if isinstance(stopped, InterruptedRunError) else ""
        again = " ".join(["denseil", *words, go_on]) if go_on else ""
        complain(f"interrupted; to continue: {again}" if again else f"interrupted; {verb.again}")
    return INTERRUPTED
