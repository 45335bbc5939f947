"""The frozen types that pass between stages; what a schema declares comes first, in ``schema_types``.

Read them in order: they follow a table from the file to the verdict. What differential privacy promises stands in
``privacy_types``, what a policy asks in ``policy_types``, what an audit inside a training sees in ``canary_types``.
Import all of them from here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from synthrelease.core.canary_types import CanaryFinding as CanaryFinding
from synthrelease.core.canary_types import Place as Place
from synthrelease.core.canary_types import Witness as Witness
from synthrelease.core.figure_types import Figure as Figure
from synthrelease.core.figure_types import Line as Line
from synthrelease.core.policy_types import Caps as Caps
from synthrelease.core.policy_types import Coarsening as Coarsening
from synthrelease.core.policy_types import Policy as Policy
from synthrelease.core.policy_types import Rule as Rule
from synthrelease.core.policy_types import Severity as Severity
from synthrelease.core.policy_types import Signing as Signing
from synthrelease.core.privacy_types import AttackBound as AttackBound
from synthrelease.core.privacy_types import CanaryFacts as CanaryFacts
from synthrelease.core.privacy_types import PairSignal as PairSignal
from synthrelease.core.privacy_types import PrivacyBudget as PrivacyBudget
from synthrelease.core.privacy_types import PrivacyClaim as PrivacyClaim
from synthrelease.core.privacy_types import PrivacyFacts as PrivacyFacts
from synthrelease.core.privacy_types import PrivacySpend as PrivacySpend
from synthrelease.core.privacy_types import PrivacyUnit as PrivacyUnit
from synthrelease.core.privacy_types import PublicFact as PublicFact
from synthrelease.core.schema_types import MOMENTS as MOMENTS
from synthrelease.core.schema_types import NO_TREATMENT as NO_TREATMENT
from synthrelease.core.schema_types import NUMBERS as NUMBERS
from synthrelease.core.schema_types import Analysis as Analysis
from synthrelease.core.schema_types import Column as Column
from synthrelease.core.schema_types import Constraint as Constraint
from synthrelease.core.schema_types import DeclaredSchema as DeclaredSchema
from synthrelease.core.schema_types import Kind as Kind
from synthrelease.core.schema_types import LearnedSchema as LearnedSchema
from synthrelease.core.schema_types import Model as Model
from synthrelease.core.schema_types import ModelledSchema as ModelledSchema
from synthrelease.core.schema_types import OpenedSchema as OpenedSchema
from synthrelease.core.schema_types import Role as Role
from synthrelease.core.schema_types import Schema as Schema
from synthrelease.core.schema_types import Treatment as Treatment

if TYPE_CHECKING:  # Python knows defaults of type variables from 3.13 on; type checkers do already
    from typing_extensions import TypeVar

    State = TypeVar("State", bound=Schema)
    State_co = TypeVar("State_co", bound=Schema, covariant=True, default=LearnedSchema)
else:
    from typing import TypeVar

    State = TypeVar("State", bound=Schema)
    State_co = TypeVar("State_co", bound=Schema, covariant=True)

Origin = Literal["real", "synthetic"]
Status = Literal["measured", "not_applicable", "too_few_rows", "crashed"]
Outcome = Literal["met", "breached", "no_evidence"]
Decision = Literal["release", "refuse", "undecided"]
DigestName = Literal["synthetic", "table", "train", "holdout", "reference", "handed_in", "schema", "policy"]
"""What a digest is of. ``synthetic``, ``schema`` and ``policy`` have a SHA-256; tables that somebody gave have an HMAC
under a key that stays inside, ``handed_in`` (the synthetic table of an audit, as it came) among them."""

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Table(Generic[State_co]):
    """Rows of the learned columns, in one canonical form.

    ``Table`` alone has a learned schema: checks and repairs take nothing else. ``Table[OpenedSchema]`` is one as read,
    which is coarsened, split and learned from; ``Table[ModelledSchema]`` is what a generator takes, ``Table[Schema]`` a
    table in any state.

    ``frame`` has exactly ``schema.learned`` as its columns, in that order, and a RangeIndex. Numeric and integer
    columns are float64 (NaN = missing); boolean, categorical and ordinal ones are pandas categoricals whose categories
    are exactly ``column.categories`` (code -1 = missing). ``units`` numbers the patient of each row (int64), or is
    None where every row is its own patient. ``outside`` counts, per column, the cells of a vendor's synthetic table
    that lie outside the declared domain; a real table never has any.
    """

    frame: pd.DataFrame
    schema: State_co
    origin: Origin
    units: IntArray | None = None
    outside: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def unit_count(self) -> int:
        """How many patients there are, or rows where each is a patient of its own."""
        return len(self) if self.units is None else len(np.unique(self.units))

    def take(self, rows: np.ndarray[Any, Any]) -> Table[State_co]:
        """Return the given rows (integer positions) as a table of their own."""
        units = None if self.units is None else self.units[rows]
        frame = self.frame.iloc[rows].reset_index(drop=True)
        return Table(frame=frame, schema=self.schema, origin=self.origin, units=units)

    def by(self, schema: State, frame: pd.DataFrame) -> Table[State]:
        """Return the same rows by another schema, whose columns ``frame`` holds."""
        return Table(frame, schema, self.origin, self.units, self.outside)


@dataclass(frozen=True, slots=True)
class Split(Generic[State_co]):
    """Real rows cut by patient before anything is fitted: the generator sees ``train`` only."""

    train: Table[State_co]
    holdout: Table[State_co]


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One progress report of a training loop: the loss values are averages since the last report."""

    step: int
    steps: int
    losses: Mapping[str, float]


