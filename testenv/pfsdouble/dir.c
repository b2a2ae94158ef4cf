//go:build ignore

#include "double.h"

/* Entries are fetched in batches by position, so that names which are removed between two batches make others be skipped, as in PFS. */
#define BATCH 16
#define KIND_FILE 1 /* PFS's own d_type values */
#define KIND_DIR 2

struct entry { uint64_t seq; ino_t ino; bool dir; char name[256]; };
struct listing {
    int fd;
    size_t at, n, read;
    struct dirent batch[BATCH], last;
};

static int by_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return strcmp(x->name, y->name);
}

static void fetch(struct listing *l)
{
    struct entry *all = NULL;
    size_t count = 0, room = 0;
    struct stat st;
    struct dirent *e;
    l->n = l->read = 0;
    int fd = openat(l->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 && fstat(fd, &st) == 0 ? fdopendir(fd) : NULL;
    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (count == room) {
            room = room ? 2 * room : 64;
            all = realloc(all, room * sizeof *all);
        }
        struct entry *x = &all[count++];
        snprintf(x->name, sizeof x->name, "%s", e->d_name);
        x->seq = order_of(st.st_ino, e->d_name);
        x->ino = e->d_ino;
        struct stat es;
        x->dir = e->d_type == DT_DIR || (e->d_type == DT_UNKNOWN && fstatat(fd, e->d_name, &es, 0) == 0 && S_ISDIR(es.st_mode));
    }
    if (count > 0)
        qsort(all, count, sizeof *all, by_order);
    for (; l->n < BATCH && l->at < count; l->n++, l->at++) {
        struct dirent *out = &l->batch[l->n];
        memset(out, 0, sizeof *out);
        out->d_ino = all[l->at].ino;
        out->d_type = all[l->at].dir ? KIND_DIR : KIND_FILE;
        strcpy(out->d_name, all[l->at].name);
    }
    free(all);
    if (d)
        closedir(d);
}

/* A DIR of ours is a pointer with its low bit set. */
static struct listing *raw(DIR *dir)
{
    uintptr_t p = (uintptr_t)dir;
    if ((p & 1) && p != 1)
        return (struct listing *)(p - 1);
    errno = EINVAL;
    return NULL;
}

API int pfsd_open(const char *path, int flags, mode_t mode);
API int pfsd_close(int fd);

static int open_dir(const char *path, const char *func)
{
    char abs[MAX_PATH], pbd[256], rel[MAX_PATH + 2];
    bool slash;
    if (name_absolute(path, abs) != 0)
        return -1;
    if (name_pbd(abs, pbd) != 0) {
        errno = EINVAL;
        return -1;
    }
    if (check_mounted(pbd, func) != 0)
        return -1;
    int fd = -1;
    if (enter("opendir") == 0 && name_resolve(abs, rel, &slash) == 0)
        fd = openat(mnt.root, rel, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    leave(fd >= 0);
    if (fd < 0)
        ERR("opendir %s error: %s", path, strerror(errno));
    return fd;
}

API DIR *pfsd_opendir(const char *path)
{
    int fd = open_dir(path, __func__);
    if (fd < 0)
        return NULL;
    struct listing *l = calloc(1, sizeof *l);
    if (!l) {
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    l->fd = fd;
    return (DIR *)((uintptr_t)l | 1);
}

API int pfsd_readdir_r(DIR *dir, struct dirent *entry, struct dirent **result)
{
    struct listing *l = raw(dir);
    if (!l || !entry || !result) {
        errno = EINVAL;
        return -1;
    }
    if (l->read == l->n) {
        if (enter("readdir") != 0) {
            leave(false);
            *result = NULL;
            return -1;
        }
        fetch(l);
        leave(true);
    }
    *result = NULL;
    if (l->read < l->n) {
        *entry = l->batch[l->read++];
        *result = entry;
    }
    return 0;
}

API struct dirent *pfsd_readdir(DIR *dir)
{
    struct dirent *result = NULL;
    struct listing *l = raw(dir);
    if (!l || pfsd_readdir_r(dir, &l->last, &result) != 0)
        return NULL;
    return result;
}

API int pfsd_closedir(DIR *dir)
{
    struct listing *l = raw(dir);
    if (!l)
        return -1;
    close(l->fd);
    free(l);
    return 0;
}
