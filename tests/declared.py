"""What a result declares, next to what was written."""

from celltraj._anndata.results import COMMON, Place


def written(adata):
    """Return slot and name of everything of the cells."""
    slots = ("obs", "obsm", "obsp")
    return {(slot, name) for slot in slots for name in getattr(adata, slot)}


def declared_places(result, *, among=lambda place: not place.is_optional, **braces):
    """Return slot and name of the places of the cells that a result declares, by default needed."""
    cells = [one for one in result.places if one.slot in ("obs", "obsm", "obsp") and among(one)]
    return {(one.slot, one.at(**braces)) for one in cells}


def check_record(record, result):
    """Assert that a record has every entry that is needed, and none that is not declared."""
    fields = {one.name: one for one in (*COMMON, *result.fields)}
    needed = {name for name, one in fields.items() if not one.is_optional}
    assert needed <= set(record) <= set(fields), result.kind
    for name, value in record.items():
        fields[name].check(value)
    assert record["kind"] == result.kind


def check_places(adata, key, record, result):
    """Assert that a record names places that are there and declared, and all that are needed."""
    named = [tuple(place.split(" ", 1)) for place in record.get("places", ())]
    declared = {}
    for slot, name in named:
        assert name in getattr(adata, slot)
        found = [one for one in result.places if one.holds(slot, name, key)]
        assert len(found) == 1, (key, slot, name)
        found[0].check(getattr(adata, slot)[name])
        declared[found[0]] = name
    cells = [one for one in result.places if one.slot in ("obs", "obsm", "obsp")]
    assert {one for one in cells if not one.is_optional} <= set(declared), result.kind


def any_place(_: Place):
    return True
