"""`contextkit conform`: judges each subject in turn and tells what it found."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from contextkit.cli.opening import UsageError, print_json, progress
from contextkit.inspector.words import clean
from contextkit.testing.conformance import Report, conform
from contextkit.testing.conversations import Form
from contextkit.testing.laws import LAWS
from contextkit.testing.shapes import SHAPES
from contextkit.testing.subjects import Subject, find_subject

FORMS = ("openai", "anthropic")


@dataclass(frozen=True)
class Options:
    """What the command line said."""

    n_cases: int
    budget_tokens: int
    seed: int
    form: str
    shape: str
    laws: tuple[str, ...]
    every_call: bool
    as_json: bool


def run_conform(names: Sequence[str], peers: bool, options: Options) -> bool:
    """Judge the subjects; False where one breaks a law that counts. Raises `UsageError`."""
    if options.form not in FORMS:
        raise UsageError(f"--form: {options.form!r} is none; there are {', '.join(FORMS)}")
    if options.shape not in SHAPES:
        raise UsageError(f"--shape: {options.shape!r} is none; there are {', '.join(SHAPES)}")
    for law in options.laws:
        if law not in LAWS:
            raise UsageError(f"--law: there is no {law!r}; there are {', '.join(LAWS)}")
    form: Form = "openai" if options.form == "openai" else "anthropic"
    if peers and form != "openai":
        raise UsageError("--peers: they are written for the openai form; leave --form out")
    found = [find_subject(name, form) for name in names]
    if peers:
        found += _peers()
    if not found:
        raise UsageError("nothing to judge: name a subject such as my_module:trim, or give --peers")
    reports = [_judge(subject, form, options) for subject in found]
    if options.as_json:
        print_json([report.to_dict() for report in reports])
    else:
        text = "\n\n".join(report.table() for report in reports)
        sys.stdout.write("\n".join(clean(line) for line in text.split("\n")) + "\n")
    counted = options.laws or tuple(LAWS)
    return not any(report.broken[law] for report in reports for law in counted)


def _peers() -> list[Subject]:
    from contextkit.testing.peers import installed

    found = installed()
    if not found:
        raise UsageError('--peers: none is installed; pip install "contextkit[langchain]" for one')
    return found


def _judge(subject: Subject, form: Form, options: Options) -> Report:
    with progress(subject.name, options.n_cases) as advance:
        return conform(
            subject,
            n_cases=options.n_cases,
            budget_tokens=options.budget_tokens,
            seed=options.seed,
            form=form,
            shape=SHAPES[options.shape],
            every_call=options.every_call,
            advance=advance,
        )
