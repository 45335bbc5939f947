"""Rules between columns: ``discharge >= admission``, ``if sex == 'M' then pregnancies is missing``, ``a determines b``.

A rule is text in a small language of its own, parsed by a grammar and never run as code. A comparison with a missing
value is neither true nor false (Kleene's logic), and a row breaks a rule only where the rule is plainly false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from synthrelease.core.contracts import BoolArray, Column, Constraint, FloatArray, Schema, Table
from synthrelease.core.errors import InputError, listing

GRAMMAR = r"""
?start: dependency | conditional | truth
dependency: names "determines" names
names: column ("," column)*
conditional: "if" truth "then" truth
?truth: both | truth "or" both -> either
?both: single | both "and" single -> every
?single: comparison | "not" single -> negation
?comparison: sum
    | sum (OPERATOR sum)+ -> compare
    | sum "is" "missing" -> missing
    | sum "is" "not" "missing" -> present
    | sum "in" "[" literal ("," literal)* "]" -> among
    | sum "not" "in" "[" literal ("," literal)* "]" -> not_among
?sum: product | sum "+" product -> add | sum "-" product -> subtract
?product: signed | product "*" signed -> multiply | product "/" signed -> divide
?signed: power | "-" signed -> minus
?power: atom | atom "**" signed -> raised
?atom: NUMBER -> number | TEXT -> text | column | FUNCTION "(" sum ("," sum)* ")" -> call | "(" truth ")"
?literal: NUMBER -> number | "-" NUMBER -> negative | TEXT -> text
column: NAME | QUOTED
OPERATOR: "<=" | ">=" | "==" | "!=" | "<" | ">" | "="
FUNCTION.2: /(abs|min|max|round|sqrt|log|exp)(?=\s*\()/
NAME: /[^\W\d]\w*/
QUOTED: /`[^`]+`/
TEXT: /'[^']*'|"[^"]*"/
NUMBER: /(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?/
%ignore /\s+/
"""

LONGEST_RULE = 500
_SLACK = 1e-9
"""Equations hold up to this share of their sides at least: what float64 arithmetic may cost."""
_DATES = frozenset({"date", "datetime"})

Type = Literal["number", "label", "truth"]
Node = Tree[Token]


@dataclass(frozen=True, slots=True)
class Formula:
    """``target = expression``: a number column that is computed from others."""

    target: str
    expression: Node


@dataclass(frozen=True, slots=True)
class Dependency:
    """``keys`` determine ``outcomes``; for a fixed combination there are no outcomes and all columns are keys."""

    keys: tuple[str, ...]
    outcomes: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the dependency."""
        return (*self.keys, *self.outcomes)


class _FaultError(Exception):
    """What is wrong with a rule; becomes one line of a SchemaError."""


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", maybe_placeholders=False)


@lru_cache(maxsize=256)
def parsed(rule: str) -> Node:
    """Return the tree of a rule that ``problems`` has found well written."""
    return _parser().parse(rule)


def problems(schema: Schema) -> Iterator[str]:
    """Say what is wrong with the schema's constraints, one sentence each with its place."""
    columns = {column.name: column for column in schema.columns}
    for number, constraint in enumerate(schema.constraints, start=1):
        try:
            _check(constraint, columns)
        except _FaultError as fault:
            yield f"constraints[{number}].{fault}"


def _check(constraint: Constraint, columns: Mapping[str, Column]) -> None:
    if bool(constraint.rule) == bool(constraint.combination):
        raise _FaultError("rule: each constraint has either a rule or a combination. Give one of the two")
    if constraint.combination:
        if len(set(constraint.combination)) < max(2, len(constraint.combination)):
            raise _FaultError("combination: names two or more columns, each once. Correct the list")
        for name in constraint.combination:
            _known(name, columns, "combination")
        return
    if len(constraint.rule) > LONGEST_RULE:
        raise _FaultError(f"rule: has at most {LONGEST_RULE} characters. Split it into several")
    try:
        tree = parsed(constraint.rule)
    except UnexpectedInput as error:
        at = f"at character {error.column}" if error.column and error.column > 0 else "at its end"
        raise _FaultError(
            f'rule: cannot be read {at}. Write for example "a <= b", "if a == \'x\' then b is missing", '
            '"a determines b"; put names with other characters than letters and digits in `backticks`'
        ) from None
    found = [_known(_name(node), columns, "rule") for node in tree.find_data("column")]
    if not found:
        raise _FaultError("rule: speaks of no column. Name one")
    if tree.data == "dependency":
        names = dependency(constraint)
        if names is None or len(set(names.columns)) < len(names.columns):
            raise _FaultError("rule: names a column twice. Name each once")
    elif _type(tree, columns) != "truth":
        raise _FaultError("rule: is neither true nor false. Compare two sides")


def _known(name: str, columns: Mapping[str, Column], key: str) -> Column:
    if name not in columns:
        raise _FaultError(f"{key}: {name!r} is no column. Correct the name, or put it whole in `backticks`")
    if not columns[name].is_learned:
        raise _FaultError(f"{key}: {name!r} is never learned (see its kind and role). Leave it out")
    return columns[name]


def _name(node: Node) -> str:
    return str(node.children[0]).strip("`")


