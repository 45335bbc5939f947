"""Move the package from 101 flat modules into ten rooms: ``python tests/redraw.py CHECKOUT`` (needs libcst).

This is how the layout came to be, kept so that work begun on the old layout can be carried over by the same rules:
``MOVES`` says where each module went, ``SPLITS`` which definitions went elsewhere than their module, and ``TESTS``
where the tests are. References are found by scope, not by text, so nothing but names and places changes.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider, ScopeProvider

MOVES = dict(
    line.split()
    for line in """
audit.py evaluation/runner.py
checks/__init__.py evaluation/checks/__init__.py
checks/_attacks.py evaluation/checks/_attacks.py
checks/_cells.py evaluation/checks/_cells.py
checks/_coding.py evaluation/checks/_coding.py
checks/_foreseen.py evaluation/checks/_control_variates.py
checks/_models.py evaluation/checks/_models.py
checks/_pictures.py evaluation/checks/_pictures.py
checks/_pool.py evaluation/checks/_pool.py
checks/_risk.py evaluation/checks/_risk.py
checks/_scores.py evaluation/checks/_scores.py
checks/attributes.py evaluation/checks/attributes.py
checks/combinations.py evaluation/checks/combinations.py
checks/copies.py evaluation/checks/copies.py
checks/cross_audit.py evaluation/checks/cross_audit.py
checks/distances.py evaluation/checks/distances.py
checks/downstream.py evaluation/checks/downstream.py
checks/fidelity.py evaluation/checks/fidelity.py
checks/identity.py evaluation/checks/identity.py
checks/inference.py evaluation/checks/inference.py
checks/linkability.py evaluation/checks/linkability.py
checks/membership.py evaluation/checks/membership.py
checks/near_tail.py evaluation/checks/near_tail.py
checks/realism.py evaluation/checks/realism.py
checks/shadow.py evaluation/checks/shadow.py
checks/singling_out.py evaluation/checks/singling_out.py
checks/utility.py evaluation/checks/utility.py
checks/validity.py evaluation/checks/validity.py
intervals.py evaluation/statistics/confidence_intervals.py
halving.py evaluation/statistics/half_sampling.py
exchange.py evaluation/statistics/permutation_tests.py
neighbours.py evaluation/statistics/nearest_neighbours.py
space.py evaluation/statistics/gower_embedding.py
cli.py cli/main.py
office.py cli/governance_commands.py
conversation.py cli/inspect_view.py
ending.py cli/verdict_view.py
explanation.py cli/explain_view.py
standings.py cli/status_view.py
guarding.py cli/error_handling.py
contracts.py core/contracts.py
claims.py core/privacy_types.py
declarations.py core/schema_types.py
demands.py core/policy_types.py
witnessing.py core/canary_types.py
errors.py core/errors.py
wording.py core/formatting.py
tablefile.py data/raw_table.py
tables.py data/table_reader.py
layout.py data/table_writer.py
parquet.py data/arrow_cells.py
surrogates.py data/pseudonyms.py
levels.py data/learned_categories.py
formats/__init__.py data/formats/__init__.py
formats/archives.py data/formats/archives.py
formats/arrowfiles.py data/formats/arrow_files.py
formats/csvtext.py data/formats/csv_files.py
formats/database.py data/formats/database.py
formats/excel.py data/formats/excel.py
formats/place.py data/formats/location.py
formats/statistics.py data/formats/stata_spss_sas.py
formats/typed.py data/formats/typed_columns.py
policy.py governance/policy_file.py
gate.py governance/gate.py
register.py governance/register.py
trail.py governance/source_attempts.py
keys.py governance/keys.py
signing.py governance/approval_records.py
decisions.py governance/approvals_html.py
signoff.py governance/sign_off.py
outcomes.py governance/finished_run.py
bundle.py governance/release_bundle.py
runs.py governance/run_folder.py
handing.py governance/handoff.py
package.py governance/package_format.py
verification.py governance/package_verification.py
reviewing.py governance/review_server.py
accounting.py privacy/accounting.py
budget.py privacy/claim.py
ceilings.py privacy/attack_bounds.py
osnoise.py privacy/noise.py
onerun.py privacy/one_run_audit.py
report.py report/internal_report.py
front.py report/first_screen.py
views.py report/view_models.py
phrases.py report/outcome_terms.py
gaps.py report/not_tested.py
remedies.py report/next_steps.py
regulations.py report/regulations.py
ledger.py report/privacy_section.py
datacard.py report/data_card.py
croissant.py report/croissant.py
pages.py report/templating.py
record.py report/json_records.py
charts.py report/figures/charts.py
grids.py report/figures/grids.py
svg.py report/figures/svg.py
masking.py report/figures/small_count_masking.py
history.py report/figures/training_curves.py
schema.py schema/schema_file.py
schemablocks.py schema/schema_file_blocks.py
schemawords.py schema/schema_file_messages.py
constraints.py schema/constraints.py
conditions.py schema/row_conditions.py
moments.py schema/datetimes.py
scales.py schema/name_hints.py
generalise.py schema/generalisation.py
identifiers.py schema/identifiers/detection.py
shapes.py schema/identifiers/patterns.py
vocabulary.py schema/identifiers/column_names.py
screening.py schema/identifiers/screening.py
repairs.py synthesis/constraint_repair.py
patients.py synthesis/patient_grouping.py
making.py synthesis/maker.py
refitting.py synthesis/refit.py
oversampling.py synthesis/oversampling.py
balance.py synthesis/imblearn_sampler.py
canary.py synthesis/canary_audit.py
encoding.py synthesis/encoding/table_encoder.py
binning.py synthesis/encoding/binning.py
transforms.py synthesis/encoding/datetime_transforms.py
generators/__init__.py synthesis/generators/__init__.py
generators/progress.py synthesis/generators/progress.py
generators/monitors.py synthesis/generators/divergence_monitor.py
generators/gan.py synthesis/generators/autoregressive_gan/generator.py
generators/training.py synthesis/generators/autoregressive_gan/training.py
generators/rowwriter.py synthesis/generators/autoregressive_gan/masked_network.py
generators/cells.py synthesis/generators/autoregressive_gan/column_cells.py
generators/drawing.py synthesis/generators/autoregressive_gan/sampling.py
generators/config.py synthesis/generators/autoregressive_gan/config.py
generators/stopping.py synthesis/generators/autoregressive_gan/early_stopping.py
generators/networks.py synthesis/generators/autoregressive_gan/critic.py
generators/balanced.py synthesis/generators/autoregressive_gan/cube_sampling.py
generators/marginals.py synthesis/generators/marginals/generator.py
generators/matching.py synthesis/generators/marginals/marginal_loss.py
generators/layout.py synthesis/generators/marginals/features.py
generators/private.py synthesis/generators/private/generator.py
generators/measuring.py synthesis/generators/private/noisy_counts.py
generators/denoising.py synthesis/generators/private/denoising.py
generators/codebook.py synthesis/generators/private/codebook.py
generators/mixture.py synthesis/generators/private/mixture_network.py
generators/effects.py synthesis/generators/private/target_model.py
generators/labelling.py synthesis/generators/private/target_sampling.py
generators/domain.py synthesis/generators/private/public_domain.py
generators/learning.py synthesis/generators/private/domain_learning.py
generators/ladders.py synthesis/generators/private/public_grids.py
generators/dpgan.py synthesis/generators/private/dp_gan.py
generators/dpsgd.py synthesis/generators/private/dp_sgd.py
generators/adversary.py synthesis/generators/private/dp_critic.py
generators/pulls.py synthesis/generators/private/ghost_gradients.py
generators/paper.py synthesis/generators/tanaka_aranha/generator.py
generators/papertraining.py synthesis/generators/tanaka_aranha/training.py
generators/perceptron.py synthesis/generators/tanaka_aranha/perceptron.py
generators/unitscale.py synthesis/generators/tanaka_aranha/unit_scaling.py
pipeline.py workflows/build.py
intake.py workflows/prepare_tables.py
promise.py workflows/private_preparation.py
filing.py workflows/record_run.py
sampling.py workflows/sample.py
balancing.py workflows/balance.py
demonstration.py workflows/demo_table.py
drafting.py workflows/inspect/draft_schema.py
dating.py workflows/inspect/date_inference.py
relations.py workflows/inspect/column_dependencies.py
oddities.py workflows/inspect/cell_anomalies.py
inspection.py workflows/inspect/profile.py
merging.py workflows/inspect/schema_merge.py
paper/__init__.py workflows/paper/__init__.py
paper/comparison.py workflows/paper/comparison.py
paper/experiments.py workflows/paper/experiments.py
paper/extension.py workflows/paper/extension.py
paper/findings.py workflows/paper/findings.py
paper/journal.py workflows/paper/journal.py
paper/material.py workflows/paper/input_tables.py
paper/page.py workflows/paper/page.py
paper/published.py workflows/paper/published.py
paper/scoring.py workflows/paper/scoring.py
paper/trials.py workflows/paper/trials.py
checks/self_test.py evaluation/checks/self_test.py
""".strip().splitlines()
)

SPLITS: dict[str, dict[str, tuple[str, ...]]] = {
    "runs": {"core.files": ("utc_now", "write_json", "write_text", "sync_folder")},
    "tables": {
        "data.splitting": (
            "MAXIMUM_HOLDOUT_ROWS", "_SMALL_TABLE_ROWS", "_FEWEST_PATIENTS", "_SURELY_THE_SAME", "_TOLERATED_OVERLAP",
            "holdout_share_of", "split", "_strata", "_held_out", "check_disjoint", "_row_keys", "_patients",
        ),
        "data.fingerprint": ("digest",),
        "workflows.wisconsin": ("demo",),
    },
    "pipeline": {
        "workflows.run_options": ("BuildOptions", "AuditTables"),
        "workflows.audit": ("audit", "_each"),
        "workflows.finish_run": (
            "EXIT_CODES", "Outcome", "_judge", "_read_back", "_trail", "known_checks", "_facts", "_input_digests",
            "_check_are_files", "_seed",
        ),
    },
    "intake": {"workflows.run_context": ("Listener", "Silent", "Run", "derived", "NOTABLE_SHARE")},
}  # fmt: skip
"""Module -> new module -> its definitions that went there; what is not named goes where MOVES says."""

ELSEWHERE = {
    ("tables", "write"): "data.table_writer",
    ("tables", "Layout"): "data.table_writer",
    ("pipeline", "demo"): "workflows.demo_table",
    ("pipeline", "demo_files"): "workflows.demo_table",
}
"""Names that a module only passed on: they are imported from where they are defined."""

PUBLIC = {
    ("tables", "demo"): "write_wisconsin",
    ("pipeline", "_judge"): "judge",
    ("pipeline", "_read_back"): "read_back",
    ("pipeline", "_trail"): "source_of",
    ("pipeline", "_input_digests"): "input_digests",
    ("pipeline", "_check_are_files"): "check_are_files",
    ("pipeline", "_seed"): "seed_of",
}
"""Definitions that are now used from another file, and so have lost their underscore."""

DOCS = {
    "core.files": "Files written so that they are whole: strict JSON and text that wait until they are on the disk.",
    "data.splitting": "Split real rows into training part and holdout, by patient; tell whether tables share people.",
    "data.fingerprint": "Keyed fingerprints of files.",
    "workflows.wisconsin": "The Wisconsin breast-cancer table that scikit-learn carries, as a file.",
    "workflows.run_options": "What a steward may set for a run.",
    "workflows.audit": "Audit a table that another tool made: the same checks, policy and report as for a build.",
    "workflows.finish_run": "The end of every run: audit, decide, write internal files, release if nobody must sign.",
    "workflows.run_context": "What a run gathers on its way to the report, and who hears how it goes on.",
}

BINDINGS = {
    "synthesis.generators.autoregressive_gan.generator": "gan",
    "synthesis.generators.marginals.generator": "marginals",
    "synthesis.generators.private.generator": "private",
    "synthesis.generators.tanaka_aranha.generator": "paper",
    "synthesis.generators.tanaka_aranha.training": "paper_training",
    "cli.main": "command_line",
}
"""What a module is called where it is imported, if not by the last part of its name."""

INSTEAD = {
    "schema.schema_file": "schema_reader",
    "privacy.claim": "privacy_claim",
    "privacy.noise": "os_noise",
    "workflows.inspect.profile": "profiling",
    "workflows.build": "build_run",
    "workflows.audit": "audit_run",
    "workflows.finish_run": "judging",
    "workflows.sample": "sampling_run",
    "workflows.paper.material": "paper_material",
    "evaluation.runner": "audit_runner",
    "governance.policy_file": "policies",
    "governance.keys": "signing_keys",
    "report.croissant": "croissant_file",
    "governance.sign_off": "signing_off",
    "governance.gate": "release_gate",
    "synthesis.refit": "refitting",
    "synthesis.encoding.binning": "binning_rules",
    "workflows.balance": "balance_workflow",
    "governance.handoff": "handing_over",
    "core.files": "whole_files",
    "workflows.demo_table": "demonstration",
}
"""The same where that name is taken in the importing file."""

ROOMS = {
    "core": "Core: frozen types that cross stages, errors, formatting of numbers, whole files. Knows nobody.",
    "schema": "Schema: what a column is (schema file, kinds, dates, constraints, identifiers, generalisation).",
    "schema/identifiers": "Direct identifiers: their names, shapes and check digits, and the refusal to learn them.",
    "privacy": "Privacy: accounting, noise, the claim, bounds on attacks. Knows no table format and no generator.",
    "data": "Data: files and databases to typed tables and back; split, fingerprint, pseudonyms, learned categories.",
    "synthesis": "Synthesis: training rows in, synthetic rows out.",
    "synthesis/encoding": "Encoding: tables as numbers, and back.",
    "synthesis/generators/autoregressive_gan": "The default generator: a row column by column, against a critic.",
    "synthesis/generators/marginals": "A generator that matches all tables of pairs at once.",
    "synthesis/generators/private": "The generators that keep to a budget of differential privacy.",
    "synthesis/generators/tanaka_aranha": "The GAN of Tanaka & Aranha 2019, as published.",
    "evaluation": "Evaluation: real and synthetic rows in, measured results out. Runs no generator.",
    "evaluation/statistics": "Statistics that the checks stand on: intervals, exchange tests, neighbours, distances.",
    "report": "Report: results and facts in; HTML, card, JSON and figures out. Judges nothing.",
    "report/figures": "Figures as SVG, with small counts masked.",
    "governance": "Governance: policy, gate, register, keys, approvals, release, hand-off, verification.",
    "workflows": "Workflows: one module a command, and the steps between stages.",
    "workflows/inspect": "Inspect: draft a schema from a table.",
    "cli": "The command line: parse, call, print, exit code. Nothing is decided here.",
}

TESTS = dict(
    line.split()
    for line in """
