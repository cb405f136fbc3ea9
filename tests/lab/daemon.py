# SPDX-License-Identifier: GPL-2.0-or-later
"""The real vmtierd, vmtierctl and VMMs, for tests that run in the lab.

A test program defines functions under @test and ends with main().  Names of
the functions are the sentences that are printed, as TAP.  $VMTIER_BUILD is the
build directory.  The program `each`, which runs them, keeps a guest called anchor.
"""

import atexit
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = os.environ.get("VMTIER_BUILD", ".")
VMTIERD = BUILD + "/vmm-agent/vmtierd"
VMTIERCTL = BUILD + "/vmm-agent/vmtierctl"
VMM = BUILD + "/tests/lab/vmm"

# As quick as the configuration allows, and no limit on the pace, so that tests are short.
QUICK = {
    "daemon": {"scan_ms": 250, "log_level": "debug"},
    "harvest": {"period_ms": 200},
    "migrate": {"rate_mib_per_s": 0, "host_rate_mib_per_s": 0, "headroom_mib": 16},
}

# A VMM's longest answer takes seconds; one whose guest hangs never comes.
ANSWER_SECONDS = 60
ASK_SECONDS = 20

# The longest test takes 45 s on two cores that run two labs.
TEST_SECONDS = 240

ALL = []
RUNNING = []  # what a failed test may have left behind


class Failure(Exception):
    """a property that does not hold"""


def check(holds, what, *facts):
    """fails with the sentence @what and the facts"""
    if not holds:
        raise Failure(what + "".join(f"; {fact!r}" for fact in facts))


def test(function):
    """a test of this program"""
    ALL.append(function)
    return function


def wait_for(what, seconds, look):
    """the first true answer of look(), which is asked for that long"""
    end = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        check(time.monotonic() < end, f"{what} within {seconds} s", answer)
        time.sleep(0.05)


def end_all():
    """stop everything that is still running, newest first"""
    error = None
    while RUNNING:
        try:
            RUNNING.pop().end()
        except (OSError, subprocess.SubprocessError) as e:
            error = error or e
    if error:
        raise error


def explain_all():
    """what a failed test had running"""
    for thing in RUNNING[:8]:
        try:
            thing.explain()
        except (OSError, ValueError) as e:
            print(f"#   no explanation: {e}")


atexit.register(end_all)


def time_is_up(*_):
    """of a test that waits for what never comes"""
    raise Failure(f"the test is over within {TEST_SECONDS} s")


def main():
    """run all tests, print TAP; exits"""
    signal.signal(signal.SIGALRM, time_is_up)
    seed = int(os.environ.get("VMTIER_SEED", "0"), 0) or random.getrandbits(32)
    print(f"# seed: VMTIER_SEED={seed:#x}", flush=True)
    failed = 0
    for number, function in enumerate(ALL, 1):
        random.seed(seed)
        sentence = function.__name__.replace("_", " ")
        began = time.monotonic()
        try:
            signal.alarm(TEST_SECONDS)
            try:
                function()
            except Exception:
                signal.alarm(0)
                explain_all()
                raise
            finally:
                signal.alarm(0)
                end_all()
            print(f"ok {number} - {sentence}")
        except Exception as e:  # whatever it was, the next test runs
            failed += 1
            print(f"not ok {number} - {sentence}")
            where = traceback.extract_tb(e.__traceback__)
            here = [f.lineno for f in where if f.filename == function.__code__.co_filename]
            print(f"# line {here}: {type(e).__name__}: {e}")
            if e.__context__:
                print(f"# after {type(e.__context__).__name__}: {e.__context__}")
        print(f"# {time.monotonic() - began:.1f} s", flush=True)
    print(f"1..{len(ALL)}", flush=True)
    sys.exit(1 if failed else 0)


def brief(members, prefix=""):
    """names and values of what is not empty, all the way down"""
    for key, value in members.items():
        if isinstance(value, dict):
            yield from brief(value, f"{prefix}{key}.")
        elif value and key not in ("mode", "policy", "period_ns"):
            yield prefix + key, value


