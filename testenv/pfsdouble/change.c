//go:build ignore

#include "path.h"

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
