//go:build ignore

#include "double.h"
#include <signal.h>
#include <sys/file.h>
#include <time.h>

/*
 * The part of pfsd. Its run directory holds pfsd_<pbd>.pid, locked while pfsd lives, and <pbd>/<pid>.pid for each client, locked while
 * that client lives. The double has no daemon process: whoever has it loaded holds the lock, unless the fault "down" is on.
 */
static pthread_mutex_t daemon_mtx = PTHREAD_MUTEX_INITIALIZER;
static char svr_addr[MAX_PATH];
static int timeout_ms = 20000;
static struct { char pbd[MAX_PBD]; int fd; } locks[64];
static int nlocks;

API void pfsd_set_svr_addr(const char *addr, size_t len)
{
    if (len >= MAX_PATH) {
        ERR("Too long path %s", addr);
        return;
    }
    pthread_mutex_lock(&daemon_mtx);
    if (strcmp(svr_addr, addr) != 0)
        while (nlocks > 0)
            close(locks[--nlocks].fd);
    strncpy(svr_addr, addr, len);
    pthread_mutex_unlock(&daemon_mtx);
    daemon_poll();
}

API void pfsd_set_connect_timeout(int ms)
{
    if (ms > 0 && ms <= 24 * 3600 * 1000)
        timeout_ms = ms;
}

static const char *run_dir(void)
{
    if (svr_addr[0])
        return svr_addr;
    const char *env = getenv("PFSD_RUN_DIR");
    if (env && *env)
        snprintf(svr_addr, sizeof svr_addr, "%s", env);
    else if (double_root())
        snprintf(svr_addr, sizeof svr_addr, "%s/.run", double_root());
    return svr_addr;
}

static void hold_lock(const char *pbd)
{
    char path[2 * MAX_PATH];
    for (int i = 0; i < nlocks; i++)
        if (strcmp(locks[i].pbd, pbd) == 0)
            return;
    if (nlocks == 64)
        return;
    snprintf(path, sizeof path, "%s/pfsd_%s.pid", run_dir(), pbd);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) { /* another process plays pfsd */
        close(fd);
        return;
    }
    snprintf(locks[nlocks].pbd, MAX_PBD, "%s", pbd);
    locks[nlocks++].fd = fd;
}

/* Holds the liveness locks of all PBDs below the root, or releases them while pfsd is down. */
void daemon_poll(void)
{
    int saved = errno;
    bool down = fault_on("down");
    pthread_mutex_lock(&daemon_mtx);
    if (down) {
        while (nlocks > 0)
            close(locks[--nlocks].fd);
    } else if (double_root()) {
        mkdir(run_dir(), 0777);
        DIR *d = opendir(double_root());
        struct dirent *e;
        while (d && (e = readdir(d)))
            if (e->d_name[0] != '.' && strlen(e->d_name) < MAX_PBD && e->d_type == DT_DIR)
                hold_lock(e->d_name);
        if (d)
            closedir(d);
    }
    pthread_mutex_unlock(&daemon_mtx);
    errno = saved;
}

/* Whether a new client may have this host id; 0 or the server's error. Counts the clients that live, and reclaims the files of dead ones. */
static int admit(const char *dir, const char *own, int hostid, int flags, int *clients)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int err = 0;
    *clients = 0;
    while (d && (e = readdir(d))) {
        char path[3 * MAX_PATH], text[64] = "";
        size_t n = strlen(e->d_name);
        if (n < 5 || strcmp(e->d_name + n - 4, ".pid") != 0 || strcmp(e->d_name, own) == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC), id = 0, fl = 0;
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0) { /* its process is gone */
            unlink(path);
            close(fd);
            continue;
        }
        ++*clients;
        if (read(fd, text, sizeof text - 1) > 0 && sscanf(text, "%d %d", &id, &fl) == 2 && id == hostid && ((fl | flags) & FLAG_WR))
            err = -EINVAL;
        close(fd);
    }
    if (d)
        closedir(d);
    return err;
}

static bool stuck(const char *dir)
{
    char path[2 * MAX_PATH];
    snprintf(path, sizeof path, "%s/.stuck", dir);
    return access(path, F_OK) == 0;
}

static int server_error(const char *cluster, const char *pbd, int hostid)
{
    if (strcmp(cluster, "disk") != 0 || fault_names("missing", pbd))
        return -EIO;
    if (hostid > fault_number("maxhosts", 30))
        return -228;
    return 0;
}

static int connect_failed(int err, const char *why)
{
    ERR("Connect failed err %d : %s", err, why);
    errno = 0;
    return -1;
}

/*
 * Mounting: the client makes its pid file and waits until pfsd has answered. A mount that timed out leaves the file behind, and the next
 * one spins on it for ever.
 */
int daemon_connect(const char *cluster, const char *pbd, int hostid, int flags)
{
    char dir[2 * MAX_PATH], own[64], text[64];
    snprintf(dir, sizeof dir, "%s/%s", run_dir(), pbd);
    mkdir(run_dir(), 0777);
    if (mkdir(dir, 0777) == 0)
        chmod(dir, 0777);
    snprintf(own, sizeof own, "%d.pid", getpid());
    snprintf(mnt.pidfile, sizeof mnt.pidfile, "%.4000s/%s", dir, own);
    while ((mnt.pidfd = open(mnt.pidfile, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) < 0) {
        if (errno != EEXIST) {
            ERR("Failed create pidfile: %s", strerror(errno));
            return connect_failed(-1, strerror(errno));
        }
        usleep(10);
    }
    flock(mnt.pidfd, LOCK_EX | LOCK_NB);
    int n = snprintf(text, sizeof text, "%d %d\n", hostid, flags);
    if (pwrite(mnt.pidfd, text, n, 0) != n)
        return connect_failed(-1, strerror(errno));

    /* The SDK counts sleeps, not time: it waits about twice as long as it was told. */
    for (int waited = 0; fault_on("down") || fault_on("mount_timeout") || stuck(dir); waited += 2) {
        if (waited >= 2 * timeout_ms) {
            close(mnt.pidfd);
            return connect_failed(-1, strerror(ETIMEDOUT));
        }
        usleep(2000);
    }
    daemon_poll();
    int clients, err = server_error(cluster, pbd, hostid);
    if (err == 0)
        err = admit(dir, own, hostid, flags, &clients);
    if (err == 0 && clients >= fault_number("clients", 7)) { /* the listening thread of pfsd blocks for ever */
        char path[3 * MAX_PATH];
        snprintf(path, sizeof path, "%s/.stuck", dir);
        close(open(path, O_RDWR | O_CREAT, 0666));
        usleep(2000 * timeout_ms);
        close(mnt.pidfd);
        return connect_failed(-1, strerror(ETIMEDOUT));
    }
    if (err != 0) {
        unlink(mnt.pidfile);
        close(mnt.pidfd);
        return connect_failed(err, err == -228 ? "Unknown error 228" : strerror(-err));
    }
    INF("connect and got ack data from svr, err = 0, mntid 0");
    return 0;
}

/* Unmounting waits until pfsd has removed the pid file, however long that takes. */
int daemon_disconnect(void)
{
    char dir[2 * MAX_PATH];
    snprintf(dir, sizeof dir, "%s/%s", run_dir(), mnt.pbd);
    while (fault_on("down") || stuck(dir))
        usleep(2000);
    unlink(mnt.pidfile);
    close(mnt.pidfd);
    INF("client umount return : deleted %s", mnt.pidfile);
    return 0;
}
