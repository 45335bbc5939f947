"""Makers that version 0.1.0 saved are read, with a learned schema, and saved again as they were."""

import json
import tarfile
from pathlib import Path

import pytest

from synthrelease.core.contracts import LearnedSchema
from synthrelease.core.errors import InputError
from synthrelease.synthesis import maker as makers

MADE = Path(__file__).parents[1] / "fixtures" / "made-by-0.1.0.tar.xz"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made-by-0.1.0")
    with tarfile.open(MADE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("run", ["signed", "private"])
def test_a_maker_of_the_first_version_is_read_and_saved_as_it_was(runs, run, tmp_path):
    internal = runs / run / "internal"
    maker = makers.load(internal)
    assert type(maker.schema) is LearnedSchema
    maker.save(tmp_path)
    saved, first = (json.loads((folder / makers.FILE).read_bytes()) for folder in (tmp_path, internal))
    assert saved["schema"].pop("analyses") == []  # it has been possible to plan them since
    assert saved == first


def test_a_maker_whose_labels_are_open_is_refused(runs, tmp_path):
    text = (runs / "signed" / "internal" / makers.FILE).read_text(encoding="utf-8")
    assert '"learns_levels": false' in text
    assert '"kind": "numeric"' in text
    text = text.replace('"kind": "numeric"', '"kind": "categorical"').replace(
        '"learns_levels": false', '"learns_levels": true'
    )
    (tmp_path / makers.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"readable maker\.json"):
        makers.load(tmp_path)
