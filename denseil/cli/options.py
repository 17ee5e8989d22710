"""Options that several verbs share."""

from __future__ import annotations

from denseil.cli import values
from denseil.cli.parser import Subject, Verb

FRAMES = ("all", "even8")
PRECISIONS = ("fp32", "bf16", "fp16")
DATASETS = "mars, ilids_vid, prid2011, ls_vid, dukemtmc_videoreid, manifest, or a reader registered by --import"
MODULE_HELP = "Python module to import first, which registers models, readers or losses; may be repeated"
QUIET_HELP = "print results, warnings and errors only"
GALLERY = "a folder, s3://..., or http://HOST:PORT of Milvus"
CONTINUES = "run the same command again: it continues where it stopped"


def general(verb: Verb, *, json: bool = False, modules: bool = False) -> Subject:
    """Declare the options of every verb; `run` removes --quiet and --import before the verb is parsed."""
    subject = verb.subject("general")
    if json:
        subject.flag("--json", help="print the result as JSON")
    subject.flag("-q", "--quiet", help=QUIET_HELP, unset=True)
    if modules:
        subject.add("--import", help=MODULE_HELP, metavar="MODULE", unset=True)
    return subject


def compute(verb: Verb, *, precision: bool = False) -> Subject:
    """Declare device, precision and seed."""
    subject = verb.subject("computing")
    device(subject)
    if precision:
        subject.add("--precision", choices=PRECISIONS, default="fp32", help="precision of the model's products")
    seed(subject)
    return subject


def seed(subject: Subject, *, unset: bool = False) -> None:
    """Declare the random seed."""
    subject.add("--seed", type=values.whole(0, 2**32 - 1), default=0, metavar="N", help="random seed", unset=unset)


def device(subject: Subject, *, unset: bool = False) -> None:
    """Declare the device."""
    text = "auto, cpu, cuda, cuda:1 or mps; auto takes an accelerator if there is one"
    subject.add("--device", type=values.device, default="auto", metavar="DEVICE", help=text, unset=unset)


def weights(subject: Subject) -> None:
    """Declare the weights and arguments of a named model."""
    subject.add("--checkpoint", type=values.path, metavar="FILE", help="weights of the model")
    subject.flag("--random-weights", help="use random weights, to check that everything runs")
    subject.gather(
        "--model-args",
        type=values.mapping,
        metavar="NAME=VALUE",
        help="arguments of the model, such as dim=256, or JSON",
    )
