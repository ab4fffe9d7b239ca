from ._to_cellrank import to_cellrank as to_cellrank

__all__ = [
    "to_cellrank",
]
