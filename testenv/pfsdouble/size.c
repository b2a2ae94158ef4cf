//go:build ignore

#include "double.h"

static int cut_or_grow(int fd, off_t len)
{
    struct stat st;
    space_lock();
    fstat(fd, &st);
    if (len < st.st_size)
        space_cut(fd, len);
    else if (st.st_size == 0)
        space_init(fd);
    int r = ftruncate(fd, len);
    space_unlock();
    return r;
}

API int pfsd_ftruncate(int fd, off_t len)
{
    struct stat st;
    if (fd < 0 || len < 0) {
        errno = fd < 0 ? EBADF : EINVAL;
        return -1;
    }
    if (check_writable() != 0)
        return -1;
    struct file *f = file_get(fd, false, __func__);
    if (!f)
        return -1;
    INF("ftruncate fd %d, len %ld", fd & ~FD_BIT, (long)len);
    int r = enter("ftruncate");
    if (r == 0 && (r = file_alive(f, &st)) == 0) {
        errno = EISDIR;
        r = f->dir ? -1 : cut_or_grow(f->fd, len);
    }
    leave(r == 0);
    file_put(f);
    if (r != 0)
        ERR("ftruncate error: %s", strerror(errno));
    return r;
}

API int pfsd_open(const char *path, int flags, mode_t mode);
API int pfsd_close(int fd);

API int pfsd_truncate(const char *path, off_t len)
{
    if (!path || len < 0) {
        errno = EINVAL;
        return -1;
    }
    if (check_writable() != 0)
        return -1;
    int fd = pfsd_open(path, O_RDWR, 0);
    if (fd < 0)
        return -1;
    int r = pfsd_ftruncate(fd, len), saved = errno;
    pfsd_close(fd);
    errno = saved;
    return r;
}

#define KEEP_SIZE 1
#define PUNCH_HOLE 2

API int pfsd_fallocate(int fd, int mode, off_t off, off_t len)
{
    struct stat st;
    bool changed;
    if (fd < 0 || off < 0 || len <= 0) {
        errno = fd < 0 ? EBADF : EINVAL;
        return -1;
    }
    if (check_writable() != 0)
        return -1;
    struct file *f = file_get(fd, false, __func__);
    if (!f)
        return -1;
    INF("fallocate fd %d off %ld len %ld", fd & ~FD_BIT, (long)off, (long)len);
    int r = enter("fallocate");
    if (r == 0 && (r = file_alive(f, &st)) == 0) {
        if (f->dir) {
            errno = EISDIR;
            r = -1;
        } else if (!(mode & PUNCH_HOLE)) { /* punching is accepted and does nothing */
            space_lock();
            fstat(f->fd, &st);
            r = space_alloc(f->fd, off, len, &changed);
            if (r == 0 && !(mode & KEEP_SIZE) && off + len > st.st_size)
                r = ftruncate(f->fd, off + len);
            space_unlock();
        }
    }
    leave(r == 0);
    file_put(f);
    if (r != 0)
        ERR("fallocate error: %s", strerror(errno));
    return r;
}

API int pfsd_posix_fallocate(int fd, off_t off, off_t len)
{
    return pfsd_fallocate(fd, 0, off, len);
}

/* These are mocks in the SDK too. */
API int pfsd_fsync(int fd)
{
    (void)fd;
    return 0;
}

API ssize_t pfsd_readlink(const char *path, char *buf, size_t size)
{
    (void)path, (void)buf, (void)size;
    errno = EINVAL;
    return -1;
}

API int pfsd_chmod(const char *path, mode_t mode)
{
    (void)path, (void)mode;
    return 0;
}

API int pfsd_fchmod(int fd, mode_t mode)
{
    (void)fd, (void)mode;
    return 0;
}

API int pfsd_chown(const char *path, uid_t uid, gid_t gid)
{
    (void)path, (void)uid, (void)gid;
    return 0;
}