test_wording.py core/test_formatting.py
test_runs.py governance/test_run_folder.py
test_schema.py schema/test_schema_file.py
test_constraints.py schema/test_constraints.py
test_conditions.py schema/test_row_conditions.py
test_moments.py schema/test_datetimes.py
test_generalise.py schema/test_generalisation.py
test_identifiers.py schema/identifiers/test_detection.py
test_screening.py schema/identifiers/test_screening.py
test_budget.py privacy/test_claim.py
test_ceilings.py privacy/test_attack_bounds.py
test_onerun.py privacy/test_one_run_audit.py
test_tables.py data/test_table_reader.py
test_formats.py data/formats/test_formats.py
test_database.py data/formats/test_database.py
test_surrogates.py data/test_pseudonyms.py
test_levels.py data/test_learned_categories.py
test_hostile_inputs.py workflows/test_hostile_inputs.py
test_encoding.py synthesis/encoding/test_table_encoder.py
test_transforms.py synthesis/encoding/test_datetime_transforms.py
test_patients.py synthesis/test_patient_grouping.py
test_canary.py synthesis/test_canary_audit.py
test_balance.py synthesis/test_imblearn_sampler.py
test_properties.py synthesis/test_properties.py
test_generators.py synthesis/generators/test_generators.py
test_monitors.py synthesis/generators/test_divergence_monitor.py
test_rowwriter.py synthesis/generators/autoregressive_gan/test_masked_network.py
test_training.py synthesis/generators/autoregressive_gan/test_training.py
test_config.py synthesis/generators/autoregressive_gan/test_config.py
test_balanced.py synthesis/generators/autoregressive_gan/test_cube_sampling.py
test_marginals.py synthesis/generators/marginals/test_marginals.py
test_private.py synthesis/generators/private/test_private.py
test_effects.py synthesis/generators/private/test_target_model.py
test_learning.py synthesis/generators/private/test_domain_learning.py
test_dpgan.py synthesis/generators/private/test_dp_gan.py
test_dpsgd.py synthesis/generators/private/test_dp_sgd.py
test_paper_gan.py synthesis/generators/tanaka_aranha/test_tanaka_aranha.py
test_perceptron.py synthesis/generators/tanaka_aranha/test_perceptron.py
test_audit.py evaluation/test_runner.py
test_checks.py evaluation/checks/test_checks.py
test_attacks.py evaluation/checks/test_attacks.py
test_pictures.py evaluation/checks/test_pictures.py
test_refits.py evaluation/checks/test_refits.py
test_coverage.py evaluation/test_coverage.py
test_intervals.py evaluation/statistics/test_confidence_intervals.py
test_exchange.py evaluation/statistics/test_permutation_tests.py
test_neighbours.py evaluation/statistics/test_nearest_neighbours.py
test_space.py evaluation/statistics/test_gower_embedding.py
test_report.py report/test_internal_report.py
test_front.py report/test_first_screen.py
test_croissant.py report/test_croissant.py
test_charts.py report/figures/test_charts.py
test_masking.py report/figures/test_small_count_masking.py
test_history.py report/figures/test_training_curves.py
browser/test_report_in_browser.py report/test_report_in_browser.py
browser/test_review_in_browser.py governance/test_review_in_browser.py
test_policy.py governance/test_policy_file.py
test_gate.py governance/test_gate.py
test_register.py governance/test_register.py
test_signoff.py governance/test_sign_off.py
test_handing.py governance/test_handoff.py
test_killed.py governance/test_killed.py
test_pipeline.py workflows/test_build.py
test_sampling.py workflows/test_sample.py
test_balancing.py workflows/test_balance.py
test_inspection.py workflows/inspect/test_profile.py
test_drafting.py workflows/inspect/test_draft_schema.py
test_dating.py workflows/inspect/test_date_inference.py
test_relations.py workflows/inspect/test_column_dependencies.py
test_oddities.py workflows/inspect/test_cell_anomalies.py
test_merging.py workflows/inspect/test_schema_merge.py
test_paper.py workflows/paper/test_paper.py
test_cli.py cli/test_main.py
test_bench_generator.py benchmarks/test_generator_bench.py
test_bench_private.py benchmarks/test_private_bench.py
""".strip().splitlines()
)


def dotted(path: str) -> str:
    """The dotted name of a file below the package."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


