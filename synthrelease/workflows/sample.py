"""More rows from a generator that an earlier build trained: ``synthrelease sample``. Nobody has audited them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from synthrelease.core import files
from synthrelease.core.errors import InputError
from synthrelease.data import table_reader, table_writer
from synthrelease.report.foremost_warnings import SHARPENED
from synthrelease.schema import row_conditions
from synthrelease.synthesis import label_sharpening
from synthrelease.synthesis import maker as makers
from synthrelease.synthesis.maker import Maker, Wish
from synthrelease.workflows.run_context import NOTABLE_SHARE, derived
from synthrelease.workflows.run_options import NOT_PUBLIC, Multiple

NOT_AUDITED = "Nobody has audited these rows. Keep them inside; `synthrelease audit` judges them like any other table."
IDENTIFIERS = (
    "Identifiers are invented. The real ones are not kept with the model, so that one may equal a real one by chance; "
    "an audit replaces them."
)


@dataclass(frozen=True, slots=True)
class Sampled:
    """Where the rows lie and how many, the seed that repeats them, and what the steward should know."""

    path: Path
    rows: int
    seed: int
    notices: tuple[str, ...]


def sample(
    run: Path, asked: int | Multiple, *, out: Path | None, seed: int | None, wanted: tuple[str, ...] = ()
) -> Sampled:
    """Draw rows from the generator in a run folder and write them in the look of the run's synthetic table.

    They are written beside it, into ``quarantine/``, unless ``out`` says otherwise, with a JSON file of the same name
    that says what they are.

    Raises:
        InputError: the folder holds no finished build, ``out`` is taken or has another format, ``wanted`` is wrong, or
            ``asked`` is a multiple of a number of rows that is not public.
        TrainingError: too few rows meet the conditions or obey the constraints.
    """
    maker = makers.load(run / "internal")
    rows = asked if isinstance(asked, int) else _multiplied(asked, maker)
    (table, *_) = [*_tables(run / "release"), *_tables(run / "quarantine"), None]
    if table is None or rows < 1:
        found = f"{rows} rows were asked for" if rows < 1 else f"{run} holds none"
        raise InputError(f"Rows are drawn, one or more, in the look of a run's synthetic table, however {found}.")
    chosen = secrets.randbelow(2**31) if seed is None else seed
    style = table_reader.read(table, maker.schema, origin="synthetic", cells="lenient").style
    path = out or run / "quarantine" / f"sample-{rows}-{chosen}.{style.format.suffix}"
    if path.exists() or not path.name.endswith(f".{style.format.suffix}"):
        found = "exists" if path.exists() else "does not"
        raise InputError(
            f"--out must name a new file that ends in .{style.format.suffix}, however {path} {found}. Rename it."
        )
    wish, left_out = Wish(row_conditions.parsed(wanted, maker.schema)), list[float]()
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = maker.frames(rows, wish, seed=lambda purpose: derived(chosen, purpose), on_end=left_out.append)
    table_writer.write(frames, maker.schema, style, path, seed=derived(chosen, "surrogates"))
    notices = [SHARPENED] if label_sharpening.is_done(maker.fitted) else []
    notices.append(NOT_AUDITED)
    if any(column.role in ("identifier", "unit") for column in maker.schema.columns):
        notices.append(IDENTIFIERS)
    if max(left_out, default=0.0) > NOTABLE_SHARE:
        notices.append(f"{max(left_out):.0%} of the rows drawn broke a constraint and others were drawn instead.")
    facts = {
        "audited": False,
        "run": run.resolve().name,
        "rows": rows,
        "seed": chosen,
        "conditions": [each.words for each in wish.conditions],
        "synthetic (SHA-256)": files.sha256(path),
        "notices": notices,
    }
    files.write_json(path.with_name(f"{path.name}.json"), facts)
    return Sampled(path, rows, chosen, tuple(notices))


def _tables(folder: Path) -> list[Path]:
    """The synthetic table, or the copies of it."""
    return [path for path in sorted(folder.glob("synthetic[.-]*")) if path.suffix != ".json"]  # no list of copies


def _multiplied(asked: Multiple, maker: Maker) -> int:
    """So many times as many rows as the generator learned from.

    Raises:
        InputError: it learned under differential privacy, and how many there were is not public.
    """
    known = maker.fitted.description
    real = known.get("training_rows", known.get("units") if maker.schema.rows_are_public else None)
    if real is None:
        raise InputError(f"--rows {asked} needs a number of real rows that is public. {NOT_PUBLIC}")
    return round(asked.times * int(real))
