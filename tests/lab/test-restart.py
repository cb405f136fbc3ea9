#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A vmtierd that is killed, and the next one."""

import signal
import time

from daemon import Daemon, Vmm, check, main, test, wait_for

PAGES = 8192
HOT = 1000


def guest_on_cxl(name):
    """writes one part of its RAM, reads another, all on node 1"""
    guest = Vmm(name, "-pages", PAGES, "-node", 1, "-smp", 2, "-ring", 65536)
    guest.do("fill", 7)
    guest.do("pick", "both", 1, 2 * HOT, "ram")
    guest.do("pick", "hot", 2, HOT, "both")
    guest.do("busy", 0, "hot", "write", 20)
    return guest


@test
def a_guest_outlives_vmtierd_and_the_next_one_adopts_it():
    guest = guest_on_cxl("survivor")
    daemon = Daemon()
    daemon.wait("survivor", "moves", 30, lambda g: g["directions"]["promote"]["done_pages"] > 0)
    daemon.kill()
    before = guest.number("rounds", 0)
    wait_for("the guest runs on", 10, lambda: guest.number("rounds", 0) > before + 3)
    daemon.start()
    adopted = daemon.wait("survivor", "is active again", 30, lambda g: g["state"] == "active")
    check(adopted["source"] == "kvm+ring", "its accesses and its ring are seen", adopted)
    wait_for("its hot set is in DRAM", 30, lambda: guest.nodes("hot") == {0: HOT})
    guest.do("idle", 0)
    check(guest.number("verify") == 0, "its memory is as it was")


@test
def so_it_does_time_after_time():
    guest = guest_on_cxl("survivor")
    daemon = Daemon(start=False)
    for n in range(8):
        daemon.start()
        daemon.wait("survivor", "is harvested", 30, lambda g: g["passes"] > 1)
        # A second owner of the accessed bits would show as degraded, with EBUSY.
        check("already clears" not in daemon.said(), "nobody else owns the accessed bits")
        time.sleep(n * 0.1)
        daemon.kill()
    guest.do("idle", 0)
    check(guest.number("verify") == 0, "its memory is as it was")


@test
def a_second_vmtierd_beside_it_says_whose_the_guest_is():
    guest = guest_on_cxl("contested")
    first = Daemon()
    first.wait("contested", "is harvested", 30, lambda g: g["passes"] > 1)
    second = Daemon()
    degraded = second.wait("contested", "is degraded", 30, lambda g: g["state"] == "degraded")
    check("already clears" in degraded["reason"], "and why", degraded["reason"])
    first.wait_passes("contested", 3)
    guest.do("idle", 0)


@test
def a_vmtierd_that_ends_politely_leaves_pages_and_no_socket():
    guest = guest_on_cxl("left")
    daemon = Daemon()
    wait_for("its hot set is in DRAM", 30, lambda: guest.nodes("hot") == {0: HOT})
    guest.do("mark", "hot")
    daemon.process.send_signal(signal.SIGTERM)
    check(daemon.process.wait(20) == 0, "exit status 0", daemon.process.returncode)
    check(guest.number("moved", "hot") == 0, "pages stay where they are")
    check("pages stay where they are" in daemon.said(), "and it says so")
    code, _, said = daemon.ctl("status")
    check(code == 3, "vmtierctl says that it is not reachable", code, said)
    guest.do("idle", 0)


main()