NEW = {dotted(old): dotted(new) for old, new in MOVES.items()}


@dataclass(frozen=True)
class Target:
    """A module of the new layout, or a name in one."""

    module: str
    name: str | None = None


class House:
    """The old layout: which modules there are and what they define."""

    def __init__(self, package: Path) -> None:
        files = list(package.rglob("*.py"))
        self.modules = {dotted(str(path.relative_to(package))) for path in files} - {"__init__"}
        self.defined = {
            dotted(str(path.relative_to(package))): defined_in(path.read_text(encoding="utf-8")) for path in files
        }
        self.place = {
            (old, name): new for old, parts in SPLITS.items() for new, names in parts.items() for name in names
        } | ELSEWHERE

    def target(self, module: str, name: str | None = None) -> Target:
        """Where a module of the old layout, or a name in it, is now."""
        if name is None:
            return Target(NEW.get(module, module))
        if f"{module}.{name}".lstrip(".") in self.modules and (module, name) not in self.place:
            return Target(NEW.get(f"{module}.{name}".lstrip("."), f"{module}.{name}".lstrip(".")))
        place = self.place.get((module, name), NEW.get(module, module))
        return Target(place, PUBLIC.get((module, name), name))


def defined_in(text: str) -> set[str]:
    """The names that a module defines or imports at its top."""
    found: set[str] = set()
    for node in ast.parse(text).body:
        found |= names_of(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


def names_of(node: ast.stmt) -> set[str]:
    """The names that one statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {each.id for each in node.targets if isinstance(each, ast.Name)}
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return {node.target.id}
    return set()


def absolute(module: str | None, level: int, here: str) -> str:
    """The dotted name below the package that a (perhaps relative) import names."""
    if level == 0:
        return (module or "").removeprefix("synthrelease").lstrip(".")
    parents = here.split(".")[:-level] if level <= here.count(".") + 1 else []
    return ".".join([*parents, *([module] if module else [])])


class Rewriter:
    """Rewrites one file: its imports of ours, and every reference to what they bind."""

    def __init__(self, house: House, text: str, here: str, own: str | None) -> None:
        self.house, self.text, self.here, self.own = house, text, here, own
        self.wrapper = MetadataWrapper(cst.parse_module(text))
        self.scopes = self.wrapper.resolve(ScopeProvider)
        self.positions = self.wrapper.resolve(PositionProvider)
        self.parents = self.wrapper.resolve(ParentNodeProvider)
        starts = [0]
        for line in text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        self.starts = starts
        self.edits: list[tuple[int, int, str]] = []
        self.clashes: list[str] = []

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        where = self.positions[node]
        return (
            self.starts[where.start.line - 1] + where.start.column,
            self.starts[where.end.line - 1] + where.end.column,
        )

    def run(self) -> str:
        statements = [node for node in self.positions if isinstance(node, cst.SimpleStatementLine)]
        for line in statements:
            ours = [each for each in line.body if isinstance(each, cst.ImportFrom) and self.is_ours(each)]
            if ours:
                assert len(line.body) == 1
                self.rewrite(line, ours[0])
        for start, end, new in sorted(set(self.edits), reverse=True):
            self.text = self.text[:start] + new + self.text[end:]
        return self.text

    def is_ours(self, node: cst.ImportFrom) -> bool:
        name = cst.Module([]).code_for_node(node.module) if node.module else ""
        if node.relative:
            return self.own is not None
        return name == "synthrelease" or name.startswith("synthrelease.")

    def rewrite(self, line: cst.SimpleStatementLine, node: cst.ImportFrom) -> None:
        name = cst.Module([]).code_for_node(node.module) if node.module else None
        module = absolute(name, len(node.relative), self.here)
        wanted: list[str] = []
        for alias in node.names:
            original = alias.name.value
            bound = alias.asname.name.value if alias.asname else original
            target = self.house.target(module, original)
            if target.name is None:
                wanted += self.module_binding(node, original, bound, target, module, alias.asname is not None)
            elif module == "":
                wanted.append(f"from synthrelease import {original}" + (f" as {bound}" if bound != original else ""))
            else:
                wanted.append(self.name_binding(node, target, original, bound, explicit=alias.asname is not None))
        indent = " " * self.positions[line].start.column
        start, end = self.span(line)
        comment = line.trailing_whitespace.comment
        tail = f"  {comment.value}" if comment else ""
        self.edits.append(
            (start, end + len(tail) if comment else end, f"\n{indent}".join(dict.fromkeys(wanted)) + tail)
        )

    def name_binding(self, node: cst.ImportFrom, target: Target, original: str, bound: str, *, explicit: bool) -> str:
        if self.own == target.module:
            return ""
        as_name = f" as {bound}" if explicit else ""
        if target.name != original and not explicit:
            for access in self.references(node, bound):
                self.edits.append((*self.span(access), str(target.name)))
        return f"from synthrelease.{target.module} import {target.name}{as_name}"

    def references(self, node: cst.CSTNode, bound: str) -> list[cst.CSTNode]:
        scope = self.scopes[node]
        found: list[cst.CSTNode] = []
        for assignment in scope[bound]:
            if getattr(assignment, "node", None) is node:
                found += [access.node for access in assignment.references]
        return found

    def module_binding(
        self, node: cst.ImportFrom, original: str, bound: str, target: Target, module: str, explicit: bool
    ) -> list[str]:
        old = f"{module}.{original}".lstrip(".")
        needed: dict[str, str] = {}
        for access in self.references(node, bound):
            name_node = access
            while isinstance(name_node, cst.Attribute):
                name_node = name_node.value
            parent = self.parents[name_node]
            attribute = None
            if isinstance(parent, cst.Attribute) and parent.value is name_node:
                attribute = parent.attr.value
            elif isinstance(parent, cst.Arg) and isinstance(call := self.parents[parent], cst.Call):
                place = call.args.index(parent)
                if len(call.args) > place + 1 and isinstance(text := call.args[place + 1].value, cst.SimpleString):
                    attribute = str(text.evaluated_value)
                    if attribute in PUBLIC:
                        self.clashes.append(f"string {attribute}")
            here = self.house.target(old, attribute) if attribute and (old, attribute) in self.house.place else target
            local = self.local_name(here.module, bound, explicit, node)
            if self.own == here.module:
                self.clashes.append(f"self reference {bound}.{attribute}")
            needed[here.module] = local
            self.edits.append((*self.span(name_node), local))
            public = PUBLIC.get((old, attribute or ""))
            if public and isinstance(parent, cst.Attribute):
                self.edits.append((*self.span(parent.attr), public))
        if not needed:
            needed[target.module] = self.local_name(target.module, bound, explicit, node)
        found = []
        for path, local in needed.items():
            room, _, last = path.rpartition(".")
            found.append(f"from synthrelease.{room} import {last}" + (f" as {local}" if local != last else ""))
        return [each.replace("from synthrelease. import", "from synthrelease import") for each in found]

    def local_name(self, path: str, bound: str, explicit: bool, node: cst.CSTNode) -> str:
        if explicit and bound not in {"label_levels", "column_dates"}:
            return bound
        wish = BINDINGS.get(path, path.rpartition(".")[2])
        if wish == bound:
            return wish
        if wish in self.taken():
            instead = INSTEAD.get(path)
            if instead is None or instead in self.taken():
                self.clashes.append(f"{wish} ({path})")
                return f"{wish}_module"
            return instead
        return wish

    def taken(self) -> set[str]:
        if not hasattr(self, "_taken"):
            names: set[str] = set()
            for node in ast.walk(ast.parse(self.text)):
                if isinstance(node, ast.Name):
                    names.add(node.id)
                elif isinstance(node, ast.arg):
                    names.add(node.arg)
                elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                    names.add(node.name)
                elif isinstance(node, ast.Import | ast.ImportFrom):
                    names |= {alias.asname or alias.name for alias in node.names}
            self._taken = names
        return self._taken


def pieces(house: House, module: str, text: str) -> dict[str, str]:
    """A module's text cut along SPLITS: new module -> text, every piece with all imports."""
    parts = SPLITS[module]
    tree = ast.parse(text)
    lines = text.splitlines(keepends=True)
    place = {name: new for new, names in parts.items() for name in names}
    body: dict[str, list[str]] = defaultdict(list)
    uses: dict[str, set[str]] = defaultdict(set)
    owns: dict[str, set[str]] = defaultdict(set)
    imports: list[str] = []
    start, last = 0, NEW[module]
    for at, node in enumerate(tree.body):
        end = node.end_lineno or 0
        chunk = "".join(lines[start:end]).strip("\n")
        start = end
        if at == 0:
            head = chunk
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append(chunk)
            continue
        names = names_of(node)
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            new = {place.get(name, NEW[module]) for name in names} or {NEW[module]}
            assert len(new) == 1, names
            last = new.pop()
        elif body[last]:
            body[last][-1] += "\n" + chunk
            continue
        if "__all__" in names:
            continue
        body[last].append(chunk)
        owns[last] |= names
        uses[last] |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        uses[last] |= {
            word for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)
            for word in re.findall(r"\w+", each.value)
        } & set().union(*(names_of(other) for other in tree.body)) & {"Wish"}  # fmt: skip
    everything = set().union(*owns.values())
    found = {}
    for new in {NEW[module], *parts}:
        missing = sorted((uses[new] & everything) - owns[new])
        for name in missing:
            if name.startswith("_") and (module, name) not in PUBLIC:
                print(f"private name crosses a cut: {module}.{name} used in {new}")
        own = f"from synthrelease.{module} import {', '.join(missing)}\n" if missing else ""
        doc = head if new == NEW[module] else f'"""{DOCS.get(new, "")}"""'
        found[new] = f"{doc}\n\n" + "\n".join(imports) + f"\n{own}\n\n" + "\n\n\n".join(body[new]) + "\n"
        for name in owns[new]:
            if (module, name) in PUBLIC:
                found[new] = re.sub(rf"\b{name}\b", PUBLIC[module, name], found[new])
    return found


