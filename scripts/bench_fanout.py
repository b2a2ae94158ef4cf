"""What scripts/bench-fanout.sh runs: WHAT PGBIN."""
import json, os, pwd, shutil, signal, subprocess, sys, tempfile, time

WHAT, PGBIN = sys.argv[1], sys.argv[2]
SCALE = os.environ.get("BENCH_SCALE", "100")
RANDOM_MB = int(os.environ.get("BENCH_RANDOM_MB", "0"))
PAIRS = int(os.environ.get("BENCH_PAIRS", "2"))
STOP = float(os.environ.get("BENCH_STOP", "60"))
USER = pwd.getpwnam("postgres")
TICK = os.sysconf("SC_CLK_TCK")
DIR = tempfile.mkdtemp(prefix="polarcast-fanout.", dir=os.environ.get("BENCH_DIR"))
BIN = os.path.join(DIR, "polarcast")
HOSTS = ["source", "nats", "a", "b", "c"]  # each a network namespace with a link of its own
NET = WHAT == "link"
started = []


def ns(host):
    return "pcbench-%d-%s" % (os.getpid(), host)


def address(host):
    return "10.213.77.%d" % (1 + HOSTS.index(host)) if NET else "127.0.0.1"


def sh(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)


def command(host, args):
    """args as the unprivileged user, on a host. Each step replaces itself, so the process is the program's own."""
    net = ["ip", "netns", "exec", ns(host)] if NET else []
    return net + ["setpriv", "--reuid=%d" % USER.pw_uid, "--regid=%d" % USER.pw_gid, "--clear-groups", "env", "HOME=" + DIR] + args


class Process:
    def __init__(self, host, args, name=None):
        self.name = name or os.path.basename(args[0])
        self.log = open(os.path.join(DIR, "log"), "a")
        self.p = subprocess.Popen(command(host, args), stdout=self.log, stderr=self.log, cwd=DIR)
        self.cpu, self.io, self.peak, self.code = 0.0, (0, 0), 0, None
        started.append(self)

    def look(self):
        """Remembers what the kernel counts, which is gone with the process."""
        try:
            with open("/proc/%d/io" % self.p.pid) as f:
                v = dict(l.split(": ") for l in f.read().splitlines())
            self.io = (int(v["rchar"]), int(v["wchar"]))
            with open("/proc/%d/status" % self.p.pid) as f:
                for l in f:
                    if l.startswith("VmHWM:"):
                        self.peak = int(l.split()[1]) // 1024
        except (OSError, KeyError, ValueError):
            pass

    def over(self):
        if self.code is None:
            self.look()
            pid, status, usage = os.wait4(self.p.pid, os.WNOHANG)
            if pid:
                self.code = self.p.returncode = os.waitstatus_to_exitcode(status)
                self.cpu = usage.ru_utime + usage.ru_stime
        return self.code is not None

    def end(self, sig=signal.SIGTERM):
        if not self.over():
            self.signal(sig)
            self.signal(signal.SIGCONT)
            while not self.over():
                time.sleep(0.02)

    def signal(self, sig):
        """Popen.send_signal would wait for the process, and its usage would be lost."""
        os.kill(self.p.pid, sig)


def wait(ps, each=lambda t: None):
    """Waits until all have ended well; returns the seconds."""
    begin = time.monotonic()
    while not all([p.over() for p in ps]) and not any(p.code not in (None, 0, -signal.SIGKILL) for p in ps):
        each(time.monotonic() - begin)
        time.sleep(0.02)
    for p in ps:
        if p.code not in (None, 0, -signal.SIGKILL):
            sys.exit("bench-fanout: %s ended with %d:\n%s" % (p.name, p.code, "".join(open(os.path.join(DIR, "log")).readlines()[-15:])))
    return time.monotonic() - begin


