//go:build ignore

#include "double.h"
#include <stdatomic.h>

/*
 * Faults are words "key=value" (or "key") in the environment variable PFSD_DOUBLE_FAULTS and in the file PFSD_DOUBLE_CONTROL (default
 * PFSD_DOUBLE_ROOT/.control); the file wins and is read again at every call, so a test switches faults while calls run.
 */
static _Atomic int inside;
static _Thread_local int found; /* errno when the call came in */

const char *double_root(void)
{
    const char *r = getenv("PFSD_DOUBLE_ROOT");
    return r && *r ? r : NULL;
}

static size_t read_control(char *buf, size_t size)
{
    char path[MAX_PATH];
    const char *p = getenv("PFSD_DOUBLE_CONTROL");
    if (!p || !*p) {
        if (!double_root())
            return 0;
        snprintf(path, sizeof path, "%s/.control", double_root());
        p = path;
    }
    int fd = open(p, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, buf, size - 1);
    close(fd);
    return n > 0 ? (size_t)n : 0;
}

static bool find(char *text, const char *key, char *value, size_t size)
{
    char *save, *word;
    bool found = false;
    size_t klen = strlen(key);
    for (word = strtok_r(text, " \t\r\n", &save); word; word = strtok_r(NULL, " \t\r\n", &save)) {
        if (strncmp(word, key, klen) != 0 || (word[klen] != '=' && word[klen] != 0))
            continue;
        snprintf(value, size, "%s", word[klen] == '=' ? word + klen + 1 : "1");
        found = true; /* the last one counts */
    }
    return found;
}

static bool lookup(const char *key, char *value, size_t size)
{
    int saved = errno;
    char text[4096];
    const char *env = getenv("PFSD_DOUBLE_FAULTS");
    size_t n = read_control(text, sizeof text);
    text[n] = 0;
    bool found = find(text, key, value, size);
    if (!found && env) {
        snprintf(text, sizeof text, "%s", env);
        found = find(text, key, value, size);
    }
    errno = saved;
    return found;
}

bool fault_on(const char *key)
{
    char v[256];
    return lookup(key, v, sizeof v) && strcmp(v, "0") != 0;
}

long fault_number(const char *key, long otherwise)
{
    char v[256];
    return lookup(key, v, sizeof v) ? strtol(v, NULL, 0) : otherwise;
}

bool fault_names(const char *key, const char *value)
{
    char v[256], *save, *word;
    if (!lookup(key, v, sizeof v))
        return false;
    for (word = strtok_r(v, ",", &save); word; word = strtok_r(NULL, ",", &save))
        if (strcmp(word, "all") == 0 || strcmp(word, value) == 0)
            return true;
    return false;
}

/* Where the SDK would put a request into shared memory and wait for pfsd. There is no timeout and no error while pfsd is down. */
int enter(const char *call)
{
    found = errno;
    atomic_fetch_add(&inside, 1);
    while (fault_on("down")) {
        daemon_poll();
        usleep(2000);
    }
    daemon_poll();
    if (fault_names("abort", call)) {
        ERR("%s: assertion failed, req->owner == getpid()", call);
        abort();
    }
    errno = found;
    if (fault_names("eio", call)) {
        ERR("%s error: %s", call, strerror(EIO));
        errno = EIO;
        return -1;
    }
    return 0;
}

void leave(bool ok)
{
    if (ok)
        errno = found;
    atomic_fetch_sub(&inside, 1);
}

int calls_inside(void)
{
    return atomic_load(&inside);
}
