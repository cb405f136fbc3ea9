#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A vmtierd that is killed, and the next one."""

import os
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


# No guest moves for as long as a test needs to say something of it.
UNSETTLED = {"harvest": {"settle_passes": 100}}


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


def is_paused(guest):
    """by the operator, whatever its policy says"""
    return guest["state"] == "paused" and "operator" in guest["reason"]


def pause(daemon, guest):
    """by the operator, as soon as it is known"""
    daemon.wait(guest.name, "is known", 30, lambda g: True)
    code, _, said = daemon.ctl("pause", guest.name)
    check(code == 0, "it can be paused", said)
    daemon.wait(guest.name, "is paused", 10, is_paused)


def stays(daemon, guest, more=8):
    """nothing of the guest moves while many passes are made"""
    guest.do("mark", "ram")
    daemon.wait_passes(guest.name, more)
    check(guest.number("moved", "ram") == 0, "nothing moved")


@test
def a_paused_guest_is_still_paused_after_kill_9():
    guest = guest_on_cxl("resting")
    daemon = Daemon(UNSETTLED)
    pause(daemon, guest)
    daemon.write_config({})
    guest.do("mark", "ram")
    for how in ("kill", "polite"):
        if how == "kill":
            daemon.kill()
        else:
            daemon.process.send_signal(signal.SIGTERM)
            daemon.process.wait(20)
        daemon.start()
        after = daemon.wait("resting", "is known again", 30, lambda g: True)
        check(is_paused(after), "and paused, when it is first shown", after)
        time.sleep(2)
        now = daemon.show("resting")
        check(is_paused(now) and now["passes"] == 0, "and stays so, without a pass", now)
    check(guest.number("moved", "ram") == 0, "nothing moved")
    code, _, said = daemon.ctl("resume", "resting")
    check(code == 0 and not daemon.kept(), "with the pause its file goes", said, daemon.kept())
    wait_for("its hot set is in DRAM", 30, lambda: guest.nodes("hot") == {0: HOT})
    guest.do("idle", 0)


@test
def the_policy_of_its_metadata_is_in_force_after_kill_9():
    guest = guest_on_cxl("bound")
    daemon = Daemon(UNSETTLED, policies={"bound": "<mode>tier</mode>"})
    daemon.wait("bound", "is known", 30, lambda g: True)
    daemon.notify("bound", "<mode>observe</mode><dram><max unit='MiB'>1</max></dram>")
    told = daemon.wait("bound", "has it", 10, lambda g: g["policy"] == "metadata")
    daemon.write_config({})
    daemon.kill()
    daemon.start()
    back = daemon.wait("bound", "is known again", 30, lambda g: True)
    for key in ("mode", "policy", "share_pages"):
        check(back[key] == told[key], f"with the {key} that the hook brought", back, told)
    stays(daemon, guest)
    daemon.notify("bound", "<mode>promote</mode>")
    daemon.kill()
    daemon.start()
    back = daemon.wait("bound", "is known once more", 30, lambda g: True)
    check(back["mode"] == "promote", "as the last metadata says", back)
    wait_for("its hot set is in DRAM", 30, lambda: guest.nodes("hot") == {0: HOT})
    guest.do("idle", 0)


@test
def what_is_kept_is_for_root_alone_and_goes_with_the_guest():
    first, second = guest_on_cxl("first"), guest_on_cxl("second")
    daemon = Daemon()
    for guest in (first, second):
        pause(daemon, guest)
    kept = daemon.kept()
    check(sorted(int(name.split("-")[0]) for name in kept) == sorted([first.pid, second.pid]),
          "one file for each, by its pid", kept)
    check(all("first" not in name + text and "second" not in name + text
              for name, text in kept.items()), "its name is nowhere", kept)
    check(os.stat(daemon.state_dir).st_mode & 0o7777 == 0o700, "the directory is 0700")
    for name in kept:
        check(os.stat(f"{daemon.state_dir}/{name}").st_mode & 0o7777 == 0o600, "a file is 0600")
    first.kill()
    wait_for("its file is gone", 10, lambda: len(daemon.kept()) == 1)
    daemon.kill()
    second.kill()
    with open(daemon.state_dir + "/README", "w", encoding="utf-8") as file:
        file.write("not of vmtierd\n")
    daemon.start()
    wait_for("so is that of a guest that ended meanwhile, and nothing else", 10,
             lambda: list(daemon.kept()) == ["README"])


@test
def a_file_that_makes_no_sense_means_to_look_only():
    guest = guest_on_cxl("puzzling")
    daemon = Daemon(UNSETTLED)
    pause(daemon, guest)
    daemon.write_config({})
    path = f"{daemon.state_dir}/{next(n for n in daemon.kept() if str(guest.pid) in n)}"
    daemon.kill()
    with open(path, "w", encoding="utf-8") as file:
        file.write("{\"version\": 1, \"paus")
    daemon.start()
    looked = daemon.wait("puzzling", "is active", 30, lambda g: g["state"] == "active")
    check(looked["mode"] == "observe" and path in looked["reason"],
          "it is observed, and the file is named", looked)
    check(path in daemon.status()["last_policy_error"], "the refusal is told", daemon.status())
    check(path in daemon.said(), "and logged")
    stays(daemon, guest)
    os.unlink(path)
    daemon.process.send_signal(signal.SIGHUP)
    wait_for("its hot set is in DRAM", 30, lambda: guest.nodes("hot") == {0: HOT})
    guest.do("idle", 0)


@test
def without_a_directory_it_says_so_once_and_pauses_all_the_same():
    guest = guest_on_cxl("homeless")
    daemon = Daemon(start=False)
    daemon.state_dir = "/proc/vmtier/guests"
    daemon.start()
    daemon.wait("homeless", "is known", 30, lambda g: True)
    for verb in ("pause", "resume", "pause"):
        code, _, said = daemon.ctl(verb, "homeless")
        check(code == 0, f"{verb} works", said)
    daemon.wait("homeless", "is paused", 10, is_paused)
    check(daemon.said().count(daemon.state_dir) == 1, "one sentence", daemon.said())
    check(any(daemon.state_dir in p for p in daemon.status()["problems"]), "and a problem",
          daemon.status()["problems"])
    guest.do("idle", 0)


main()