def network():
    sh("ip", "netns", "add", ns("switch"))
    sh("ip", "-n", ns("switch"), "link", "add", "br0", "type", "bridge")
    sh("ip", "-n", ns("switch"), "link", "set", "br0", "up")
    for h in HOSTS:
        sh("ip", "netns", "add", ns(h))
        sh("ip", "link", "add", "eth0", "netns", ns(h), "type", "veth", "peer", "name", "to-" + h, "netns", ns("switch"))
        sh("ip", "-n", ns("switch"), "link", "set", "to-" + h, "master", "br0")
        sh("ip", "-n", ns("switch"), "link", "set", "to-" + h, "up")
        sh("ip", "-n", ns(h), "addr", "add", address(h) + "/24", "dev", "eth0")
        sh("ip", "-n", ns(h), "link", "set", "eth0", "up")
        sh("ip", "-n", ns(h), "link", "set", "lo", "up")
        for where, dev in ((ns(h), "eth0"), (ns("switch"), "to-" + h)):  # 1 Gbit/s each way
            sh("ip", "netns", "exec", where, "tc", "qdisc", "add", "dev", dev, "root", "tbf", "rate", "1gbit", "burst", "1mb", "latency", "50ms")


def sent(host):
    """Bytes that have left a host."""
    if not NET:
        return 0
    out = subprocess.run(["ip", "netns", "exec", ns(host), "cat", "/sys/class/net/eth0/statistics/tx_bytes"], check=True, capture_output=True, text=True)
    return int(out.stdout)


def server_cpu():
    """CPU seconds of the PostgreSQL server, with its processes that have ended."""
    pid = int(open(os.path.join(DIR, "primary", "postmaster.pid")).readline())
    total = 0
    for p in [pid] + [int(c) for c in open("/proc/%d/task/%d/children" % (pid, pid)).read().split()]:
        try:
            f = open("/proc/%d/stat" % p).read().rpartition(") ")[2].split()
            total += sum(int(x) for x in (f[11:15] if p == pid else f[11:13]))
        except OSError:
            pass
    return total / TICK


