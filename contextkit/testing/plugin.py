"""A pytest plugin: `--contextkit-subject my_module:trim` adds one test for each law.

Without the option nothing is added; `conformance_cases` (made-up conversations) and `conforms` (judges a
trimmer) are fixtures for tests of one's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from contextkit.testing.conformance import Report
    from contextkit.testing.conversations import Transcript
    from contextkit.testing.subjects import Subject, Trim


class LawBroken(AssertionError):
    """A trimmer breaks a law of `contextkit.testing`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, in a group of their own."""
    group = parser.getgroup("contextkit", "laws of managed context")
    group.addoption("--contextkit-subject", metavar="NAME", default=None,
                    help="Trimmer to judge: module:function, peer:NAME or a YAML file.")  # fmt: skip
    group.addoption("--contextkit-cases", type=int, default=400, help="Transcripts (400).")
    group.addoption("--contextkit-budget", type=int, default=300, help="Tokens of an answer (300).")
    group.addoption("--contextkit-seed", type=int, default=0, help="Seed of the transcripts (0).")
    group.addoption("--contextkit-form", choices=("openai", "anthropic"), default="openai",
                    help="Whose message form (openai).")  # fmt: skip
    group.addoption("--contextkit-shape", choices=("mixed", "tools"), default="mixed",
                    help="How transcripts are drawn (mixed).")  # fmt: skip


def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """One more test for each law, where a subject is named."""
    name = _option(session.config, "subject")
    if name is None:
        return
    from contextkit.testing.laws import LAWS

    judged = _Judged(session.config, name)
    make = cast("Any", LawItem).from_parent
    for law in LAWS:
        place = f"{name}::{law}"
        items.append(make(session, name=law, nodeid=place, law=law, judged=judged))


class LawItem(pytest.Item):
    """The test of one law; all laws of a subject share one run."""

    def __init__(self, *, law: str, judged: _Judged, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # pyright: ignore[reportUnknownMemberType]
        self.law, self.judged = law, judged

    def runtest(self) -> None:
        """Fails where a transcript breaks the law."""
        report = self.judged.report()
        if report.broken[self.law]:
            raise LawBroken(told(report, self.law))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The finding alone; a traceback through the judge would tell nothing."""
        if excinfo.errisinstance(LawBroken):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where it stands: in no file of the caller's."""
        return self.nodeid, None, self.nodeid


class _Judged:
    """The one run of a subject, made when its first law is asked for."""

    def __init__(self, config: pytest.Config, name: str) -> None:
        self._config, self._name = config, name
        self._report: Report | None = None

    def report(self) -> Report:
        if self._report is None:
            self._report = _conform(self._config, self._name)
        return self._report


def _option(config: pytest.Config, name: str) -> Any:
    return config.getoption(f"--contextkit-{name}")


def _conform(config: pytest.Config, subject: Subject | Trim | str) -> Report:
    from contextkit.testing.conformance import conform
    from contextkit.testing.shapes import SHAPES

    return conform(
        subject,
        n_cases=_option(config, "cases"),
        budget_tokens=_option(config, "budget"),
        seed=_option(config, "seed"),
        form=_option(config, "form"),
        shape=SHAPES[_option(config, "shape")],
    )


def told(report: Report, law: str) -> str:
    """How often a law is broken, and the first transcripts that do."""
    from contextkit.testing.laws import LAWS

    head = f"{report.subject}: {report.broken[law]} of {report.n_cases} transcripts break {law!r}"
    return "\n".join([f"{head} ({LAWS[law]})", *report.examples[law]])


@pytest.fixture
def conformance_cases(pytestconfig: pytest.Config) -> list[Transcript]:
    """The made-up conversations that the options describe."""
    from contextkit.testing.conversations import transcripts
    from contextkit.testing.shapes import SHAPES

    n_cases, seed = _option(pytestconfig, "cases"), _option(pytestconfig, "seed")
    form, shape = _option(pytestconfig, "form"), SHAPES[_option(pytestconfig, "shape")]
    return list(transcripts(n_cases, seed=seed, form=form, shape=shape))


@pytest.fixture
def conforms(pytestconfig: pytest.Config) -> Callable[..., Report]:
    """`conforms(trim)`: judges a trimmer by the options; raises `LawBroken` for the first broken law."""

    def check(subject: Subject | Trim | str, *laws: str) -> Report:
        report = _conform(pytestconfig, subject)
        for law in laws or report.broken:
            if report.broken[law]:
                raise LawBroken(told(report, law))
        return report

    return check