class OnStep(Protocol):
    """Receives progress; a generator calls it at once when it starts and then at least every second."""

    def __call__(self, step: TrainingStep) -> None:
        """Take note of the step."""
        ...


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How to train: ``effort`` multiplies the default number of updates, ``seed`` fixes weights and batches.

    ``overrides`` are settings of the generator by name. ``lead``: columns that will be asked for by value, so that a
    generator which writes column by column writes them first. ``privacy``: what may be spent; None trains without
    differential privacy. No noise that protects privacy ever comes from ``seed``. ``witness``: an audit inside.
    ``sharpen_labels``: labels of the target follow the other columns more decisively than was learned, for models that
    predict; effects come out too large. ``bootstrap``: the seed of a Bayesian bootstrap of the patients, for a copy
    whose spread among others says what was not known; None: every patient counts alike.
    """

    seed: int
    effort: float = 1.0
    overrides: Mapping[str, float] = field(default_factory=dict)
    lead: tuple[str, ...] = ()
    privacy: PrivacyBudget | None = None
    witness: Witness | None = None
    sharpen_labels: bool = False
    bootstrap: int | None = None


class Fitted(Protocol):
    """A trained generator: no rows of the training table are in it."""

    @property
    def history(self) -> tuple[TrainingStep, ...]:
        """Progress reports kept from training, at most about 200, first and last included."""
        ...

    @property
    def description(self) -> Mapping[str, Any]:
        """Settings and sizes as plain JSON values, for the report and ``run.json``; no statistic of the data."""
        ...

    @property
    def notices(self) -> tuple[str, ...]:
        """What the reader of the report should know of the training, as sentences."""
        ...

    @property
    def spends(self) -> tuple[PrivacySpend, ...]:
        """Every differentially private touch of the data; empty means that no such promise is made."""
        ...

    def sample(self, rows: int, *, seed: int, chunk_rows: int = 65_536) -> Iterator[pd.DataFrame]:
        """Yield canonical frames that add up to exactly ``rows`` rows, or raise ``TrainingError``."""
        ...

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` into ``folder``; nothing is pickled."""
        ...


@runtime_checkable
class Narrowable(Fitted, Protocol):
    """A trained generator that can keep to chosen values of the columns it writes first (``FitSettings.lead``)."""

    def only(self, wanted: Mapping[str, Collection[str] | tuple[float, float]]) -> Fitted:
        """Return it drawing chosen columns from labels or ranges alone; columns it cannot do so for stay free."""
        ...


