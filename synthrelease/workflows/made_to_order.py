"""Rows made to order (``--condition``, ``--balance``): what was asked for, and what they are compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from synthrelease.core.contracts import MINIMUM_ROWS, Evidence, Split, Table
from synthrelease.core.errors import InputError
from synthrelease.schema import row_conditions
from synthrelease.schema.row_conditions import Condition
from synthrelease.synthesis.maker import Wish
from synthrelease.workflows.run_context import Run
from synthrelease.workflows.run_options import BuildOptions


@dataclass(frozen=True, slots=True)
class Order:
    """Which rows are wanted, which columns are best written first for that, and how many real rows are of that kind.

    ``real_rows`` is None where all rows are wanted.
    """

    wish: Wish = Wish()  # noqa: RUF009 - frozen
    leading: tuple[str, ...] = ()
    real_rows: int | None = None


def ordered(options: BuildOptions, split: Split, *, min_cell: int) -> Order:
    """Read which rows are wanted, and which columns had better be written first for that.

    Raises:
        InputError: a condition is not one of the table's columns, or too few real rows or patients meet it.
    """
    wanted = row_conditions.parsed(options.conditions, split.train.schema)
    row_conditions.check(split.train, wanted, min_cell=min_cell)
    found = _real_rows(split, wanted) if wanted else None
    if options.balance is None:
        return Order(Wish(wanted), row_conditions.leading(split.train, wanted), found)
    _check_balance(options.balance, split.train, wanted)
    classes = row_conditions.classes(split.train, options.balance, min_cell=min_cell)
    rarest = [leading for each in classes if (leading := row_conditions.leading(split.train, (*wanted, each)))]
    return Order(Wish(wanted, classes), max(rarest, key=len, default=()), found)


def _real_rows(split: Split, wanted: tuple[Condition, ...]) -> int:
    """How many real rows meet the conditions; each side needs enough of them."""
    sides = {each: len(row_conditions.restricted(getattr(split, each), wanted)) for each in ("train", "holdout")}
    for side, found in sides.items():
        if found < MINIMUM_ROWS:
            raise InputError(
                f"An audit compares made rows with at least {MINIMUM_ROWS} real ones of their kind, however {found} "
                f"rows of the {side} part meet the --condition. Widen it."
            )
    return sum(sides.values())


def training_rows(order: Order, split: Split) -> int:
    """How many training rows are of the kind that is wanted."""
    return len(row_conditions.restricted(split.train, order.wish.conditions))


def _check_balance(column: str, train: Table, wanted: tuple[Condition, ...]) -> None:
    if column in {each.column for each in wanted}:
        raise InputError(f"{column!r} can stand in --condition or in --balance, not in both. Leave one out.")
    if train.schema.unit is not None:
        raise InputError(
            "--balance counts rows, however this table has several rows a patient, who keep their labels. "
            "Aggregate it to one row a patient first."
        )


def evidence(run: Run, split: Split, *, made: Table, wish: Wish) -> Evidence:
    """The tables that are compared: of made-to-order rows, with the real rows of their kind."""
    train, holdout = (row_conditions.restricted(each, wish.conditions) for each in (split.train, split.holdout))
    compared = Evidence(train, holdout, made, run.derived("audit"), run.policy.confidence)
    if wish.conditions:
        words = ", ".join(each.words for each in wish.conditions)
        run.recorder.notice(
            f"Every row meets {words}. The generator learned from all training rows; the audit compares with the "
            f"{len(train):,} training and {len(holdout):,} holdout rows that meet it, and trains no generator again."
        )
    if not wish.classes:
        return compared
    column = wish.classes[0].column
    thinned = row_conditions.proportional(made, train, column, seed=run.derived("proportional"))
    run.recorder.notice(
        f"The classes of {column!r} were made equally frequent, which they are not among patients. Likeness and "
        f"usefulness are judged on {len(thinned):,} of the {len(made):,} rows, in which the classes have their real "
        "shares; privacy on all of them. The audit trains no generator again."
    )
    return replace(compared, proportional=thinned)
