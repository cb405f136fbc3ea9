#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that lack something: vmtierd says what, doctor explains it, and what can go on does.

Which tests there are depends on the lab: $LAB_KERNEL and $LAB_TOPOLOGY.
"""

import json
import os
import stat

from daemon import Daemon, Vmm, check, main, test, wait_for

NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def said_once(daemon, *words):
    """one line of stderr holds all the words, and is not repeated"""
    wait_for("vmtierd has looked around", 10, lambda: daemon.status()["uptime_ns"] > 3e9)
    lines = [line for line in daemon.said().splitlines() if all(word in line for word in words)]
    check(len(lines) == 1, f"vmtierd says {words} once", daemon.said())
    return lines[0]


def problem(daemon, word):
    """status has it too"""
    found = [p for p in daemon.status()["problems"] if word in p]
    check(found, f"status says '{word}'", daemon.status()["problems"])
    code, out, _ = daemon.ctl("status")
    check(code == 0 and word in " ".join(out.split()), "vmtierctl status shows it", out)


def doctor(daemon, topic, *words, wrap=()):
    """fails with 1, and a finding of the topic holds all words and what to do next"""
    code, out, err = daemon.ctl("--json", "doctor", wrap=wrap)
    check(code == 1, "doctor ends with 1", code, out, err)
    findings = [f for f in json.loads(out)["findings"] if f["topic"] == topic]
    check(len(findings) == 1 and findings[0]["verdict"] == "fail", f"it finds '{topic}'", out)
    check(all(word in findings[0]["text"] for word in words), f"and says {words}", findings)
    check(findings[0]["next"], "and what to do", findings)
    code, out, _ = daemon.ctl("doctor", wrap=wrap)
    check(code == 1 and " failed" in out.splitlines()[-1], "in words, too", out)


def guest_by_node(name, node):
    """a guest with its RAM on a node, in use"""
    guest = Vmm(name, "-pages", 2048, "-node", node)
    guest.do("fill", 1)
    guest.do("pick", "hot", 1, 300, "ram")
    guest.do("busy", 0, "hot", "read", 20)
    guest.do("mark", "ram")
    return guest


def check_degraded(daemon, guest, node, *words):
    """shown with a reason and where it lies; untouched"""
    seen = daemon.wait(guest.name, "is shown as degraded, with its pages by node", 20,
                       lambda g: g["state"] == "degraded" and g["node_pages"][str(node)] >= 2000)
    check(all(word in seen["reason"] for word in words), f"the reason says {words}", seen["reason"])
    check(seen["source"] == "none" and seen["passes"] == 0, "no pass is made up", seen)
    code, out, _ = daemon.ctl("show", guest.name)
    check(code == 0 and "degraded" in out, "vmtierctl shows it", out)
    check(guest.number("moved", "ram") == 0, "nothing moves")
    guest.do("idle", 0)
    check(guest.number("verify") == 0, "contents are as they were")


if os.environ["LAB_KERNEL"] == "stock":
    @test
    def with_a_stock_kvm_guests_are_degraded_and_shown_by_node():
        guests = {node: guest_by_node(f"on-{node}", node) for node in (0, 1)}
        daemon = Daemon()
        said_once(daemon, "the loaded KVM has no access fds", "kvm-patches")
        problem(daemon, "no access fds")
        check(daemon.status()["kvm"] == "stock", "status calls it stock")
        doctor(daemon, "KVM modules", "no access fds")
        for node, guest in guests.items():
            check_degraded(daemon, guest, node, "stock")

    @test
    def with_a_stock_kvm_guests_go_as_they_do_elsewhere():
        daemon = Daemon()
        guest = guest_by_node("brief", 1)
        daemon.wait("brief", "is degraded", 20, lambda g: g["state"] == "degraded")
        guest.kill()
        daemon.wait("brief", "is gone", 3, lambda g: g["state"] == "gone")
        wait_for("it is dropped", 10, lambda: daemon.show("brief") is None)

elif os.environ["LAB_TOPOLOGY"] == "1+0":
    @test
    def with_one_node_guests_are_blocked_and_still_harvested():
        daemon = Daemon()
        said_once(daemon, "one NUMA node only")
        problem(daemon, "one NUMA node only")
        doctor(daemon, "memory tiers", "Only one NUMA node")
        guest = guest_by_node("lonely", 0)
        seen = daemon.wait("lonely", "is blocked", 20, lambda g: g["state"] == "blocked")
        check("one tier only" in seen["reason"], "and why", seen["reason"])
        seen = daemon.wait("lonely", "has its hot pages shown", 20, lambda g: g["hot_pages"] >= 300)
        check(seen["passes"] > 2 and seen["node_pages"]["0"] >= 2000, "and where they lie", seen)
        guest.do("idle", 0)

else:
    @test
    def a_host_that_has_all_is_given_a_clean_bill():
        daemon = Daemon()
        said_once(daemon, "KVM offers access fds")
        check(daemon.status()["problems"] == [], "no problems", daemon.status()["problems"])
        check(daemon.status()["kvm"] == "patched", "status says that KVM is patched")
        code, out, _ = daemon.ctl("doctor")
        check(code == 0 and "0 failed" in out.splitlines()[-1], "doctor ends with 0", code, out)

    def without_kvm():
        """take /dev/kvm away: how to give it back"""
        mode = os.stat("/dev/kvm")
        os.unlink("/dev/kvm")
        return lambda: (os.mknod("/dev/kvm", mode.st_mode, mode.st_rdev),
                        os.chmod("/dev/kvm", stat.S_IMODE(mode.st_mode)))

    @test
    def without_dev_kvm_it_waits_for_one():
        give_back = without_kvm()
        try:
            daemon = Daemon()
            said_once(daemon, "/dev/kvm cannot be opened", "load kvm_amd or kvm_intel")
            problem(daemon, "/dev/kvm cannot be opened")
            check(daemon.status()["kvm"] == "none", "status says that there is none")
            doctor(daemon, "/dev/kvm", "no /dev/kvm")
        finally:
            give_back()
        wait_for("it sees that it has come", 10, lambda: daemon.status()["kvm"] == "patched")
        check(daemon.status()["problems"] == [], "no problem is left", daemon.status()["problems"])
        guest = guest_by_node("late", 1)
        wait_for("and a guest is served", 30, lambda: guest.nodes("hot") == {0: 300})
        guest.do("idle", 0)

    @test
    def not_as_root_it_shows_what_it_may_see():
        os.chmod("/dev/kvm", 0o666)
        mine = Vmm("mine", "-pages", 2048, "-node", 1, wrap=NOBODY)
        mine.do("fill", 1)
        roots = guest_by_node("roots", 1)
        daemon = Daemon(wrap=NOBODY)
        said_once(daemon, "not running as root")
        seen = daemon.wait("mine", "is shown as degraded, with its pages by node", 20,
                           lambda g: g["state"] == "degraded" and g["node_pages"]["1"] >= 2000)
        check("CAP_" in seen["reason"], "the reason names the right that is missing",
              seen["reason"])
        check(daemon.show("roots") is None, "a guest of root's cannot be seen")
        doctor(daemon, "rights", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN", wrap=NOBODY)
        check(roots.number("moved", "ram") == 0, "nothing moves")
        check(daemon.alive(), "it runs on")
        roots.do("idle", 0)

    @test
    def not_as_root_and_without_dev_kvm_it_says_both():
        os.chmod("/dev/kvm", 0o660)
        daemon = Daemon(wrap=NOBODY)
        said_once(daemon, "not running as root")
        said_once(daemon, "/dev/kvm cannot be opened", "run as root")
        problem(daemon, "/dev/kvm cannot be opened")

    @test
    def others_may_read_and_not_pause():
        daemon = Daemon()
        os.chmod(daemon.socket, 0o666)
        guest = guest_by_node("steady", 1)
        daemon.wait("steady", "is active", 20, lambda g: g["state"] == "active")
        code, _, _ = daemon.ctl("status", wrap=NOBODY)
        check(code == 0, "status is for all that the socket lets in", code)
        code, _, err = daemon.ctl("pause", "steady", wrap=NOBODY)
        check(code == 5 and "root" in err, "pausing is for root: exit code 5", code, err)
        os.chmod(daemon.socket, 0o600)
        code, _, err = daemon.ctl("status", wrap=NOBODY)
        check(code in (3, 5) and err, "a closed socket is said", code, err)
        guest.do("idle", 0)


main()