class Generator(Protocol):
    """What the generator registry holds: a function from training rows to a trained generator."""

    def __call__(self, train: Table[ModelledSchema], settings: FitSettings, on_step: OnStep) -> Fitted:
        """Train on ``train`` alone."""
        ...


class Refit(Protocol):
    """Trains the release's own generator anew, with the same settings, and samples from it."""

    def __call__(self, train: Table, rows: int, seed: int) -> pd.DataFrame:
        """Return ``rows`` synthetic rows of a generator trained on ``train`` alone."""
        ...


@dataclass(frozen=True, slots=True)
class Refits:
    """What an audit of a release made here may do beside looking at the table: train its generator again.

    ``shadow_models`` and ``folds`` are how many times for the shadow-model attack and for the cross-audit; 0 for not.
    ``null_columns``: once more with so many columns that depend on nothing, to see what is invented; 0 for not.
    ``seconds``: how long the release's own training took, for telling how much time is left.
    """

    refit: Refit
    shadow_models: int = 0
    folds: int = 0
    seconds: float = 0.0
    null_columns: int = 0


MINIMUM_ROWS = 20
"""With fewer rows in any of its tables an audit says nothing."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The only argument of a check.

    ``reference`` is a further sample of real people that the attacker may hold; None means that attacks cross-fit one
    from the holdout. ``confidence`` is one-sided (0.95: each end of an interval is exceeded with probability 5%).
    ``refits`` is None for a table that anything else made: its generator is not at hand. ``proportional``: synthetic
    rows thinned to the training rows' class shares, where classes were made equally frequent on purpose; what says how
    far the table is like the real one, or as useful, rests on these. ``copies``: the tables whose rows ``synthetic``
    holds together, if there are several; likeness and usefulness rest on the one that is least like the training rows.
    """

    train: Table
    holdout: Table
    synthetic: Table
    seed: int
    confidence: float = 0.95
    reference: Table | None = None
    refits: Refits | None = None
    proportional: Table | None = None
    copies: tuple[Table, ...] = ()

    def __post_init__(self) -> None:
        if self.train.origin != "real" or self.holdout.origin != "real":
            raise ValueError("train and holdout must hold real rows")
        if not 0.5 < self.confidence < 1.0:
            raise ValueError("confidence is one-sided and must lie between 0.5 and 1")


@dataclass(frozen=True, slots=True)
class Metric:
    """One number with what is needed to read it.

    ``low`` and ``high`` are one-sided bounds at the evidence's confidence; NaN means not known and never passes a
    rule. ``reference`` is the same number for the holdout twin or the value expected without leakage. ``n`` is how
    many rows the number rests on (for a rule's ``min_n``). ``reading`` is one plain sentence. ``applies`` is False
    where the schema declares nothing that the number could be about, so that a rule on it holds emptily.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    n: int
    reading: str
    reference: float | None = None
    applies: bool = True


@dataclass(frozen=True, slots=True)
class Score:
    """One classifier's or regressor's quality on the holdout, with one-sided bounds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Utility:
    """Downstream models trained on real (``trtr``) and synthetic rows (``tstr``), both tested on the holdout.

    Outer key: model (``decision_tree``, ``logistic_regression``, ``gradient_boosting``, and ``baseline`` that always
    predicts the commonest class or the mean). Inner key: ``accuracy precision recall f1 roc_auc`` or ``r2 mae``.
    """

    task: Literal["classification", "regression"]
    positive: str
    trtr: Mapping[str, Mapping[str, Score]]
    tstr: Mapping[str, Mapping[str, Score]]


