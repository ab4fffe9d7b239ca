"""Models of the last two formats load as what they were.

``stored.write_old`` writes what their writers wrote; it was compared with these, from the history
of the project, on the models of ``stored``.
"""

import json
import logging
from dataclasses import replace

import pytest
import torch
from stored import KINDS, bytes_of, content_of, small, write_old

import celltraj as ct


@pytest.fixture(params=KINDS)
def stored(request, tmp_path):
    """Return the file of a model, and what is in it."""
    content = bytes_of(small(request.param), tmp_path / "new")
    return content, content_of(tmp_path / "new")


def test_a_model_of_format_5_is_the_same_and_says_that_it_has_no_digest(stored, tmp_path, caplog):
    content, parts = stored
    write_old(tmp_path / "old", parts, 5)
    caplog.set_level(logging.WARNING, "celltraj")
    model = ct.load(tmp_path / "old")
    assert f"{parts.kind}.json is of the older format 5 and has no digest" in caplog.text
    assert "save it again with model.save" in caplog.text
    assert bytes_of(model, tmp_path / "old") == content
    caplog.clear()
    assert bytes_of(ct.load(tmp_path / "old"), tmp_path / "again") == content
    assert not caplog.text


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "neural"])
def test_a_model_of_format_4_knew_no_sizes_and_is_the_same_where_they_stay(kind, tmp_path):
    content = bytes_of(small(kind), tmp_path / "new")
    parts = content_of(tmp_path / "new")
    write_old(tmp_path / "old", parts, 4)
    facts = json.loads((tmp_path / f"old/{parts.kind}.json").read_text())
    assert ("sizes" in facts) == (parts.kind == "response")  # those of its network
    assert bytes_of(ct.load(tmp_path / "old"), tmp_path / "again") == content


def test_what_was_held_in_single_precision_is_read_in_double(tmp_path):
    bytes_of(small("neural"), tmp_path / "new")
    parts = content_of(tmp_path / "new")
    name = "reference.network.centre"
    short = parts.tensors[name].float()
    write_old(tmp_path / "old", replace(parts, tensors=parts.tensors | {name: short}), 5)
    centre = ct.load(tmp_path / "old").reference.network.centre
    assert centre.dtype == torch.float64
    assert torch.equal(centre, short.double())


@pytest.mark.parametrize("number", [1, 3, 7, 99])
def test_other_formats_are_refused_by_number(stored, tmp_path, number):
    write_old(tmp_path / "old", stored[1], number)
    with pytest.raises(ValueError, match=f"format {number} found, 4 to 6 expected; update"):
        ct.load(tmp_path / "old")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_part_of_an_older_model_is_refused_by_name(stored, tmp_path, share):
    for name in (f"{stored[1].kind}.json", "tensors.safetensors"):
        write_old(tmp_path / "old", stored[1], 5)
        path = tmp_path / "old" / name
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=rf"{name} cannot be read"):
            ct.load(tmp_path / "old")


def test_an_older_model_without_its_tensors_or_with_others(tmp_path):
    for kind in ("flow", "response"):
        bytes_of(small(kind), tmp_path / kind)
        write_old(tmp_path / f"old {kind}", content_of(tmp_path / kind), 5)
    name = "tensors.safetensors"
    (tmp_path / "old flow" / name).replace(tmp_path / "old response" / name)
    with pytest.raises(ValueError, match="there is no tensor"):
        ct.load(tmp_path / "old response")
    with pytest.raises(ValueError, match=r"tensors\.safetensors cannot be read"):
        ct.load(tmp_path / "old flow")


def test_a_width_of_two_kilobytes_takes_no_gigabytes(tmp_path):
    bytes_of(small("flow"), tmp_path / "new")
    content = content_of(tmp_path / "new")
    write_old(tmp_path, content, 5)
    facts = json.loads((tmp_path / "flow.json").read_text())
    (tmp_path / "flow.json").write_text(json.dumps(facts | {"width": 20_000}))
    with pytest.raises(ValueError, match=r"the facts ask for torch\.float32 \(20000, 6\)"):
        ct.load(tmp_path)
