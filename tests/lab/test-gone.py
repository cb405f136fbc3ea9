#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""VMMs that are killed at any moment, and processes that hold the VM of another."""

import ctypes
import os
import random
import signal
import time

from daemon import Daemon, Vmm, check, main, test, wait_for

KILLS = 12
SECONDS_SHOWN = 10  # vmtierd shows it for 5 s; the rest is for a slow lab

# It takes a second at most; each step on the way may wait for its turn in a busy lab.
SECONDS_TO_SEE = 4

# A call of move_pages(2) keeps the process' memory, and with it the mappings of its vCPUs,
# until it returns: 20 ms for 64 MiB on real hardware, seconds in the lab.
SECONDS_OF_A_CALL = 10

SYS_PIDFD_GETFD = 438


def busy_guest(name):
    """with so much RAM in use that a pass over it takes a while, on CXL, so that it moves"""
    guest = Vmm(name, "-pages", 8192, "-node", 1, "-ring", 65536)
    guest.do("touch", 0, "ram", "write")
    guest.do("busy", 0, "ram", "read", 1)
    return guest


def vms_of(pid):
    """VMs that KVM has of a process"""
    return [name for name in os.listdir("/sys/kernel/debug/kvm") if name.startswith(f"{pid}-")]


def traces_in(daemon):
    """what of vmtierd keeps a VM: access fds, and mappings of dirty rings"""
    with open(f"/proc/{daemon.process.pid}/maps", encoding="utf-8") as maps:
        rings = [line.split()[-1] for line in maps if "kvm-vcpu" in line]
    return sorted(link for link in daemon.fds().values() if "kvm" in link) + rings


@test
def a_vmm_killed_at_any_moment_of_a_pass_is_shown_as_gone_and_dropped():
    daemon = Daemon(config={"harvest": {"period_ms": 100, "settle_passes": 3}})
    daemon.wait("anchor", "has been harvested", 20, lambda g: g["passes"] >= 1)
    before = traces_in(daemon)
    let_go = slowest = 0
    killed = []
    for n in range(KILLS):
        name = f"victim-{n}"
        guest = busy_guest(name)
        daemon.wait(name, "has been harvested", 30, lambda g: g["passes"] >= 1)
        check(vms_of(guest.pid), "KVM shows the VM under this name, or the rest proves nothing")
        check(traces_in(daemon) != before, "vmtierd shows that it holds the VM")
        time.sleep(random.uniform(0, 0.8))  # settling, in a pass, in a move
        guest.kill()
        died = time.monotonic()
        wait_for("vmtierd holds nothing of it", SECONDS_TO_SEE, lambda: traces_in(daemon) == before)
        let_go = max(let_go, time.monotonic() - died)
        gone = daemon.wait(name, "is shown as gone", SECONDS_TO_SEE, lambda g: g["state"] == "gone")
        check(gone["reason"].startswith("its process has ended"), "and why", gone["reason"])
        wait_for(f"the VM of '{name}' is destroyed", SECONDS_OF_A_CALL,
                 lambda pid=guest.pid: not vms_of(pid))
        slowest = max(slowest, time.monotonic() - died)
        killed.append((name, died))
    print(f"# let go of after {let_go:.2f} s at most, destroyed after {slowest:.2f} s")
    for name, died in killed:
        wait_for(f"'{name}' is dropped", max(0, died + SECONDS_SHOWN - time.monotonic()),
                 lambda name=name: daemon.show(name) is None)
    check(daemon.alive(), "vmtierd runs")
    daemon.wait_passes("anchor", 3)


@test
def others_go_on_when_one_is_killed():
    daemon = Daemon()
    stays = Vmm("stays", "-pages", 4096, "-node", 1)
    stays.do("fill", 1)
    stays.do("pick", "hot", 1, 500, "ram")
    stays.do("busy", 0, "hot", "read", 20)
    goes = busy_guest("goes")
    daemon.wait("goes", "is active", 30, lambda g: g["state"] == "active")
    goes.kill()
    wait_for("it has its hot pages in DRAM", 30, lambda: stays.nodes("hot") == {0: 500})
    stays.do("idle", 0)