UNTOUCHED = {"audit", "balance", "build", "verify"}
"""Names at the package's top that users call; in words they mean these, not the modules of old."""


def words_too(text: str, house: House) -> str:
    """Rewrite names of modules in strings and comments: dotted names, and names between two backticks."""

    def dotted_name(match: re.Match[str]) -> str:
        parts = match.group(1).split(".")
        for count in range(len(parts), 0, -1):
            old, rest = ".".join(parts[:count]), parts[count:]
            if old in NEW and old not in UNTOUCHED:
                target = house.target(old, rest[0]) if rest else house.target(old)
                named = [target.name] if target.name and rest else []
                return ".".join(["synthrelease", target.module, *named, *rest[1:]])
        return match.group(0)

    def backticked(match: re.Match[str]) -> str:
        module, name = match.group(1), match.group(2)
        for old in (module, f"checks.{module}", f"generators.{module}", f"formats.{module}", f"paper.{module}"):
            if old in house.modules and name in house.defined[old]:
                target = house.target(old, name)
                return f"``{BINDINGS.get(target.module, target.module.rpartition('.')[2])}.{target.name}"
        return match.group(0)

    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    edits = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in WORDS:
            new = re.sub(r"\bsynthrelease\.((?:[a-z_]+\.)*[a-z_A-Z]+)", dotted_name, token.string)
            new = re.sub(r"``([a-z_]+)\.([A-Za-z_]+)", backticked, new)
            start, end = (starts[row - 1] + column for row, column in (token.start, token.end))
            edits.append((start, end, new))
    for start, end, new in reversed(edits):
        text = text[:start] + new + text[end:]
    return text.replace('PackageLoader("synthrelease")', 'PackageLoader("synthrelease.report")')


