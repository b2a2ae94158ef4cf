//go:build ignore

#include "double.h"
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/xattr.h>

/*
 * What is used of a PBD, counted for all processes in a mapped file beside its directory, under a lock that a killed process releases. The
 * first one that mounts counts anew. Which 4 MiB blocks a file has stands in an extended attribute of it, as pairs (first, count); where
 * attributes do not work, or there are too many pairs, a file is taken to have no holes.
 */
#define ATTR "user.pfsdouble.blocks"
#define MAX_PAIRS 400
struct pair { uint32_t first, count; };
struct blockmap { int n; bool dense; struct pair p[MAX_PAIRS + 2]; };
struct counters { int64_t blocks, inodes, names; };

static struct counters *count;
static int count_fd = -1, users_fd = -1;
static pthread_mutex_t space_mtx = PTHREAD_MUTEX_INITIALIZER;

void space_lock(void)
{
    pthread_mutex_lock(&space_mtx);
    while (flock(count_fd, LOCK_EX) != 0 && errno == EINTR)
        ;
}

void space_unlock(void)
{
    int saved = errno;
    flock(count_fd, LOCK_UN);
    pthread_mutex_unlock(&space_mtx);
    errno = saved;
}

static int64_t up(int64_t bytes)
{
    return (bytes + BLOCK - 1) / BLOCK;
}

static void load(int fd, off_t size, struct blockmap *m)
{
    ssize_t n = fgetxattr(fd, ATTR, m->p, MAX_PAIRS * sizeof(struct pair));
    m->dense = n < 0;
    m->n = n > 0 ? n / sizeof(struct pair) : 0;
    if (m->dense && size > 0)
        m->p[m->n++] = (struct pair){0, up(size)};
}

static void store(int fd, struct blockmap *m)
{
    if (m->n > MAX_PAIRS || fsetxattr(fd, ATTR, m->p, m->n * sizeof(struct pair), 0) != 0)
        fremovexattr(fd, ATTR);
}

static int64_t total(const struct blockmap *m)
{
    int64_t n = 0;
    for (int i = 0; i < m->n; i++)
        n += m->p[i].count;
    return n;
}

/* Adds the blocks [first, end); returns how many were missing. */
static int64_t add(struct blockmap *m, uint32_t first, uint32_t end)
{
    int64_t before = total(m);
    struct blockmap out = {0};
    bool placed = false;
    for (int i = 0; i < m->n; i++) {
        uint32_t a = m->p[i].first, b = a + m->p[i].count;
        if (b < first) {
            out.p[out.n++] = m->p[i];
        } else if (a > end) {
            if (!placed)
                out.p[out.n++] = (struct pair){first, end - first};
            placed = true;
            out.p[out.n++] = m->p[i];
        } else { /* they touch */
            first = a < first ? a : first;
            end = b > end ? b : end;
        }
    }
    if (!placed)
        out.p[out.n++] = (struct pair){first, end - first};
    *m = out;
    return total(m) - before;
}

int64_t space_blocks(int fd, const struct stat *st)
{
    struct blockmap m;
    load(fd, st->st_size, &m);
    return total(&m);
}

int space_alloc(int fd, off_t off, off_t len, bool *changed)
{
    struct blockmap m;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    load(fd, st.st_size, &m);
    int64_t more = add(&m, off / BLOCK, up(off + len));
    *changed = more > 0;
    if (more == 0)
        return 0;
    if (count->blocks + more > fault_number("blocks", 2 * 2560 - 259)) {
        errno = ENOSPC;
        return -1;
    }
    count->blocks += more;
    store(fd, &m);
    return 0;
}

/* Gives an empty file an empty map, so that growing it makes a hole. */
void space_init(int fd)
{
    fsetxattr(fd, ATTR, "", 0, XATTR_CREATE);
}

void space_cut(int fd, off_t size)
{
    struct blockmap m;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return;
    load(fd, st.st_size, &m);
    int64_t before = total(&m);
    uint32_t end = up(size);
    while (m.n > 0 && m.p[m.n - 1].first >= end)
        m.n--;
    if (m.n > 0 && m.p[m.n - 1].first + m.p[m.n - 1].count > end)
        m.p[m.n - 1].count = end - m.p[m.n - 1].first;
    count->blocks -= before - total(&m);
    store(fd, &m);
}

void space_drop(int64_t blocks)
{
    count->blocks -= blocks;
}

/* A name of up to 63 bytes takes one direntry, and one more for each 64 bytes after that. */
static int64_t entries(const char *name)
{
    int64_t n = strlen(name);
    return n <= 63 ? 1 : 1 + (n - 63 + 63) / 64;
}

int space_take_name(const char *name, bool inode)
{
    if (count->inodes + inode > fault_number("inodes", 2 * 2048 - 3) ||
        count->names + entries(name) > fault_number("direntries", 2 * 2048 - 3)) {
        errno = ETOOMANY;
        return -1;
    }
    count->inodes += inode;
    count->names += entries(name);
    return 0;
}

void space_give_name(const char *name, bool inode)
{
    count->inodes -= inode;
    count->names -= entries(name);
}

static void count_tree(int dirfd)
{
    DIR *d = dirfd >= 0 ? fdopendir(dirfd) : NULL;
    struct dirent *e;
    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 || strncmp(e->d_name, ".pfs-", 5) == 0)
            continue;
        count->inodes++;
        count->names += entries(e->d_name);
        int fd = openat(dirfd, e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
            count_tree(fd);
            continue;
        }
        if (fd >= 0)
            count->blocks += space_blocks(fd, &st);
        close(fd);
    }
    if (d)
        closedir(d);
}

int space_open(const char *root, const char *pbd, int dirfd)
{
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/.%s.users", root, pbd);
    users_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    snprintf(path, sizeof path, "%s/.%s.counters", root, pbd);
    count_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (users_fd < 0 || count_fd < 0 || ftruncate(count_fd, sizeof *count) != 0)
        return -1;
    count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, count_fd, 0);
    if (count == MAP_FAILED)
        return -1;
    space_lock();
    if (flock(users_fd, LOCK_EX | LOCK_NB) == 0) {
        memset(count, 0, sizeof *count);
        count_tree(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    flock(users_fd, LOCK_SH);
    space_unlock();
    return 0;
}

void space_close(void)
{
    munmap(count, sizeof *count);
    close(count_fd);
    close(users_fd);
}
