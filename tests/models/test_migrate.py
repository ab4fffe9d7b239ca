"""Models of the last two formats load as what they were.

``stored.write_old`` writes what their writers wrote; it was compared with these, from the history
of the project, on the models of ``stored``.
"""

import json
import logging

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


def test_a_model_of_format_4_knows_no_sizes_of_the_population(stored, tmp_path):
    content, parts = stored
    write_old(tmp_path / "old", parts, 4)
    model = ct.load(tmp_path / "old")
    if parts.kind == "bridge":
        assert model.snapshots.sizes == (1.0,) * len(parts.facts["times"])
    elif "mass.sizes" in parts.tensors:
        assert not model.mass.sizes.any()
        assert torch.equal(model.mass.drift, parts.tensors["mass.drift"])
    else:
        assert bytes_of(model, tmp_path / "again") == content


@pytest.mark.parametrize("number", [1, 3, 7, 99])
def test_other_formats_are_refused_by_number(stored, tmp_path, number):
    write_old(tmp_path / "old", stored[1], number)
    with pytest.raises(ValueError, match=f"format {number} found, 4 to 6 expected; update"):
        ct.load(tmp_path / "old")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("number", [4, 5])
def test_part_of_an_older_model_is_refused_by_name(stored, tmp_path, number, share):
    kind = stored[1].kind
    for name in (f"{kind}.json", "tensors.safetensors"):
        write_old(tmp_path / "old", stored[1], number)
        path = tmp_path / "old" / name
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(ValueError, match=rf"{name} cannot be read|{name} has no format"):
            ct.load(tmp_path / "old")
        path.unlink()
    with pytest.raises(FileNotFoundError, match="holds none of"):
        ct.load(tmp_path / "old")


def test_an_older_model_without_its_tensors_or_with_others(tmp_path):
    for kind in ("flow", "response"):
        bytes_of(small(kind), tmp_path / kind)
        write_old(tmp_path / f"old {kind}", content_of(tmp_path / kind), 5)
    (tmp_path / "old flow/tensors.safetensors").replace(
        tmp_path / "old response/tensors.safetensors"
    )
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