WORDS = {tokenize.STRING, tokenize.COMMENT, *([tokenize.FSTRING_MIDDLE] if hasattr(tokenize, "FSTRING_MIDDLE") else [])}

FACADE = '''"""``GANOverSampler`` for the pipelines of imbalanced-learn."""

from synthrelease.synthesis.imblearn_sampler import GANOverSampler

__all__ = ["GANOverSampler"]
'''


def main(checkout: Path) -> None:
    """Move everything."""
    package = checkout / "synthrelease"
    house = House(package)
    texts: dict[Path, str] = {}
    gone: list[Path] = []
    clashes: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        old = dotted(str(path.relative_to(package)))
        here = old if path.name != "__init__.py" else f"{old}.x".lstrip(".")
        text = path.read_text(encoding="utf-8")
        found = pieces(house, old, text) if old in SPLITS else {NEW.get(old, old): text}
        for new, piece in found.items():
            rewriter = Rewriter(house, words_too(piece, house), here, new)
            done = rewriter.run()
            target = MOVES.get(str(path.relative_to(package)), str(path.relative_to(package)))
            place = package / target if new == NEW.get(old, old) else package / (new.replace(".", "/") + ".py")
            texts[place] = done
            if rewriter.clashes:
                clashes[str(place.relative_to(package))] = rewriter.clashes
        gone.append(path)
    for path in sorted((checkout / "tests").rglob("*.py")):
        if path.name in {"redraw.py", "same_outputs.py"}:
            continue
        rewriter = Rewriter(house, words_too(path.read_text(encoding="utf-8"), house), "tests", None)
        done = rewriter.run()
        for old, new in TESTS.items():
            stems = (each.rpartition("/")[2].removesuffix(".py") for each in (old, new))
            done = re.sub(rf"^from {next(stems)} import", f"from {next(stems)} import", done, flags=re.MULTILINE)
        relative = str(path.relative_to(checkout / "tests"))
        texts[checkout / "tests" / TESTS.get(relative, relative)] = done
        gone.append(path)
        if rewriter.clashes:
            clashes[str(relative)] = rewriter.clashes

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=checkout, check=True)

    for old, new in MOVES.items():
        (package / new).parent.mkdir(parents=True, exist_ok=True)
        git("mv", f"synthrelease/{old}", f"synthrelease/{new}")
    for old, new in TESTS.items():
        (checkout / "tests" / new).parent.mkdir(parents=True, exist_ok=True)
        git("mv", f"tests/{old}", f"tests/{new}")
    git("mv", "synthrelease/templates", "synthrelease/report/templates")
    for place, text in texts.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    for room, words in ROOMS.items():
        place = package / room / "__init__.py"
        if not place.exists():
            place.write_text(f'"""{words}"""\n', encoding="utf-8")
    (package / "balance.py").write_text(FACADE, encoding="utf-8")
    for name, found in clashes.items():
        print(f"{name}: {'; '.join(dict.fromkeys(found))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
