//go:build ignore

#include "double.h"

/* The table of open files: numbers are slot | 1<<30, and the slot that was freed last is given out first. */
static struct file files[MAX_FILES];
static pthread_mutex_t files_mtx = PTHREAD_MUTEX_INITIALIZER;
static int used, free_head = -1;

int file_alloc(void)
{
    int slot = -1;
    pthread_mutex_lock(&files_mtx);
    if (free_head >= 0) {
        slot = free_head;
        free_head = files[slot].next;
    } else if (used < MAX_FILES) {
        slot = used++;
        pthread_rwlock_init(&files[slot].lock, NULL);
    }
    if (slot >= 0) {
        files[slot].fd = -2; /* taken, not open yet */
        files[slot].pos = 0;
    }
    pthread_mutex_unlock(&files_mtx);
    if (slot < 0)
        ERR("alloc fd failed");
    return slot;
}

void file_opened(int slot, int fd, int flags, bool dir)
{
    pthread_rwlock_wrlock(&files[slot].lock);
    files[slot].flags = flags;
    files[slot].dir = dir;
    files[slot].fd = fd;
    pthread_rwlock_unlock(&files[slot].lock);
}

void file_release(int slot)
{
    pthread_mutex_lock(&files_mtx);
    if (files[slot].fd >= 0)
        close(files[slot].fd);
    files[slot].fd = -1;
    files[slot].next = free_head;
    free_head = slot;
    pthread_mutex_unlock(&files_mtx);
}

struct file *file_get(int fd, bool exclusive, const char *func)
{
    int slot = fd & ~FD_BIT;
    if (fd >= 0 && (fd & FD_BIT) && slot < MAX_FILES && slot < used) {
        struct file *f = &files[slot];
        if (exclusive)
            pthread_rwlock_wrlock(&f->lock);
        else
            pthread_rwlock_rdlock(&f->lock);
        if (f->fd >= 0)
            return f;
        pthread_rwlock_unlock(&f->lock);
    }
    if (fd >= 0 && (fd & FD_BIT))
        sdk_log("ERR", func, 0, "bad fd %d", slot);
    errno = EBADF;
    return NULL;
}

void file_put(struct file *f)
{
    pthread_rwlock_unlock(&f->lock);
}

void files_close_all(void)
{
    for (int i = 0; i < used; i++)
        if (files[i].fd >= 0) {
            ERR("close fd %d in cleanup", i);
            file_release(i);
        }
}

/* PFS has no open-but-unlinked files: all that is done with them fails. */
int file_alive(struct file *f, struct stat *st)
{
    if (fstat(f->fd, st) == 0 && (S_ISDIR(st->st_mode) || st->st_nlink > 0))
        return 0;
    errno = ENOENT;
    return -1;
}

/* What PFS says of a file: nothing but its size, its 4 MiB blocks and one time in whole seconds. */
void fill_stat(struct stat *st, int fd)
{
    int64_t entries = 0;
    bool dir = S_ISDIR(st->st_mode);
    struct stat root;
    struct timespec changed = {.tv_sec = st->st_mtim.tv_sec};
    if (dir) {
        int d = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *list = d >= 0 ? fdopendir(d) : NULL;
        struct dirent *e;
        while (list && (e = readdir(list)))
            entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
        if (list)
            closedir(list);
        if (fstat(mnt.root, &root) == 0 && root.st_ino == st->st_ino)
            entries -= 2; /* the root does not count mkfs's files */
    }
    st->st_blocks = dir ? 0 : space_blocks(fd, st) * (BLOCK / 512);
    st->st_size = dir ? 128 * entries : st->st_size;
    st->st_mode = (dir ? S_IFDIR : S_IFREG) | 0777;
    st->st_dev = strtoull(mnt.pbd, NULL, 10);
    st->st_nlink = 1;
    st->st_uid = st->st_gid = 0;
    st->st_rdev = 0;
    st->st_blksize = BLOCK;
    st->st_mtim = st->st_ctim = changed;
    memset(&st->st_atim, 0, sizeof st->st_atim);
}

API int pfsd_close(int fd)
{
    struct file *f = file_get(fd, true, __func__);
    if (!f)
        return -1;
    file_release(fd & ~FD_BIT);
    file_put(f);
    return 0;
}

API int pfsd_fstat(int fd, struct stat *st)
{
    if (fd < 0 || !st) {
        errno = fd < 0 ? EBADF : EINVAL;
        return -1;
    }
    struct file *f = file_get(fd, false, __func__);
    if (!f)
        return -1;
    int r = enter("fstat");
    if (r == 0 && (r = file_alive(f, st)) == 0)
        fill_stat(st, f->fd);
    leave(r == 0);
    file_put(f);
    if (r != 0)
        ERR("fstat error: %s", strerror(errno));
    return r;
}
