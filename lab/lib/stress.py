#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON of lab/stress: what the program in the lab counted, and how the lab ended.

Usage: stress.py DIRECTORY LAB_STATUS KERNEL TCG CPUS SPLAT [WHY A LAB WAS LOST]...
Exit status: 0 if all is well, 3 if not, and then it says why. Any other: there is no
whole JSON.
"""

import datetime
import json
import os
import re
import sys

import first_line


def text(directory, name):
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def read_counts(directory):
    """None if the lab went before all of it was written."""
    try:
        return json.loads(text(directory, "counts.json"))
    except ValueError:
        return None


def main():
    directory, status, kernel, tcg, cpus, splat, *lost = sys.argv[1:]
    lab = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    counted = read_counts(directory)
    console = [re.sub(r"^\[ *[0-9.]*\] ", "", line.strip())
               for line in text(directory, "console.log").splitlines()]
    splats = [line for line in console if re.search(splat, line)]
    said = [line for line in text(directory, "stderr").splitlines()
            if line.startswith(("stress: ", "lab/run: "))]

    failures = []
    if counted is None:
        failures.append("the program in the lab left no counts, or not all of them")
    elif counted["verdict"] == "fail":
        failures.append(counted["failure"])
    if splats:
        failures.append(f"the kernel complained: {splats[0]}")
    if status != "0":
        failures.append(f"the lab ended with status {status}" + (f": {said[-1]}" if said else ""))

    json.dump({
        "schema": 1,
        "measured": datetime.date.today().isoformat(),
        "commit": first_line.of("git", "-C", lab, "describe", "--always", "--dirty"),
        "lab": {
            "kernel": kernel,
            "tcg": tcg,
            "cpus": int(cpus),
            "build_machine_cpus": os.cpu_count(),
            "qemu": first_line.of("qemu-system-x86_64", "--version"),
            "kernel_package": os.path.basename(first_line.of(lab + "/setup", "--where", "kernel") or ""),
            "exit_status": int(status),
            "restarts": len(lost),
            "restart_reasons": lost,
            "splats_on_console": len(splats),
        },
        "stress": counted,
        "failures": failures,
        "verdict": "fail" if failures else counted["verdict"],
    }, sys.stdout, indent=1)
    print()
    for failure in failures:
        print(f"lab/stress: {failure}", file=sys.stderr)
    return 3 if failures else 0


sys.exit(main())
