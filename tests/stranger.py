"""A program of strangers, run as the benchmarks run theirs, that moves no cell it is told of."""

import sys

FAKE = f"""#!{sys.executable}
import shutil, sys
import numpy as np
source, target = sys.argv[-2:]
shutil.copy(source, "{{folder}}/given.npz")
given = dict(np.load(source))
{{change}}
np.savez(target, x=given["cells"], cpu_s=2.5)
"""


def program_in(folder, change=""):
    """Write the program, which keeps what it is told in the folder, and return its path.

    ``change`` is a line of Python that changes what it is told before it answers.
    """
    path = folder / "python"
    path.write_text(FAKE.format(folder=folder, change=change))
    path.chmod(0o755)
    return str(path)
