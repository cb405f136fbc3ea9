#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""VMMs that were taken over from inside, and an honest one beside them.

What vmtierd may move of a guest is its RAM.  Everything else here is put on
the node that vmtierd would like to move it from, made hot (or cold), and must
not move.
"""

import json
import os
import subprocess
import sys
import time

from daemon import BUILD, Daemon, Vmm, check, main, test, wait_for

PAGES = 4096
FRAMES = 65536  # the guest's page tables reach further than its RAM
HOT = 600

# A file that only the hostile VMM maps, and so not protected by the kernel's check of page counts.
PROGRAM = BUILD + "/vmm-agent/vmtierctl"


def honest_guest(name="honest"):
    """its hot set lies on CXL"""
    guest = Vmm(name, "-pages", PAGES, "-node", 1, "-smp", 2)
    guest.do("fill", 3)
    guest.do("pick", "hot", 5, HOT, "ram")
    guest.do("busy", 0, "hot", "write", 20)
    return guest


def check_honest(daemon, guest):
    """it is served in spite of all"""
    daemon.wait_passes(guest.name, 5)
    wait_for("the honest guest has its hot set in DRAM", 30, lambda: guest.nodes("hot") == {0: HOT})
    guest.do("idle", 0)
    check(guest.number("verify") == 0, "and its memory is as it was")
    check(daemon.alive(), "vmtierd runs")


def memfd_of(vmm):
    """the fd of its RAM"""
    for fd in os.listdir(f"/proc/{vmm.pid}/fd"):
        if os.readlink(f"/proc/{vmm.pid}/fd/{fd}").startswith("/memfd:tiny"):
            return int(fd)
    raise AssertionError("it has one")


def show_everything(hostile, victim, node):
    """slots on all that can be mapped: the sets, and how many pages they have"""
    sets = {}

    def show(name, command, *args):
        sets[name] = hostile.number("show-" + command, name, *args)

    path = f"/var/tmp/hostile-{hostile.pid}"
    held = victim.number("hold", 200, node)
    hostile.do("make-file", path, 150, node)
    show("text", "own", "lab/vmm", "r-x")
    show("libc", "own", "libc.so", "r-x")
    show("relro", "own", "libc.so", "r--")
    show("vdso", "own", "[vdso]", "r-x")
    show("vcpu", "own", "kvm-vcpu", "rw")
    show("victim-ram", "theirs", victim.pid, memfd_of(victim))
    show("victim-held", "theirs", victim.pid, held)
    show("file", "file", path, "shared", node)
    show("file-copied", "file", PROGRAM, "private", node)
    show("file-read", "file", PROGRAM, "readonly", node)
    return sets


def join_all(hostile, sets):
    """one set of them all"""
    for name in sets:
        hostile.do("join", "all", name)


@test
def what_is_hot_and_not_its_ram_is_not_promoted():
    victim = Vmm("victim", "-pages", 512, "-backing", "memfd", "-node", 1)
    victim.do("fill", 1)
    hostile = Vmm("hostile", "-pages", PAGES, "-reach", FRAMES, "-node", 1, "-ring", 1 << 20)
    hostile.do("fill", 2)
    sets = show_everything(hostile, victim, 1)
    hidden = sum(sets.values())
    join_all(hostile, sets)
    hostile.do("pick", "own", 1, 500, "ram")
    hostile.do("join", "all", "own")
    hostile.do("touch", 0, "all", "read")
    marked = {name: hostile.number("mark", name) for name in sets}
    on_cxl = ("victim-ram", "victim-held", "file", "file-copied", "file-read")
    for name in on_cxl:
        where = hostile.nodes(name)
        check(where.get(1, 0) >= sets[name] * 0.9, f"'{name}' is where it could be promoted", where)
    honest = honest_guest()
    hostile.do("busy", 0, "all", "read", 20)
    hostile.do("scribble", 0, "on")
    daemon = Daemon()
    wait_for("its own RAM is served", 30, lambda: hostile.nodes("own") == {0: 500})
    check_honest(daemon, honest)
    daemon.wait_passes("hostile", 10)
    for name, there in marked.items():
        check(there > 0 or name in ("vdso", "vcpu"), f"'{name}' was there", there)
        check(hostile.number("moved", name) == 0, f"'{name}' stays where it is",
              hostile.nodes(name))
    seen = daemon.show("hostile")
    check(seen["ram_pages"] == PAGES, "its RAM is counted, nothing else", seen["ram_pages"])
    check(seen["skipped_pages"] == hidden, "the rest is counted as skipped", hidden, seen)
    check(seen["skipped_reason"], "with a reason")
    check(seen["ring_bad"] > 0, "nonsense in its ring is counted", seen)
    hostile.do("scribble", 0, "off")
    hostile.do("idle", 0)
    check(hostile.number("verify") == 0 and victim.number("verify") == 0, "contents are as they were")


@test
def what_is_cold_and_not_its_ram_is_not_demoted():
    victim = Vmm("victim", "-pages", 512, "-backing", "memfd", "-node", 0)
    victim.do("fill", 1)
    hostile = Vmm("hostile", "-pages", PAGES, "-reach", FRAMES, "-node", 0)
    hostile.do("fill", 2)
    sets = show_everything(hostile, victim, 0)
    join_all(hostile, sets)
    hostile.do("touch", 0, "all", "read")
    hostile.do("touch", 0, "ram", "read")
    marked = {name: hostile.number("mark", name) for name in sets}
    for name in ("text", "libc", "victim-ram", "victim-held", "file", "file-copied", "file-read"):
        where = hostile.nodes(name)
        check(where.get(0, 0) >= marked[name] * 0.9, f"'{name}' could be demoted", where)
    daemon = Daemon(policies={"hostile": '<dram><max unit="KiB">256</max></dram>'})
    wait_for("its own RAM is demoted", 30, lambda: hostile.nodes("ram").get(0, 0) <= 64)
    daemon.wait_passes("hostile", 5)
    for name in sets:
        check(hostile.number("moved", name) == 0, f"'{name}' stays where it is",
              hostile.nodes(name))
    check(hostile.number("verify") == 0 and victim.number("verify") == 0, "contents are as they were")


@test
def memory_that_is_shown_twice_counts_once():
    honest = honest_guest()
    again = Vmm("again", "-pages", PAGES, "-reach", FRAMES, "-node", 1)
    again.do("fill", 1)
    again.do("show-again", "again")
    second = Vmm("second", "-pages", PAGES, "-reach", FRAMES, "-node", 1, "-backing", "memfd")
    second.do("fill", 1)
    second.do("show-second", "second")
    for guest, other in ((again, "again"), (second, "second")):
        guest.do("pick", "one", 1, 300, "ram")
        guest.do("pick", "two", 1, 300, other)
        guest.do("join", "both", "one")
        guest.do("join", "both", "two")
        guest.do("busy", 0, "both", "read", 20)
    daemon = Daemon()
    for name in ("again", "second"):
        seen = daemon.wait(name, "is active", 30, lambda g: g["state"] == "active")
        check(seen["ram_pages"] == PAGES, f"'{name}' has its RAM once", seen["ram_pages"])
    # Whatever way the guest goes to its memory, it is hot.
    wait_for("what is hot through either slot is in DRAM", 30,
             lambda: again.nodes("one") == {0: 300} and again.nodes("two") == {0: 300})
    check(daemon.show("second")["skipped_pages"] == PAGES, "a second mapping is skipped")
    check_honest(daemon, honest)
    for guest in (again, second):
        guest.do("idle", 0)
        check(guest.number("verify") == 0, "contents are as they were")


@test
def slots_on_nothing_and_on_more_than_there_is_stop_nobody_else():
    honest = honest_guest()
    hollow = Vmm("hollow", "-pages", PAGES, "-reach", FRAMES, "-node", 1)
    hollow.do("fill", 1)
    hollow.do("show-hole", "hole", 1 << 20)
    hollow.do("pick", "hot", 5, HOT, "ram")
    hollow.do("busy", 0, "hot", "read", 20)
    greedy = Vmm("greedy", "-pages", PAGES, "-reach", FRAMES, "-node", 1)
    greedy.do("show-huge", "huge", 1 << 26)
    daemon = Daemon()
    refused = daemon.wait("greedy", "is degraded", 30, lambda g: g["state"] == "degraded")
    check("claim more than" in refused["reason"], "and why", refused["reason"])
    served = daemon.wait("hollow", "is active", 30, lambda g: g["state"] == "active")
    check(served["ram_pages"] == PAGES, "only what is there counts", served["ram_pages"])
    check(served["skipped_pages"] == 1 << 20, "the hole is skipped", served["skipped_pages"])
    wait_for("its hot set is in DRAM", 30, lambda: hollow.nodes("hot") == {0: HOT})
    check_honest(daemon, honest)
    check(daemon.rss_kib() < 100 * 1024, "vmtierd stays small", daemon.rss_kib())


def remapped(how):
    """other memory over half of its RAM after vmtierd has read its layout, and hot"""
    honest = honest_guest()
    victim = Vmm("victim", "-pages", 512)
    shifty = Vmm("shifty", "-pages", PAGES, "-node", 1)
    shifty.do("fill", 1)
    shifty.do("pick", "own", 1, 200, "ram")
    shifty.do("busy", 0, "own", "read", 50)
    # Long enough for the layout to be read and the memory to be changed before anything moves.
    daemon = Daemon(config={"harvest": {"settle_passes": 60}})
    daemon.wait("shifty", "has a layout", 30, lambda g: g["passes"] >= 1)
    shifty.do("idle", 0)
    if how == "memfd":
        shifty.do("remap", "other", PAGES // 2, victim.pid, victim.number("hold", 1000, 1))
    else:
        path = f"/var/tmp/shifty-{shifty.pid}"
        shifty.do("make-file", path, 1000, 1)
        shifty.do("remap-file", "other", PAGES // 2, path)
    check(shifty.number("mark", "other") == 1000, "all of it is there")
    check(shifty.nodes("other") == {1: 1000}, "on CXL")
    shifty.do("busy", 0, "other", "read", 20)
    seen = daemon.show("shifty")
    check(seen["state"] == "settling", "the memory was changed before anything could move", seen)
    daemon.wait("shifty", "has settled and is looked at again", 90, lambda g: g["passes"] >= 75)
    check(shifty.number("rounds", 0) > 10, "the guest uses it all the time")
    check(shifty.number("moved", "other") == 0, "it stays where it is", shifty.nodes("other"))
    seen = daemon.wait("shifty", "has its new layout", 10, lambda g: g["ram_pages"] == PAGES - 1000)
    check(seen["skipped_pages"] == 1000 and seen["skipped_reason"], "and says so", seen)
    check_honest(daemon, honest)


@test
def anothers_memfd_mapped_over_its_ram_later_is_not_moved():
    remapped("memfd")


@test
def a_file_mapped_over_its_ram_later_is_not_moved():
    remapped("file")


NAMES = [
    "two\nlines", "tab\tand\x1b[31mred", 'q"uo\\te', "comma,,name", "{label=}", "x" * 400,
    "../escape", "..", "a/b", "-name", "  ", "\u202eright\ufeff", "umlaut \u00e4", "'; rm -rf /",
]


@test
def no_name_breaks_lists_metrics_or_policies():
    daemon = Daemon(start=False)
    # What a name with a path in it would reach.
    with open(daemon.dir + "/escape.xml", "w", encoding="utf-8") as file:
        file.write('<policy xmlns="urn:vmtier:policy:1"><mode>off</mode></policy>')
    guests = [Vmm(name, "-pages", 512) for name in NAMES]
    # Bytes that are no text at all.
    guests.append(Vmm(os.fsdecode(b"\xff\xfe\x80"), "-pages", 512))
    twins = [Vmm("twin", "-pages", 512) for _ in range(2)]
    daemon.start()
    known = {guest.pid for guest in guests + twins}
    wait_for("all are adopted", 30,
             lambda: known <= {guest["pid"] for guest in daemon.status()["guests"]})
    daemon.wait_passes("twin", 3)
    seen = daemon.status()["guests"]
    check(len({guest["name"] for guest in seen}) == len(seen), "each has a name of its own",
          [guest["name"] for guest in seen])
    for guest in seen:
        check(guest["policy"] == "default", "no name finds a policy file", guest["name"])
        check(all(c.isprintable() for c in guest["name"]) and guest["name"], "it can be printed",
              guest["name"])
        check(daemon.show(guest["name"])["pid"] == guest["pid"], "it finds its guest",
              guest["name"])
    code, listed, said = daemon.ctl("list")
    check(code == 0 and not said, "vmtierctl list works", said)
    check(len(listed.splitlines()) == len(seen) + 1, "one line each", listed)
    check(not [c for c in listed if not c.isprintable() and c != "\n"], "all printable", listed)
    code, listed, said = daemon.ctl("--json", "list")
    check(code == 0 and len(json.loads(listed)["guests"]) == len(seen), "JSON, too", said)
    code, text, said = daemon.ctl("metrics")
    check(code == 0, "metrics work", said)
    series = [line for line in text.splitlines() if line.startswith("vmtier_domain_passes_total{")]
    check(len(series) == len(seen) == len(set(series)), "one series each", series)


# Each opens as many files as it may, and its VM, if it had one, would be among the first.
MANY_FDS = """
import os, resource, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
os.setuid(65534)
fds = 3
try:
    while True:
        fds = os.dup(0)
