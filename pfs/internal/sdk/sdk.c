//go:build cgo && linux

#define _GNU_SOURCE
#include "sdk.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#define FUNCTIONS(X)                                                                                                                \
    X(void, set_mode, (int))                                                                                                        \
    X(void, set_svr_addr, (const char *, size_t))                                                                                   \
    X(void, set_connect_timeout, (int))                                                                                             \
    X(int, mount, (const char *, const char *, int, int))                                                                           \
    X(int, umount, (const char *))                                                                                                  \
    X(int, open, (const char *, int, mode_t))                                                                                       \
    X(int, close, (int))                                                                                                            \
    X(ssize_t, pread, (int, void *, size_t, off_t))                                                                                 \
    X(ssize_t, pwrite, (int, const void *, size_t, off_t))                                                                          \
    X(int, ftruncate, (int, off_t))                                                                                                 \
    X(int, posix_fallocate, (int, off_t, off_t))                                                                                    \
    X(int, stat, (const char *, struct stat *))                                                                                     \
    X(int, fstat, (int, struct stat *))                                                                                             \
    X(int, mkdir, (const char *, mode_t))                                                                                           \
    X(int, rmdir, (const char *))                                                                                                   \
    X(int, unlink, (const char *))                                                                                                  \
    X(int, rename, (const char *, const char *))                                                                                    \
    X(DIR *, opendir, (const char *))                                                                                               \
    X(int, readdir_r, (DIR *, struct dirent *, struct dirent **))                                                                   \
    X(int, closedir, (DIR *))                                                                                                       \
    X(unsigned long, meta_version_get, (void))                                                                                      \
    X(const char *, build_version_get, (void))

#define DEFINE(result, name, args) static result(*p_##name) args;
FUNCTIONS(DEFINE)

int polarcast_pfsd_load(const char *path, char *err, size_t size)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        snprintf(err, size, "%s", dlerror());
        return -1;
    }
#define RESOLVE(result, name, args)                                                                                                 \
    if (!(p_##name = (result(*) args)dlsym(lib, "pfsd_" #name))) {                                                                  \
        snprintf(err, size, "%s: it has no function pfsd_" #name, path);                                                            \
        dlclose(lib);                                                                                                               \
        return -1;                                                                                                                  \
    }
    FUNCTIONS(RESOLVE)
    return 0; /* never closed: the library keeps threads and locks */
}

const char *polarcast_pfsd_version(uint64_t *meta)
{
    *meta = p_meta_version_get();
    return p_build_version_get();
}

int polarcast_pfsd_stderr(int fd)
{
#ifdef __GLIBC__
    FILE *f = fdopen(fd, "w");
    if (!f)
        return -errno;
    setvbuf(f, NULL, _IOLBF, 0);
    stderr = f;
    return 0;
#else
    (void)fd;
    return -ENOSYS; /* other C libraries do not let stderr be assigned: the lines go to descriptor 2 */
#endif
}

void polarcast_pfsd_log(const char *line)
{
    fprintf(stderr, "%s\n", line);
    fflush(stderr);
}

static int64_t result(int64_t r)
{
    if (r >= 0)
        return r;
    return errno > 0 ? -(int64_t)errno : -4095;
}

#define CALL(call) (errno = 0, result(call))

/* Thread mode: the library itself refuses writes on a read-only mount, and registers nothing for fork. */
void polarcast_pfsd_prepare(const char *run_dir, int timeout_ms)
{
    p_set_mode(0);
    p_set_svr_addr(run_dir, strlen(run_dir) + 1);
    p_set_connect_timeout(timeout_ms);
}

int64_t polarcast_pfsd_mount(const char *cluster, const char *pbd, int hostid, int flags)
{
    return CALL(p_mount(cluster, pbd, hostid, flags));
}

int64_t polarcast_pfsd_umount(const char *pbd) { return CALL(p_umount(pbd)); }
int64_t polarcast_pfsd_open(const char *path, int flags) { return CALL(p_open(path, flags, 0600)); }
int64_t polarcast_pfsd_close(int fd) { return CALL(p_close(fd)); }
int64_t polarcast_pfsd_pread(int fd, void *buf, size_t len, int64_t off) { return CALL(p_pread(fd, buf, len, off)); }
int64_t polarcast_pfsd_pwrite(int fd, const void *buf, size_t len, int64_t off) { return CALL(p_pwrite(fd, buf, len, off)); }
int64_t polarcast_pfsd_ftruncate(int fd, int64_t size) { return CALL(p_ftruncate(fd, size)); }
int64_t polarcast_pfsd_fallocate(int fd, int64_t off, int64_t len) { return CALL(p_posix_fallocate(fd, off, len)); }
int64_t polarcast_pfsd_mkdir(const char *path) { return CALL(p_mkdir(path, 0700)); }
int64_t polarcast_pfsd_rmdir(const char *path) { return CALL(p_rmdir(path)); }
int64_t polarcast_pfsd_unlink(const char *path) { return CALL(p_unlink(path)); }
int64_t polarcast_pfsd_rename(const char *from, const char *to) { return CALL(p_rename(from, to)); }

static int64_t stat_out(int64_t r, const struct stat *st, struct polarcast_pfsd_stat *out)
{
    if (r == 0)
        *out = (struct polarcast_pfsd_stat){S_ISDIR(st->st_mode), st->st_size, st->st_blocks, (int64_t)st->st_ino, st->st_mtime};
    return r;
}

int64_t polarcast_pfsd_stat_path(const char *path, struct polarcast_pfsd_stat *out)
{
    struct stat st = {0};
    return stat_out(CALL(p_stat(path, &st)), &st, out);
}

int64_t polarcast_pfsd_stat_fd(int fd, struct polarcast_pfsd_stat *out)
{
    struct stat st = {0};
    return stat_out(CALL(p_fstat(fd, &st)), &st, out);
}

static int append(char **list, size_t *len, size_t *room, const struct dirent *e)
{
    size_t n = strlen(e->d_name) + 2;
    if (*len + n > *room) {
        size_t more = 2 * *room + 4096;
        char *p = realloc(*list, more);
        if (!p)
            return -ENOMEM;
        *list = p;
        *room = more;
    }
    (*list)[*len] = (char)e->d_type;
    memcpy(*list + *len + 1, e->d_name, n - 1);
    *len += n;
    return 0;
}

int64_t polarcast_pfsd_list(const char *path, char **list, size_t *len)
{
    struct dirent entry, *e;
    size_t room = 0;
    int64_t r = 0;
    errno = 0;
    DIR *dir = p_opendir(path);
    if (!dir)
        return result(-1);
    while ((r = CALL(p_readdir_r(dir, &entry, &e))) == 0 && e)
        if ((r = append(list, len, &room, e)) != 0)
            break;
    p_closedir(dir);
    return r;
}
