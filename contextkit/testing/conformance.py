"""Drives a trimmer through made-up conversations, call by call, and adds up which laws it breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, cast

from contextkit.testing.conversations import Form, Transcript, Wire, transcripts
from contextkit.testing.counting import Count
from contextkit.testing.laws import LAWS, Finding, Judge
from contextkit.testing.shapes import MIXED, Shape
from contextkit.testing.subjects import Subject, Trim, subject_of
from contextkit.testing.wire import copied

EXAMPLES = 3
"""Findings of a law that are kept word for word."""


@dataclass
class Report:
    """What became of all transcripts."""

    subject: str
    version: str
    budget_tokens: int
    seed: int
    form: Form
    shape: str = MIXED.name
    n_cases: int = 0
    n_calls: int = 0
    """Calls that were judged."""
    n_tight: int = 0
    """Judged calls where what must stay is over the budget: only validity counts there."""
    n_followed: int = 0
    """Calls that came after another one of the same conversation."""
    n_moved: int = 0
    """Those that do not begin with the whole call before: a prompt cache misses."""
    shared_tokens: int = 0
    sent_tokens: int = 0
    """Of the calls that followed another; `shared_tokens` of them repeat its beginning."""
    broken: Counter[str] = field(default_factory=Counter[str])
    """Transcripts that break a law, by its name."""
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @property
    def holds(self) -> bool:
        """Whether no law was broken."""
        return not self.broken

    def rate(self, law: str) -> tuple[float, float, float]:
        """The share of transcripts that break a law, with its 95 % interval (Wilson)."""
        return wilson(self.broken[law], self.n_cases)

    @property
    def moved_share(self) -> float:
        """Of the calls that followed another, how many moved the prefix."""
        return self.n_moved / self.n_followed if self.n_followed else 0.0

    @property
    def reused_share(self) -> float:
        """Of the tokens of those calls, how many repeat the call before from its beginning."""
        return self.shared_tokens / self.sent_tokens if self.sent_tokens else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        laws = {
            law: {
                "broken": self.broken[law],
                "rate": round(self.rate(law)[0], 4),
                "interval": [round(end, 4) for end in self.rate(law)[1:]],
                "examples": self.examples.get(law, []),
            }
            for law in LAWS
        }
        return {
            "subject": self.subject,
            "version": self.version,
            "form": self.form,
            "shape": self.shape,
            "seed": self.seed,
            "budget_tokens": self.budget_tokens,
            "cases": self.n_cases,
            "calls": self.n_calls,
            "tight": self.n_tight,
            "holds": self.holds,
            "laws": laws,
            "prefix": {"moved": self.moved_share, "reused": self.reused_share},
        }

    def table(self) -> str:
        """One line a law, then what happens to the prefix; examples under what is broken."""
        head = f"{self.subject} {self.version}".strip()
        lines = [
            f"{head}: {self.n_cases} transcripts, {self.n_calls} calls judged, "
            f"{self.budget_tokens} tokens, seed {self.seed}, shape {self.shape}"
        ]
        for law, meaning in LAWS.items():
            share, low, high = self.rate(law)
            told = (
                f"broken in {share:.1%} ({low:.1%} to {high:.1%})" if self.broken[law] else "holds"
            )
            lines.append(f"  {law:<14}  {told:<36}{meaning}")
            lines += [f"    {text}" for text in self.examples.get(law, ())]
        lines.append(
            f"  prefix          moves in {self.moved_share:.1%} of later calls; {self.reused_share:.1%} of "
            "their tokens repeat the call before"
        )
        return "\n".join(lines)


def conform(
    subject: Subject | Trim | str,
    *,
    n_cases: int = 400,
    budget_tokens: int = 300,
    seed: int = 0,
    first: int = 0,
    form: Form = "openai",
    shape: Shape = MIXED,
    every_call: bool = False,
    again: bool = True,
    advance: Callable[[int], object] = lambda n: None,
) -> Report:
    """Hold the laws against a trimmer on `n_cases` conversations.

    A subject is a function, its name (`module:function`), or the path of a contextkit configuration; the
    shape says how conversations are drawn (`SHAPES`). The last call of each is judged, `every_call` of them
    where asked; without `again` none is made a second time, so that determinism is not judged. Raises
    `ConfigError` for a name that leads nowhere.
    """
    return conform_each(
        [subject],
        n_cases=n_cases,
        budget_tokens=budget_tokens,
        seed=seed,
        first=first,
        form=form,
        shape=shape,
        every_call=every_call,
        again=again,
        advance=advance,
    )[0]


def conform_each(
    subjects: Sequence[Subject | Trim | str],
    *,
    n_cases: int = 400,
    budget_tokens: int = 300,
    seed: int = 0,
    first: int = 0,
    form: Form = "openai",
    shape: Shape = MIXED,
    every_call: bool = False,
    again: bool = True,
    advance: Callable[[int], object] = lambda n: None,
) -> list[Report]:
    """`conform` for several subjects on the same conversations; equal answers are judged once."""
    found = [subject_of(subject, form) for subject in subjects]
    reports = [Report(s.name, s.version, budget_tokens, seed, form, shape.name) for s in found]
    count = Count()
    for case in transcripts(n_cases, seed=seed, first=first, form=form, shape=shape):
        bench = _Bench(case, budget_tokens, count)
        for subject, report in zip(found, reports, strict=True):
            _Case(subject, bench, report, every_call).run(again)
        advance(1)
    return reports


def wilson(n: int, total: int) -> tuple[float, float, float]:
    """A share and its 95 % interval (Wilson 1927)."""
    if not total:
        return 0.0, 0.0, 0.0
    z, share = 1.96, n / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return share, max(0.0, middle - half), min(1.0, middle + half)


class _Bench:
    """One conversation with a judge for each of its calls, whoever answers them."""

    def __init__(self, case: Transcript, budget_tokens: int, count: Count) -> None:
        self.case, self.budget_tokens, self.count = case, budget_tokens, count
        self._judges: dict[int, Judge] = {}

    def judge(self, stop: int) -> Judge:
        """The judge of the call behind `stop` messages."""
        if stop not in self._judges:
            given = self.case.messages[:stop]
            self._judges[stop] = Judge(given, self.budget_tokens, self.count, self.case.form)
        return self._judges[stop]


class _Case:
    """One conversation under one subject."""

    def __init__(self, subject: Subject, bench: _Bench, report: Report, every_call: bool) -> None:
        self.subject, self.case, self.report = subject, bench.case, report
        self.bench, self.count, self.every_call = bench, bench.count, every_call
        self.findings: dict[str, str] = {}

    def run(self, again: bool) -> None:
        trim = self.subject.begin()
        before: list[Wire] | None = None
        answer: Any = None
        for stop in self.case.calls:
            answer = self._answer(trim, stop)
            if self.every_call or stop == self.case.calls[-1]:
                self._judge(stop, answer)
            if isinstance(answer, list):
                shown = cast("list[Wire]", answer)
                if before is not None:
                    self._compare(before, shown)
                before = shown
        if again:
            self._again(answer)
        self._report()

    def _answer(self, trim: Trim, stop: int) -> Any:
        """What the subject makes of the history so far, or what it raised."""
        said = list(self.case.messages[:stop])
        given: list[Wire] = copied(said)
        try:
            answer: Any = copied(trim(given, self.report.budget_tokens, self.count))
        except Exception as error:  # noqa: BLE001  what a subject raises is what is being judged
            answer = error
        if given != said:
            self._find(Finding("unmutated", f"call at {stop}: its messages were changed"))
        return answer

    def _judge(self, stop: int, answer: Any) -> None:
        report, judge = self.report, self.bench.judge(stop)
        report.n_calls += 1
        report.n_tight += judge.is_tight
        if isinstance(answer, Exception):
            if not judge.is_tight:
                said = " ".join(str(answer).split())[:160]
                self._find(Finding("answers", f"raised {type(answer).__name__}: {said}"))
            return
        for finding in judge.findings(answer):
            self._find(finding)

    def _again(self, answer: Any) -> None:
        """The last call once more; a subject that goes through a conversation goes through all of it."""
        trim = self.subject.begin()
        again: Any = None
        for stop in self.case.calls if self.subject.stateful else self.case.calls[-1:]:
            again = self._answer(trim, stop)
        same = again == answer or (isinstance(answer, Exception) and type(again) is type(answer))
        if not same:
            self._find(Finding("deterministic", "another answer the second time"))

    def _compare(self, before: list[Wire], after: list[Wire]) -> None:
        shared = 0
        while shared < min(len(before), len(after)) and before[shared] == after[shared]:
            shared += 1
        self.report.n_followed += 1
        self.report.n_moved += shared < len(before)
        try:
            self.report.sent_tokens += self.count(after)
            self.report.shared_tokens += self.count(after[:shared])
        except Exception as error:  # noqa: BLE001  of no known form, so nothing that can be counted
            self._find(Finding("valid", f"cannot be counted: {error}"))

    def _find(self, finding: Finding) -> None:
        self.findings.setdefault(finding.law, finding.text)

    def _report(self) -> None:
        report = self.report
        report.n_cases += 1
        for law, text in self.findings.items():
            report.broken[law] += 1
            examples = report.examples.setdefault(law, [])
            if len(examples) < EXAMPLES:
                examples.append(f"{self.case.name}: {text}")
