#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that come and go leave nothing behind."""

import time

from daemon import Daemon, Vmm, check, main, test, wait_for

GUESTS = 200
WARM = 20  # what is allocated once and kept is there by then
AT_A_TIME = 10
RSS_SLACK_KIB = 1024


def generation(daemon, number):
    """a few guests that live until they have been harvested and moved"""
    guests = []
    for n in range(AT_A_TIME):
        guest = Vmm(f"guest-{number}-{n}", "-pages", 512, "-node", 1, "-ring", 16384)
        guest.do("touch", 0, "ram", "write")
        guests.append(guest)
    pids = {guest.pid for guest in guests}

    def served():
        seen = [g for g in daemon.status()["guests"] if g["pid"] in pids]
        return len(seen) == AT_A_TIME and all(g["passes"] >= 2 for g in seen)

    wait_for("all have been harvested", 60, served)
    for n, guest in enumerate(guests):
        if n % 2:
            guest.kill()
        else:
            guest.quit()


def rest(daemon):
    """until all but the anchor are dropped: number of fds, and RSS"""
    wait_for("all are dropped", 30, lambda: len(daemon.status()["guests"]) == 1)
    daemon.wait_passes("anchor", 2)
    # Scans, passes and the connection of the last question have theirs for a moment.
    fds = min(len(daemon.fds()) for _ in range(100) if not time.sleep(0.02))
    return fds, daemon.rss_kib()


@test
def two_hundred_guests_come_and_go_and_leave_nothing_behind():
    daemon = Daemon(config={"daemon": {"log_level": "warning"}, "harvest": {"period_ms": 100}})
    for number in range(WARM // AT_A_TIME):
        generation(daemon, number)
    fds, rss = rest(daemon)
    for number in range(WARM // AT_A_TIME, GUESTS // AT_A_TIME):
        generation(daemon, number)
    fds_now, rss_now = rest(daemon)
    print(f"# fds {fds} and {fds_now}, RSS {rss} KiB and {rss_now} KiB")
    check(fds_now == fds, "as many fds as after the first twenty", fds, fds_now, daemon.fds())
    check(rss_now - rss <= RSS_SLACK_KIB, "RSS has grown by 1 MiB at most", rss, rss_now)
    passes = daemon.status()["passes"]
    check(passes >= 2 * GUESTS, "all of them were harvested", passes)


main()
