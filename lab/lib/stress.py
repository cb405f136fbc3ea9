#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The JSON of lab/stress: what the program in the lab counted, and how the lab ended.

Usage: stress.py DIRECTORY LAB_STATUS KERNEL TCG CPUS [WHY A LAB WAS LOST]...
Exit status: 0 if all is well, 1 if not, and then it says why.
"""

import datetime
import json
import os
import re
import subprocess
import sys

# As in lab/run; here they are counted.
SPLAT = re.compile(
    r"\bBUG[: ]|\bOops[: ]|Kernel panic|WARNING: |general protection fault|KASAN:|UBSAN:"
    r"|INFO: (task .* blocked for more than|rcu.* stall)|rcu: INFO: .*stall"
    r"|INFO: (lockdep is turned off|trying to register non-static key)"
    r"|pagealloc: (memory corruption|single bit error)|kmemleak: [0-9]+ new suspected memory leaks"
    r"|kmemleak: (Kernel memory leak detector disabled|Cannot allocate a kmemleak_object)"
    r"|ODEBUG: Out of memory")


def command(*argv):
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (run.stdout or run.stderr).splitlines()[0].strip() if run.returncode == 0 else None


def text(directory, name):
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main():
    directory, status, kernel, tcg, cpus, *lost = sys.argv[1:]
    lab = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    counted = json.loads(text(directory, "counts.json") or "null")
    console = [re.sub(r"^\[ *[0-9.]*\] ", "", line.strip())
               for line in text(directory, "console.log").splitlines()]
    splats = [line for line in console if SPLAT.search(line)]
    said = [line for line in text(directory, "stderr").splitlines()
            if line.startswith(("stress: ", "lab/run: "))]

    failures = []
    if counted is None:
        failures.append("the program in the lab left no counts")
    elif counted["verdict"] != "pass":
        failures.append(counted["failure"])
    if splats:
        failures.append(f"the kernel complained: {splats[0]}")
    if status != "0":
        failures.append(f"the lab ended with status {status}" + (f": {said[-1]}" if said else ""))

    json.dump({
        "schema": 1,
        "measured": datetime.date.today().isoformat(),
        "commit": command("git", "-C", lab, "describe", "--always", "--dirty"),
        "lab": {
            "kernel": kernel,
            "tcg": tcg,
            "cpus": int(cpus),
            "build_machine_cpus": os.cpu_count(),
            "qemu": command("qemu-system-x86_64", "--version"),
            "kernel_package": os.path.basename(command(lab + "/setup", "--where", "kernel") or ""),
            "exit_status": int(status),
            "restarts": len(lost),
            "restart_reasons": lost,
            "splats_on_console": len(splats),
        },
        "stress": counted,
        "failures": failures,
        "verdict": "fail" if failures else "pass",
    }, sys.stdout, indent=1)
    print()
    for failure in failures:
        print(f"lab/stress: {failure}", file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
