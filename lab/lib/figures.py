#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Put the raw results of lab/figures into one JSON. Usage: figures.py DIRECTORY"""

import datetime
import json
import os
import platform
import re
import sys

import first_line


def load(directory, name):
    path = os.path.join(directory, name)
    if not os.path.exists(path) or not os.path.getsize(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def tests(directory):
    with open(os.path.join(directory, "tests.txt"), encoding="utf-8", errors="replace") as file:
        text = file.read()
    last = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", text, re.M)
    if not last:
        return None
    passed, failed, skipped = map(int, last[-1])
    return {
        "seconds": int(re.findall(r"^(\d+) seconds$", text, re.M)[-1]),
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
        "skips": re.findall(r"^  (\S+: .*skipped: .*)$", text, re.M),
        "programs": re.findall(r"^(?:build\S*): \d+ programs$", text, re.M),
    }


def main():
    directory = sys.argv[1]
    json.dump({
        "schema": 1,
        "measured": datetime.date.today().isoformat(),
        "commit": first_line.of("git", "describe", "--always", "--dirty"),
        "machine": {"cpus": os.cpu_count(), "kernel": platform.release(), "emulated": "QEMU TCG"},
        "versions": {
            "gcc": first_line.of("gcc", "--version"),
            "qemu": first_line.of("qemu-system-x86_64", "--version"),
            "meson": first_line.of("meson", "--version"),
            "lab_kernel": os.path.basename(first_line.of("lab/setup", "--where", "kernel") or ""),
        },
        "demo_4k": load(directory, "demo-4k.json"),
        "demo_thp": load(directory, "demo-thp.json"),
        "tests": tests(directory),
    }, sys.stdout, indent=1)
    print()


main()
