"""The command line. No other subpackage imports this one.

`main` parses the arguments, runs one verb and returns the exit status. A verb is declared next to the function that
runs it, in a file that is listed in `commands.FILES`. To add a verb:

1. write `def mine(source: Path, *, k: int) -> int` in a file here; it imports the library inside the function, prints
   with `output.say`, `show` and `note`, and returns 0, or 1 if it found problems;
2. declare it in the file's `declare(verbs)`: `verbs.add("mine", mine, "One sentence.", examples=(..., ...))`, then its
   options by subject; the name of each option is that of a parameter;
3. list a new file in `commands.FILES`, and run `python -m tests.docs_cli` to update docs/cli.md.
"""

from denseil.cli.run import main as main
