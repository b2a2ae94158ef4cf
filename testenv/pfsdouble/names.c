//go:build ignore

#include "double.h"

static pthread_mutex_t cwd_mtx = PTHREAD_MUTEX_INITIALIZER;
static char cwd[MAX_PATH];

int name_absolute(const char *path, char *abs)
{
    int n;
    if (!path || !*path) {
        errno = EINVAL;
        return -1;
    }
    if (*path == '/') {
        n = snprintf(abs, MAX_PATH, "%s", path);
    } else {
        pthread_mutex_lock(&cwd_mtx);
        n = cwd[0] ? snprintf(abs, MAX_PATH, "%s/%s", cwd, path) : 0;
        pthread_mutex_unlock(&cwd_mtx);
        if (n == 0)
            return -1; /* errno stays as it is, as in the SDK */
    }
    if (n >= MAX_PATH) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

int name_pbd(const char *abs, char *pbd)
{
    const char *p = abs + strspn(abs, "/"), *slash = strchr(p, '/');
    if (*p == 0 || !slash || slash - p > 255)
        return -1;
    snprintf(pbd, 256, "%.*s", (int)(slash - p), p);
    return 0;
}

static int prefix_is_dir(const char *rel)
{
    struct stat st;
    if (fstatat(mnt.root, rel, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    if (S_ISDIR(st.st_mode))
        return 0;
    errno = ENOTDIR;
    return -1;
}

/* "." and ".." are walked as in PFS: what is before ".." must be a directory, and ".." of the root is the root. */
int name_resolve(const char *abs, char *rel, bool *slash)
{
    char copy[MAX_PATH], *save, *word;
    size_t len = strlen(abs);
    snprintf(copy, sizeof copy, "%s", abs);
    strtok_r(copy, "/", &save); /* the PBD */
    strcpy(rel, ".");
    while ((word = strtok_r(NULL, "/", &save))) {
        if (strlen(word) > 255) {
            errno = ENAMETOOLONG;
            return -1;
        }
        if (strcmp(word, ".") == 0)
            continue;
        if (strcmp(word, "..") != 0) {
            strcat(strcat(rel, "/"), word);
            continue;
        }
        if (prefix_is_dir(rel) != 0)
            return -1;
        if (!name_is_root(rel))
            *strrchr(rel, '/') = 0;
    }
    *slash = len > 0 && abs[len - 1] == '/' && !name_is_root(rel);
    return 0;
}

bool name_is_root(const char *rel)
{
    return strcmp(rel, ".") == 0;
}

API int pfsd_chdir(const char *path)
{
    char abs[MAX_PATH], rel[MAX_PATH + 2], pbd[256];
    bool slash;
    if (name_absolute(path, abs) != 0)
        return -1;
    if (!mnt.on) {
        errno = ENOMEM;
        return -1;
    }
    if (name_pbd(abs, pbd) != 0) {
        errno = EINVAL;
        return -1;
    }
    if (check_mounted(pbd, __func__) != 0)
        return -1;
    if (enter("chdir") != 0 || name_resolve(abs, rel, &slash) != 0 || prefix_is_dir(rel) != 0) {
        leave(false);
        ERR("chdir %s error: %s", path, strerror(errno));
        return -1;
    }
    leave(true);
    pthread_mutex_lock(&cwd_mtx);
    snprintf(cwd, sizeof cwd, "/%.255s%.3800s", pbd, name_is_root(rel) ? "/" : rel + 1);
    pthread_mutex_unlock(&cwd_mtx);
    return 0;
}

API char *pfsd_getcwd(char *buf, size_t size)
{
    int err = 0;
    if (!buf) {
        errno = EINVAL;
        return NULL;
    }
    pthread_mutex_lock(&cwd_mtx);
    if (!cwd[0])
        err = ENOENT;
    else if (strlen(cwd) >= size)
        err = ERANGE;
    else
        strcpy(buf, cwd);
    pthread_mutex_unlock(&cwd_mtx);
    if (!err)
        return buf;
    ERR("getcwd error: %s", strerror(err));
    errno = err;
    return NULL;
}

API char *pfsd_getwd(char *buf)
{
    return pfsd_getcwd(buf, MAX_PATH);
}
