#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real QEMU, which runs its firmware: it is found, harvested, killed, and gone."""

import os
import random
import subprocess
import time

from daemon import RUNNING, Daemon, check, main, test, wait_for

RAM_MIB = 64
RAM_PAGES = RAM_MIB << 8
KILLS = 4


class Qemu:
    """two vCPUs, RAM of a memfd on node 1; nothing to boot"""

    def __init__(self, name, accel="kvm", prealloc="on"):
        self.name = name
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-name", f"guest={name},debug-threads=on",
             "-accel", accel, "-cpu", "host", "-smp", "2",
             "-machine", "q35,memory-backend=ram", "-m", f"{RAM_MIB}M", "-object",
             f"memory-backend-memfd,id=ram,share=on,size={RAM_MIB}M,prealloc={prealloc},"
             "host-nodes=1,policy=bind",
             "-nodefaults", "-no-user-config", "-display", "none"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        RUNNING.append(self)

    def end(self):
        """kill -9"""
        if self in RUNNING:
            RUNNING.remove(self)
        self.process.kill()
        self.process.wait(30)
        self.process.stderr.close()

    def explain(self):
        """for a test that failed"""
        ended = self.process.poll()
        print("#   QEMU runs" if ended is None else f"#   QEMU: {self.process.stderr.read()}")


def qemu_with_rings(name, daemon):
    """one that has lived until it was known with all of its RAM and both vCPUs

    QEMU 7.2 ends by an assertion if its reaper, once a second, meets a vCPU whose
    ring is not mapped yet (mended in 8.0). With little to do at its start it is ready
    before, even in the lab.
    """
    for _ in range(8):
        qemu = Qemu(name, "kvm,dirty-ring-size=4096", "off")

        def known_or_dead(qemu=qemu):
            seen = daemon.show(name)
            return qemu.process.poll() is not None or (
                seen and seen["pid"] == qemu.pid and seen["ring_vcpus"] == 2)

        wait_for("QEMU runs with both vCPUs", 60, known_or_dead)
        if qemu.process.poll() is None:
            return qemu
        said = qemu.process.stderr.read()
        check("kvm_dirty_ring_reap_one" in said, "QEMU does not end", said)
        print("# QEMU's reaper was faster than its vCPUs: again")
        qemu.end()
    raise AssertionError("QEMU survives its own start")


def holds_kvm(daemon):
    """what of vmtierd keeps a VM alive, beside the anchor's"""
    with open(f"/proc/{daemon.process.pid}/maps", encoding="utf-8") as maps:
        rings = [line for line in maps if "kvm-vcpu" in line]
    return len(rings) + sum("kvm" in link for link in daemon.fds().values())


@test
def qemu_is_found_by_its_name_and_harvested_with_its_rings():
    daemon = Daemon()
    qemu = qemu_with_rings("real", daemon)
    seen = daemon.wait("real", "is active", 60, lambda g: g["state"] == "active")
    check(seen["pid"] == qemu.pid, "it is that process", seen)
    check(seen["source"] == "kvm+ring" and seen["ring_vcpus"] == 2, "with both its rings", seen)
    # Until the firmware has set up the space below 1 MiB a little of RAM is in no slot.
    daemon.wait("real", "has all of its RAM known", 60,
                lambda g: RAM_PAGES <= g["ram_pages"] <= RAM_PAGES + 8192)
    seen = daemon.wait("real", "has what it mapped shown by node", 60,
                       lambda g: g["present_pages"] > 0 and sum(g["node_pages"].values()) > 0)
    check(seen["ring_bad"] == 0, "its rings make sense", seen)
    daemon.wait_passes("real", 3)
    qemu.end()
    gone = daemon.wait("real", "is shown as gone", 5, lambda g: g["state"] == "gone")
    check(gone["reason"].startswith("its process has ended"), "and why", gone["reason"])
    wait_for("it is dropped", 20, lambda: daemon.show("real") is None)
    check(daemon.alive(), "vmtierd runs")


@test
def qemu_killed_at_any_moment_leaves_nothing_behind():
    daemon = Daemon(config={"harvest": {"period_ms": 100, "settle_passes": 3}})
    daemon.wait("anchor", "has been harvested", 20, lambda g: g["passes"] >= 1)
    before = holds_kvm(daemon)
    for n in range(KILLS):
        qemu = Qemu(f"victim-{n}")
        daemon.wait(qemu.name, "is known", 60, lambda g: g["state"] != "gone")
        time.sleep(random.uniform(0, 2))
        qemu.end()
        wait_for("vmtierd holds nothing of it", 5, lambda: holds_kvm(daemon) == before)
        wait_for("its VM is destroyed", 20, lambda pid=qemu.pid: not [
            name for name in os.listdir("/sys/kernel/debug/kvm") if name.startswith(f"{pid}-")])
    daemon.wait_passes("anchor", 3)
    check(daemon.alive(), "vmtierd runs")


main()
