//go:build ignore

#include "double.h"

/* One name on its way through a call. */
struct target {
    char rel[MAX_PATH + 2]; /* below the PBD's directory */
    char parent[MAX_PATH + 2];
    const char *base; /* last element */
    bool slash, root;
};

static int split(const char *abs, struct target *t)
{
    if (name_resolve(abs, t->rel, &t->slash) != 0)
        return -1;
    t->root = name_is_root(t->rel);
    strcpy(t->parent, t->rel);
    char *slash = strrchr(t->parent, '/');
    t->base = t->root ? "" : t->rel + (slash - t->parent) + 1;
    if (slash)
        *slash = 0;
    return 0;
}

/* The checks that the SDK makes before it asks pfsd. */
static int begin(const char *path, const char *func, bool write, char *abs)
{
    char pbd[256];
    if (name_absolute(path, abs) != 0)
        return -1;
    if (name_pbd(abs, pbd) != 0) {
        errno = EINVAL;
        return -1;
    }
    if (check_mounted(pbd, func) != 0)
        return -1;
    return write ? check_writable() : 0;
}

static int finish(int r, const char *what, const char *path)
{
    leave(r == 0);
    if (r != 0 && errno != ENOENT)
        ERR("%s %s error: %s", what, path, strerror(errno));
    return r;
}

static ino_t ino_of(const char *rel)
{
    struct stat st;
    return fstatat(mnt.root, rel, &st, 0) == 0 ? st.st_ino : 0;
}

