#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two sockets, each with DRAM and CXL memory: which DRAM node pages go to, and
what cpusets forbid.  Nodes 0 and 1 are DRAM with one CPU each, 2 and 3 are CXL.
"""

import os

from daemon import Daemon, Vmm, check, main, test, wait_for

PAGES = 4096
HOT = 500
CGROUPS = "/sys/fs/cgroup"


class Cpuset:
    """a cgroup of its own; systemd or libvirt would make it"""

    def __init__(self, name, mems):
        with open(CGROUPS + "/cgroup.subtree_control", "w", encoding="ascii") as file:
            file.write("+cpuset")
        self.path = f"{CGROUPS}/{name}"
        os.makedirs(self.path, exist_ok=True)
        self.allow(mems)

    def write(self, file, value):
        """one of its files"""
        with open(f"{self.path}/{file}", "w", encoding="ascii") as f:
            f.write(str(value))

    def allow(self, mems):
        """another set of nodes"""
        self.write("cpuset.mems", mems)

    def take(self, vmm):
        """a process moves in"""
        self.write("cgroup.procs", vmm.pid)


def on_cpu(guest, cpu):
    """all threads of a guest run there"""
    for task in os.listdir(f"/proc/{guest.pid}/task"):
        os.sched_setaffinity(int(task), {cpu})


def guest_on(name, node, cpu=None):
    """its hot set lies on a node, and is used from a CPU"""
    guest = Vmm(name, "-pages", PAGES, "-node", node, "-smp", 2)
    guest.do("fill", 1)
    guest.do("pick", "hot", 1, HOT, "ram")
    guest.do("busy", 0, "hot", "read", 20)
    if cpu is not None:
        on_cpu(guest, cpu)
    return guest


def says_target(daemon, guest, node):
    """a report may come a moment later than the pages"""
    daemon.wait(guest.name, f"is said to go to node {node}", 5, lambda g: g["directions"]["promote"]["target_node"] == node)


def finish(guest):
    """its memory is as it was"""
    guest.do("idle", 0)
    check(guest.number("verify") == 0, "contents are as they were")


@test
def hot_pages_go_to_the_node_where_the_vcpus_run():
    # From the CXL memory of either socket to either socket's DRAM.
    guests = {(cxl, cpu): guest_on(f"from-{cxl}-to-{cpu}", cxl, cpu)
              for cxl in (2, 3) for cpu in (0, 1)}
    daemon = Daemon()
    for (_, cpu), guest in guests.items():
        wait_for(f"the hot set of '{guest.name}' is there", 30,
                 lambda guest=guest, cpu=cpu: guest.nodes("hot") == {cpu: HOT})
        says_target(daemon, guest, cpu)
        finish(guest)


@test
def hot_pages_go_to_the_dram_node_with_most_accesses():
    # Most of what it uses lies on node 1 already; its thread runs on node 0.
    guest = Vmm("settled", "-pages", PAGES, "-node", 1, "-smp", 2)
    guest.do("fill", 1)
    daemon = Daemon(start=False)
    guest.do("pick", "used", 1, 1000, "ram")
    guest.do("split", "far", "near", 200, "used")
    guest.do("place", "far", 3)
    guest.do("busy", 0, "used", "read", 20)
    on_cpu(guest, 0)
    check(guest.nodes("used") == {1: 800, 3: 200}, "as it was meant", guest.nodes("used"))
    daemon.start()
    wait_for("all that it uses is on node 1", 30, lambda: guest.nodes("used") == {1: 1000})
    says_target(daemon, guest, 1)
    finish(guest)


@test
def a_policy_names_the_nodes():
    guest = guest_on("told", 2, 0)
    daemon = Daemon(policies={"told": '<target nodes="1"/>'})
    wait_for("its hot set is on node 1", 30, lambda: guest.nodes("hot") == {1: HOT})
    says_target(daemon, guest, 1)
    finish(guest)


@test
def a_cpuset_without_a_node_is_never_left():
    guest = guest_on("fenced", 2, 0)
    cpuset = Cpuset("fenced", "1-3")
    cpuset.take(guest)
    daemon = Daemon()
    wait_for("its hot set is on node 1, its CPU notwithstanding", 30,
             lambda: guest.nodes("hot") == {1: HOT})
    seen = daemon.wait_passes("fenced", 3)
    check(seen["state"] == "active" and seen["directions"]["promote"]["target_node"] == 1, "that is what is said", seen)
    check(seen["directions"]["promote"]["failed_pages"]["cpuset"] == 0,
          "the kernel never had to refuse", seen["directions"]["promote"])
    check(0 not in guest.nodes("ram"), "nothing is on node 0", guest.nodes("ram"))
    finish(guest)


@test
def a_cpuset_without_dram_blocks_until_it_is_widened():
    guest = guest_on("walled", 2, 0)
    cpuset = Cpuset("walled", "2-3")
    cpuset.take(guest)
    daemon = Daemon()
    seen = daemon.wait("walled", "is blocked", 30, lambda g: g["state"] == "blocked")
    check("cpuset" in seen["reason"], "and why", seen["reason"])
    calls = seen["directions"]["promote"]["calls"]
    seen = daemon.wait_passes("walled", 5)
    check(seen["state"] == "blocked" and seen["directions"]["promote"]["target_node"] == -1, "it stays so", seen)
    check(seen["directions"]["promote"]["calls"] == calls, "without trying on and on", seen)
    check(guest.nodes("hot") == {2: HOT}, "nothing has moved", guest.nodes("hot"))
    cpuset.allow("0-3")
    daemon.wait("walled", "is active", 10, lambda g: g["state"] == "active")
    wait_for("its hot set is on node 0", 30, lambda: guest.nodes("hot") == {0: HOT})
    cpuset.allow("2-3")
    daemon.wait("walled", "is blocked again", 10, lambda g: g["state"] == "blocked")
    finish(guest)


@test
def cold_pages_go_to_the_cxl_node_of_the_socket_that_the_guest_runs_on():
    guests = [Vmm(f"cold-{node}", "-pages", 2048, "-node", node) for node in (0, 1)]
    policies = {guest.name: '<dram><max unit="MiB">1</max></dram>' for guest in guests}
    for node, guest in enumerate(guests):
        on_cpu(guest, node)
        guest.do("fill", 1)
        guest.do("touch", 0, "ram", "read")
    daemon = Daemon(policies=policies)
    for node, guest in enumerate(guests):
        wait_for(f"the cold pages of '{guest.name}' are on node {node + 2}", 30,
                 lambda guest=guest, node=node: guest.nodes("ram").get(node, 0) <= 256)
        where = guest.nodes("ram")
        check(set(where) == {node, node + 2}, "and nowhere else", where)
        check(guest.number("verify") == 0, "contents are as they were")
    check(daemon.alive(), "vmtierd runs")


main()
