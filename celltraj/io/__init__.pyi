from ._from_files import from_files as from_files
from ._from_moscot import from_moscot as from_moscot
from ._from_mudata import from_mudata as from_mudata
from ._from_wot import from_wot as from_wot

__all__ = [
    "from_files",
    "from_moscot",
    "from_mudata",
    "from_wot",
]
