from ._to_cell_eval import to_cell_eval as to_cell_eval
from ._to_cellrank import to_cellrank as to_cellrank

__all__ = [
    "to_cell_eval",
    "to_cellrank",
]