@test
def a_vmm_that_ends_by_itself_is_gone_too():
    daemon = Daemon()
    guest = busy_guest("leaves")
    daemon.wait("leaves", "is active", 30, lambda g: g["state"] == "active")
    guest.quit()
    daemon.wait("leaves", "is shown as gone", SECONDS_TO_SEE,
                lambda g: g["state"] == "gone" and g["pid"] == 0)
    wait_for("it is dropped", SECONDS_SHOWN, lambda: daemon.show("leaves") is None)


def borrow_vm(guest):
    """its VM fd, for this process, whose pid is lower: vmtierd meets it first"""
    directory = f"/proc/{guest.pid}/fd"
    number = next(int(fd) for fd in os.listdir(directory)
                  if os.readlink(f"{directory}/{fd}") == "anon_inode:kvm-vm")
    pidfd = os.pidfd_open(guest.pid)
    fd = ctypes.CDLL(None, use_errno=True).syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
    os.close(pidfd)
    check(fd >= 0, "a VM fd can be borrowed", os.strerror(ctypes.get_errno()))
    return fd


def check_names(daemon, *names):
    """that these are all guests there are, for some scans"""
    for _ in range(20):
        seen = [guest["name"] for guest in daemon.status()["guests"]]
        check(sorted(seen) == sorted(names), "each VM is one guest, that of its owner", seen)
        time.sleep(0.1)


def refusals(daemon, pid, owner):
    """how often the log says so"""
    return daemon.said().count(f"process {pid} holds a VM whose memory belongs to process {owner}")


@test
def who_only_holds_the_vm_of_another_process_is_no_guest():
    guest = busy_guest("forked")
    forks = [guest.number("fork")]
    fd = borrow_vm(guest)
    try:
        daemon = Daemon()
        daemon.wait("forked", "is active", 30, lambda g: g["state"] == "active")
        forks.append(guest.number("fork"))  # when the accessed bits have their owner
        wait_for("it is met", 10, lambda: refusals(daemon, forks[1], guest.pid))
        check_names(daemon, "anchor", "forked")
        for pid in (os.getpid(), *forks):
            said = refusals(daemon, pid, guest.pid)
            check(said == 1, "that it is left alone, and why, is said once", pid, said)
        check("already clears" not in daemon.said(), "nobody else owns the accessed bits")
    finally:
        os.close(fd)
        for pid in forks:
            os.kill(pid, signal.SIGKILL)
    seen = daemon.wait_passes("forked", 3)
    check(seen["state"] == "active" and seen["pid"] == guest.pid, "the guest goes on", seen)
    check_names(daemon, "anchor", "forked")


@test
def a_vmm_that_is_killed_is_gone_even_if_a_fork_keeps_its_vm():
    daemon = Daemon()
    daemon.wait("anchor", "has been harvested", 20, lambda g: g["passes"] >= 1)
    before = traces_in(daemon)
    guest = busy_guest("survived")
    fork = guest.number("fork")
    try:
        daemon.wait("survived", "is active", 30, lambda g: g["state"] == "active")
        wait_for("the fork is met", 10, lambda: refusals(daemon, fork, guest.pid))
        guest.kill()
        wait_for("vmtierd holds nothing of it", SECONDS_TO_SEE, lambda: traces_in(daemon) == before)
        daemon.wait("survived", "is shown as gone", SECONDS_TO_SEE, lambda g: g["state"] == "gone")
        wait_for("it is dropped", SECONDS_SHOWN, lambda: daemon.show("survived") is None)
        check_names(daemon, "anchor")
        check(vms_of(guest.pid), "the fork has kept the VM, or the rest proves nothing")
    finally:
        os.kill(fork, signal.SIGKILL)
    wait_for("the VM is destroyed", SECONDS_OF_A_CALL, lambda: not vms_of(guest.pid))


main()