def _children(node: Node) -> list[Node]:
    return [child for child in node.children if isinstance(child, Tree)]


_ARITHMETIC = frozenset({"add", "subtract", "multiply", "divide", "minus", "raised", "call"})
_LOGIC = frozenset({"either", "every", "negation", "conditional"})


def _type(node: Node, columns: Mapping[str, Column]) -> Type:
    """What a part of a rule stands for; raises where its parts do not fit together."""
    if node.data == "column":
        return "number" if columns[_name(node)].is_number else "label"
    if node.data in ("number", "negative"):
        return "number"
    if node.data == "text":
        return "label"
    children = _children(node)
    types = [_type(child, columns) for child in children]
    if node.data in _ARITHMETIC:
        if set(types) != {"number"}:
            raise _FaultError("rule: calculates with something that is no number. Use number columns")
        _check_call(node, len(children))
        return "number"
    if node.data in _LOGIC:
        if set(types) != {"truth"}:
            raise _FaultError("rule: joins something that is neither true nor false. Compare two sides first")
        return "truth"
    if node.data in ("missing", "present"):
        if children[0].data != "column":
            raise _FaultError("rule: only a column can be missing. Name one")
        return "truth"
    pairs = pairwise(children) if node.data == "compare" else ((children[0], c) for c in children)
    for left, right in pairs:
        _check_pair(left, right, columns)
    if node.data == "compare":
        _check_order(node, children, columns)
    return "truth"


def _check_call(node: Node, arguments: int) -> None:
    if node.data == "call":
        name = str(node.children[0])
        if (name in ("min", "max")) != (arguments > 1):
            raise _FaultError(f"rule: {name}() takes {'two or more' if name in ('min', 'max') else 'one'} number(s)")


def _check_pair(left: Node, right: Node, columns: Mapping[str, Column]) -> None:
    """Both sides are numbers or both labels; a date may be compared with a text, a label with a bare number."""
    types = {_type(left, columns), _type(right, columns)}
    if "truth" in types:
        raise _FaultError("rule: compares something that is true or false. Use `and`, `or`, `not`")
    for side, other in ((left, right), (right, left)):
        if side.data == "text" and _is_date(other, columns):
            try:
                _days(str(side.children[0]))
            except ValueError:
                raise _FaultError("rule: compares a date with a text that is none. Write 'YYYY-MM-DD'") from None
            return
        if side.data == "column" and not columns[_name(side)].is_number and other.data in ("text", "number"):
            column = columns[_name(side)]
            if not column.learns_levels and _text(other) not in column.categories:
                raise _FaultError(f"rule: compares {column.name!r} with a label that it does not declare. Correct it")
            return
    if len(types) > 1:
        raise _FaultError("rule: compares a number with a label. Compare like with like")


def _check_order(node: Node, children: list[Node], columns: Mapping[str, Column]) -> None:
    signs = {str(sign) for sign in node.children if isinstance(sign, Token)}
    if signs <= {"=", "==", "!="}:
        return
    named = [columns[_name(child)] for child in children if child.data == "column"]
    labels = [column for column in named if not column.is_number]
    if any(column.kind != "ordinal" for column in labels) or len({column.categories for column in labels}) > 1:
        raise _FaultError("rule: puts labels in order that have none. Only ordinal columns of the same categories have")


def _is_date(node: Node, columns: Mapping[str, Column]) -> bool:
    return node.data == "column" and str(columns[_name(node)].kind) in _DATES


def _days(text: str) -> float:
    """A date as days since 1970-01-01, as tables hold it."""
    return float(pd.Timestamp(text[1:-1]).timestamp() / 86_400)


def _text(node: Node) -> str:
    """A literal as the label it spells."""
    token = str(node.children[0])
    return token[1:-1] if node.data == "text" else token


def formula(constraint: Constraint, schema: Schema) -> Formula | None:
    """The constraint as ``column = expression`` of number columns that do not contain it, or None."""
    tree = parsed(constraint.rule) if constraint.rule else None
    if tree is None or tree.data != "compare" or len(tree.children) != 3 or str(tree.children[1]) not in ("=", "=="):
        return None
    left, right = _children(tree)
    if left.data != "column" or not schema.column(_name(left)).is_number or right.data == "text":
        return None
    named = {_name(node) for node in right.find_data("column")}
    return Formula(_name(left), right) if named and _name(left) not in named else None


