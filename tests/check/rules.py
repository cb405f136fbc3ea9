#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules of the house as tests. Prints TAP.

Usage: rules.py SOURCE_ROOT
"""

import itertools
import os
import re
import subprocess
import sys
import tempfile

ROOT = sys.argv[1]

# Which rooms a file of a room may include, beside its own.
BELOW = {
    "base": set(),
    "host": {"base", "uapi"},
    "discover": {"base", "host", "harvest", "heat", "uapi"},
    "harvest": {"base", "host", "discover", "uapi"},
    "heat": {"base", "harvest", "host"},
    "plan": {"base", "heat", "migrate", "host"},
    "migrate": {"base", "host"},
    "report": {"base", "host", "migrate", "vmtier"},
    "sim": {"base", "host"},
}
# Headers of other rooms that carry a value, and nothing but the value.
VALUES = {
    "harvest/sample.h", "heat/heatmap.h", "heat/histogram.h", "migrate/outcome.h",
    "host/host.h", "discover/memslot.h", "discover/residency.h",
}
# Rooms that may call the kernel by themselves: host, and those that serve sockets and threads.
SYSTEM_HEADERS = re.compile(r"#include <(sys/ioctl|sys/syscall|linux/kvm|numaif|numa|sys/uio|sys/mman)\.h>")
SYSTEM_ROOMS = {"host", "cli"}
SYSTEM_ALLOWED = {
    # Constants of the dirty ring's layout.
    "harvest/ring.c", "discover/memslot.c", "sim/machine.c",
}
PURE = {"heat", "plan"}
PURE_FORBIDDEN = re.compile(r"#include <(time|unistd|fcntl|poll|pthread|sys/[a-z]+)\.h>")


def sources(top, endings):
    for directory, _, names in os.walk(os.path.join(ROOT, top)):
        for name in sorted(names):
            if name.endswith(endings):
                path = os.path.join(directory, name)
                yield path, os.path.relpath(path, ROOT)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def spdx():
    tops = ["vmm-agent", "include", "tests", "lab", "bench", "kvm-patches", "libvirt-hooks", "packaging"]
    for top in tops:
        for path, name in sources(top, (".c", ".h", ".py", ".sh", "meson.build")):
            if "SPDX-License-Identifier" not in read(path)[:200]:
                yield f"{name}: no SPDX line at its head"


def includes():
    for path, name in sources("vmm-agent", (".c", ".h")):
        room, _, rest = name.removeprefix("vmm-agent/").partition("/")
        if room not in BELOW:
            continue
        for header in re.findall(r'#include "([^"]+)"', read(path)):
            other = header.split("/")[0]
            if other == room or "/" not in header or header in VALUES:
                continue
            if other not in BELOW[room]:
                yield f"{name} ({rest}) includes {header}: {room} does not depend on {other}"
            elif other not in ("base", "host", "uapi", "vmtier"):
                # A room knows another room's value, not its ways.
                allowed = {"discover", "harvest", "heat"} if room in ("discover", "harvest") else set()
                if other not in allowed:
                    yield f"{name} includes {header}, which is no value"


def kernel_contact():
    for path, name in sources("vmm-agent", (".c", ".h")):
        short = name.removeprefix("vmm-agent/")
        room = short.split("/")[0]
        text = read(path)
        if room not in SYSTEM_ROOMS and short not in SYSTEM_ALLOWED and SYSTEM_HEADERS.search(text):
            yield f"{name} talks to the kernel by itself: that is for host/"
        if room in PURE and PURE_FORBIDDEN.search(text):
            yield f"{name} is not pure"


def urcu():
    users = [name for path, name in sources("vmm-agent", (".c", ".h")) if "<urcu" in read(path)]
    for name in users:
        if name not in ("vmm-agent/report/publish.c", "vmm-agent/migrate/queue.c"):
            yield f"{name} uses liburcu: two files do"


def headers_alone():
    for path, name in sources("vmm-agent", (".h",)):
        cc = subprocess.run(
            ["cc", "-std=gnu11", "-D_GNU_SOURCE=", "-fsyntax-only", "-x", "c", "-I",
             os.path.join(ROOT, "vmm-agent"), "-I", os.path.join(ROOT, "include"), path],
            capture_output=True, text=True, check=False)
        if cc.returncode:
            yield f"{name} does not compile alone: {cc.stderr.splitlines()[0]}"


def all_series():
    """Name of each series, its directory, and its patches as texts in their order."""
    for directory, _, names in os.walk(os.path.join(ROOT, "kvm-patches")):
        if "series" in names:
            lines = read(os.path.join(directory, "series")).splitlines()
            patches = [line.split("#")[0].strip() for line in lines]
            yield (os.path.relpath(directory, ROOT), directory,
                   [read(os.path.join(directory, patch)) for patch in patches if patch])


def uapi_identical():
    """The header as the whole of each series leaves it, byte for byte."""
    header = "include/uapi/linux/kvm_access.h"
    found = False
    for series, _, patches in all_series():
        found = True
        diffs = []
        for patch in patches:
            parts = patch.split("\ndiff --git ")
            diffs += ["diff --git " + part + "\n" for part in parts[1:] if part.startswith(f"a/{header} ")]
        if not diffs:
            yield f"no patch of {series} has {header}"
            continue
        with tempfile.TemporaryDirectory() as scratch:
            run = subprocess.run(["patch", "-p1", "-s", "-F0", "-d", scratch], input="".join(diffs),
                                 capture_output=True, text=True, check=False)
            if run.returncode:
                yield f"the parts of {series} for {header} do not apply: {run.stdout.strip()}"
            elif read(os.path.join(scratch, header)) != read(os.path.join(ROOT, "include/uapi/kvm_access.h")):
                yield f"{header} of {series} is not include/uapi/kvm_access.h"
    if not found:
        yield "there is no series in kvm-patches"


def cover_letters():
    """What a cover letter lists is what the patches are: titles, their order, and files.

    How many lines are changed in a file is not compared: that takes the kernel's source.
    """
    for series, directory, patches in all_series():
        cover = read(os.path.join(directory, "0000-cover-letter.patch"))
        count = len(patches)
        titles = []
        for number, patch in enumerate(patches, 1):
            subject = re.search(r"^Subject: \[PATCH 0*(\d+/\d+)\] (.*(?:\n .*)*)", patch, re.M)
            if not subject or subject[1] != f"{number}/{count}":
                yield f"patch {number} of {series} is not [PATCH {number}/{count}]"
            if subject:
                titles.append(" ".join(subject[2].split()))
        if not re.search(rf"^Subject: \[PATCH 0+/{count}\] ", cover, re.M):
            yield f"the cover letter of {series} is not [PATCH 0/{count}]"
        listed = re.search(r"^\S.* \((\d+)\):\n((?:  .*\n)+)", cover, re.M)
        # A long title goes on in a line that is further in.
        found = [" ".join(title.split()) for title in re.split(r"^  (?! )", listed[2], flags=re.M)[1:]] if listed else []
        if found != titles or int(listed[1]) != count:
            yield f"the cover letter of {series} lists other titles than the patches have"
            yield from (f"  {a} - {b}" for a, b in itertools.zip_longest(found, titles) if a != b)
        changed = {path for patch in patches for path in re.findall(r"^diff --git a/\S+ b/(\S+)$", patch, re.M)}
        created = {path for patch in patches
                   for path in re.findall(r"^diff --git a/\S+ b/(\S+)\nnew file mode", patch, re.M)}
        # git shortens the head of a long path to '...'.
        stat = re.findall(r"^ (?:\.\.\.)?(\S+) +\| +\d+ [+-]+$", cover, re.M)
        if len(stat) != len(changed) or not all(any(path.endswith(end) for path in changed) for end in stat):
            yield f"the diffstat of the cover letter of {series} has other files than the patches change"
            yield from (f"  {path}" for path in sorted(changed) if not path.endswith(tuple(stat) or "\0"))
        if set(re.findall(r"^ create mode \d+ (\S+)$", cover, re.M)) != created:
            yield f"the cover letter of {series} says that other files are new than the patches make"


def formatted():
    files = [path for top in ("vmm-agent", "tests", "lab", "bench") for path, _ in sources(top, (".c", ".h"))]
    run = subprocess.run(["clang-format", "--dry-run", "--Werror", *files],
                         capture_output=True, text=True, check=False)
    bad = sorted(set(re.findall(r"^(\S+?):\d+", run.stderr, re.M)))
    for path in bad:
        yield f"{os.path.relpath(path, ROOT)}: run clang-format -i on it"


def scripts():
    names = []
    for top in ("lab", "tests", "bench", "kvm-patches", "libvirt-hooks", "packaging", ".ci"):
        for path, _ in sources(top, ("",)):
            with open(path, "rb") as file:
                first = file.readline()
            if first.startswith(b"#!") and b"sh" in first:
                names.append(path)
    run = subprocess.run(["shellcheck", "-x", "-P", "SCRIPTDIR", "-S", "warning", *names], cwd=ROOT,
                         capture_output=True, text=True, check=False)
    for line in re.findall(r"^In (\S+) line (\d+)", run.stdout, re.M):
        yield f"{os.path.relpath(line[0], ROOT)}:{line[1]}: shellcheck has something to say"


def long_functions():
    """Files past 700 lines hold two concepts."""
    for path, name in sources("vmm-agent", (".c", ".h")):
        lines = read(path).count("\n")
        if lines > 1000 or (lines > 700 and "/sim/" not in name):
            yield f"{name} has {lines} lines: split it"


def tables():
    """A row that an empty line has cut off is shown as text."""
    for path, name in sources(".", (".md",)):
        table = []
        for number, line in enumerate([*read(path).splitlines(), ""], 1):
            if line.startswith("|"):
                table.append(line)
                continue
            if table and not re.fullmatch(r"[|:\- ]+", "".join(table[1:2])):
                yield f"{name}:{number - len(table)}: a table begins with its head and a line below"
            table = []


RULES = {
    "every file names its licence": spdx,
    "rooms include only what lies below them": includes,
    "only host talks to the kernel, heat and plan are pure": kernel_contact,
    "liburcu stays in two files": urcu,
    "every header compiles alone": headers_alone,
    "the ABI header is the one of the kernel series": uapi_identical,
    "cover letters list what is in the series": cover_letters,
    "everything is formatted": formatted,
    "shellcheck is content": scripts,
    "no file holds two concepts": long_functions,
    "tables in documents are whole": tables,
}


def main():
    failed = 0
    print(f"1..{len(RULES)}")
    for number, (title, rule) in enumerate(RULES.items(), 1):
        problems = list(rule())
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {title}")
        for problem in problems:
            print(f"# {problem}")
    return 1 if failed else 0


sys.exit(main())
