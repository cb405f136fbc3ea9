# SPDX-License-Identifier: GPL-2.0-or-later
"""Versions, for the JSON of figures."""

import subprocess


def of(*argv):
    """The first line that a command prints, or None if there is none such or it fails."""
    try:
        run = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    lines = (run.stdout or run.stderr).splitlines()
    return lines[0].strip() if lines and run.returncode == 0 else None
