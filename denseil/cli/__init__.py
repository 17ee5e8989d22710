"""The command line. Nothing imports this package.

`main` reads the words, runs one verb and turns what happened into an exit status. A verb is declared beside the
function that runs it, in the file of its subject, and a file is listed in `commands.FILES`. To add a verb:

1. write `def mine(source: Path, *, k: int) -> int` in a file here; it imports what it needs from the library when it
   runs, prints by `output.say`, `show` and `note`, and returns 0, or 1 where it found problems;
2. declare it in the file's `declare(verbs)`: `verbs.add("mine", mine, "One sentence.", examples=(..., ...))`, then its
   options by subject; each option's name is a parameter's;
3. list a new file in `commands.FILES`, and run `python -m tests.docs_cli` for docs/cli.md.
"""

from denseil.cli.run import main as main