def blanked(constraint: Constraint) -> tuple[Node, str] | None:
    """``if CONDITION then COLUMN is missing`` as (condition, column), or None."""
    tree = parsed(constraint.rule) if constraint.rule else None
    if tree is None or tree.data != "conditional":
        return None
    condition, outcome = _children(tree)
    return (condition, _name(_children(outcome)[0])) if outcome.data == "missing" else None


def dependency(constraint: Constraint) -> Dependency | None:
    """The constraint as a dependency (or a fixed combination), or None if it is another rule."""
    if constraint.combination:
        return Dependency(constraint.combination, ())
    tree = parsed(constraint.rule)
    if tree.data != "dependency":
        return None
    keys, outcomes = (tuple(_name(node) for node in _children(side)) for side in _children(tree))
    return Dependency(keys, outcomes)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What a rule is evaluated on."""

    frame: pd.DataFrame
    columns: Mapping[str, Column]
    tolerance: float = 0.0


def numbers(node: Node, frame: pd.DataFrame, schema: Schema) -> FloatArray:
    """The value of a number expression in each row: float64 (rows,), NaN where it is not known or not finite."""
    values = _numbers(node, _Rows(frame, {column.name: column for column in schema.learned}))
    return np.where(np.isfinite(values), values, np.nan)


def truths(node: Node, frame: pd.DataFrame, schema: Schema, *, tolerance: float = 0.0) -> FloatArray:
    """How true a condition is in each row: 1 true, 0 false, 0.5 not known; float64 (rows,)."""
    return _truths(node, _Rows(frame, {column.name: column for column in schema.learned}, tolerance))


def broken(frame: pd.DataFrame, constraint: Constraint, schema: Schema) -> BoolArray:
    """Which rows break a rule that can be told from the row alone, (rows,); nobody breaks a dependency this way."""
    if dependency(constraint) is not None:
        return np.zeros(len(frame), dtype=np.bool_)
    return np.asarray(truths(parsed(constraint.rule), frame, schema, tolerance=constraint.tolerance) == 0.0)


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs,
    "round": np.rint,
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
}


def _numbers(node: Node, rows: _Rows) -> FloatArray:
    if node.data == "column":
        return rows.frame[_name(node)].to_numpy(dtype=np.float64)
    if node.data in ("number", "negative"):
        sign = -1.0 if node.data == "negative" else 1.0
        return np.full(len(rows.frame), sign * float(str(node.children[0])))
    if node.data == "text":
        return np.full(len(rows.frame), _days(str(node.children[0])))
    values = [_numbers(child, rows) for child in _children(node)]
    with np.errstate(all="ignore"):  # what cannot be calculated is not known
        return np.asarray(_calculated(node, values), dtype=np.float64)


def _calculated(node: Node, values: list[FloatArray]) -> Any:
    if node.data == "call":
        name = str(node.children[0])
        if name in ("min", "max"):
            return (np.minimum if name == "min" else np.maximum).reduce(values)
        return _FUNCTIONS[name](values[0])
    if node.data == "minus":
        return -values[0]
    left, right = values
    if node.data == "add":
        return left + right
    if node.data == "subtract":
        return left - right
    if node.data == "multiply":
        return left * right
    if node.data == "divide":
        return left / right
    return np.power(left, right)


def _truths(node: Node, rows: _Rows) -> FloatArray:
    children = _children(node)
    if node.data == "conditional":
        return np.asarray(np.maximum(1.0 - _truths(children[0], rows), _truths(children[1], rows)))
    if node.data in ("either", "every"):
        join = np.maximum if node.data == "either" else np.minimum
        return np.asarray(join(_truths(children[0], rows), _truths(children[1], rows)))
    if node.data == "negation":
        return 1.0 - _truths(children[0], rows)
    if node.data in ("missing", "present"):
        gaps = rows.frame[_name(children[0])].isna().to_numpy()
        return (gaps if node.data == "missing" else ~gaps).astype(np.float64)
    if node.data in ("among", "not_among"):
        hits = np.maximum.reduce([_compared(children[0], "==", literal, rows) for literal in children[1:]])
        return np.asarray(hits if node.data == "among" else 1.0 - hits)
    signs = [str(sign) for sign in node.children if isinstance(sign, Token)]
    chain = zip(children, signs, children[1:], strict=False)
    return np.asarray(np.minimum.reduce([_compared(left, sign, right, rows) for left, sign, right in chain]))


def _compared(left: Node, sign: str, right: Node, rows: _Rows) -> FloatArray:
    labels = next((c for c in (left, right) if c.data == "column" and not rows.columns[_name(c)].is_number), None)
    if labels is None:
        first, second = _numbers(left, rows), _numbers(right, rows)
        slack = np.maximum(rows.tolerance, _SLACK * np.maximum(np.abs(first), np.abs(second)))
    else:
        categories = rows.columns[_name(labels)].categories
        first, second = (_label_places(side, categories, rows) for side in (left, right))
        slack = np.zeros(len(first))
    gap = first - second
    answers: Mapping[str, BoolArray] = {
        "=": np.abs(gap) <= slack,
        "==": np.abs(gap) <= slack,
        "!=": np.abs(gap) > slack,
        "<": gap < 0,
        "<=": gap <= 0,
        ">": gap > 0,
        ">=": gap >= 0,
    }
    return np.where(np.isnan(gap), 0.5, answers[sign].astype(np.float64))


def _label_places(node: Node, categories: tuple[str, ...], rows: _Rows) -> FloatArray:
    """Labels as their place among ``categories``: NaN missing, -1 for a label that is none of them."""
    place = {label: float(at) for at, label in enumerate(categories)}
    if node.data != "column":
        return np.full(len(rows.frame), place.get(_text(node), -1.0))
    own = rows.columns[_name(node)].categories
    # Labels of another column that are unknown here each get a place of their own: unlike every known one.
    places = np.array([*(place.get(label, -2.0 - at) for at, label in enumerate(own)), np.nan])
    return np.asarray(places[rows.frame[_name(node)].cat.codes.to_numpy()])


def check(table: Table[Schema]) -> None:
    """Refuse real rows that break a declared rule.

    Raises:
        InputError: rows break a rule; the message says how many break which.
    """
    found = []
    for constraint in table.schema.constraints:
        count = int(broken(table.frame, constraint, table.schema).sum()) + _ambiguous(table.frame, constraint)
        if count:
            rows = "1 row breaks" if count == 1 else f"{count:,} rows break"
            why = f", which the analysis {constraint.analysis!r} needs" if constraint.analysis else ""
            found.append(f"{rows} the rule {constraint.words!r}{why}")
    if found:
        title = "Real rows must obey the schema's constraints. Correct the rows, or the rule (or its tolerance):"
        raise InputError(listing(title, found))


def _ambiguous(frame: pd.DataFrame, constraint: Constraint) -> int:
    """Rows whose values are not those that most rows with the same keys have; 0 where it is no dependency."""
    names = dependency(constraint)
    if names is None or not names.outcomes:
        return 0
    counts = frame.groupby([*names.columns], dropna=False, observed=True, sort=False).size()
    commonest = counts.groupby([*names.keys], dropna=False, observed=True, sort=False).max()
    return int(counts.sum() - commonest.sum())


def outside(frame: pd.DataFrame, names: Dependency, known: pd.DataFrame) -> BoolArray:
    """Which rows have a combination of ``names`` that no row of ``known`` has, (rows,).

    For a dependency whose keys ``known`` lacks, the rows that differ from most rows with the same keys.
    """
    new = ~_found(frame, known, names.columns)
    if not names.outcomes:
        return new
    unseen = ~_found(frame, known, names.keys)
    pairs = frame.groupby([*names.columns], dropna=False, observed=True, sort=False).ngroup().to_numpy()
    keys = frame.groupby([*names.keys], dropna=False, observed=True, sort=False).ngroup().to_numpy()
    counts = np.bincount(pairs, minlength=1)[pairs]
    order = np.lexsort((pairs, -counts, keys))
    first = np.r_[True, np.diff(keys[order]) != 0][: len(order)]
    winner = np.zeros(int(keys.max(initial=-1)) + 1, dtype=np.int64)
    winner[keys[order][first]] = pairs[order][first]
    return np.asarray(np.where(unseen, pairs != winner[keys], new), dtype=np.bool_)


def _found(frame: pd.DataFrame, known: pd.DataFrame, columns: tuple[str, ...]) -> BoolArray:
    names = [*columns]
    merged = frame[names].merge(known[names].drop_duplicates(), on=names, how="left", indicator="\0")
    return np.asarray(merged["\0"] == "both", dtype=np.bool_)


def violations(table: Table, train: Table) -> dict[str, BoolArray]:
    """Which rows break each constraint, by its words; combinations and dependencies are held to the training rows."""
    out = {}
    for constraint in table.schema.constraints:
        names = dependency(constraint)
        out[constraint.words] = (
            broken(table.frame, constraint, table.schema) if names is None else outside(table.frame, names, train.frame)
        )
    return out