static int kind_of(const char *rel, struct stat *st)
{
    if (fstatat(mnt.root, rel, st, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    return S_ISDIR(st->st_mode) ? 2 : 1;
}

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

API int pfsd_stat(const char *path, struct stat *st)
{
    char abs[MAX_PATH], pbd[256];
    struct target t;
    int r = -1;
    if (!path || !st) {
        errno = EINVAL;
        return -1;
    }
    if (name_absolute(path, abs) != 0)
        return -1;
    if (!mnt.on) {
        errno = ENOMEM;
        return -1;
    }
    if (enter("stat") == 0) {
        int fd;
        if (name_pbd(abs, pbd) != 0)
            errno = EINVAL;
        else if (strcmp(pbd, mnt.pbd) != 0)
            errno = ENODEV;
        else if (split(abs, &t) == 0 && kind_of(t.rel, st) >= 0) {
            if (t.slash && !S_ISDIR(st->st_mode))
                errno = ENOTDIR;
            else if ((fd = openat(mnt.root, t.rel, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) >= 0) {
                fill_stat(st, fd);
                close(fd);
                r = 0;
            }
        }
    }
    return finish(r, "stat", path);
}

API int pfsd_access(const char *path, int amode)
{
    char abs[MAX_PATH];
    struct target t;
    struct stat st;
    if (amode != F_OK && (amode & (R_OK | W_OK | X_OK)) == 0) {
        errno = EINVAL;
        return -1;
    }
    if (begin(path, __func__, amode & W_OK, abs) != 0)
        return -1;
    int r = enter("access");
    if (r == 0)
        r = split(abs, &t) == 0 && kind_of(t.rel, &st) >= 0 ? 0 : -1;
    return finish(r, "access", path);
}

API int pfsd_mkdir(const char *path, mode_t mode)
{
    char abs[MAX_PATH];
    struct target t;
    struct stat st;
    (void)mode;
    if (begin(path, __func__, true, abs) != 0)
        return -1;
    INF("mkdir %s", path);
    int r = enter("mkdir");
    if (r == 0 && (r = split(abs, &t)) == 0) {
        space_lock();
        r = -1;
        if (t.root || kind_of(t.rel, &st) >= 0)
            errno = EEXIST;
        else if (errno == ENOENT && kind_of(t.parent, &st) == 2 && space_take_name(t.base, true) == 0) {
            r = mkdirat(mnt.root, t.rel, 0777);
            if (r == 0)
                order_add(st.st_ino, t.base);
            else
                space_give_name(t.base, true);
        }
        space_unlock();
    }
    return finish(r, "mkdir", path);
}

static int remove_name(const struct target *t, int flag)
{
    struct stat st;
    int fd = -1;
    if (kind_of(t->rel, &st) == 1 && flag == 0 && t->slash) {
        errno = ENOTDIR;
        return -1;
    }
    if (flag == 0)
        fd = openat(mnt.root, t->rel, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ino_t parent = ino_of(t->parent);
    int r = unlinkat(mnt.root, t->rel, flag), saved = errno;
    if (r == 0) {
        space_give_name(t->base, true);
        order_remove(parent, t->base);
        if (fd >= 0)
            space_drop(space_blocks(fd, &st));
    }
    if (fd >= 0)
        close(fd);
    errno = saved;
    return r;
}

static int remove_path(const char *path, const char *func, const char *call, int flag)
{
    char abs[MAX_PATH];
    struct target t;
    if (begin(path, func, true, abs) != 0)
        return -1;
    int r = enter(call);
    if (r == 0 && (r = split(abs, &t)) == 0) {
        if (t.root) {
            errno = flag ? EINVAL : EISDIR;
            r = -1;
        } else {
            if (strncmp(t.rel, "./.pfs-", 7) == 0)
                abort(); /* unlinking the journal ends pfsd */
            space_lock();
            r = remove_name(&t, flag);
            space_unlock();
        }
    }
    return finish(r, call, path);
}

API int pfsd_unlink(const char *path)
{
    return remove_path(path, __func__, "unlink", 0);
}

API int pfsd_rmdir(const char *path)
{
    return remove_path(path, __func__, "rmdir", AT_REMOVEDIR);
}

static int do_rename(const struct target *from, const struct target *to)
{
    struct stat old;
    int replaced = -1, kind = kind_of(to->rel, &old);
    bool exists = kind > 0;
    if (from->root || to->root) {
        errno = EBUSY;
        return -1;
    }
    if (exists && ino_of(from->rel) == old.st_ino)
        return 0;
    if (exists && kind == 1)
        replaced = openat(mnt.root, to->rel, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ino_t a = ino_of(from->parent), b = ino_of(to->parent);
    int r = exists ? 0 : space_take_name(to->base, false);
    if (r == 0 && (r = renameat(mnt.root, from->rel, mnt.root, to->rel)) != 0 && !exists)
        space_give_name(to->base, false);
    int saved = errno == EEXIST ? ENOTEMPTY : errno;
    if (r == 0) {
        space_give_name(from->base, exists); /* the replaced one's inode is free */
        if (replaced >= 0)
            space_drop(space_blocks(replaced, &old));
        order_remove(a, from->base);
        order_add(b, to->base);
    }
    if (replaced >= 0)
        close(replaced);
    errno = saved;
    return r;
}

API int pfsd_rename(const char *oldpath, const char *newpath)
{
    char a[MAX_PATH], b[MAX_PATH], apbd[256], bpbd[256];
    struct target from, to;
    if (name_absolute(oldpath, a) != 0 || name_absolute(newpath, b) != 0)
        return -1;
    if (name_pbd(a, apbd) != 0 || name_pbd(b, bpbd) != 0) {
        errno = EINVAL;
        return -1;
    }
    if (strcmp(apbd, bpbd) != 0) {
        ERR("Rename must in same pbd: [%s] != [%s]", apbd, bpbd);
        errno = EXDEV;
        return -1;
    }
    if (check_mounted(bpbd, __func__) != 0 || check_writable() != 0)
        return -1;
    int r = enter("rename");
    if (r == 0 && (r = split(a, &from)) == 0 && (r = split(b, &to)) == 0) {
        space_lock();
        r = do_rename(&from, &to);
        space_unlock();
    }
    return finish(r, "rename", oldpath);
}
