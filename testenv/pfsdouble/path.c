//go:build ignore

#include "path.h"

int split(const char *abs, struct target *t)
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

int begin(const char *path, const char *func, bool write, char *abs)
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

int finish(int r, const char *what, const char *path)
{
    leave(r == 0);
    if (r != 0 && errno != ENOENT)
        ERR("%s %s error: %s", what, path, strerror(errno));
    return r;
}

ino_t ino_of(const char *rel)
{
    struct stat st;
    return fstatat(mnt.root, rel, &st, 0) == 0 ? st.st_ino : 0;
}

int kind_of(const char *rel, struct stat *st)
{
    if (fstatat(mnt.root, rel, st, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    return S_ISDIR(st->st_mode) ? 2 : 1;
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
