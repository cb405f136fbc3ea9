#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmtierd follows a dirty ring that its VMM owns: what vmtierctl shows of it."""

import json

from daemon import Daemon, Vmm, check, main, test

PAGES = 4096
RING = 65536  # bytes; 4096 entries


def ring_of(daemon, name):
    """what vmtierctl says of a guest's rings, and its pages written"""
    code, out, err = daemon.ctl("--json", "show", name)
    check(code == 0, "vmtierctl shows the guest", err)
    guest = json.loads(out)["guest"]
    return {key: guest[key] for key in ("ring_vcpus", "ring_entries", "ring_lost", "ring_bad",
                                        "written_pages", "passes")}


def started(name, *options):
    """a guest all of whose pages were written once and taken out of the ring, as QEMU does"""
    guest = Vmm(name, "-pages", PAGES, *options)
    for vcpu in range(2 if "-smp" in options else 1):
        guest.do("touch", vcpu, "ram", "write")
        while guest.number("collect", vcpu):
            guest.do("reset")
    return guest


@test
def pages_written_are_those_that_are_shown():
    guest = started("writer", "-ring", RING)
    daemon = Daemon(config={"harvest": {"period_ms": 500}})
    daemon.wait_passes("writer", 3)
    total = ring_of(daemon, "writer")["ring_entries"]
    for seed, n in enumerate((1, 7, 100, 1000)):
        guest.do("pick", "some", seed, n, "ram")
        pushed = guest.number("tables", 0, "some")
        check(pushed >= n, "the pages, and the guest's page tables on the way", pushed)
        guest.do("touch", 0, "some", "write")
        seen = daemon.wait("writer", f"has {pushed} entries more", 20,
                           lambda g, want=total + pushed: g["ring_entries"] >= want)
        # It is taken out and given back while vmtierd follows; that is no news.
        check(guest.number("collect", 0) == pushed, "the owner finds as many")
        guest.do("reset")
        daemon.wait_passes("writer", 3)
        now = ring_of(daemon, "writer")
        check(now["ring_entries"] == total + pushed, "each counts once", now, total, pushed)
        check(seen["ring_vcpus"] == 1 and not now["ring_bad"], "none points elsewhere", now)
        total += pushed


@test
def the_pages_of_one_pass_are_shown_with_it():
    guest = started("writer", "-ring", RING)
    # All that is done between two passes must be over before the second.
    daemon = Daemon(config={"harvest": {"period_ms": 6000}})
    first = daemon.wait_passes("writer", 1)
    guest.do("pick", "some", 1, 300, "ram")
    pushed = guest.number("tables", 0, "some")
    guest.do("touch", 0, "some", "write")
    now = daemon.wait("writer", "has the next pass", 40, lambda g: g["passes"] > first["passes"])
    check(now["passes"] == first["passes"] + 1 and now["written_pages"] == pushed,
          "written_pages are those of the pass", now, pushed)
    now = daemon.wait("writer", "has one more", 40, lambda g: g["passes"] > now["passes"])
    check(now["written_pages"] == 0, "and none in the next", now)


@test
def each_vcpu_has_a_ring():
    guest = started("pair", "-ring", RING, "-smp", 2)
    daemon = Daemon(config={"harvest": {"period_ms": 500}})
    daemon.wait_passes("pair", 3)
    before = ring_of(daemon, "pair")
    guest.do("pick", "both", 1, 400, "ram")
    guest.do("split", "a", "b", 150, "both")
    want = before["ring_entries"]
    for vcpu, pages in ((0, "a"), (1, "b")):
        guest.do("touch", vcpu, pages, "write")
        want += guest.number("collect", vcpu)
    check(want >= before["ring_entries"] + 400, "all of them were pushed", want)
    seen = daemon.wait("pair", "has them all", 20, lambda g: g["ring_entries"] >= want)
    check(seen["ring_entries"] == want and seen["ring_vcpus"] == 2, "of both", seen, want)


@test
def an_overflow_is_reported_as_a_loss():
    # The VMM empties a small ring over and over between two looks.
    guest = started("flood", "-ring", 16384)
    daemon = Daemon(config={"harvest": {"period_ms": 4000}})
    daemon.wait_passes("flood", 2)
    before = ring_of(daemon, "flood")
    guest.do("touch", 0, "ram", "write")
    daemon.wait("flood", "has a loss", 60, lambda g: g["ring_lost"] > before["ring_lost"])
    quiet = daemon.wait_passes("flood", 1)
    again = daemon.wait_passes("flood", 2)
    check(again["ring_lost"] == quiet["ring_lost"], "nothing is lost while nothing is written")


@test
def a_guest_without_a_ring_has_none():
    guest = Vmm("plain", "-pages", 512)
    guest.do("touch", 0, "ram", "write")
    daemon = Daemon()
    daemon.wait_passes("plain", 3)
    now = ring_of(daemon, "plain")
    check(now["ring_vcpus"] == now["ring_entries"] == now["ring_lost"] == 0, "all zero", now)
    check(daemon.show("plain")["source"] == "kvm", "and the source says so")


main()