class Daemon:
    """a vmtierd with a directory of its own"""

    def __init__(self, config=None, policies=None, wrap=(), start=True):
        self.dir = tempfile.mkdtemp(prefix="vmtier-", dir="/tmp")
        os.chmod(self.dir, 0o777)
        self.socket = self.dir + "/vmtier.sock"
        self.hook_socket = self.dir + "/hook.sock"
        self.state_dir = self.dir + "/guests"
        self.log = self.dir + "/log"
        self.wrap = list(wrap)
        self.process = None
        os.mkdir(self.dir + "/policy.d")
        for name, text in (policies or {}).items():
            self.set_policy(name, text)
        self.write_config(config or {})
        if start:
            self.start()

    def write_config(self, config):
        """QUICK, with what config says otherwise"""
        with open(self.dir + "/conf", "w", encoding="utf-8") as file:
            for section, options in QUICK.items():
                file.write(f"[{section}]\n")
                for key, value in {**options, **config.get(section, {})}.items():
                    file.write(f"{key} = {value}\n")

    def set_policy(self, name, text):
        """the policy of a guest; SIGHUP makes a running vmtierd read it"""
        with open(f"{self.dir}/policy.d/{name}.xml", "w", encoding="utf-8") as file:
            file.write(f'<policy xmlns="urn:vmtier:policy:1">{text}</policy>\n')

    def arguments(self):
        """the command line"""
        return [VMTIERD, "--config", self.dir + "/conf", "--policy-dir", self.dir + "/policy.d",
                "--state-dir", self.state_dir, "--socket", self.socket,
                "--hook-socket", self.hook_socket]

    def start(self):
        """and wait until it answers"""
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.wrap + self.arguments(), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        RUNNING.append(self)
        wait_for("vmtierd answers", 30, self.answers)
        return self

    def answers(self):
        """whether it does; it must not have ended"""
        check(self.alive(), "vmtierd runs", self.said())
        try:
            return "guests" in self.status()
        except (OSError, ValueError):  # it is not there yet, or hangs up on its way
            return False

    def alive(self):
        """whether the process has not ended"""
        return self.process.poll() is None

    def end(self):
        """stop it, and forget its files"""
        if self in RUNNING:
            RUNNING.remove(self)
        try:
            if self.alive():
                self.process.terminate()
                self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def kill(self):
        """kill -9; files stay"""
        self.process.kill()
        self.process.wait()
        RUNNING.remove(self)

    def said(self):
        """its log"""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def explain(self):
        """for a test that failed"""
        for line in self.said().splitlines()[-25:]:
            print("#   vmtierd:", line[:200])
        if not self.alive():
            print("#   vmtierd ended with", self.process.returncode)
            return
        for guest in self.status().get("guests", []):
            print("#  ", *(f"{key}={value}" for key, value in brief(guest)))

    def ask(self, method, where=None, **parameters):
        """the answer's parameters, or its error; a connection per question"""
        line = json.dumps({"method": method, "parameters": parameters}) + "\n"
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(ASK_SECONDS)
            s.connect(where or self.socket)
            s.sendall(line.encode())
            with s.makefile("rb") as answer:
                reply = json.loads(answer.readline())
        return reply.get("parameters", reply)

    def status(self):
        """everything"""
        return self.ask("status")

    def show(self, name):
        """a guest, or None"""
        return self.ask("show", domain=name).get("guest")

    def ctl(self, *args, wrap=(), stdin=None):
        """vmtierctl: exit code, stdout, stderr"""
        done = subprocess.run([*wrap, VMTIERCTL, "--socket", self.socket, "--hook-socket",
                               self.hook_socket, *args], capture_output=True, text=True,
                              input=stdin, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def notify(self, name, policy):
        """what libvirt's hook says, without its hurry: the domain has this policy in its metadata"""
        xml = (f"<domain><name>{name}</name><metadata><policy xmlns='urn:vmtier:policy:1'>"
               f"{policy}</policy></metadata></domain>")
        answer = self.ask("notify", where=self.hook_socket, domain=name, operation="started",
                          sub_operation="begin", extra="-", xml=xml)
        check(answer == {}, "the event is heard", answer)

    def kept(self):
        """the files of guests, by name"""
        found = {}
        for name in os.listdir(self.state_dir):
            try:
                with open(f"{self.state_dir}/{name}", encoding="utf-8") as file:
                    found[name] = file.read()
            except FileNotFoundError:  # its guest has gone meanwhile
                pass
        return found

    def wait(self, name, what, seconds, holds):
        """until a guest is there and holds(guest) is true: the guest"""
        def look():
            guest = self.show(name)
            return guest if guest and holds(guest) else None
        return wait_for(f"guest '{name}' {what}", seconds, look)

    def wait_passes(self, name, more, seconds=60):
        """until that many passes more"""
        first = self.wait(name, "is known", seconds, lambda g: True)["passes"]
        return self.wait(name, f"has {more} more passes", seconds,
                         lambda g: g["passes"] >= first + more)

    def fds(self):
        """what its file descriptors are, by number"""
        directory = f"/proc/{self.process.pid}/fd"
        found = {}
        for fd in os.listdir(directory):
            try:
                found[int(fd)] = os.readlink(f"{directory}/{fd}")
            except FileNotFoundError:
                pass
        return found

    def rss_kib(self):
        """resident size, exact, which VmRSS is not"""
        with open(f"/proc/{self.process.pid}/smaps_rollup", encoding="utf-8") as rollup:
            return next(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))


class Vmm:
    """a VMM, see vmm.c"""

    def __init__(self, name, *options, wrap=()):
        self.name = name
        self.process = subprocess.Popen([*wrap, VMM, "-name", name, *map(str, options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        RUNNING.append(self)
        self.answer("start")

    def answer(self, command):
        """what it says, in words"""
        ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_SECONDS)
        check(ready, f"VMM '{self.name}' does '{command}' within {ANSWER_SECONDS} s")
        words = self.process.stdout.readline().split()
        check(words and words[0] == "ok", f"VMM '{self.name}' does '{command}'", words)
        return words[1:]

    def do(self, *command):
        """one command: the words of its answer"""
        line = " ".join(map(str, command))
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer(line)

    def number(self, *command):
        """one command that is answered by a number"""
        return int(self.do(*command)[0])

    def nodes(self, pages):
        """how many pages of a set are on each node: {0: 5, 1: 10}"""
        words = (word.split(":") for word in self.do("nodes", pages))
        return {int(node): int(n) for node, n in words if node != "none"}

    def kill(self, how=signal.SIGKILL):
        """end it, and wait for it"""
        self.process.send_signal(how)
        self.reap()

    def quit(self):
        """end it as it wants to end"""
        self.process.stdin.close()
        self.reap()

    def reap(self):
        """wait until it is gone"""
        self.process.wait(30)
        self.process.stdout.close()
        if self in RUNNING:
            RUNNING.remove(self)

    end = kill

    def explain(self):
        """for a test that failed"""
        state = "runs" if self.process.poll() is None else f"ended with {self.process.poll()}"
        print(f"#   VMM {self.name!r} (pid {self.pid}) {state}")

