//go:build ignore

#include "double.h"

#define AT_POSITION (-1)
#define AT_END (-2)

API ssize_t pfsd_pread(int fd, void *buf, size_t len, off_t off)
{
    struct stat st;
    if (!buf) {
        errno = EINVAL;
        return -1;
    }
    if (len > MAX_IO) {
        INF("pread len %lu is too big for fd %d, cast to 4MB.", len, fd);
        len = MAX_IO;
    }
    struct file *f = file_get(fd, false, __func__);
    if (!f)
        return -1;
    off_t at = off == AT_POSITION ? f->pos : off;
    ssize_t n = -1;
    if (at < 0) {
        errno = EINVAL;
        file_put(f);
        return -1;
    }
    if (enter("pread") == 0 && file_alive(f, &st) == 0) {
        if (f->dir)
            errno = EISDIR;
        else if ((n = pread(f->fd, buf, len, at)) >= 0 && off == AT_POSITION)
            __sync_add_and_fetch(&f->pos, n);
    }
    leave(n >= 0);
    file_put(f);
    if (n < 0)
        ERR("pread fd %d error: %s", fd & ~FD_BIT, strerror(errno));
    return n;
}

API ssize_t pfsd_read(int fd, void *buf, size_t len)
{
    return pfsd_pread(fd, buf, len, AT_POSITION);
}

static void read_sector(int fd, char *region, off_t start, off_t sector)
{
    char *p = region + (sector - start);
    memset(p, 0, SECTOR);
    ssize_t n = pread(fd, p, SECTOR, sector);
    (void)n;
}

/*
 * pfsd writes whole sectors. Of those that are covered in part it reads the old content first, with no lock against other writers, so that
 * bytes which another one put there meanwhile are lost. The pause makes that likely.
 */
static int write_sectors(int fd, const void *buf, size_t len, off_t off, off_t size)
{
    if (off % SECTOR == 0 && len % SECTOR == 0)
        return pwrite(fd, buf, len, off) == (ssize_t)len ? 0 : -1;
    off_t start = off / SECTOR * SECTOR, end = (off + len + SECTOR - 1) / SECTOR * SECTOR;
    char *region = malloc(end - start);
    if (!region)
        return -1;
    read_sector(fd, region, start, start);
    read_sector(fd, region, start, end - SECTOR);
    memcpy(region + (off - start), buf, len);
    long pause = fault_number("rmw_us", 20);
    if (pause > 0)
        usleep(pause);
    off_t stop = end < size ? end : size; /* the directory's file must not grow by padding */
    int r = pwrite(fd, region, stop - start, start) == stop - start ? 0 : -1;
    free(region);
    return r;
}

static ssize_t write_at(struct file *f, const void *buf, size_t len, off_t at)
{
    struct stat st, now;
    bool changed;
    if (file_alive(f, &st) != 0)
        return -1;
    if (f->dir) {
        errno = EISDIR;
        return -1;
    }
    space_lock();
    fstat(f->fd, &st);
    if (at == AT_END)
        at = st.st_size;
    if (at > INT64_MAX - (off_t)len || at >= (off_t)1 << 52) {
        space_unlock();
        errno = EFBIG;
        return -1;
    }
    int r = space_alloc(f->fd, at, len, &changed);
    if (r == 0 && at + (off_t)len > st.st_size) {
        changed = true;
        r = ftruncate(f->fd, at + len);
    }
    fstat(f->fd, &now);
    space_unlock();
    if (r != 0 || write_sectors(f->fd, buf, len, at, now.st_size) != 0)
        return -1;
    if (!changed) { /* writing in place does not change the time */
        struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};
        futimens(f->fd, t);
    }
    return len;
}

API ssize_t pfsd_pwrite(int fd, const void *buf, size_t len, off_t off)
{
    if (!buf) {
        errno = EINVAL;
        return -1;
    }
    if (check_writable() != 0)
        return -1;
    struct file *f = file_get(fd, false, __func__);
    if (!f)
        return -1;
    off_t at = f->flags & O_APPEND ? AT_END : off == AT_POSITION ? f->pos : off;
    ssize_t n = -1;
    struct stat st;
    if (len == 0) {
        n = 0;
    } else if (len > MAX_IO) {
        ERR("pwrite len %lu is too big for fd %d.", len, fd & ~FD_BIT);
        errno = EFBIG;
    } else if (at < 0 && at != AT_END) {
        ERR("pwrite wrong off2 %ld for fd %d.", (long)at, fd & ~FD_BIT);
        errno = EINVAL;
    } else {
        bool append = f->flags & O_APPEND;
        if (enter("pwrite") == 0) {
            n = write_at(f, buf, len, at);
        }
        if (n < 0)
            ERR("pwrite fd %d error: %s", fd & ~FD_BIT, strerror(errno));
        else if (off == AT_POSITION && append && fstat(f->fd, &st) == 0)
            f->pos = st.st_size;
        else if (off == AT_POSITION)
            __sync_add_and_fetch(&f->pos, n);
        leave(n >= 0);
    }
    file_put(f);
    return n;
}

API ssize_t pfsd_write(int fd, const void *buf, size_t len)
{
    return pfsd_pwrite(fd, buf, len, AT_POSITION);
}

API off_t pfsd_lseek(int fd, off_t offset, int whence)
{
    struct stat st;
    if (fd < 0) {
        errno = EINVAL;
        return -1;
    }
    struct file *f = file_get(fd, true, __func__);
    if (!f)
        return -1;
    off_t at = -1;
    if (whence == SEEK_SET)
        at = offset;
    else if (whence == SEEK_CUR)
        at = f->pos + offset;
    else if (whence == SEEK_END && file_alive(f, &st) != 0) {
        ERR("lseek off %ld error: %s", (long)offset, strerror(errno));
        file_put(f);
        return -1;
    } else if (whence == SEEK_END)
        at = st.st_size + offset;
    if (at < 0) {
        errno = EINVAL;
        at = -1;
    } else {
        f->pos = at;
    }
    file_put(f);
    return at;
}