except OSError:
    print(fds, flush=True)
time.sleep(1000)
"""


def passes_in(daemon, seconds, work):
    """of the honest guest, while work() is done over and over"""
    began, passes = time.monotonic(), daemon.show("honest")["passes"]
    while time.monotonic() < began + seconds:
        work()
    return daemon.show("honest")["passes"] - passes


@test
def users_with_very_many_fds_stop_no_pass_and_no_hook():
    guest = honest_guest()
    daemon = Daemon({"daemon": {"scan_ms": 100}})
    daemon.wait("honest", "is active", 20, lambda g: g["state"] == "active")
    alone = passes_in(daemon, 10, lambda: time.sleep(0.1))
    crowd = [subprocess.Popen([sys.executable, "-c", MANY_FDS], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True) for _ in range(12)]
    try:
        for process in crowd:
            check(int(process.stdout.readline()) > 19000, "it has many fds")
        answers = []

        def notify():
            asked = time.monotonic()
            daemon.notify("honest", "<mode>tier</mode>")
            answers.append(time.monotonic() - asked)

        beside = passes_in(daemon, 10, notify)
        print(f"# {alone} passes in 10 s alone, {beside} beside the crowd;"
              f" slowest of {len(answers)} answers {max(answers):.2f} s")
        check(beside >= max(alone / 3, 5), "passes keep their pace", alone, beside)
    finally:
        for process in crowd:
            process.kill()
            process.wait()
            process.stdout.close()
    check_honest(daemon, guest)


main()
