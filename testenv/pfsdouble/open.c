//go:build ignore

#include "path.h"

static int create(const struct target *t)
{
    struct stat st;
    if (kind_of(t->parent, &st) < 0)
        return -1;
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    if (space_take_name(t->base, true) != 0)
        return -1;
    int fd = openat(mnt.root, t->rel, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        space_give_name(t->base, true);
        return -1;
    }
    space_init(fd);
    order_add(st.st_ino, t->base);
    return fd;
}

static int open_existing(const struct target *t, int flags, bool dir)
{
    if (!dir && t->slash) {
        errno = ENOTDIR;
        return -1;
    }
    int fd = openat(mnt.root, t->rel, (dir ? O_RDONLY | O_DIRECTORY : O_RDWR) | O_CLOEXEC);
    if (fd >= 0 && (flags & O_TRUNC) && !dir) {
        space_cut(fd, 0);
        if (ftruncate(fd, 0) != 0) {
            close(fd);
            return -1;
        }
    }
    return fd;
}

static int do_open(const char *abs, int flags, bool *dir)
{
    struct target t;
    struct stat st;
    if (split(abs, &t) != 0)
        return -1;
    int kind = kind_of(t.rel, &st), fd = -1;
    *dir = kind == 2;
    if (kind < 0 && (errno != ENOENT || !(flags & O_CREAT)))
        return -1;
    if ((flags & O_CREAT) && (*dir || (kind < 0 && t.slash)))
        errno = EISDIR;
    else if (kind < 0)
        fd = create(&t);
    else if ((flags & O_CREAT) && (flags & O_EXCL))
        errno = EEXIST;
    else
        fd = open_existing(&t, flags, *dir);
    return fd;
}

API int pfsd_open(const char *path, int flags, mode_t mode)
{
    char abs[MAX_PATH];
    bool dir = false;
    (void)mode; /* PFS has no modes */
    if (begin(path, __func__, flags & (O_CREAT | O_TRUNC), abs) != 0)
        return -1;
    int slot = file_alloc(), fd = -1;
    if (slot < 0) {
        errno = EMFILE;
        return -1;
    }
    if (enter("open") == 0) {
        space_lock();
        fd = do_open(abs, flags, &dir);
        space_unlock();
    }
    if (finish(fd < 0 ? -1 : 0, "open", path) != 0) {
        int saved = errno;
        file_release(slot);
        errno = saved;
        return -1;
    }
    file_opened(slot, fd, flags, dir);
    if (flags & O_CREAT)
        INF("open %s with fd %d", path, slot);
    return slot | FD_BIT;
}

API int pfsd_creat(const char *path, mode_t mode)
{
    return pfsd_open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);
}
