#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a VMM's process is or has, and that its guest is left alone for it: stopped, VFIO, SEV.

All guests have a hot set on CXL that an unhindered vmtierd moves within two seconds.
"""

import os
import signal
import stat
import subprocess

from daemon import Daemon, Vmm, check, main, test, wait_for

HOT = 300
SOON = 60  # fds are looked at once in 16 passes, i.e. every 3 to 4 s in a lab that is not busy
VFIO = "/dev/vfio/vfio"
SEV = "/dev/sev"

OBSERVE = "<mode>observe</mode>"
TIER = "<mode>tier</mode>"


def hot_guest(name):
    """with a hot set on node 1"""
    guest = Vmm(name, "-pages", 2048, "-node", 1)
    guest.do("fill", 1)
    guest.do("pick", "hot", 1, HOT, "ram")
    guest.do("busy", 0, "hot", "read", 20)
    return guest


def have_vfio():
    """the real one"""
    subprocess.run(["modprobe", "vfio"], check=True)
    wait_for(f"there is {VFIO}", 5, lambda: os.path.exists(VFIO))


def have_sev():
    """its name, which is all that is looked at; the lab's CPU has none"""
    check(not os.path.exists(SEV), "the lab has no SEV, or this could be the real one")
    os.mknod(SEV, stat.S_IFCHR | 0o600, os.makedev(1, 3))


def moves(guest):
    """what was tried and done for it, both ways"""
    return {way: (counts["calls"], counts["done_pages"])
            for way, counts in guest["directions"].items()}


def stays(daemon, guest, state, *words):
    """shown in this state and why, hot as it is; nothing of it moves"""
    first = daemon.wait(guest.name, f"is {state}", SOON, lambda g: g["state"] == state)
    check(all(word in first["reason"] for word in words), f"the reason says {words}",
          first["reason"])
    daemon.wait(guest.name, "has its hot pages shown", SOON, lambda g: g["hot_pages"] >= HOT)
    seen = daemon.wait_passes(guest.name, 10)
    check(seen["state"] == state, "it stays so", seen)
    check(moves(seen) == moves(first), "nothing is tried", moves(first), moves(seen))
    check(guest.nodes("hot") == {1: HOT}, "nothing moves", guest.nodes("hot"))


def goes_on(daemon, guest):
    """active, and its hot pages go where they would have gone; ends it"""
    daemon.wait(guest.name, "is active", SOON, lambda g: g["state"] == "active")
    wait_for("its hot pages are in DRAM", SOON, lambda: guest.nodes("hot") == {0: HOT})
    guest.do("idle", 0)
    check(guest.number("verify") == 0, "contents are as they were")


def node_pages_of(pid):
    """pages of a whole process by node, without its help"""
    found = {}
    with open(f"/proc/{pid}/numa_maps", encoding="utf-8") as maps:
        for word in maps.read().split():
            node, equals, pages = word.partition("=")
            if equals and node[:1] == "N" and node[1:].isdigit():
                found[int(node[1:])] = found.get(int(node[1:]), 0) + int(pages)
    return found


@test
def a_guest_with_vfio_is_pinned_until_that_is_gone():
    have_vfio()
    guest = hot_guest("passthrough")
    fd = guest.number("open", VFIO)
    daemon = Daemon()
    stays(daemon, guest, "pinned", "VFIO")
    guest.do("close", fd)
    goes_on(daemon, guest)


@test
def a_guest_with_sev_is_pinned_until_that_is_gone():
    have_sev()
    try:
        guest = hot_guest("encrypted")
        fd = guest.number("open", SEV)
        daemon = Daemon()
        stays(daemon, guest, "pinned", "SEV")
        guest.do("close", fd)
        goes_on(daemon, guest)
    finally:
        os.unlink(SEV)


@test
def vfio_that_comes_to_an_active_guest_pins_it():
    have_vfio()
    guest = hot_guest("hotplug")
    daemon = Daemon(policies={"hotplug": OBSERVE})
    daemon.wait("hotplug", "is active", SOON, lambda g: g["state"] == "active")
    fd = guest.number("open", VFIO)
    daemon.wait("hotplug", "is pinned", SOON, lambda g: g["state"] == "pinned")
    daemon.set_policy("hotplug", TIER)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait("hotplug", "may be moved", SOON, lambda g: g["mode"] == "tier")
    stays(daemon, guest, "pinned", "VFIO")
    guest.do("close", fd)
    goes_on(daemon, guest)


@test
def other_files_of_similar_names_pin_nobody():
    paths = ["/dev/sevenths", "/dev/vfio-like", "/tmp/dev/sev", "/tmp/dev/vfio/vfio"]
    os.makedirs("/tmp/dev/vfio", exist_ok=True)
    guest = hot_guest("lookalike")
    try:
        for path in paths:
            os.mknod(path, stat.S_IFREG | 0o600)
            guest.do("open", path)
        daemon = Daemon()
        goes_on(daemon, guest)
    finally:
        for path in paths:
            os.unlink(path)


@test
def a_stopped_guest_is_frozen_until_it_goes_on():
    guest = hot_guest("stopped")
    daemon = Daemon(policies={"stopped": OBSERVE})
    daemon.wait("stopped", "is active and hot", SOON,
                lambda g: g["state"] == "active" and g["hot_pages"] >= HOT)
    check(guest.nodes("hot") == {1: HOT}, "it was only observed", guest.nodes("hot"))
    guest.process.send_signal(signal.SIGSTOP)
    frozen = daemon.wait("stopped", "is frozen", SOON, lambda g: g["state"] == "frozen")
    check("stopped" in frozen["reason"], "and why", frozen["reason"])
    where = node_pages_of(guest.pid)
    check(where.get(1, 0) >= HOT, "the test sees where it lies", where)

    # It may be moved from now on, and what is hot is known.
    daemon.set_policy("stopped", TIER)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait("stopped", "may be moved", SOON, lambda g: g["mode"] == "tier")
    daemon.wait_passes("anchor", 15)
    seen = daemon.show("stopped")
    check(seen["state"] == "frozen", "it stays frozen", seen)
    check(moves(seen) == moves(frozen), "nothing is tried", moves(frozen), moves(seen))
    check(node_pages_of(guest.pid) == where, "nothing moves", where, node_pages_of(guest.pid))
    guest.process.send_signal(signal.SIGCONT)
    goes_on(daemon, guest)


main()