@dataclass(frozen=True, slots=True)
class AnalysisFinding:
    """One planned analysis: what it is, its own metrics under the check's names, and a sentence that sums it up."""

    name: str
    words: str
    metrics: tuple[Metric, ...]
    reading: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found; anything but ``measured`` carries no metrics and so can pass no rule."""

    check: str
    status: Status
    n: int = 0
    seconds: float = 0.0
    metrics: tuple[Metric, ...] = ()
    figures: tuple[Figure, ...] = ()
    note: str = ""
    utility: Utility | None = None
    analyses: tuple[AnalysisFinding, ...] = ()

    def metric(self, name: str) -> Metric | None:
        """Return the metric called ``name``, or None."""
        return next((metric for metric in self.metrics if metric.name == name), None)


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """What a check promises to measure: ``question`` is how the report asks it of a reader who is no statistician.

    ``topic`` names the question in a list. ``wanted`` is the answer to it that is good: whether a rule that is met
    means yes or no changes from question to question, so the report says the answer beside the outcome.
    """

    name: str
    question: str
    unit: str
    better: Literal["lower", "higher"]
    topic: str = ""
    wanted: Literal["yes", "no"] = "no"


@dataclass(frozen=True, slots=True)
class CheckSpec:
    """A check's name, what kind of question it answers, its metrics, and one paragraph on how it works."""

    name: str
    title: str
    family: Literal["privacy", "fidelity", "utility", "validity"]
    metrics: tuple[MetricSpec, ...]
    about: str
    cost: float = 1.0
    """Seconds that it takes on a table of 20,000 patients, trainings left out, for telling how much time is left."""


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """A rule held against its metric; ``sentence`` says in plain words what came out and why.

    ``topic`` is the question in short, ``answer`` the answer to it in a word or a few.
    """

    rule: Rule
    outcome: Outcome
    metric: Metric | None
    question: str
    sentence: str
    topic: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class AnalysisOutcome:
    """Whether one planned analysis agrees with real rows: the worst of the policy's rules, held against it alone."""

    name: str
    words: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sum of all rules, worst first. ``deciding`` is the sentence that decided it."""

    decision: Decision
    outcomes: tuple[RuleOutcome, ...]
    deciding: str
    policy: Policy
    analyses: tuple[AnalysisOutcome, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnFact:
    """A column as the report and the data card list it: declared facts only."""

    name: str
    kind: str
    role: str
    domain: str
    treatment: str


@dataclass(frozen=True, slots=True)
class Attempts:
    """What the register knew of a run's source when the run began.

    ``number`` counts the builds and audits of the source under policies of this name, this run included; ``in_all``
    those under any policy. ``at_most`` is the policy's cap. ``releases`` and ``epsilon`` are those before this run.
    ``since``: when the source was first met. ``entry`` is the SHA-256 of the run's own entry: whoever holds it can tell
    whether the register was cut back since.
    """

    number: int
    in_all: int
    at_most: int | None
    releases: int
    epsilon: float
    since: str
    entry: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Everything the report says about a run besides results: aggregates, versions, digests (hex), settings.

    ``was_made_here``: False where another tool made the table, and nothing is known of how. ``labels_are_sharpened``:
    labels of the target were drawn more decisively than they were learned, so that effects are too large. ``copies``:
    how many copies of the table there are, of equal size; ``rows["synthetic"]`` counts the rows of all.
    ``signals``: under differential privacy, which pairs of columns depend on each other by what was counted with noise.
    """

    run: str
    source: str
    created: str
    purpose: str
    generator: str
    was_made_here: bool
    settings: Mapping[str, Any]
    rows: Mapping[str, int]
    columns: tuple[ColumnFact, ...]
    target: str | None
    unit: str
    digests: Mapping[DigestName, str]
    versions: Mapping[str, str]
    seconds: Mapping[str, float]
    not_tested: tuple[str, ...]
    notices: tuple[str, ...] = ()
    history: tuple[Figure, ...] = ()
    privacy: PrivacyFacts | None = None
    canary: CanaryFacts | None = None
    run_id: str = ""  # drawn for this run alone, so that a signature under it fits no other
    attempts: Attempts | None = None
    contact: str = ""
    terms: str = ""
    labels_are_sharpened: bool = False
    copies: int = 1
    signals: tuple[PairSignal, ...] = ()
