//go:build ignore

#include "double.h"

struct mount mnt;
static pthread_mutex_t mount_mtx = PTHREAD_MUTEX_INITIALIZER;
static bool set_threads;

API void pfsd_set_mode(int mode)
{
    if (mode == 0 || mode == 1)
        set_threads = mode == 0;
    else
        ERR("Wrong mode %d, expect 0(threads), 1(processes)", mode);
}

/* The directory of the PBD, with the two files that mkfs makes. */
static int open_pbd(const char *pbd)
{
    int root, fd;
    if (!double_root())
        return -1;
    mkdir(double_root(), 0777);
    int top = open(double_root(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return -1;
    mkdirat(top, pbd, 0777);
    root = openat(top, pbd, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(top);
    if (root < 0)
        return -1;
    if ((fd = openat(root, ".pfs-paxos", O_RDWR | O_CREAT | O_CLOEXEC, 0666)) >= 0 && (ftruncate(fd, BLOCK), close(fd), true) &&
        (fd = openat(root, ".pfs-journal", O_RDWR | O_CREAT | O_CLOEXEC, 0666)) >= 0 && (ftruncate(fd, 1 << 30), close(fd), true))
        return root;
    close(root);
    return -1;
}

static int mount_locked(const char *cluster, const char *pbd, int hostid, int flags)
{
    if (mnt.on) { /* whatever PBD was asked for: nothing is done */
        INF("sdk may be init by other threads");
        return 0;
    }
    INF("begin prepare mount cluster(%s), PBD(%s), hostid(%d),flags(0x%x)", cluster, pbd, hostid, flags);
    if (hostid < 0 || flags == 0 || strlen(pbd) == 0 || strlen(pbd) >= MAX_PBD || strchr(pbd, '/')) {
        ERR("wrong args pbdname(%s) host_id(%d) flags(%d)", pbd, hostid, flags);
        errno = EINVAL;
        return -1;
    }
    if (!double_root())
        fprintf(stderr, "libpfsd_double: set PFSD_DOUBLE_ROOT to the directory that stands for the disks\n");
    if (daemon_connect(cluster, pbd, hostid, flags) != 0) {
        INF("pfsd_chnl_connect failed");
        return -1;
    }
    snprintf(mnt.pbd, sizeof mnt.pbd, "%s", pbd);
    mnt.root = open_pbd(pbd);
    if (mnt.root < 0 || space_open(double_root(), pbd, mnt.root) != 0) {
        ERR("Connect failed err %d : %s", -EIO, strerror(EIO));
        daemon_disconnect();
        errno = 0;
        return -1;
    }
    mnt.flags = flags;
    mnt.hostid = hostid;
    mnt.threads = set_threads;
    mnt.on = true;
    INF("pfsd_chnl_connect success");
    errno = EEXIST; /* what a real mount leaves behind */
    return 0;
}

API int pfsd_mount(const char *cluster, const char *pbd, int hostid, int flags)
{
    pthread_mutex_lock(&mount_mtx);
    int r = mount_locked(cluster ? cluster : "polarstore", pbd, hostid, flags);
    pthread_mutex_unlock(&mount_mtx);
    return r;
}

static int umount_locked(const char *pbd)
{
    INF("pbdname %s", pbd);
    if (strcmp(mnt.on ? mnt.pbd : "", pbd) != 0) {
        ERR("No such device %s, exists %s", pbd, mnt.on ? mnt.pbd : "");
        errno = ENODEV;
        return -1;
    }
    if (!mnt.on) {
        errno = EINVAL;
        return -1;
    }
    if (calls_inside() > 0) {
        ERR("umount failed for %s", pbd);
        errno = EAGAIN;
        return -1;
    }
    daemon_disconnect();
    files_close_all();
    space_close();
    close(mnt.root);
    memset(&mnt, 0, sizeof mnt);
    INF("umount success for %s", pbd);
    errno = 0;
    return 0;
}

API int pfsd_umount(const char *pbd)
{
    pthread_mutex_lock(&mount_mtx);
    int r = umount_locked(pbd);
    pthread_mutex_unlock(&mount_mtx);
    return r;
}

API int pfsd_umount_force(const char *pbd)
{
    return pfsd_umount(pbd);
}

API void pfsd_set_connect_timeout(int ms);
API void pfsd_set_svr_addr(const char *addr, size_t len);

API int pfsd_sdk_init(int mode, const char *addr, int ms, const char *cluster, const char *pbd, int hostid, int flags)
{
    pfsd_set_mode(mode);
    pfsd_set_svr_addr(addr, strlen(addr) + 1);
    pfsd_set_connect_timeout(ms);
    return pfsd_mount(cluster, pbd, hostid, flags);
}

API int pfsd_remount(const char *cluster, const char *pbd, int hostid, int flags)
{
    (void)cluster;
    if (check_mounted(pbd, __func__) != 0)
        return -1;
    if (hostid != mnt.hostid || (mnt.flags & FLAG_WR) || !(flags & FLAG_WR)) {
        ERR("pfs_remount no need or wrong: hostid %d, flags %#x", hostid, flags);
        errno = EINVAL;
        return -1;
    }
    mnt.flags = flags;
    return 0;
}

API int pfsd_abort_request(pid_t pid)
{
    (void)pid;
    if (mnt.on)
        return 0;
    errno = ENODEV;
    return -1;
}

API int pfsd_mount_growfs(const char *pbd)
{
    return check_mounted(pbd, __func__);
}

int check_mounted(const char *pbd, const char *func)
{
    const char *have = mnt.on ? mnt.pbd : "";
    if (strcmp(have, pbd) == 0)
        return 0;
    sdk_log("ERR", func, 0, "No such device %s, exists %s", pbd, have);
    errno = ENODEV;
    return -1;
}

/* Only the thread mode knows of read-only mounts; in process mode everything is sent to pfsd, which does it. */
int check_writable(void)
{
    if (!mnt.on || !mnt.threads || (mnt.flags & FLAG_WR))
        return 0;
    errno = EROFS;
    return -1;
}

API unsigned long pfsd_meta_version_get(void)
{
    return (unsigned long)fault_number("meta_version", 2);
}

API const char *pfsd_build_version_get(void)
{
    return "libpfs_version_(\"pfsd-build-desc-double\")";
}
