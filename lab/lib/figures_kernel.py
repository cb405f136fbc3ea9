#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Put the parts of lab/figures-kernel into one JSON, and show what they say.

Usage: figures_kernel.py DIRECTORY FILE

Each DIRECTORY/PART.json is one part (bench/kernel/part.py tells its members), in the
order in which they were made. Prints a table. Exit status: 0 if all goals were met, 1
if one was missed, 2 if there is no part, or parts that do not belong together.
"""

import glob
import json
import os
import platform
import sys

import first_line

WIDTH = 80

# What the parts of one JSON have in common.
COMMON = ("quick", "seed", "series")


def load(directory):
    parts = {}
    for path in sorted(glob.glob(os.path.join(directory, "*.json")), key=os.path.getmtime):
        with open(path, encoding="utf-8") as file:
            parts[os.path.basename(path).removesuffix(".json")] = json.load(file)
    return parts


def row(text, value):
    room = WIDTH - 2 - len(value) - 1
    if len(text) > room:
        text = text[:room - 1] + "~"
    print(f"  {text:<{room}} {value}")


def limit(goal):
    return f"at least {goal['at_least']:g}" if "at_least" in goal else f"at most {goal['at_most']:g}"


def show(parts):
    for part in parts.values():
        print(part["title"])
        for text, value in part["table"]:
            row(text, value)
        if part["lost"]:
            row("lab lost and started again", str(part["lost"]))
        print()
    print("goals")
    for part in parts.values():
        for goal in part["goals"]:
            row(goal["name"], f"{goal['value']:g}")
            row("", f"{limit(goal)}: {'met' if goal['met'] else 'MISSED'}")


def refusal(directory, parts):
    """Why these parts make no whole, or None."""
    if not parts:
        return f"no part in '{directory}'"
    for member in COMMON:
        values = {name: part.get(member) for name, part in parts.items()}
        if None in values.values() or len(set(values.values())) > 1:
            each = ", ".join(f"{name}: {value}" for name, value in values.items())
            return f"the parts differ in '{member}' ({each}): measure them again, or remove them"
    return None


def main():
    directory, out = sys.argv[1:]
    parts = load(directory)
    reason = refusal(directory, parts)
    if reason:
        sys.stderr.write(f"figures_kernel.py: {reason}\n")
        return 2
    common = next(iter(parts.values()))
    figures = {
        "schema": 1,
        "measured": max(part["date"] for part in parts.values()),
        "commits": sorted({part["commit"] for part in parts.values()}),
        "quick": common["quick"],
        "seed": common["seed"],
        "machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "emulated": "QEMU TCG"},
        "versions": {
            "gcc": first_line.of("gcc", "--version"),
            "qemu": first_line.of("qemu-system-x86_64", "--version"),
            "lab_kernel": os.path.basename(first_line.of("lab/setup", "--where", "kernel") or ""),
            "series": common["series"],
        },
        "goals_missed": [goal["name"] for part in parts.values() for goal in part["goals"]
                         if not goal["met"]],
        "parts": parts,
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=1)
        file.write("\n")
    show(parts)
    return 1 if figures["goals_missed"] else 0


sys.exit(main())