def pg(*args):
    subprocess.run(command("source", list(args)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=DIR)


def primary():
    data = os.path.join(DIR, "primary")
    pg(PGBIN + "/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "-k", "--wal-segsize=1")
    with open(os.path.join(data, "pg_hba.conf"), "a") as f:
        f.write("host all all 0.0.0.0/0 trust\nhost replication all 0.0.0.0/0 trust\n")
    pg(PGBIN + "/pg_ctl", "-D", data, "-l", os.path.join(DIR, "pg.log"), "-w", "-o",
       "-c port=5477 -c listen_addresses=* -c unix_socket_directories=%s -c max_wal_size=8GB -c wal_keep_size=2GB -c shared_buffers=256MB -c max_wal_senders=30 -c max_replication_slots=30" % DIR, "start")
    pg(PGBIN + "/pgbench", "-i", "-q", "-s", SCALE, "-h", DIR, "-p", "5477", "-U", "postgres", "postgres")


SOURCE = ["-h", None, "-p", "5477", "-U", "postgres", "-c", "fast"]


def source():
    return ["-h", address("source")] + SOURCE[2:]


def clean():
    for name in os.listdir(DIR):
        if name.startswith("copy") or name == "store":
            shutil.rmtree(os.path.join(DIR, name))
    os.sync()


def host(i):
    return HOSTS[2 + i % 3]


def theirs(n, *more):
    """n pg_basebackup side by side: seconds, bytes that left the source, CPU of the source's host."""
    clean()
    cpu, tx = server_cpu(), sent("source")
    ps = [Process(host(i), [PGBIN + "/pg_basebackup", "-D", DIR + "/copy%d" % i, "-X", "stream"] + source() + list(more)) for i in range(n)]
    t = wait(ps)
    return t, sent("source") - tx, server_cpu() - cpu, sum(p.cpu for p in ps)


class Cast:
    """One backup to n targets."""

    def __init__(self, n, *more, receive=()):
        clean()
        self.n, self.more, self.to = n, list(more), list(receive)
        self.old = []
        self.nats = self.start_nats()
        self.url = "nats://%s:4277" % address("nats")
        time.sleep(1)

    def start_nats(self):
        return Process("nats", [BIN, "server", "--listen", address("nats") + ":4277", "--store", DIR + "/store"], "server")

    def send(self):
        names = ",".join("t%d" % i for i in range(self.n))
        return Process("source", [BIN, "send", "--nats", self.url, "--backup", "bench", "--target", names, "--tmpdir", DIR] + source() + self.more, "send")

    def receive(self, i):
        return Process(host(i), [BIN, "receive", "--nats", self.url, "--backup", "bench", "--target", "t%d" % i, "-D", DIR + "/copy%d" % i] + self.to, "receive")

    def run(self, each=lambda t: None):
        self.cpu, self.tx = server_cpu(), sent("source")
        self.ps = [self.send()] + [self.receive(i) for i in range(self.n)]
        return wait(self.ps, lambda t: (self.nats.look(), each(t)))

    def again(self, k, start):
        """Kills the k-th process and starts it again."""
        self.ps[k].look()
        self.ps[k].end(signal.SIGKILL)
        self.old.append(self.ps[k])
        self.ps[k] = start()

    def events(self):
        out = subprocess.run(command("nats", [BIN, "events", "bench", "--json", "--nats", self.url]), check=True, capture_output=True, text=True)
        return [json.loads(l) for l in out.stdout.splitlines()]

    def finish(self):
        self.nats.end()
        return sent("source") - self.tx, server_cpu() - self.cpu + self.ps[0].cpu


def ours(n, *more, receive=()):
    c = Cast(n, *more, receive=receive)
    t = c.run()
    tx, cpu = c.finish()
    return t, tx, cpu, sum(p.cpu for p in c.ps[1:]) + c.nats.cpu


def compare(title, a, b):
    rows = [(a(), b()) for _ in range(PAIRS)]
    mean = lambda k, i: sum(r[k][i] for r in rows) / len(rows)
    ratio = lambda i: mean(1, i) / mean(0, i) if mean(0, i) else float("nan")
    print("%-44s wall %5.2f (%5.1f s, %5.1f s)   source's link %5.2f (%6.0f MB, %6.0f MB)   source's CPU %5.2f (%5.1f s, %5.1f s)   other CPU (%5.1f s, %5.1f s)" %
          (title, ratio(0), mean(0, 0), mean(1, 0), ratio(1), mean(0, 1) / 1e6, mean(1, 1) / 1e6, ratio(2), mean(0, 2), mean(1, 2), mean(0, 3), mean(1, 3)), flush=True)


def rows(what):
    lz4 = ("-Ft", "--compress=client-lz4")
    for way in ("stream", "files"):
        compare("%s%s to plain, plain" % (what, way), lambda: theirs(3), lambda: ours(3, "--source=" + way))
        if NET:
            compare("%s%s to plain, server-lz4 -Ft" % (what, way), lambda: theirs(3, "--compress=server-lz4", "-Ft"), lambda: ours(3, "--source=" + way))
            compare("%s%s to tar.lz4, server-lz4 -Ft" % (what, way), lambda: theirs(3, "--compress=server-lz4", "-Ft"),
                    lambda: ours(3, "--source=" + way, "--tar", receive=lz4))


def fanout():
    print("ours / three pg_basebackup (theirs, ours)")
    rows("")
    if RANDOM_MB:
        pg(PGBIN + "/psql", "-X", "-q", "-h", DIR, "-p", "5477", "-U", "postgres", "-d", "postgres", "-c", "DROP TABLE pgbench_accounts", "-c", "CHECKPOINT")
        with open(os.path.join(DIR, "primary", "incompressible"), "wb") as f:
            for _ in range(RANDOM_MB):
                f.write(os.urandom(1 << 20))
        os.chown(f.name, USER.pw_uid, USER.pw_gid)
        os.chmod(f.name, 0o600)
        rows("random bytes, ")


def totals(c):
    """Bytes read by the sender and written by the receivers, all of their processes together, and what was published for the first target."""
    ps = c.ps + c.old
    written = [e["data"]["written_bytes"] for e in c.events() if e["type"] == "target_written"]
    return (sum(p.io[0] for p in ps if p.name == "send"), written[0], sum(p.io[1] for p in ps if p.name == "receive"))


def kill():
    print("one process killed when 80 % is read, and started again at once, against undisturbed runs before and after: two targets")
    print("%-40s %6s %10s %10s %10s" % ("", "time", "read", "sent", "written"))

    def undisturbed(*more):
        c = Cast(2, *more)
        t = c.run()
        n = totals(c)
        c.finish()
        return t, n

    for way in (["--source=files", "--stitch"], ["--source=files"], ["--source=stream"]):
        way += ["--max-rate=" + os.environ.get("BENCH_RATE", "64M")]  # so that the time of a run does not depend on what else the machine does
        t0, n0 = undisturbed(*way)
        for victim in ("send", "receive", "server"):
            c = Cast(2, *way)
            done = []

            def each(t):
                if done:
                    return
                c.ps[0].look()
                if c.ps[0].io[0] < 0.8 * n0[0]:
                    return
                done.append(t)
                if victim == "server":
                    c.nats.end(signal.SIGKILL)
                    c.nats = c.start_nats()
                elif victim == "send":
                    c.again(0, c.send)
                else:
                    c.again(1, lambda: c.receive(0))

            # wait looks at c.ps each time, so that it sees the new process
            t = c.run(each)
            n = totals(c)
            c.finish()
            t1, n1 = undisturbed(*way)
            t0, n0 = (t0 + t1) / 2, tuple((x + y) / 2 for x, y in zip(n0, n1))
            share = ["%+.1f %%" % (100 * (x - y) / y) for x, y in zip(n, n0)]
            print("%-40s %6.2f %10s %10s %10s" % (" ".join(way) + ", " + victim + ("" if done else " (had ended)"), t / t0, *share), flush=True)
            t0, n0 = t1, n1


def memory():
    print("peak memory in MB, one target stopped for %.0f s" % STOP)
    for n in (1, 3, 10):
        c = Cast(n, "--source=stream")
        state = []

        def each(t):
            if not state and t > 1.5:
                state.append(t)
                c.ps[1].signal(signal.SIGSTOP)
            elif len(state) == 1 and t > state[0] + STOP:
                state.append(t)
                c.ps[1].signal(signal.SIGCONT)

        t = c.run(each)
        c.finish()
        others = [p.peak for p in c.ps[2:]] or [0]
        print("%2d targets: send %4d   server %4d   receive that was stopped %4d   other receives at most %4d   (%.0f s)" %
              (n, c.ps[0].peak, c.nats.peak, c.ps[1].peak, max(others), t), flush=True)


def main():
    try:
        os.chmod(DIR, 0o755)
        shutil.copy("bin/polarcast", BIN)
        os.chmod(BIN, 0o755)
        shutil.chown(DIR, "postgres", USER.pw_gid)
        if NET:
            network()
        primary()
        {"link": fanout, "local": fanout, "kill": kill, "memory": memory}[WHAT]()
    finally:
        for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(s, signal.SIG_IGN)
        for p in started:
            p.end(signal.SIGKILL)
        subprocess.run(command("source", [PGBIN + "/pg_ctl", "-D", DIR + "/primary", "-m", "immediate", "-w", "stop"]), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if NET:
            for h in HOSTS + ["switch"]:
                subprocess.run(["ip", "netns", "del", ns(h)], stderr=subprocess.DEVNULL)
        shutil.rmtree(DIR, ignore_errors=True)


for s in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(s, lambda *_: sys.exit(1))
main()
